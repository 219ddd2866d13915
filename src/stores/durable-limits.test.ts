import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import * as fc from 'fast-check'
import type { LimitOutcome, LimitRule, LimitStoreOptions } from '../core/limits.ts'
import { DurableLimits } from './durable-limits.ts'
import { limitMemory } from '../../test/tools/limits.ts'
import type { LimitMemory } from './limit-memory.ts'
import { LimitTable } from './limit-tables.ts'

const root = mkdtempSync(path.join(os.tmpdir(), 'turnpike-limits-'))
after(() => rmSync(root, { recursive: true }))
const newFolder = () => mkdtempSync(path.join(root, 'f'))

const dayMs = 86_400_000
const startMs = Date.UTC(2026, 4, 1)
const monthly = (limit: number, part: Partial<LimitRule> = {}): LimitRule => {
  return { algorithm: 'period', limit, windowMs: 31 * dayMs, burst: limit, startMs, ...part }
}
const plain: LimitStoreOptions = {
  ...{ scope: 's', store: null, mode: 'exact', onFailure: 'local-share', isDurable: true, callers: 64, name: 'n' },
} as const

/** One process of one thread; without `close`, a crash. */
function processOf(
  folder: string,
  memory: LimitMemory = limitMemory(),
  worker = 0,
  options: Partial<LimitStoreOptions> = {},
) {
  const clock = { nowMs: 1e6, wallMs: startMs + dayMs }
  const errors: unknown[] = []
  const hits: unknown[] = []
  const meter = { counter: (_name: string, labels?: object) => ({ add: () => void hits.push(labels) }) }
  const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: (fields: object) => void errors.push(fields) }
  const table = LimitTable.of(memory, worker)
  const limits = new DurableLimits({
    ...{ folder, log: quiet, meter, table: () => table },
    time: { now: () => clock.nowMs, wall: () => clock.wallMs },
  })
  const store = limits.store({ ...plain, ...options })
  const take = (rules: readonly LimitRule[], cost = 1, key = 'k'): LimitOutcome => {
    const outcome = store.take(key, rules, cost)
    assert.ok(!(outcome instanceof Promise))
    return outcome
  }
  const passes = (rules: readonly LimitRule[], tries: number) => {
    let passed = 0
    for (let index = 0; index < tries; index++) if (take(rules).isAllowed) passed++
    return passed
  }
  return { limits, store, take, passes, clock, errors, hits, close: () => limits.close() }
}

