// Limits over three gateways with one server of counts: exactly the limit passes, in every algorithm and both modes, also where
// calls move from one gateway to another, a config is reloaded or a gateway ends.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Pool } from 'undici'
import { Program } from '../tools/program.ts'
import { noServer, RedisServer } from '../tools/redis.ts'
import { until } from '../tools/until.ts'

const rounds = 100
const limit = 20
const connections = 64
/** Rounds under way at once, each with a key of its own. */
const lanes = 4
const steady = 1000

const counted = { by: { header: 'x-round' }, store: 'shared', onFailure: 'closed' }
const kinds = (['exact', 'leased'] as const).flatMap(mode => [
  // Windows so long that nothing comes back while the test runs.
  { name: `${mode}-gcra`, policy: { 'rate-limit': { limit: `${limit}/1000h`, algorithm: 'gcra', mode, ...counted } } },
  { name: `${mode}-sliding-window`, policy: { 'rate-limit': { limit: `${limit}/1000h`, mode, ...counted } } },
  { name: `${mode}-quota`, policy: { quota: { limit: `${limit}/month`, mode, ...counted } } },
])
const steadyLimit = { limit: `${steady}/1000h`, mode: 'leased', ...counted, name: 'steady' }
const routes = [...kinds, { name: 'steady', policy: { 'rate-limit': steadyLimit } }].map(({ name, policy }) => ({
  ...{ name, match: { path: `/${name}` }, policies: [policy], reply: { status: 200 } },
}))

const call = async (pool: Pool | undefined, path: string, round: string): Promise<boolean> => {
  assert.ok(pool !== undefined)
  const { statusCode, headers, body } = await pool.request({ method: 'GET', path, headers: { 'x-round': round } })
  await body.dump()
  assert.equal(headers['x-turnpike-limit-fallback'], undefined)
  return statusCode === 200
}

/** Calls one after the other over several connections. */
const rush = async (pool: Pool | undefined, round: string, calls: number): Promise<number> => {
  let passed = 0
  let sent = 0
  const one = async () => {
    while (sent++ < calls) if (await call(pool, '/steady', round)) passed++
  }
  await Promise.all(Array.from({ length: 4 }, one))
  return passed
}

describe('three gateways, two workers each', { skip: noServer }, () => {
  let server: RedisServer
  let config: object
  let programs: Program[]
  let pools: Pool[]

  before(async () => {
    server = await RedisServer.start()
    // The machine of the test may be slow; that is not to count as a failure.
    config = { workers: 2, stores: { shared: { url: server.url, timeout: '5s' } }, routes }
    programs = await Promise.all([1, 2, 3].map(() => Program.start(config)))
    pools = programs.map(({ url }) => new Pool(url, { connections: Math.ceil(connections / 3), pipelining: 1 }))
    for (const program of programs) await program.untilTotal('turnpike_store_alive', { store: 'shared' }, 2)
  })
  after(async () => {
    await Promise.all(pools.map(pool => pool.close()))
    await Promise.all(programs.map(program => program.stop()))
    await server[Symbol.asyncDispose]()
  })

  for (const { name } of kinds) {
    test(`${name}: exactly ${limit} of ${connections} pass, in ${rounds} rounds`, async () => {
      let next = 0
      const lane = async () => {
        for (let round = next++; round < rounds; round = next++) {
          const calls = Array.from({ length: connections }, (_, index) =>
            call(pools[index % 3], `/${name}`, `${round}`),
          )
          const passed = (await Promise.all(calls)).filter(Boolean).length
          assert.equal(passed, limit, `round ${round}`)
        }
      }
      await Promise.all(Array.from({ length: lanes }, lane))
    })
  }

  test('leased: exactly the limit passes where calls move from one gateway to the next', async () => {
    const round = 'moving'
    assert.equal(await rush(pools[0], round, 400), 400)
    assert.equal(await rush(pools[1], round, 300), 300)
    // The first two hold what they took ahead: it is called back.
    assert.equal(await rush(pools[2], round, 400), 300)
    assert.equal((await rush(pools[0], round, 10)) + (await rush(pools[1], round, 10)), 0)
  })

  test('leased: a reload and the end of a gateway give back what they hold', async () => {
    const round = 'ending'
    const own = await Program.start(config)
    await own.untilTotal('turnpike_store_alive', { store: 'shared' }, 2)
    const pool = new Pool(own.url, { connections: 4, pipelining: 1 })
    assert.equal(await rush(pool, round, 300), 300)
    // The limit is gone, and then there again.
    await own.replace({ ...config, routes: routes.filter(({ name }) => name !== 'steady') })
    await own.untilTotal('turnpike_config_version', {}, 2)
    await own.replace(config)
    await own.untilTotal('turnpike_config_version', {}, 3)
    await own.untilTotal('turnpike_store_alive', { store: 'shared' }, 2)
    assert.equal(await rush(pool, round, 300), 300)
    await pool.close()
    assert.equal(await own.stop(), 0)
    let passed = 0
    await until(
      async () => {
        const more = await rush(pools[1], round, 100)
        passed += more
        return more === 0
      },
      () => 'the limit to be used up',
    )
    assert.equal(passed, 400)
  })
})
