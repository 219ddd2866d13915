import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sparingWarning } from './sparing-warning.ts'

const quiet = () => {}

test('tells the first time at once, and of what follows every ten seconds how often it was', () => {
  const lines: object[] = []
  let nowMs = 5
  const log = { debug: quiet, info: quiet, error: quiet, warn: (fields: object) => void lines.push(fields) }
  const warn = sparingWarning({ log, clock: { now: () => nowMs, wall: () => 0 } }, 'no answer')
  warn({ reason: 'a' })
  assert.deepEqual(lines, [{ reason: 'a' }])
  for (let i = 0; i < 100; i++) {
    nowMs += 99
    warn({ reason: 'b' })
  }
  assert.equal(lines.length, 1)
  nowMs += 100
  warn({ reason: 'c' })
  assert.deepEqual(lines[1], { reason: 'c', times: 101 })
  nowMs += 10_000
  warn({ reason: 'd' })
  assert.deepEqual(lines[2], { reason: 'd' })
})
