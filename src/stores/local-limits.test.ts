import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import * as fc from 'fast-check'
import type { LimitOutcome, LimitRule, LimitStore, LimitStoreOptions } from '../core/limits.ts'
import { layOut, tallyFields } from '../limits/tally.ts'
import { halfSipHash } from '../core/half-sip-hash.ts'
import { LimitCells } from './limit-cells.ts'
import { limitMemory, limitSeed, localLimits } from '../../test/tools/limits.ts'
import { entriesPerSet, type LimitMemory, LimitView, releaseLimits } from './limit-memory.ts'

/** So few keys that there is one set. */
const oneSet = () => limitMemory(1)
const locksOf = (memory: LimitMemory) => {
  const view = new LimitView(memory)
  return Array.from({ length: memory.sets }, (_, set) => view.words[view.lockOf(set)])
}
const plain: LimitStoreOptions = {
  ...{ scope: 's', store: null, mode: 'exact', onFailure: 'local-share', isDurable: false, callers: 64 },
  name: 'n',
} as const

const rule = (part: Partial<LimitRule>): LimitRule => {
  const limit = part.limit ?? 5
  return { algorithm: 'gcra', windowMs: 1000, burst: limit, startMs: 0, ...part, limit }
}
const kinds = [
  rule({ algorithm: 'gcra' }),
  rule({ algorithm: 'sliding-window' }),
  rule({ algorithm: 'period', windowMs: 1e13 }),
]

function storeOf(memory: LimitMemory, worker = 0, options: Partial<LimitStoreOptions> = {}) {
  const time = { nowMs: 1e9 }
  let fulls = 0
  const store = localLimits({
    memory,
    worker,
    time: { now: () => time.nowMs, wall: () => 1.8e12 + time.nowMs },
    onFull: () => fulls++,
  })({ ...plain, ...options })
  return { ...syncOf(store), time, fulls: () => fulls }
}

function syncOf(store: LimitStore) {
  return {
    correct: (key: string, rules: readonly LimitRule[], amount: number, atMs: number): void =>
      store.correct(key, rules, amount, atMs),
    take: (key: string, rules: readonly LimitRule[], cost = 1): LimitOutcome => {
      const outcome = store.take(key, rules, cost)
      assert.ok(!(outcome instanceof Promise))
      return outcome
    },
  }
}

describe('one limit', () => {
  for (const one of kinds) {
    test(`${one.algorithm}: exactly the limit passes, and a refused call costs nothing`, () => {
      const { take } = storeOf(limitMemory())
      const passed = Array.from({ length: 9 }, () => take('a', [one]))
      assert.deepEqual(
        passed.map(({ isAllowed }) => isAllowed),
        [true, true, true, true, true, false, false, false, false],
      )
      assert.deepEqual(
        passed.map(({ standings }) => standings[0]?.remaining),
        [4, 3, 2, 1, 0, 0, 0, 0, 0],
      )
      assert.ok((passed[8]?.standings[0]?.retryMs ?? 0) > 0)
      assert.equal(take('b', [one]).isAllowed, true, 'another key has its own')
    })

    test(`${one.algorithm}: what is given back can be had again, once`, () => {
      const { take, correct } = storeOf(limitMemory())
      const taken = Array.from({ length: 5 }, () => take('a', [one]))
      for (const { atMs } of taken) correct('a', [one], -1, atMs)
      const again = Array.from({ length: 6 }, () => take('a', [one]).isAllowed)
      assert.deepEqual(again, [true, true, true, true, true, false])
    })

    test(`${one.algorithm}: a cost beyond what is left is refused whole; one beyond the limit for ever`, () => {
      const { take } = storeOf(limitMemory())
      assert.equal(take('a', [one], 6).standings[0]?.retryMs, Infinity)
      assert.equal(take('a', [one], 3).isAllowed, true)
      assert.equal(take('a', [one], 3).isAllowed, false)
      assert.equal(take('a', [one], 2).isAllowed, true)
      assert.equal(take('a', [one], 0).isAllowed, false, 'nothing is left to ask for')
    })

    test(`${one.algorithm}: what is charged afterwards may go past the limit, and is paid later`, () => {
      const { take, correct, time } = storeOf(limitMemory())
      assert.equal(take('a', [one], 0).isAllowed, true)
      correct('a', [one], 8, time.nowMs)
      assert.equal(take('a', [one], 0).isAllowed, false)
      assert.equal(take('a', [one]).isAllowed, false)
    })

    test(`${one.algorithm}: two threads and two handles count together`, () => {
      const memory = limitMemory()
      const stores = [storeOf(memory, 0), storeOf(memory, 1), storeOf(memory, 0)]
      const passed = stores.flatMap(({ take }) => [1, 2, 3].map(() => take('a', [one]).isAllowed))
      assert.equal(passed.filter(Boolean).length, 5)
    })
  }

  test('a wait that is over lets the call pass, and a shorter one does not', () => {
    for (const one of kinds.slice(0, 2)) {
      const { take, time } = storeOf(limitMemory())
      while (take('a', [one]).isAllowed) time.nowMs += 1
      const retryMs = take('a', [one]).standings[0]?.retryMs ?? 0
      time.nowMs += retryMs - 0.5
      assert.equal(take('a', [one]).isAllowed, false, one.algorithm)
      time.nowMs += 1
      assert.equal(take('a', [one]).isAllowed, true, one.algorithm)
    }
  })
})

