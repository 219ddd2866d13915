import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import * as fc from 'fast-check'
import type { FailureCode } from '../../core/codes.ts'
import type { EjectionBlueprint } from '../../core/health-schema.ts'
import { Failure } from '../../core/failure.ts'
import { Reply } from '../../core/reply.ts'
import { createCall, FakeEndpoint, failure } from '../fakes.ts'
import { compareRates, createEjector, createVerdict, eject, takeBack } from './ejection.ts'
import { Cell, createTargetMemory, Flag, TargetTable } from './target-memory.ts'

const defaults: EjectionBlueprint = {
  on: ['connect-failure', 'reset', 'timeout', '502', '503', '504'],
  ...{ consecutive: 3, successRate: null, interval: 10_000, baseTime: 30_000, maxTime: 100_000, maxPercent: 0.5 },
}
const successRate = { minimumHosts: 5, requestVolume: 100, stdevFactor: 1.9, gap: 0.05 }

function setUp(count: number, changes: Partial<EjectionBlueprint> = {}) {
  const time = { nowMs: 0 }
  const memory = createTargetMemory(1, 0)
  const ejection = { ...defaults, ...changes }
  const endpoints = Array.from({ length: count }, (_, n) => new FakeEndpoint(`http://10.0.0.${n}:80 10.0.0.${n}`))
  let fullCount = 0
  const full = { add: (count: number) => void (fullCount += count) }
  /** What one worker has. */
  const open = () => {
    const table = new TargetTable(memory, { now: () => time.nowMs })
    const rows = endpoints.map(({ id }) => table.claim(id))
    const observe = createEjector({
      ...{ table, ejection, rows: () => rows, full },
      rowOf: endpoint => rows[endpoints.findIndex(other => other === endpoint)],
    })
    const tell = (n: number, outcome: number | FailureCode) => {
      const endpoint = endpoints[n] ?? assert.fail()
      observe(createCall(), endpoint, typeof outcome === 'number' ? Reply.empty(outcome) : failure(outcome))
    }
    return { table, rows, tell }
  }
  const worker = open()
  const ejected = () => worker.rows.map(row => (worker.table.load(row, Cell.flags) & Flag.ejected) !== 0)
  const compare = () => compareRates(worker.table, worker.rows, worker.rows, ejection, full)
  return { ...worker, time, ejection, open, ejected, compare, full: () => fullCount }
}

test('so many failures in a row eject, over all workers together', () => {
  const { open, tell, ejected } = setUp(3)
  const other = open()
  tell(1, 'upstream-reset')
  other.tell(1, 503)
  assert.deepEqual(ejected(), [false, false, false])
  tell(1, 'upstream-connect-failed')
  assert.deepEqual(ejected(), [false, true, false])
})

test('a success between them begins the count anew', () => {
  const { open, tell, ejected } = setUp(3)
  const other = open()
  for (const outcome of [503, 'upstream-reset'] as const) tell(0, outcome)
  other.tell(0, 404)
  for (const outcome of [503, 'upstream-reset'] as const) tell(0, outcome)
  assert.deepEqual(ejected(), [false, false, false])
})

test('what counts as a failure', () => {
  const judge = createVerdict(['connect-failure', 'reset', 'timeout', '503'])
  const call = createCall()
  const verdict = (outcome: number | FailureCode) =>
    judge(call, typeof outcome === 'number' ? Reply.empty(outcome) : failure(outcome))
  for (const status of [200, 101, 404, 500, 502]) assert.equal(verdict(status), false, String(status))
  assert.equal(verdict(503), true)
  const bad: FailureCode[] = ['upstream-connect-failed', 'upstream-connect-timeout', 'upstream-tls-failed']
  bad.push('upstream-reset', 'upstream-malformed-reply', 'upstream-timeout')
  for (const code of bad) assert.equal(verdict(code), true, code)
  // They say nothing of the target: the client left, the gateway was full, an idle connection was closed.
  for (const code of ['client-closed', 'upstream-busy', 'upstream-stale', 'call-timeout'] as const) {
    assert.equal(verdict(code), null, code)
  }
  // Nor does it when this machine has no descriptor left.
  const cause = Object.assign(new Error('connect EMFILE'), { code: 'EMFILE' })
  assert.equal(judge(call, new Failure('upstream-connect-failed', { cause })), null)
  call.upstreamMs = 1_000
  assert.equal(verdict('call-timeout'), true)
  // Most of that time the client was still sending.
  call.sendingMs = 1
  assert.equal(verdict('call-timeout'), null)
  assert.equal(createVerdict(['timeout'])(call, failure('upstream-reset')), null)
  assert.equal(createVerdict(['5xx'])(call, Reply.empty(599)), true)
})

test('no more than the share is ever ejected, and what stays is counted', () => {
  const property = fc.property(
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 0, max: 100 }),
    fc.array(fc.nat(11), { maxLength: 60 }),
    (count, percent, failing) => {
      const { tell, ejected, full } = setUp(count, { consecutive: 1, maxPercent: percent / 100 })
      for (const n of failing) tell(n % count, 503)
      const sick = new Set(failing.map(n => n % count)).size
      const most = Math.floor((count * percent) / 100)
      assert.equal(ejected().filter(Boolean).length, Math.min(sick, most))
      assert.equal(full() > 0, sick > most)
    },
  )
  fc.assert(property, { numRuns: 100 })
})

