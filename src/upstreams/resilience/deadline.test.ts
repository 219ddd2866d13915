import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Call } from '../../core/call.ts'
import { Headers } from '../../core/headers.ts'
import { Reply } from '../../core/reply.ts'
import { createDeadlineTeller } from './deadline.ts'
import { createCall, FakeTime } from '../fakes.ts'

const header = 'X-Envoy-Expected-Rq-Timeout-Ms'
const key = header.toLowerCase()

function setUp() {
  const time = new FakeTime()
  const teller = createDeadlineTeller(header)
  const tell = (call: Call) => teller.tell(call, time.clock.now())
  const step = teller.layer(async call => {
    tell(call)
    return Reply.empty(200)
  })
  return { time, step, tell }
}

const trusting = { ...createCall().peer, isTrusted: true }

test('tells how much time is left, anew before each try', async () => {
  const { time, step, tell } = setUp()
  const call = createCall()
  call.deadlineMs = 1000.7
  await time.pass(200)
  await step(call)
  assert.deepEqual(call.headers.all(key), ['800'])
  await time.pass(300)
  tell(call)
  assert.deepEqual(call.headers.all(key), ['500'])
  await time.pass(900)
  tell(call)
  assert.deepEqual(call.headers.all(key), ['0'])
})

test('says nothing of a call without a deadline', async () => {
  const { step } = setUp()
  const call = createCall()
  await step(call)
  assert.equal(call.headers.has(key), false)
})

test('what a client says is dropped', async () => {
  const { step } = setUp()
  const call = createCall({
    headers: Headers.of([
      [key, '5'],
      [key, '6'],
    ]),
  })
  await step(call)
  assert.equal(call.headers.has(key), false)
  assert.equal(call.deadlineMs, Infinity)
  call.deadlineMs = 100
  call.headers.add(key, '5')
  await step(call)
  assert.deepEqual(call.headers.all(key), ['100'])
})

test('what a trusted proxy says brings the deadline forward, never back', async () => {
  const { time, step } = setUp()
  await time.pass(100)
  for (const [given, before, after] of [
    ['500', Infinity, 500],
    ['500', 200, 200],
    ['0', 200, 0],
    ['soon', Infinity, Infinity],
    ['-1', Infinity, Infinity],
    ['1e3', Infinity, Infinity],
    ['', Infinity, Infinity],
  ] as const) {
    const call = createCall({ headers: Headers.of({ [header]: given }), peer: trusting })
    call.deadlineMs = before
    await step(call)
    assert.equal(call.deadlineMs, after, given)
    const told = after === Infinity ? undefined : String(Math.max(0, after - 100))
    assert.equal(call.headers.get(key), told, given)
  }
})