describe('a quota', () => {
  test('exactly the limit passes; the rest is refused until the period ends', () => {
    const { take, passes } = processOf(newFolder())
    assert.equal(passes([monthly(500)], 600), 500)
    const [standing] = take([monthly(500)]).standings
    assert.deepEqual([standing?.remaining, standing?.retryMs], [0, 30 * dayMs])
  })

  test('a clean end loses nothing', () => {
    const folder = newFolder()
    let passed = 0
    for (let round = 0; round < 10; round++) {
      const process = processOf(folder)
      passed += process.passes([monthly(1000)], 37)
      process.close()
    }
    const last = processOf(folder)
    passed += last.passes([monthly(1000)], 2000)
    assert.equal(passed, 1000)
  })

  test('a crash never gives more, and costs at most a block', () => {
    const folder = newFolder()
    let passed = 0
    for (let round = 0; round < 5; round++) passed += processOf(folder).passes([monthly(1000)], 37)
    passed += processOf(folder).passes([monthly(1000)], 2000)
    assert.ok(passed <= 1000 && passed >= 1000 - 5 * 32, String(passed))
  })

  test('two threads share what is booked', () => {
    const folder = newFolder()
    const memory = limitMemory()
    const threads = [processOf(folder, memory, 0), processOf(folder, memory, 1)]
    let passed = 0
    for (let round = 0; round < 300; round++) passed += threads[round % 2]?.passes([monthly(200)], 1) ?? 0
    assert.equal(passed, 200)
  })

  test('two processes on one folder never pass more together', () => {
    const folder = newFolder()
    const processes = [processOf(folder), processOf(folder)]
    let passed = 0
    for (let round = 0; round < 300; round++) passed += processes[round % 2]?.passes([monthly(200)], 1) ?? 0
    assert.equal(passed, 200)
  })

  test('another period begins at nothing; a clock that steps back counts on', () => {
    const { passes, take } = processOf(newFolder())
    assert.equal(passes([monthly(10)], 20), 10)
    const next = monthly(10, { startMs: startMs + 31 * dayMs, windowMs: 30 * dayMs })
    assert.equal(passes([next], 4), 4)
    assert.equal(take([monthly(10)]).standings[0]?.remaining, 5)
    assert.equal(passes([next], 20), 5)
  })

  test('a raised limit holds at once, and so does a lowered one', () => {
    const { passes } = processOf(newFolder())
    assert.equal(passes([monthly(10)], 20), 10)
    assert.equal(passes([monthly(30)], 100), 20)
    assert.equal(passes([monthly(20)], 5), 0)
  })

  test('several at once: all are taken from, or none', () => {
    const { take, passes } = processOf(newFolder())
    const rules = [monthly(5, { windowMs: dayMs, startMs: startMs + dayMs }), monthly(8)]
    assert.equal(passes(rules, 9), 5)
    assert.deepEqual(
      take(rules).standings.map(({ remaining }) => remaining),
      [0, 3],
    )
  })

  test('what is given back and what is charged afterwards, also over a restart', () => {
    const folder = newFolder()
    const { store, passes, take, close } = processOf(folder)
    assert.equal(passes([monthly(10)], 10), 10)
    store.correct('k', [monthly(10)], -2, 0)
    assert.equal(take([monthly(10)], 0).standings[0]?.remaining, 2)
    store.correct('k', [monthly(10)], 7, 0)
    assert.equal(take([monthly(10)]).isAllowed, false)
    close()
    assert.equal(processOf(folder).passes([monthly(20)], 20), 5)
  })

  test('counts of periods that are over leave the file while the gateway runs', () => {
    const folder = newFolder()
    const { take, clock, close } = processOf(folder, limitMemory(2_000))
    const book = (day: number, count: number) => {
      const daily = [monthly(10, { windowMs: dayMs, startMs: startMs + day * dayMs })]
      clock.wallMs = startMs + (day + 0.5) * dayMs
      for (let index = 0; index < count; index++) take(daily, 1, `day ${day} caller ${index}`)
    }
    const rows = () => {
      const database = new DatabaseSync(path.join(folder, 'limits.db'), { readOnly: true })
      const { count } = database.prepare('SELECT count(*) AS count FROM counts').get() ?? {}
      database.close()
      return count
    }
    book(0, 200)
    assert.equal(rows(), 200)
    // A clock that steps back a little finds what it counted.
    book(1, 50)
    assert.equal(rows(), 250)
    book(3, 30)
    assert.equal(rows(), 250 + 30 - 4 * 30)
    book(4, 60)
    assert.equal(rows(), 90)
    close()
  })

  test('of more keys than `callers` the rest of the longest idle goes back to the file at once', () => {
    const folder = newFolder()
    const { take, hits } = processOf(folder, limitMemory(), 0, { callers: 2 })
    for (const key of ['k', 'l', 'm', 'n']) take([monthly(320)], 1, key)
    assert.deepEqual(
      hits,
      [1, 2].map(() => ({ ceiling: 'leases', name: 'n' })),
    )
    // No clean end: what was not given back before is lost.
    const after = processOf(folder)
    const left = ['k', 'l', 'm', 'n'].map(key => after.take([monthly(320)], 0, key).standings[0]?.remaining)
    assert.deepEqual(left, [319, 319, 310, 310])
  })

  test('that no config has any more gives back what it booked, also when its last call comes late', () => {
    const folder = newFolder()
    const { limits, take } = processOf(folder)
    const left = () => {
      const other = processOf(folder)
      const [standing] = other.take([monthly(500)], 0).standings
      other.close()
      return standing?.remaining ?? 0
    }
    take([monthly(500)])
    limits.keep(scope => scope === 's')
    assert.ok(left() < 499, 'a block is booked')
    limits.keep(() => false)
    assert.equal(left(), 499)
    take([monthly(500)])
    assert.ok(left() < 498, 'a block is booked anew')
    limits.keep(() => false)
    assert.equal(left(), 498)
  })

  test('… those of many callers some at a time, and all at the end', async () => {
    for (const isAtOnce of [true, false]) {
      const folder = newFolder()
      const { limits, take, close } = processOf(folder)
      const keys = Array.from({ length: 50 }, (_, index) => `k${index}`)
      for (const key of keys) take([monthly(500)], 1, key)
      limits.keep(() => false)
      if (isAtOnce) close()
      else for (let turn = 0; turn < 3; turn++) await nextTurn()
      const other = processOf(folder)
      const left = keys.map(key => other.take([monthly(500)], 0, key).standings[0]?.remaining)
      assert.deepEqual(new Set(left), new Set([499]))
    }
  })

  test('a file that fails: refused, let pass, or counted in memory, as was chosen', () => {
    const expected = { open: [30, 'open'], closed: [0, 'closed'], 'local-share': [10, 'local-share'] } as const
    for (const onFailure of ['open', 'closed', 'local-share'] as const) {
      const { take, limits, errors } = processOf(newFolder(), limitMemory(), 0, { onFailure })
      limits.close()
      const outcomes = Array.from({ length: 30 }, () => take([monthly(10)]))
      assert.deepEqual(
        [outcomes.filter(({ isAllowed }) => isAllowed).length, outcomes[0]?.fallback],
        expected[onFailure],
        onFailure,
      )
      assert.ok(errors.length > 0)
    }
  })
})

test('whatever ends processes and when, no more passes than the limit', () => {
  const script = fc.array(fc.record({ tries: fc.nat(60), isClean: fc.boolean() }), { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(script, fc.integer({ min: 1, max: 120 }), (rounds, limit) => {
      const folder = newFolder()
      let passed = 0
      for (const { tries, isClean } of rounds) {
        const process = processOf(folder)
        passed += process.passes([monthly(limit)], tries)
        if (isClean) process.close()
      }
      passed += processOf(folder).passes([monthly(limit)], 500)
      const crashes = rounds.filter(({ isClean }) => !isClean).length
      assert.ok(passed <= limit && passed >= limit - crashes * Math.max(0, Math.floor(limit / 32)), String(passed))
    }),
    { numRuns: 25 },
  )
})
