import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { Ladder } from './ladder.ts'

const bounds = { at: [50, 70, 90], resume: 0.8 }

test('goes up at once, over several bounds where need be, and down one reading late', () => {
  const ladder = new Ladder()
  const levels = [49, 50, 95, 72.1, 71, 55, 39.9].map((value, second) => {
    ladder.read(value, bounds, second * 1000)
    return ladder.level
  })
  // 72 is 0.8 of 90, 56 of 70, 40 of 50.
  assert.deepEqual(levels, [0, 1, 3, 3, 2, 1, 0])
})

test('stays where it is for a second, but not when it must rise', () => {
  const ladder = new Ladder()
  assert.ok(ladder.read(60, bounds, 0))
  assert.ok(!ladder.read(0, bounds, 999))
  assert.ok(ladder.read(100, bounds, 999))
  assert.ok(!ladder.read(0, bounds, 1998))
  assert.ok(ladder.read(0, bounds, 1999))
  assert.equal(ladder.level, 0)
})

test('never stands below what is reached, nor above what was reached', () => {
  const readings = fc.array(fc.integer({ min: 0, max: 120 }), { minLength: 1, maxLength: 50 })
  fc.assert(
    fc.property(readings, values => {
      const ladder = new Ladder()
      let highest = 0
      values.forEach((value, index) => {
        ladder.read(value, bounds, index * 100)
        const reached = bounds.at.filter(bound => value >= bound).length
        highest = Math.max(highest, reached)
        assert.ok(ladder.level >= reached && ladder.level <= highest)
      })
    }),
  )
})