describe('several limits', () => {
  const rules = [rule({ limit: 3 }), rule({ algorithm: 'sliding-window', limit: 4, windowMs: 60_000 })]
  test('all are taken from, or none', () => {
    const { take, time } = storeOf(limitMemory())
    for (let index = 0; index < 3; index++) assert.equal(take('a', rules).isAllowed, true)
    const refused = take('a', rules)
    assert.deepEqual([refused.isAllowed, ...refused.standings.map(({ remaining }) => remaining)], [false, 0, 1])
    assert.ok((refused.standings[0]?.retryMs ?? 0) > 0)
    assert.equal(refused.standings[1]?.retryMs, 0)
    time.nowMs += 2000
    assert.equal(take('a', rules).isAllowed, true)
    assert.deepEqual(
      take('a', rules).standings.map(({ remaining }) => remaining),
      [2, 0],
    )
  })

  test('more rules than a row has room for are refused loudly', () => {
    const { take } = storeOf(limitMemory())
    assert.throws(() =>
      take(
        'a',
        [1, 2, 3, 4, 5].map(() => rule({})),
      ),
    )
  })

  test('four sliding windows fit', () => {
    const { take } = storeOf(limitMemory())
    const four = [5, 4, 3, 2].map(limit => rule({ algorithm: 'sliding-window', limit }))
    assert.deepEqual(
      [1, 2, 3].map(() => take('a', four).isAllowed),
      [true, true, false],
    )
  })
})

describe('the table', () => {
  test('a full set refuses new keys, or lets them pass by `open`, and says so; room comes with time', () => {
    const memory = oneSet()
    const { take, fulls, time } = storeOf(memory)
    for (let index = 0; index < entriesPerSet; index++) assert.equal(take(`k${index}`, [rule({})]).isAllowed, true)
    assert.deepEqual([take('more', [rule({})]).isAllowed, take('more', [rule({})]).fallback], [false, 'closed'])
    assert.equal(fulls(), 2)
    assert.equal(storeOf(memory, 0, { onFailure: 'open' }).take('more', [rule({})]).fallback, 'open')
    assert.equal(take('k0', [rule({})]).standings[0]?.remaining, 3, 'known keys are counted on')
    time.nowMs += 2000
    assert.equal(take('more', [rule({})]).fallback, null)
  })

  test('a full set that makes room counts a new key in the place of the one unused for longest', () => {
    const { take, fulls, time } = storeOf(oneSet(), 0, { onFailure: 'open', makesRoom: true })
    const counted = [rule({ algorithm: 'sliding-window', limit: 2, windowMs: 60_000 })]
    for (let i = 0; i < entriesPerSet; i++) {
      time.nowMs += 10
      take(`flood ${i}`, counted)
    }
    time.nowMs += 10
    take('flood 0', counted)
    // Asking costs nobody a place.
    assert.equal(take('victim', counted, 0).isAllowed, true)
    assert.equal(take('flood 1', counted, 0).standings[0]?.remaining, 1)
    assert.deepEqual(
      [1, 2, 3].map(() => take('victim', counted).isAllowed),
      [true, true, false],
    )
    assert.equal(take('flood 1', counted, 0).fallback, 'open')
    assert.equal(take('flood 0', counted, 0).isAllowed, false)
    assert.ok(fulls() >= 2)
  })

  test('rules of another kind do not read the row', () => {
    const { take } = storeOf(limitMemory())
    while (take('a', [kinds[0] as LimitRule]).isAllowed);
    assert.equal(take('a', [kinds[1] as LimitRule]).standings[0]?.remaining, 4)
    assert.notEqual(layOut([kinds[0] as LimitRule]).shape, layOut(kinds.slice(0, 2)).shape)
  })

  test('a worker that died in the middle leaves the row as it was, and hangs nobody', () => {
    const memory = oneSet()
    const rules = [rule({})]
    const { take, fulls } = storeOf(memory, 1)
    assert.equal(take('a', rules).standings[0]?.remaining, 4)
    const hash = new Int32Array(2)
    halfSipHash('a', limitSeed[0], limitSeed[1], hash)
    const dying = new LimitCells(memory, 0)
    const row = dying.open(hash[0] ?? 0, (hash[1] ?? 0) ^ Math.imul(layOut(rules).shape, 0x9e3779b1), 1e9)
    dying.begin(row)
    dying.rows.fill(99, row, row + tallyFields)
    assert.equal(take('a', rules).isAllowed, false, 'the set cannot be had')
    assert.equal(fulls(), 1)
    releaseLimits(memory, 0)
    assert.equal(take('a', rules).standings[0]?.remaining, 3)
    assert.ok(locksOf(memory).every(lock => lock === 0))
  })
})

