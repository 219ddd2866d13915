// Limits over three gateways with one server of counts: exact in every algorithm and mode, and by onFailure when it fails.

import assert from 'node:assert/strict'
import test from 'node:test'
import { Program } from '../tools/program.ts'
import { noServer, RedisServer } from '../tools/redis.ts'
import { until } from '../tools/until.ts'

const routes = (list: readonly (readonly [name: string, policy: object])[]) =>
  list.map(([name, policy]) => ({ match: { path: `/${name}/**` }, policies: [policy], reply: { body: 'ok' } }))

const limit = 90
const limited = (name: string, more: object) => {
  const count = {
    limit: `${limit}/hour`,
    by: { header: 'x-round' },
    name,
    store: 'shared',
    onFailure: 'closed',
    ...more,
  }
  return [name, { 'rate-limit': count }] as const
}

async function statuses(program: Program, path: string, round: string, calls: number): Promise<Response[]> {
  const ask = async () => {
    const response = await fetch(program.url + path, { headers: { 'x-round': round } })
    await response.text()
    return response
  }
  return Promise.all(Array.from({ length: calls }, ask))
}

const passedOf = (responses: readonly Response[]) => responses.filter(({ status }) => status === 200).length

test('three gateways pass exactly the limit, and go by onFailure while the store fails', {
  skip: noServer,
}, async () => {
  await using server = await RedisServer.start()
  const kinds = (['exact', 'leased'] as const).flatMap(mode =>
    (['gcra', 'sliding-window'] as const).map(algorithm => limited(`${mode}-${algorithm}`, { mode, algorithm })),
  )
  const failing = (['open', 'closed', 'local-share'] as const).map(onFailure => limited(onFailure, { onFailure }))
  const config = {
    workers: 2,
    stores: { shared: { url: server.url, timeout: '500ms' } },
    routes: routes([...kinds, ...failing]),
  }
  await using first = await Program.start(config)
  await using second = await Program.start(config)
  await using third = await Program.start(config)
  const all = [first, second, third]
  const isCounting = async () => {
    const responses = await Promise.all(all.map(program => statuses(program, '/open/', `probe ${Math.random()}`, 8)))
    return responses.flat().every(({ headers }) => headers.get('x-turnpike-limit-fallback') === null)
  }
  await until(isCounting, () => 'all gateways to count in the store')

  for (const [name] of kinds) {
    for (let round = 0; round < 5; round++) {
      const responses = await Promise.all(all.map(program => statuses(program, `/${name}/`, `r${round}`, 64)))
      assert.equal(passedOf(responses.flat()), limit, `${name}, round ${round}`)
    }
  }

  // So that each gateway was counted as alive.
  await new Promise(resolve => setTimeout(resolve, 1_500))
  await server.kill()
  for (const [name, wanted] of [
    ['open', 192],
    ['closed', 0],
    ['local-share', limit],
  ] as const) {
    const responses = (await Promise.all(all.map(program => statuses(program, `/${name}/`, 'down', 64)))).flat()
    assert.equal(passedOf(responses), wanted, name)
    for (const { headers } of responses) assert.equal(headers.get('x-turnpike-limit-fallback'), name)
  }
  await first.untilTotal('turnpike_limit_fallbacks_total', { store: 'shared', name: 'closed', fallback: 'closed' }, 64)
  await server.restart()
  await until(isCounting, () => 'all gateways to count in the store again')
})
