// One breaker in real threads. What a breaker does is tested in breaker.test.ts.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { tallyFields } from '../../limits/tally.ts'
import { createLimitMemory } from '../../stores/limit-memory.ts'
import type { BreakerRules } from './breaker-state.ts'

const threads = 4

/** Lets all threads ask so often each, and says what they were told together. */
function createHammer(rules: BreakerRules) {
  const memory = createLimitMemory({ workers: threads, keys: 1, fields: tallyFields, seed: [1, 2] })
  return async (rounds: number, isGood: boolean, clockMs: number) => {
    const counts = new SharedArrayBuffer(6 * 4)
    const all = Array.from({ length: threads }, (_, worker) => {
      const workerData = { memory, worker, rounds, rules, counts, isGood, clockMs }
      return once(new Worker(new URL('./breaker-state.hammer.ts', import.meta.url), { workerData }), 'exit')
    })
    assert.deepEqual((await Promise.all(all)).flat(), [0, 0, 0, 0])
    const [passed = 0, probes = 0, refused = 0, closed = 0, halfOpen = 0, opened = 0] = new Int32Array(counts)
    return { passed, probes, refused, changes: { closed, halfOpen, opened } }
  }
}

test('four threads open it once, at exactly the minimum, let exactly so many probes through, and close it once', async () => {
  const rules = { failures: 1, slow: null, window: 600_000, minimum: 30_000, open: 1000, probes: 50 }
  const hammer = createHammer(rules)
  // Each call that passed was counted: those that were on their way when it opened come on top.
  const failing = await hammer(20_000, false, 1_000_000)
  assert.equal(failing.passed + failing.refused, 80_000)
  assert.ok(failing.passed >= 30_000 && failing.passed < 30_000 + threads, String(failing.passed))
  assert.deepEqual(failing.changes, { closed: 0, halfOpen: 0, opened: 1 })

  const early = await hammer(1000, false, 1_000_999)
  assert.deepEqual([early.passed, early.probes, early.refused], [0, 0, 4000])

  // Half open, and each probe goes well: never more than so many, then it is closed for all.
  const well = await hammer(1000, true, 1_001_000)
  assert.equal(well.probes, 50)
  assert.equal(well.passed + well.probes + well.refused, 4000)
  assert.deepEqual(well.changes, { closed: 1, halfOpen: 1, opened: 0 })

  const again = await hammer(1000, true, 1_001_001)
  assert.deepEqual([again.passed, again.refused], [4000, 0])
})