test('each ejection lasts longer than the one before, up to the most, and quiet intervals are forgiven', () => {
  const { table, rows, ejection, time, compare } = setUp(2)
  const row = rows[0] ?? assert.fail()
  const lasts: number[] = []
  const once = () => {
    assert.equal(eject(table, row, rows, ejection, 'consecutive'), 'ejected')
    assert.equal(eject(table, row, rows, ejection, 'consecutive'), 'was-ejected')
    lasts.push((table.load(row, Cell.ejectedUntil) - table.now) * 100)
    time.nowMs += 1_000
    assert.equal(takeBack(table, row), true)
    assert.equal(takeBack(table, row), false)
  }
  for (let i = 0; i < 4; i++) once()
  assert.deepEqual(lasts, [30_000, 60_000, 90_000, 100_000])
  // It has just come back: this interval does not count.
  compare()
  for (let i = 0; i < 3; i++) {
    time.nowMs += ejection.interval
    compare()
  }
  once()
  assert.equal(lasts.at(-1), 60_000)
})

test('who comes back has a clean count', () => {
  const { tell, table, rows, ejected } = setUp(2)
  for (let i = 0; i < 3; i++) tell(0, 503)
  assert.deepEqual(ejected(), [true, false])
  takeBack(table, rows[0] ?? 0)
  for (let i = 0; i < 2; i++) tell(0, 503)
  assert.deepEqual(ejected(), [false, false])
})

test('a gRPC call that fails at once counts as the status that says the same', () => {
  const judge = createVerdict(['503', '504'])
  const call = createCall()
  const verdict = (grpcStatus: string) => {
    const reply = Reply.empty(200)
    reply.headers.add('grpc-status', grpcStatus)
    return judge(call, reply)
  }
  assert.deepEqual(['0', '5', '13', '14'].map(verdict), [false, false, false, true])
  // The client sets the deadline, and may set one that nobody can meet.
  call.upstreamMs = 999
  assert.equal(verdict('4'), null)
  call.upstreamMs = 1_000
  assert.equal(verdict('4'), true)
})

test('threads that eject at the same time never leave more out than the share', { timeout: 60_000 }, async () => {
  const rounds = 3_000
  const memory = createTargetMemory(1, 0)
  const table = new TargetTable(memory, { now: () => 1_000 })
  const rows = Array.from({ length: 8 }, (_, n) => table.claim(`http://10.0.0.${n}:80 10.0.0.${n}`))
  // The round at hand, how many threads are done with it.
  const gauge = new Int32Array(new SharedArrayBuffer(8))
  const ejection = { ...defaults, maxPercent: 0.25 }
  const threads = [0, 1].map(
    worker =>
      new Worker(new URL('./ejection.hammer.ts', import.meta.url), {
        workerData: { memory, worker, rounds, gauge: gauge.buffer, rows, ejection },
      }),
  )
  const most: number[] = []
  for (let round = 1; round <= rounds; round++) {
    for (const row of rows) takeBack(table, row)
    Atomics.store(gauge, 1, 0)
    Atomics.store(gauge, 0, round)
    Atomics.notify(gauge, 0)
    while (Atomics.load(gauge, 1) < threads.length) Atomics.wait(gauge, 1, Atomics.load(gauge, 1), 1)
    most.push(rows.filter(row => (table.load(row, Cell.flags) & Flag.ejected) !== 0).length)
  }
  await Promise.all(threads.map(thread => once(thread, 'exit')))
  assert.equal(most.filter(count => count > 2).length, 0)
  // Two that take back at the same time may leave one too few, until the next failure; most rounds fill the share.
  assert.ok(most.filter(count => count === 2).length > rounds / 4, `${most.filter(count => count === 2).length}`)
})

/** Counts so many calls of each target with so many failures, and lets an interval end. */
function ejectedByRate(shares: readonly (readonly [calls: number, failures: number])[], changes: object = {}) {
  const rate = { ...successRate, ...changes }
  const { tell, table, rows, ejected, compare } = setUp(shares.length, { consecutive: 0, successRate: rate })
  for (const [n, [calls, failures]] of shares.entries()) {
    for (let i = 0; i < calls; i++) tell(n, i < failures ? 503 : 200)
  }
  compare()
  const counts = rows.map(row => table.load(row, Cell.calls))
  assert.deepEqual(new Set(counts), new Set([0]), 'another interval counts anew')
  return ejected().flatMap((isEjected, n) => (isEjected ? [n] : []))
}

test('success rate: who lies far below the others is ejected', () => {
  const well = [200, 2] as const
  assert.deepEqual(ejectedByRate([well, well, well, well, [200, 100]]), [4])
  assert.deepEqual(ejectedByRate([well, well, [100, 100], well, well, well]), [2])
})

test('success rate: too few targets, too few calls, or a gap too small eject nobody', () => {
  const well = [200, 0] as const
  assert.deepEqual(ejectedByRate([well, well, well, [200, 200]]), [])
  assert.deepEqual(ejectedByRate([well, well, well, well, [99, 99]]), [])
  assert.deepEqual(ejectedByRate([well, well, well, well, [200, 4]]), [])
  assert.deepEqual(ejectedByRate([well, well, well, well, [200, 4]], { gap: 0 }), [4])
  assert.deepEqual(ejectedByRate([well, well, well, well, well], { gap: 0 }), [])
})

test('success rate: the worst go first, no more than the share, and who stays is counted', () => {
  const rate = { ...successRate, stdevFactor: 0.5 }
  const { tell, ejected, compare, full } = setUp(5, { consecutive: 0, successRate: rate, maxPercent: 0.4 })
  for (const [n, failures] of [0, 75, 100, 0, 80].entries()) {
    for (let i = 0; i < 100; i++) tell(n, i < failures ? 503 : 200)
  }
  compare()
  assert.deepEqual(ejected(), [false, false, true, false, true])
  assert.equal(full(), 1)
})
