import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Reply } from '../../core/reply.ts'
import { fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { timeout } from './timeout.ts'

const place = { route: 'r', key: 'r/policies/0' }

test('the deadline counts from when the call reaches the policy', async () => {
  const ports = fakePorts()
  const next = makeNext(() => Reply.empty(200))
  const step = timeout.build({ after: 500 }, ports, place)(next)
  ports.advance(70)
  const call = makeCall()
  await step(call)
  assert.equal(call.deadlineMs, ports.clock.now() + 500)
  assert.equal(next.calls[0], call)
})

test('a deadline is only brought forward', async () => {
  const ports = fakePorts()
  const next = makeNext(() => Reply.empty(200))
  const long = timeout.build({ after: 500 }, ports, place)
  const short = timeout.build({ after: 200 }, ports, place)
  for (const step of [long(short(next)), short(long(next))]) {
    const call = makeCall()
    await step(call)
    assert.equal(call.deadlineMs, ports.clock.now() + 200)
  }
})
