import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Call } from '../core/call.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import { type Act, createCall, FakeEndpoint, FakePorts, FakeRow, failure } from './fakes.ts'
import { composeSending } from './sending.ts'

const retry = { attempts: 2, on: ['reset'], budget: 1, backoff: 1000, retryAfterMax: 1000 } as const
const plain = {
  timeouts: { connect: 1000, response: 1000, idle: 1000, keepAlive: 1000, call: null },
  ...{ retry: null, hedge: null, breaker: null, adaptive: null, deadlineHeader: null },
}

/** Endpoints `a` and `b` that play these scripts, in that order for a call that knows neither. */
function setUp(changes: Partial<UpstreamBlueprint>, scripts: readonly [readonly Act[], readonly Act[]]) {
  const ports = new FakePorts()
  const [a, b] = [new FakeEndpoint('a', 1, [...scripts[0]]), new FakeEndpoint('b', 1, [...scripts[1]])]
  // Only what is read here is there.
  const blueprint = { ...plain, ...changes } as UpstreamBlueprint
  const { send } = composeSending('catalog', blueprint, ports, {
    pick: (_, tried) => [a, b].find(endpoint => !tried.includes(endpoint)) ?? a,
    noEndpoint: () => failure('upstream-unresolved'),
    observe: null,
    startTimer: ports.time.startTimer,
    rows: () => new FakeRow(ports.time),
  })
  const ask = async (call: Call) => {
    const { status, body } = await send(call)
    return `${status} ${(await body.bytes(100)).toString()}`
  }
  return { ports, a, b, ask }
}

test('a call says where it was sent last, and how often', async () => {
  const { a, b, ask, ports } = setUp({ retry: { ...retry, on: ['reset'] } }, [[failure('upstream-reset', 'yes')], []])
  const call = createCall()
  assert.deepEqual([call.askedTarget, call.tries], [null, 0])
  const answer = ask(call)
  await ports.time.pass(1000, 10)
  assert.equal(await answer, '200 b')
  assert.deepEqual([call.askedTarget, call.tries], [b, 2])
  assert.deepEqual([a.sent.length, b.sent.length], [1, 1])
})

test('a call that waits for a further try when its hedge is answered waits no longer, and is not sent again', async () => {
  const reset = failure('upstream-reset', 'if-idempotent')
  const hedge = { after: 20, percentile: null }
  const { a, b, ask, ports } = setUp({ hedge, retry: { ...retry, on: ['reset'] } }, [[reset], []])
  ports.random = () => 1
  const call = createCall()
  const answer = ask(call)
  await ports.time.pass(20, 1)
  assert.equal(await answer, '200 b')
  assert.deepEqual([call.askedTarget, call.tries, call.stopReason], [b, 2, null])
  await ports.time.pass(2000, 10)
  assert.deepEqual([a.sent.length, b.sent.length], [1, 1])
  assert.equal(ports.time.timers.size, 0)
})
