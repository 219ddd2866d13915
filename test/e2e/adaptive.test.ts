// The adaptive limit in front of a server whose latency grows with its load, in a process of its own. Each test ends in counts.
//
// Runs alone.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ChildServer, drowning } from '../tools/child-server.ts'
import { type Ends, flood } from '../tools/flood.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const upstream = (url: string) => ({ targets: [url], timeouts: { call: '300ms' } })

/** How many of the calls were answered well. */
const shareOf = ({ byOutcome, goodMs }: Ends) => goodMs.length / Object.values(byOutcome).reduce((sum, n) => sum + n, 0)

describe('adaptive limit', () => {
  test('a service whose latency grows with its load: with the limit it goes on answering, without it drowns', {
    timeout: 180_000,
  }, async () => {
    await using without = await ChildServer.start(drowning)
    await using behind = await ChildServer.start(drowning)
    await using program = await Program.start({
      workers: 2,
      upstreams: { without: upstream(without.url), behind: { ...upstream(behind.url), adaptive: {} } },
      routes: [
        { match: { path: '/without' }, forward: 'without' },
        { match: { path: '/behind' }, forward: 'behind' },
      ],
    })
    const [clients, ms] = [120, 4_000]
    const bare = await flood(program.port, '/without', clients, ms)
    await flood(program.port, '/behind', 30, 1_000)
    const limited = await flood(program.port, '/behind', clients, ms)
    // The service can answer 200 calls a second.
    const [lost, kept] = [bare.goodMs.length, limited.goodMs.length]
    assert.ok(kept > 300, `${kept} of 800 answered with the limit: ${JSON.stringify(limited.byOutcome)}`)
    assert.ok(kept > 2 * lost, `${kept} with the limit, ${lost} without`)
    assert.ok((limited.byOutcome['upstream-overloaded'] ?? 0) > 0)
    // Those that were let through were not in vain.
    assert.ok((limited.byOutcome['call-timeout'] ?? 0) < kept / 4, JSON.stringify(limited.byOutcome))
    const limit = await program.total('turnpike_adaptive_limit', { upstream: 'behind' })
    assert.ok(limit >= 4 && limit < 60, String(limit))
  })

  test('routes of low priority are turned away first', { timeout: 180_000 }, async () => {
    await using behind = await ChildServer.start(drowning)
    await using program = await Program.start({
      upstreams: { a: { targets: [behind.url], adaptive: {} } },
      routes: ['high', 'normal', 'low'].map(priority => ({
        name: priority,
        match: { path: `/${priority}` },
        forward: { to: 'a', priority },
      })),
    })
    await flood(program.port, '/normal', 20, 1_000)
    const [low, high] = await Promise.all([
      flood(program.port, '/low', 40, 4_000),
      flood(program.port, '/high', 3, 4_000),
    ])
    assert.ok(shareOf(high) > 0.9, JSON.stringify(high.byOutcome))
    assert.ok(shareOf(low) < 0.6, JSON.stringify(low.byOutcome))
    const shed = (priority: string) => program.total('turnpike_adaptive_shed_total', { priority })
    await until(
      async () => (await shed('low')) > 10 * (await shed('high')),
      () => 'the counts of those that were turned away',
    )
  })
})
