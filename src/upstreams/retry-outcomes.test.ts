import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Failure } from '../core/failure.ts'
import { Reply } from '../core/reply.ts'
import { createBudget } from './budget.ts'
import type { RetryReason } from '../core/retry-schema.ts'
import { type Act, createCall, FakeEndpoint, FakePorts, failure } from './fakes.ts'
import { createSender } from './retry.ts'

const connectFailed = failure('upstream-connect-failed', 'yes')
const stale = failure('upstream-stale', 'if-idempotent')
const sick = Reply.problem('upstream-unhealthy')

/** A sender over endpoints `a` and `b` that play these scripts, with two further tries. */
function setUp(scripts: readonly Act[][], on: RetryReason[]) {
  const ports = new FakePorts()
  const told: string[] = []
  const endpoints = scripts.map((acts, i) => new FakeEndpoint('ab'[i] ?? '', 1, [...acts]))
  const send = createSender({
    ...{
      name: 'catalog',
      retry: { attempts: 2, on, budget: 1, backoff: 0, retryAfterMax: 1000 },
      budget: createBudget(1),
      callMs: null,
      tellsUnseen: false,
    },
    pick: (_, tried) => endpoints.find(endpoint => !tried.includes(endpoint)) ?? endpoints[0] ?? null,
    noEndpoint: () => sick,
    observe: (_, { id }, outcome) => told.push(`${id} ${outcome instanceof Reply ? outcome.status : outcome.code}`),
    ports,
    tell: null,
    guard: null,
    startTimer: ports.time.startTimer,
  })
  const sent = () => endpoints.map(endpoint => endpoint.sent.length)
  return { endpoints, send, sent, told }
}

async function textOf(reply: Promise<Reply>): Promise<string> {
  const { status, body } = await reply
  return `${status} ${(await body.bytes(100)).toString()}`
}

test('no endpoint: where that is a reply, it is the answer, also after a try', async () => {
  const { send, endpoints } = setUp([[connectFailed]], ['connect-failure'])
  const late = send(createCall())
  endpoints.length = 0
  assert.equal(await late, sick)
  assert.equal(await send(createCall()), sick)
})

test('the observer is told how each try ended', async () => {
  const { send, told } = setUp([[200, stale, connectFailed], [503]], ['connect-failure', '503'])
  await send(createCall())
  assert.deepEqual(told.splice(0), ['a 200'])
  // Stale, then again on a fresh connection, which fails; then another endpoint, then the first once more.
  assert.equal(await textOf(send(createCall())), '200 a')
  assert.deepEqual(told, ['a upstream-stale', 'a upstream-connect-failed', 'b 503', 'a 200'])
})

test('a reply that is no HTTP is tried again like a reset, but only for methods that are safe to repeat', async () => {
  const malformed = failure('upstream-malformed-reply')
  const { send, sent } = setUp([[malformed, malformed], []], ['reset'])
  assert.equal(await textOf(send(createCall())), '200 b')
  await assert.rejects(
    send(createCall({ method: 'POST' })),
    (thrown: unknown) => thrown instanceof Failure && thrown.code === 'upstream-malformed-reply',
  )
  assert.deepEqual(sent(), [2, 1])
})
