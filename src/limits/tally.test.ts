import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import type { LimitRule } from '../core/limits.ts'
import { changing, give, layOut, take, tallyFields } from './tally.ts'

const start = 5
const algorithm = fc.constantFrom<LimitRule['algorithm']>('gcra', 'sliding-window', 'period')
const rule = algorithm.map((kind): LimitRule => ({ algorithm: kind, limit: 20, windowMs: 1000, burst: 20, startMs: 0 }))
const step = fc.record({ afterMs: fc.integer({ min: 0, max: 600 }), amount: fc.integer({ min: -4, max: 4 }) })

test('taking and giving change no more of a row than is told before: more is not noted for a thread that dies', () => {
  fc.assert(
    fc.property(fc.array(rule, { minLength: 1, maxLength: 4 }), fc.array(step, { maxLength: 60 }), (rules, steps) => {
      const layout = layOut(rules)
      const row = new Float64Array(start + tallyFields + 5)
      const time = { nowMs: 1e6, wallMs: 1e6 }
      for (const { afterMs, amount } of steps) {
        time.nowMs += afterMs
        const end = start + changing(row, start, layout)
        const before = row.slice()
        if (amount > 0) take(row, start, layout, amount, time)
        else give(row, start, layout, -amount, time.nowMs - afterMs, time)
        assert.deepEqual(row.subarray(end), before.subarray(end))
        assert.deepEqual(row.subarray(0, start), before.subarray(0, start))
      }
    }),
  )
})
