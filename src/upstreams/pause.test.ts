import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Abandonable } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import { createCall, FakeTime } from './fakes.ts'
import { pause } from './pause.ts'

test('waits its time, then leaves nothing on the call', async () => {
  const time = new FakeTime()
  const call = createCall()
  const left: Abandonable[] = []
  call.endTry = listener => void left.push(listener)
  let isOver = false
  const over = pause(call, 50, time.startTimer).then(() => {
    isOver = true
  })
  await time.pass(49)
  assert.equal(isOver, false)
  await time.pass(1)
  await over
  assert.equal(left.length, 1)
})

test('ends at once when the call is given up, before or meanwhile', async () => {
  const time = new FakeTime()
  const call = createCall()
  const during = pause(call, 50, time.startTimer)
  call.abandon(new Failure('client-closed'))
  await during
  await pause(call, 50, time.startTimer)
  assert.equal(time.timers.size, 0)
})
