// A worker breaks, is replaced or dies under load: who notices, how many, and for how long.
//
// Runs alone: it measures time.

import assert from 'node:assert/strict'
import path from 'node:path'
import process from 'node:process'
import { describe, test } from 'node:test'
import { ask } from '../tools/ask.ts'
import { assertNoneLost, Load } from '../tools/load.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const extension = path.join(import.meta.dirname, 'extensions', 'trouble.ts')

function start(target: string): Promise<Program> {
  const config = {
    workers: 2,
    drain: '5s',
    upstreams: { all: { targets: [target] } },
    routes: [
      { match: { path: '/trouble' }, policies: [{ trouble: {} }], reply: { body: 'here it comes' } },
      { match: { path: '/**' }, policies: [{ thread: {} }], forward: 'all' },
    ],
  }
  return Program.start(config, {}, ['--extension', extension])
}

interface WorkerSeen {
  readonly id: number
  readonly state: string
}

async function workersOf(program: Program): Promise<WorkerSeen[]> {
  return (await (await program.admin('/workers')).json()) as WorkerSeen[]
}

/** Waits until two workers serve, with so many of `before` among them. */
async function untilReplaced(program: Program, before: readonly WorkerSeen[], staying: number): Promise<void> {
  let seen: WorkerSeen[] = []
  await until(
    async () => {
      seen = await workersOf(program)
      const stayed = seen.filter(({ id }) => before.some(old => old.id === id)).length
      return seen.length === 2 && seen.every(({ state }) => state === 'serving') && stayed === staying
    },
    () => `two serving workers, ${staying} of ${JSON.stringify(before)}; there are ${JSON.stringify(seen)}`,
  )
}

