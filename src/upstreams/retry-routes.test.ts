import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Reply } from '../core/reply.ts'
import type { RouteRetry } from '../core/retry-schema.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import { type Act, createCall, FakeEndpoint, FakePorts, FakeRow, failure, settle } from './fakes.ts'
import { composeSending } from './sending.ts'

const plain = {
  timeouts: { connect: 1000, response: 1000, idle: 1000, keepAlive: 1000, call: null },
  ...{ retry: null, hedge: null, breaker: null, adaptive: null, deadlineHeader: null },
}
const own = { attempts: 1, on: ['503'], budget: 1, backoff: 0, retryAfterMax: 1000 } as const
const connectFailed = failure('upstream-connect-failed', 'yes')

/** An upstream of the endpoints `a` and `b`, each picked in turn; `a` plays a script, `b` another. */
function setUp(retry: UpstreamBlueprint['retry'], acts: readonly Act[], then: readonly Act[] = []) {
  const ports = new FakePorts()
  const endpoints = [new FakeEndpoint('a', 1, [...acts]), new FakeEndpoint('b', 1, [...then])]
  // Only what is read here is there.
  const { send } = composeSending('catalog', { ...plain, retry } as UpstreamBlueprint, ports, {
    pick: (_, tried) => endpoints.find(endpoint => !tried.includes(endpoint)) ?? endpoints[0] ?? null,
    noEndpoint: () => failure('upstream-unresolved'),
    observe: null,
    startTimer: ports.time.startTimer,
    rows: () => new FakeRow(ports.time),
  })
  const ask = (rule: RouteRetry | null) => {
    const call = createCall()
    call.retry = rule
    return send(call)
  }
  return { ports, ask, sent: () => endpoints.map(endpoint => endpoint.sent.length) }
}

const retryOf = (changes: Partial<NonNullable<UpstreamBlueprint['retry']>>) => ({ ...own, on: [...own.on], ...changes })

async function statusOf(reply: Promise<Reply>): Promise<number> {
  return (await reply).status
}

test('a route without a rule: what the upstream says', async () => {
  const { ask, sent } = setUp(retryOf({}), [503, 429])
  assert.deepEqual([await statusOf(ask(null)), await statusOf(ask(null))], [200, 429])
  assert.deepEqual(sent(), [2, 1])
})

test('no further try: a status stands, and so does a connection that failed', async () => {
  const { ask, sent } = setUp(retryOf({ on: ['503', 'connect-failure'] }), [503, connectFailed])
  assert.equal(await statusOf(ask({ attempts: 0, on: null })), 503)
  await assert.rejects(ask({ attempts: 0, on: null }))
  assert.deepEqual(sent(), [2, 0])
})

test('no further try: nor where the upstream itself says nothing', async () => {
  const { ask, sent } = setUp(null, [connectFailed, connectFailed])
  await assert.rejects(ask({ attempts: 0, on: null }))
  assert.deepEqual(sent(), [1, 0])
  assert.equal(await statusOf(ask(null)), 200)
  assert.deepEqual(sent(), [2, 1])
})

test('no further try: a connection found closed is still replaced by a fresh one', async () => {
  const { ask, sent } = setUp(retryOf({}), [failure('upstream-stale', 'if-idempotent')])
  assert.equal(await statusOf(ask({ attempts: 0, on: null })), 200)
  assert.deepEqual(sent(), [2, 0])
})

test('other attempts, the same reasons', async () => {
  const { ask, sent } = setUp(retryOf({}), [503, 503, 429], [503])
  assert.equal(await statusOf(ask({ attempts: 2, on: null })), 503)
  assert.deepEqual(sent(), [2, 1])
  assert.equal(await statusOf(ask({ attempts: 2, on: null })), 429)
})

test('other reasons, the same attempts; calls of other routes are not touched', async () => {
  const { ask, sent, ports } = setUp(retryOf({}), [429, 503, 429])
  const rule: RouteRetry = { attempts: null, on: ['429'] }
  assert.deepEqual([await statusOf(ask(rule)), await statusOf(ask(rule)), await statusOf(ask(null))], [200, 503, 429])
  assert.deepEqual(sent(), [3, 1])
  assert.deepEqual(ports.counts, { 'turnpike_upstream_retries upstream=catalog reason=429': 1 })
})

test('the budget is the upstream’s, also where only routes ask for further tries', async () => {
  const always: Act[] = Array.from({ length: 200 }, () => 503)
  const { ask, sent, ports } = setUp(retryOf({ attempts: 0, budget: 0.1 }), always, always)
  const rules: RouteRetry[] = [
    { attempts: 1, on: null },
    { attempts: 1, on: ['503'] },
  ]
  for (let i = 0; i < 50; i++) for (const rule of rules) await ask(rule)
  await settle()
  assert.deepEqual(sent(), [100, 10])
  assert.equal(ports.counts['turnpike_upstream_retry_budget_exhausted upstream=catalog'], 90)
})
