import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Body } from '../core/body.ts'
import type { Call } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import { Headers } from '../core/headers.ts'
import { Reply } from '../core/reply.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import { createBudget } from './budget.ts'
import { type Act, createCall, FakeEndpoint, FakePorts, FakeSink, FakeSource, failure, settle } from './fakes.ts'
import { createSender } from './retry.ts'

type Answering = (call: Call) => Promise<Reply>
type Retry = NonNullable<UpstreamBlueprint['retry']>

/** A sender over the endpoints `a` and `b`, each picked in turn; `b` answers 200 where it has no script. */
function setUp(retry: Partial<Retry>, acts: readonly Act[], then: readonly Act[] = []) {
  const ports = new FakePorts()
  const endpoints = [new FakeEndpoint('a', 1, [...acts]), new FakeEndpoint('b', 1, [...then])]
  const send = createSender({
    ...{ name: 'talk', budget: createBudget(1), callMs: null, tellsUnseen: true, observe: null, ports },
    tell: null,
    guard: null,
    startTimer: ports.time.startTimer,
    retry: { attempts: 1, on: ['connect-failure'], budget: 1, backoff: 0, retryAfterMax: 1000, ...retry },
    pick: (_, tried) => endpoints.find(endpoint => !tried.includes(endpoint)) ?? endpoints[0] ?? null,
    noEndpoint: () => new Failure('upstream-unresolved'),
  })
  return { ports, send, sent: () => endpoints.map(endpoint => endpoint.sent.length) }
}

/** Answers as a server does that fails at once: a head with the status, and no body. */
function failing(status: number, fields: Record<string, string> = {}, body = Body.empty): Answering {
  return async () => new Reply(200, Headers.of({ 'grpc-status': String(status), ...fields }), body)
}

/** Reads the whole message, as a server does before it fails. */
function reading(act: Answering, seen: string[] = []): Answering {
  return async call => {
    seen.push((await call.body.bytes(100_000)).toString())
    return act(call)
  }
}

const told: Answering = async ({ headers }) => Reply.text(200, headers.get('grpc-previous-rpc-attempts') ?? 'nothing')

function grpcCall(fields: Record<string, string> = {}, body = Body.of('message')): Call {
  return createCall({ method: 'POST', headers: Headers.of({ 'content-type': 'application/grpc', ...fields }), body })
}

async function textOf(reply: Promise<Reply>): Promise<string> {
  const { headers, body } = await reply
  return `${headers.get('grpc-status') ?? 'ok'} ${(await body.bytes(100)).toString()}`
}

for (const [reason, status] of [
  ['grpc-cancelled', 1],
  ['grpc-deadline-exceeded', 4],
  ['grpc-resource-exhausted', 8],
  ['grpc-aborted', 10],
  ['grpc-internal', 13],
  ['grpc-unavailable', 14],
] as const) {
  test(`on ${reason}: goes to another endpoint with its message, and is counted`, async () => {
    const seen: string[] = []
    const { send, sent, ports } = setUp({ on: [reason] }, [reading(failing(status), seen)], [reading(told, seen)])
    assert.equal(await textOf(send(grpcCall())), 'ok 1')
    assert.deepEqual(sent(), [1, 1])
    assert.deepEqual(seen, ['message', 'message'])
    assert.deepEqual(ports.counts, { [`turnpike_upstream_retries upstream=talk reason=${reason}`]: 1 })
  })

  test(`${reason} stands where another status is listed`, async () => {
    const on = [reason === 'grpc-internal' ? 'grpc-aborted' : 'grpc-internal', '503'] as const
    const { send, sent } = setUp({ on: [...on] }, [failing(status)])
    assert.equal(await textOf(send(grpcCall())), `${status} `)
    assert.deepEqual(sent(), [1, 0])
  })
}

test('a call that is no gRPC is not tried again for a field of that name', async () => {
  const { send, sent } = setUp({ on: ['grpc-unavailable'] }, [failing(14), failing(14)])
  const web = createCall({ method: 'POST', headers: Headers.of({ 'content-type': 'application/grpc-web+proto' }) })
  assert.equal(await textOf(send(createCall())), '14 ')
  assert.equal(await textOf(send(web)), '14 ')
  assert.deepEqual(sent(), [2, 0])
})

test('a reply with a body is not tried again, and neither is one that says its status behind it', async () => {
  const source = new FakeSource()
  const { send, sent } = setUp({ on: ['grpc-unavailable'] }, [
    failing(14, {}, new Body(-1, source)),
    async () => Reply.text(200, 'messages'),
  ])
  await send(grpcCall())
  assert.equal(source.isCancelled, false)
  assert.equal(await textOf(send(grpcCall())), 'ok messages')
  assert.deepEqual(sent(), [2, 0])
})

