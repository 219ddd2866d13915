import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Body } from '../core/body.ts'
import { Failure } from '../core/failure.ts'
import { Headers } from '../core/headers.ts'
import { Reply } from '../core/reply.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import { createBudget } from './budget.ts'
import { type Act, createCall, FakeEndpoint, FakePorts, FakeSource, settle } from './fakes.ts'
import { createSender } from './retry.ts'

type Retry = NonNullable<UpstreamBlueprint['retry']>

/** A sender over the endpoints `a` and `b`, each picked in turn: `a` plays a script, `b` answers 200. */
function setUp(acts: readonly Act[], retry: Partial<Retry>) {
  const ports = new FakePorts()
  const endpoints = [new FakeEndpoint('a', 1, [...acts]), new FakeEndpoint('b')]
  const budget = createBudget(retry.budget ?? 1)
  const send = createSender({
    ...{
      name: 'catalog',
      budget,
      callMs: null,
      tellsUnseen: false,
      observe: null,
      ports,
      tell: null,
      guard: null,
      startTimer: ports.time.startTimer,
    },
    retry: { attempts: 1, on: ['connect-failure'], budget: 1, backoff: 0, retryAfterMax: 1000, ...retry },
    pick: (_, tried) => endpoints.find(endpoint => !tried.includes(endpoint)) ?? endpoints[0] ?? null,
    noEndpoint: () => new Failure('upstream-unresolved'),
  })
  return { ports, send, sent: () => endpoints.map(endpoint => endpoint.sent.length) }
}

/** Answers with this Retry-After. */
function later(status: number, retryAfter: string, body = Body.of('later')): Act {
  return async () => new Reply(status, Headers.of({ 'retry-after': retryAfter }), body)
}

async function textOf(reply: Promise<Reply>): Promise<string> {
  const { status, body } = await reply
  return `${status} ${(await body.bytes(100)).toString()}`
}

for (const status of [400, 404, 408, 409, 425, 429, 501, 507, 599] as const) {
  test(`on ${status}: goes to another endpoint where it is listed, and is counted`, async () => {
    const { send, sent, ports } = setUp([status], { on: ['reset', `${status}`] })
    assert.equal(await textOf(send(createCall())), '200 b')
    assert.deepEqual(sent(), [1, 1])
    assert.deepEqual(ports.counts, { [`turnpike_upstream_retries upstream=catalog reason=${status}`]: 1 })
  })

  test(`${status} stands where another status is listed, and for a POST`, async () => {
    const others = setUp([status], { on: ['503'] })
    assert.equal(await textOf(others.send(createCall())), `${status} a`)
    const listed = setUp([status], { on: [`${status}`] })
    assert.equal(await textOf(listed.send(createCall({ method: 'POST' }))), `${status} a`)
    assert.deepEqual(
      [others.sent(), listed.sent()],
      [
        [1, 0],
        [1, 0],
      ],
    )
  })
}

test('Retry-After: the next try waits for as long', async () => {
  const { send, sent, ports } = setUp([later(429, '1')], { on: ['429'], backoff: 100 })
  const answer = textOf(send(createCall()))
  await ports.time.pass(999)
  assert.deepEqual(sent(), [1, 0])
  await ports.time.pass(1)
  assert.equal(await answer, '200 b')
})

test('Retry-After: a date is read by the wall clock', async () => {
  const { send, sent, ports } = setUp([later(503, 'Thu, 01 Jan 1970 00:00:09 GMT')], { on: ['503'] })
  ports.time.nowMs = 8_400
  const answer = textOf(send(createCall()))
  await ports.time.pass(599)
  assert.deepEqual(sent(), [1, 0])
  await ports.time.pass(1)
  assert.equal(await answer, '200 b')
})

test('Retry-After: a pause that is longer by itself is not shortened', async () => {
  const { send, sent, ports } = setUp([later(503, '0')], { on: ['503'], backoff: 600 })
  ports.random = () => 0.5
  const answer = textOf(send(createCall()))
  await ports.time.pass(299)
  assert.deepEqual(sent(), [1, 0])
  await ports.time.pass(1)
  assert.equal(await answer, '200 b')
})

test('Retry-After longer than retryAfterMax: the reply goes to the client whole, at once, and takes no budget', async () => {
  const source = new FakeSource()
  const { send, sent, ports } = setUp([later(429, '2', new Body(-1, source))], { on: ['429'], retryAfterMax: 1999 })
  const answer = send(createCall())
  await settle()
  assert.equal(ports.time.timers.size, 0)
  const reply = await answer
  assert.deepEqual([reply.status, reply.headers.get('retry-after'), source.isCancelled], [429, '2', false])
  assert.deepEqual(sent(), [1, 0])
  assert.deepEqual(ports.counts, {})
})

test('Retry-After beyond the deadline of the call: the reply goes to the client', async () => {
  const { send, sent, ports } = setUp([later(503, '1')], { on: ['503'] })
  const call = createCall()
  call.deadlineMs = 1000
  const answer = textOf(send(call))
  await settle()
  assert.equal(ports.time.timers.size, 0)
  assert.equal(await answer, '503 later')
  assert.deepEqual(sent(), [1, 0])
})

test('Retry-After: a call given up while it waits ends at once, and leaves no timer', async () => {
  const { send, sent, ports } = setUp([later(429, '1')], { on: ['429'] })
  const call = createCall()
  const outcome = assert.rejects(send(call), (thrown: unknown) => (thrown as Failure).code === 'client-closed')
  await settle()
  assert.equal(ports.time.timers.size, 1)
  call.abandon(new Failure('client-closed'))
  await outcome
  assert.equal(ports.time.timers.size, 0)
  assert.deepEqual(sent(), [1, 0])
})
