import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BeatClock } from './beat-clock.ts'

function setUp() {
  const real = { nowMs: 5_000 }
  const clock = new BeatClock({ now: () => real.nowMs, wall: () => real.nowMs }, 100)
  return { real, clock }
}

test('runs as the real one does while beats come in time', () => {
  const { real, clock } = setUp()
  const from = clock.now()
  for (let i = 0; i < 10; i++) {
    real.nowMs += 60
    assert.equal(clock.now(), from + i * 100 + 60)
    real.nowMs += 40
    clock.beat()
  }
  assert.equal(clock.now(), from + 1_000)
})

test('a thread that stood still lost one beat, and no time runs back', () => {
  const { real, clock } = setUp()
  const from = clock.now()
  real.nowMs += 10_000
  assert.equal(clock.now(), from + 100)
  clock.beat()
  assert.equal(clock.now(), from + 100)
  real.nowMs += 30
  assert.equal(clock.now(), from + 130)
  clock.beat()
  assert.equal(clock.now(), from + 130)
})