// Real threads: what is exact must be shown under contention.
const hammer = (memory: LimitMemory, worker: number, rounds: number, gauge: SharedArrayBuffer, keys: number) =>
  new Worker(new URL('./local-limits.hammer.ts', import.meta.url), {
    workerData: { memory, worker, rounds, gauge, keys, rules: hammerRules },
  })
const hammerRules = [
  rule({ limit: 100, windowMs: 1e9 }),
  rule({ algorithm: 'sliding-window', limit: 90, windowMs: 1e9 }),
  rule({ algorithm: 'period', limit: 80, windowMs: 1e13 }),
]

for (const keys of [1, 50]) {
  test(`four threads over ${keys} key(s) get exactly the limit`, async () => {
    const memory = limitMemory(1024, 4)
    const gauge = new SharedArrayBuffer(4 * keys)
    const threads = [0, 1, 2, 3].map(worker => hammer(memory, worker, 20_000, gauge, keys))
    const ends = await Promise.all(threads.map(thread => once(thread, 'exit')))
    assert.deepEqual(ends.flat(), [0, 0, 0, 0])
    assert.deepEqual(
      [...new Int32Array(gauge)],
      Array.from({ length: keys }, () => 80),
    )
  })
}

test('threads that are terminated at any moment leave no lock and no wrong count', async () => {
  const memory = limitMemory(64, 4)
  const gauge = new SharedArrayBuffer(4)
  for (let round = 0; round < 3; round++) {
    const thread = hammer(memory, 0, Infinity, gauge, 1)
    await once(thread, 'message')
    await thread.terminate()
    releaseLimits(memory, 0)
  }
  assert.ok(locksOf(memory).every(lock => lock === 0))
  const store = localLimits({ memory, worker: 1, time: { now: () => 1e6, wall: () => 1e12 } })
  const { take } = syncOf(store({ ...plain, scope: 'hammer' }))
  const left = take('key/0', hammerRules).standings.at(-1)?.remaining ?? -1
  assert.ok(left >= 0 && left <= 80)
})

describe('against an oracle that remembers every call', () => {
  const script = fc.array(
    fc.record({
      waitMs: fc.double({ min: 0, max: 700, noNaN: true }),
      cost: fc.integer({ min: 1, max: 3 }),
      isGivenBack: fc.boolean(),
    }),
    { maxLength: 60 },
  )
  for (const algorithm of ['sliding-window', 'gcra'] as const) {
    test(`${algorithm}: no interval has more than its rule says, whatever is given back`, () => {
      fc.assert(
        fc.property(script, fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 8 }), (steps, limit, burst) => {
          const { take, correct, time } = storeOf(limitMemory())
          const one = rule({ algorithm, limit, burst })
          const kept: { atMs: number; cost: number }[] = []
          const pending: { atMs: number; cost: number }[] = []
          for (const { waitMs, cost, isGivenBack } of steps) {
            time.nowMs += waitMs
            const { isAllowed, atMs } = take('a', [one], cost)
            if (isAllowed) (isGivenBack ? pending : kept).push({ atMs, cost })
            // Some are given back at once, some late.
            if (pending.length > 1 || waitMs > 500) {
              const back = pending.shift()
              if (back !== undefined) correct('a', [one], -back.cost, back.atMs)
            }
          }
          kept.forEach((first, from) => {
            let sum = 0
            for (const { atMs, cost } of kept.slice(from)) {
              sum += cost
              const spanMs = atMs - first.atMs
              if (algorithm === 'gcra') assert.ok(sum <= burst + (spanMs * limit) / 1000 + 1e-6, `${sum} in ${spanMs}`)
              else if (spanMs < 1000) assert.ok(sum <= limit, `${sum} in ${spanMs}`)
            }
          })
        }),
        { numRuns: 300 },
      )
    })
  }
})