describe('a worker', { timeout: 300_000 }, () => {
  test('that is replaced by hand loses no call that it was given', async t => {
    await using origin = await Origin.start((_, response) => response.end('hello'))
    await using program = await start(origin.url)
    await using load = new Load({ port: program.port, keepAlive: 6, fresh: 4 })
    const rounds = 4
    for (let round = 0; round < rounds; round++) {
      const before = await workersOf(program)
      for (const { id } of before) {
        const reply = await program.admin(`/workers/${id}/replace`, { method: 'POST' })
        assert.deepEqual([reply.status, await reply.json()], [200, { replaced: id }])
      }
      await untilReplaced(program, before, 0)
    }
    await load.stop()
    t.diagnostic(
      `${load.keepAlive.answered} calls on ${load.keepAlive.opened} kept connections, ${load.fresh.answered} on fresh ones; ` +
        `lost ${JSON.stringify(load.lost)}`,
    )
    assertNoneLost(load, 2 * rounds)
    assert.ok(load.keepAlive.closing > 0, 'clients are told to close')
    assert.equal((await program.admin('/workers/1/replace', { method: 'POST' })).status, 404)
    assert.equal(await program.total('turnpike_worker_replacements_total', { reason: 'asked' }), 2 * rounds)
  })

  for (const [wish, says] of [
    ['throw', 'thrown outside any call'],
    ['reject', 'rejected outside any call'],
  ] as const) {
    test(`in which something is ${says} is replaced and loses no call that it was given`, async t => {
      await using origin = await Origin.start((_, response) => response.end('hello'))
      await using program = await start(origin.url)
      await using load = new Load({ port: program.port, keepAlive: 6, fresh: 4 })
      const rounds = 3
      for (let round = 0; round < rounds; round++) {
        const before = await workersOf(program)
        const reply = await ask(program.port, { path: '/trouble', headers: { 'x-trouble': wish } })
        assert.deepEqual([reply.status, reply.text], [200, 'here it comes'])
        await untilReplaced(program, before, 1)
      }
      await load.stop()
      t.diagnostic(`${load.answered} calls; lost ${JSON.stringify(load.lost)}`)
      assertNoneLost(load, rounds)
      assert.equal(
        program.stderr.match(new RegExp(`"reason":"thrown","detail":"${says}","msg":"replacing a worker"`, 'g'))
          ?.length,
        rounds,
      )
      assert.equal(await program.total('turnpike_worker_replacements_total'), rounds)
    })
  }

  test('that dies takes its own calls along, but no port and no other call; another soon serves', async t => {
    await using origin = await Origin.start((_, response) => response.end('hello'))
    process.env['NODE_OPTIONS'] = '--max-old-space-size=64'
    const startedMs = performance.now()
    await using program = await start(origin.url)
    const startMs = performance.now() - startedMs
    delete process.env['NODE_OPTIONS']
    await using load = new Load({ port: program.port, keepAlive: 6, fresh: 4 })
    for (const wish of ['die', 'die', 'hoard']) {
      const answered = load.answered
      await until(
        () => load.answered > answered + 200,
        () => 'calls',
      )
      const before = await workersOf(program)
      const lostBefore = load.lostCount
      const counted = await counters(program)
      await assert.rejects(ask(program.port, { path: '/trouble', headers: { 'x-trouble': wish } }))
      const died = performance.now()
      await untilReplaced(program, before, 1)
      const goneMs = performance.now() - died
      // A worker is loaded in less time than the whole gateway, which had as busy a machine.
      assert.ok(
        goneMs < 2_000 + 2 * startMs,
        `another worker serves after ${goneMs} ms, the gateway did after ${startMs}`,
      )
      const lost = load.lostCount - lostBefore
      // Each client has at most one call under way, and may meet the dying port once more.
      assert.ok(lost <= 2 * 10, `${lost} calls lost`)
      for (const [series, value] of await counters(program)) {
        assert.ok(value >= (counted.get(series) ?? 0), `${series} went back`)
      }
      t.diagnostic(`${wish}: replaced after ${Math.round(goneMs)} ms; ${lost} calls lost: ${JSON.stringify(load.lost)}`)
    }
    const lostCount = load.lostCount
    const answered = load.answered
    await until(
      () => load.answered > answered + 500,
      () => 'calls after it',
    )
    await load.stop()
    assert.equal(load.lostCount, lostCount)
    assert.deepEqual(
      Object.keys(load.lost).filter(how => /REFUSED|status|in time/.test(how)),
      [],
    )
    assert.equal(await program.total('turnpike_worker_replacements_total', { reason: 'died' }), 3)
    await program.untilQuiet()
  })

  test('that dies gives back what it held of a ceiling over all workers', async () => {
    const limit = 6
    const held: (() => void)[] = []
    await using origin = await Origin.start(async (_, response) => {
      await new Promise<void>(resolve => held.push(resolve))
      response.end('done')
    })
    await using program = await Program.start(
      {
        workers: 2,
        upstreams: { all: { targets: [origin.url], retry: { attempts: 0 } } },
        routes: [
          { match: { path: '/trouble' }, policies: [{ trouble: {} }], reply: {} },
          { match: { path: '/**' }, policies: [{ concurrency: limit }], forward: 'all' },
        ],
      },
      {},
      ['--extension', extension],
    )
    let lost = 0
    const call = () => ask(program.port).catch(() => void lost++)
    const calls = Array.from({ length: limit }, call)
    await until(
      () => held.length === limit,
      () => `${limit} calls to be under way`,
    )
    assert.equal((await ask(program.port)).status, 503)
    const before = await workersOf(program)
    await assert.rejects(ask(program.port, { path: '/trouble', headers: { 'x-trouble': 'die' } }))
    await untilReplaced(program, before, 1)
    calls.push(...Array.from({ length: lost }, call))
    await until(
      () => held.length === limit + lost,
      () => `${lost} further calls to be let in`,
    )
    assert.equal((await ask(program.port)).status, 503)
    for (const release of held) release()
    const replies = await Promise.all(calls)
    assert.equal(replies.filter(reply => reply?.status === 200).length, limit)
  })
})

/** Every counter and histogram cell, summed over threads. */
async function counters(program: Program): Promise<Map<string, number>> {
  const totals = new Map<string, number>()
  for (const { name, labels, value } of (await program.metrics()).samples) {
    if (!/_(total|count|sum|bucket)$/.test(name)) continue
    const series = `${name} ${JSON.stringify(labels)}`
    totals.set(series, (totals.get(series) ?? 0) + value)
  }
  return totals
}