test('other outcomes of a POST stay as they were: no reset and no 503 is tried again', async () => {
  const reset = failure('upstream-reset', 'if-idempotent')
  const { send, sent } = setUp({ on: ['grpc-unavailable', 'reset', '503'] }, [503, reset])
  await send(grpcCall())
  await assert.rejects(send(grpcCall()))
  assert.deepEqual(sent(), [2, 0])
})

test('a message too long to be kept is not sent again', async () => {
  const { send, sent } = setUp({ on: ['grpc-unavailable'] }, [reading(failing(14))])
  const source = new FakeSource()
  const answer = textOf(send(grpcCall({}, new Body(-1, source))))
  for (let i = 0; i < 70; i++) source.push(Buffer.alloc(1000))
  source.sink?.end(null)
  assert.equal(await answer, '14 ')
  assert.deepEqual(sent(), [1, 0])
})

/** Fails while messages still come. */
const refuseAtOnce: Answering = async call => {
  call.body.pipe(new FakeSink())
  await settle()
  call.body.cancel()
  return new Reply(200, Headers.of({ 'grpc-status': '14' }), Body.empty)
}

test('messages that come on while the first try fails go to the next one, whole and in order', async () => {
  const seen: string[] = []
  const { send, ports } = setUp({ on: ['grpc-unavailable'], backoff: 100 }, [refuseAtOnce], [reading(told, seen)])
  const source = new FakeSource()
  const answer = textOf(send(grpcCall({}, new Body(-1, source))))
  source.push('one ')
  await settle()
  source.push('two ')
  await ports.time.pass(100)
  source.push('three')
  source.sink?.end(null)
  assert.equal(await answer, 'ok 1')
  assert.deepEqual([seen, source.isCancelled], [['one two three'], false])
})

test('grpc-previous-rpc-attempts: none at first, then how many tries were answered, those of the client included', async () => {
  const seen: (string | undefined)[] = []
  const note =
    (act: Answering): Answering =>
    call => {
      seen.push(call.headers.get('grpc-previous-rpc-attempts'))
      return act(call)
    }
  const unavailable = note(failing(14))
  const connectFailed = note(() => Promise.reject(failure('upstream-connect-failed', 'yes')))
  for (const [given, expected] of [
    [{}, [undefined, undefined, '1', '2']],
    [{ 'grpc-previous-rpc-attempts': '3' }, ['3', '3', '4', '5']],
    [{ 'grpc-previous-rpc-attempts': 'many' }, ['many', 'many', '1', '2']],
  ] as const) {
    const on = ['grpc-unavailable', 'connect-failure'] as const
    const { send } = setUp({ on: [...on], attempts: 3 }, [connectFailed, unavailable, note(told)], [unavailable])
    await send(grpcCall(given))
    assert.deepEqual(seen.splice(0), expected)
  }
})

test('a call that is no gRPC tells no attempts', async () => {
  const { send } = setUp({ on: ['503'] }, [503], [told])
  assert.equal(await textOf(send(createCall())), 'ok nothing')
})

test('pushback: the next try comes after exactly so long', async () => {
  const fields = { 'grpc-retry-pushback-ms': '300', 'retry-after': '1' }
  const { send, sent, ports } = setUp({ on: ['grpc-unavailable'], backoff: 1000 }, [failing(14, fields)])
  ports.random = () => 0.9
  const answer = textOf(send(grpcCall()))
  await ports.time.pass(299)
  assert.deepEqual(sent(), [1, 0])
  await ports.time.pass(1)
  assert.equal(await answer, 'ok b')
})

test('pushback: a negative one, nonsense, or more than retryAfterMax forbids a further try', async () => {
  for (const pushback of ['-1', 'never', '1001']) {
    const { send, sent, ports } = setUp({ on: ['grpc-unavailable'] }, [
      failing(14, { 'grpc-retry-pushback-ms': pushback }),
    ])
    const answer = textOf(send(grpcCall()))
    await settle()
    assert.equal(ports.time.timers.size, 0)
    assert.equal(await answer, '14 ')
    assert.deepEqual(sent(), [1, 0])
    assert.deepEqual(ports.counts, {})
  }
})

test('without pushback, Retry-After counts, as the gateway itself sends it to gRPC clients', async () => {
  const { send, sent, ports } = setUp({ on: ['grpc-unavailable'] }, [failing(14, { 'retry-after': '1' })])
  const answer = textOf(send(grpcCall()))
  await ports.time.pass(999)
  assert.deepEqual(sent(), [1, 0])
  await ports.time.pass(1)
  assert.equal(await answer, 'ok b')
})
