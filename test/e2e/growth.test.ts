// What a gateway holds after hundreds of reloads, once garbage is collected: as much as after the first ones.
//
// Runs alone.

import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { ask } from '../tools/ask.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import type { Held } from './extensions/probe.ts'

const extension = path.join(import.meta.dirname, 'extensions', 'probe.ts')
/** So many first reloads make what is made once: compiled code, series of metrics. */
const warmUps = 60
const rounds = 120
/** One kept text of a cache's options at each of the routes would be more. */
const bytesPerReloadMax = 3_000
const routes = 20

/** Names come again, for each new one makes series of metrics that stay; everything else is new each time. */
function configOf(i: number, target: string, data: string): object {
  const route = (_: unknown, k: number) => {
    const limits = { 'rate-limit': { limits: [`${1_000 + i}/s`], by: 'client', callers: 100 + i } }
    const quota = { quota: { limit: `${1_000 + i}/month`, by: 'client', callers: 100 + i } }
    const headers = { headers: { reply: { set: { 'x-round': `${i}.${k}` } } } }
    const cache = { cache: { ttl: { '200': `${10 + i}s` }, key: { headers: [`x-${i}`] } } }
    const policies = [{ expression: `request.path != "/${i}"` }, ...(k === 0 ? [limits, quota] : []), headers, cache]
    return {
      ...{ name: `${i % 3}-${k}`, match: { path: `/go/${k}/**`, headers: { 'x-new': `a${i}` } } },
      ...{ policies, forward: 'a' },
    }
  }
  const limits = { connections: 100 + i }
  return {
    data,
    listeners: [
      { name: 'first', host: '127.0.0.1', port: 0, limits: { connections: 1_000 + i } },
      { name: `more-${i % 3}`, host: '127.0.0.1', port: 0 },
    ],
    upstreams: {
      a: { targets: [target], limits, breaker: { minimum: 4 + i, open: '1m' }, health: { path: '/', interval: '1m' } },
    },
    routes: [
      { match: { path: '/probe' }, policies: [{ probe: { threads: 2 } }], reply: { body: '' } },
      ...Array.from({ length: routes }, route),
    ],
  }
}

test('reloads leave nothing behind', { timeout: 300_000 }, async t => {
  await using origin = await Origin.start((_, response) => void response.end('up'))
  await using program = await Program.start(configOf(0, origin.url, '{folder}/data'), {}, [
    ...['--no-watch', '--extension', extension],
  ])
  const data = program.file('data')
  const held = async () => {
    // Replies that are kept have a bound of their own.
    assert.equal((await program.admin('/cache/purge', { method: 'POST', body: '{"all":true}' })).status, 200)
    const { text } = await ask(program.port, { path: '/probe' })
    return (JSON.parse(text) as Held[]).sort((a, b) => a.thread - b.thread)
  }
  const reload = async (i: number) => {
    await program.rewrite(configOf(i, origin.url, data))
    const { result, problems } = (await (await program.admin('/reload', { method: 'POST' })).json()) as Outcome
    assert.equal(result, 'taken', problems.join('\n'))
    for (const k of [0, 1]) {
      const { status } = await ask(program.port, { path: `/go/${k}/x`, headers: { 'x-new': `a${i}` } })
      assert.equal(status, 200)
    }
  }
  for (let i = 1; i <= warmUps; i++) await reload(i)
  const before = await held()
  for (let i = 1; i <= rounds; i++) await reload(warmUps + i)
  const after = await held()
  for (const [index, { objects, external }] of after.entries()) {
    const first = before[index] ?? assert.fail()
    const each = (objects + external - first.objects - first.external) / rounds
    t.diagnostic(
      `${index === 0 ? 'main thread' : 'worker'}: ${Math.round(each)} bytes more for each of ${rounds} reloads`,
    )
    assert.ok(each < bytesPerReloadMax, `${each} bytes for each reload`)
  }
})

interface Outcome {
  readonly result: string
  readonly problems: readonly string[]
}
