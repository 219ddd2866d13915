import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Body } from '../core/body.ts'
import type { FailureCode } from '../core/codes.ts'
import { Failure } from '../core/failure.ts'
import { Headers } from '../core/headers.ts'
import { Reply } from '../core/reply.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import { createBudget } from './budget.ts'
import {
  type Act,
  createCall,
  FakeEndpoint,
  FakePorts,
  FakeSink,
  FakeSource,
  failure,
  readThenFail,
  settle,
} from './fakes.ts'
import { createSender } from './retry.ts'

type Retry = NonNullable<UpstreamBlueprint['retry']>

const connectFailed = failure('upstream-connect-failed', 'yes')
const stale = failure('upstream-stale', 'if-idempotent')
const reset = failure('upstream-reset', 'if-idempotent')
const timeout = failure('upstream-timeout', 'if-idempotent')

/** A sender over endpoints `a`, `b`, … that play these scripts, each picked in turn. */
function setUp(
  scripts: readonly Act[][],
  retry: Partial<Retry> | null = null,
  callMs: number | null = null,
  tellsUnseen = false,
) {
  const ports = new FakePorts()
  const endpoints = scripts.map((acts, i) => new FakeEndpoint('abcdefgh'[i] ?? '', 1, [...acts]))
  const send = createSender({
    name: 'catalog',
    retry: retry && {
      attempts: 1,
      on: ['connect-failure', 'reset'],
      budget: 1,
      backoff: 0,
      retryAfterMax: 1000,
      ...retry,
    },
    budget: retry === null || retry.attempts === 0 ? null : createBudget(retry.budget ?? 1),
    ...{ callMs, tellsUnseen },
    pick: (_, tried) => endpoints.find(endpoint => !tried.includes(endpoint)) ?? endpoints[0] ?? null,
    noEndpoint: () => failure('upstream-unresolved'),
    ...{ observe: null, tell: null, guard: null },
    ports,
    startTimer: ports.time.startTimer,
  })
  const sent = () => endpoints.map(endpoint => endpoint.sent.length)
  return { ports, endpoints, send, sent }
}

async function textOf(reply: Promise<Reply>): Promise<string> {
  const { status, body } = await reply
  return `${status} ${(await body.bytes(100)).toString()}`
}

function withCode(code: FailureCode) {
  return (thrown: unknown) => thrown instanceof Failure && thrown.code === code
}

test('a call that succeeds is sent once', async () => {
  const { send, sent, endpoints } = setUp([[], []], { on: ['500'] })
  assert.equal(await textOf(send(createCall())), '200 a')
  assert.deepEqual(sent(), [1, 0])
  assert.deepEqual(endpoints[0]?.sent, [false])
})

test('no endpoint: rejects with the reason', async () => {
  const { send } = setUp([])
  await assert.rejects(send(createCall()), withCode('upstream-unresolved'))
})

test('what is no Failure becomes one', async () => {
  const { send } = setUp([[() => Promise.reject(new TypeError('oops'))]])
  await assert.rejects(send(createCall()), withCode('internal'))
})

test('without retry: a connect failure goes once to each other endpoint, whatever the method', async () => {
  const { send, sent, ports } = setUp([[connectFailed], [failure('upstream-connect-timeout')], []])
  assert.equal(await textOf(send(createCall({ method: 'POST', body: Body.of('x') }))), '200 c')
  assert.deepEqual(sent(), [1, 1, 1])
  assert.equal(ports.counts['turnpike_upstream_retries upstream=catalog reason=connect-failure'], 2)
  assert.equal(ports.time.timers.size, 0)
})

test('without retry: the last connect failure is the outcome once all endpoints were tried', async () => {
  const { send, sent } = setUp([[failure('upstream-tls-failed')], [connectFailed]])
  await assert.rejects(send(createCall()), withCode('upstream-connect-failed'))
  assert.deepEqual(sent(), [1, 1])
})

test('without retry: a reset or a 503 stands', async () => {
  const { send, sent } = setUp([[reset, 503], []])
  await assert.rejects(send(createCall()), withCode('upstream-reset'))
  assert.equal(await textOf(send(createCall())), '503 a')
  assert.deepEqual(sent(), [2, 0])
})

test('stale: sent again on a fresh connection of the same endpoint, and not counted as a retry', async () => {
  const { send, endpoints, ports } = setUp([[stale], []])
  assert.equal(await textOf(send(createCall())), '200 a')
  assert.deepEqual(endpoints[0]?.sent, [false, true])
  assert.deepEqual(ports.counts, {})
})

test('stale: a POST is sent again only if the upstream never saw it', async () => {
  const { send, endpoints } = setUp([[stale, failure('upstream-stale', 'yes')]])
  await assert.rejects(send(createCall({ method: 'POST' })), withCode('upstream-stale'))
  assert.equal(await textOf(send(createCall({ method: 'POST' }))), '200 a')
  assert.deepEqual(endpoints[0]?.sent, [false, false, true])
})

test('stale: the fresh try may fail like any other', async () => {
  const { send, sent } = setUp([[stale, connectFailed], [stale]])
  assert.equal(await textOf(send(createCall())), '200 b')
  assert.deepEqual(sent(), [2, 2])
})

for (const [on, act] of [
  ['connect-failure', connectFailed],
  ['reset', reset],
  ['timeout', timeout],
  ['500', 500],
  ['502', 502],
  ['503', 503],
  ['504', 504],
] as const) {
  test(`retry on ${on}: goes to another endpoint, and is counted`, async () => {
    const { send, sent, ports } = setUp([[act], []], { on: [on] })
    assert.equal(await textOf(send(createCall())), '200 b')
    assert.deepEqual(sent(), [1, 1])
    assert.deepEqual(ports.counts, { [`turnpike_upstream_retries upstream=catalog reason=${on}`]: 1 })
  })

  test(`retry not on ${on}: the first outcome stands`, async () => {
    const others = (['connect-failure', 'reset', 'timeout', '500', '502', '503', '504'] as const).filter(
      one => one !== on,
    )
    const { send, sent } = setUp([[act], []], { on: others })
    if (typeof act === 'number') assert.equal(await textOf(send(createCall())), `${act} a`)
    else await assert.rejects(send(createCall()), withCode(act.code))
    assert.deepEqual(sent(), [1, 0])
  })

  test(`retry on ${on}: a POST only where no upstream can have seen it`, async () => {
    const { send, sent } = setUp([[act], []], { on: [on] })
    await send(createCall({ method: 'POST' })).catch(() => null)
    assert.deepEqual(sent(), on === 'connect-failure' ? [1, 1] : [1, 0])
  })
}

test('retry: a failure that says `no` is not tried again', async () => {
  const { send, sent } = setUp([[failure('upstream-reset', 'no')], []], {})
  await assert.rejects(send(createCall()))
  assert.deepEqual(sent(), [1, 0])
})

test('retry: a POST that the upstream provably never saw is tried again', async () => {
  const { send, sent } = setUp([[failure('upstream-reset', 'yes')], []], {})
  assert.equal(await textOf(send(createCall({ method: 'POST' }))), '200 b')
  assert.deepEqual(sent(), [1, 1])
})

test('retry: attempts bound the further tries; the last outcome is the caller’s', async () => {
  const { send, sent } = setUp([[reset], [reset], [503], []], { attempts: 2, on: ['reset', '503'] })
  assert.equal(await textOf(send(createCall())), '503 c')
  assert.deepEqual(sent(), [1, 1, 1, 0])
})

test('retry: attempts 0 switches off the failover too', async () => {
  const { send, sent } = setUp([[connectFailed], []], { attempts: 0 })
  await assert.rejects(send(createCall()))
  assert.deepEqual(sent(), [1, 0])
})

test('retry: the only endpoint is tried again', async () => {
  const { send, sent } = setUp([[reset]], {})
  assert.equal(await textOf(send(createCall())), '200 a')
  assert.deepEqual(sent(), [2])
})

test('retry: the body of a reply that is not passed on is cancelled before the next try', async () => {
  const source = new FakeSource()
  let wasCancelled = false
  const { send } = setUp(
    [
      [async () => new Reply(503, new Headers(), new Body(-1, source))],
      [
        async () => {
          wasCancelled = source.isCancelled
          return Reply.text(200, 'b')
        },
      ],
    ],
    { on: ['503'] },
  )
  assert.equal(await textOf(send(createCall())), '200 b')
  assert.ok(wasCancelled)
})

test('retry: a last 503 keeps its body', async () => {
  const { send } = setUp([[503], [503]], { on: ['503'] })
  assert.equal(await textOf(send(createCall())), '503 b')
})

test('back-off: doubles with full jitter, and never past a second', async () => {
  const resets: Act[][] = [[reset], [reset], [reset], [reset]]
  const { send, sent, ports } = setUp(resets, { attempts: 3, backoff: 600 })
  ports.random = () => 0.5
  const outcome = assert.rejects(send(createCall()))
  const seen: number[][] = []
  for (const ms of [299, 1, 499, 1, 499, 1]) {
    await ports.time.pass(ms)
    seen.push(sent())
  }
  await outcome
  assert.deepEqual(seen, [
    [1, 0, 0, 0],
    [1, 1, 0, 0],
    [1, 1, 0, 0],
    [1, 1, 1, 0],
    [1, 1, 1, 0],
    [1, 1, 1, 1],
  ])
})

test('back-off: a call given up meanwhile ends at once, with its reason, and leaves no timer', async () => {
  const { send, sent, ports } = setUp([[reset], []], { backoff: 600 })
  const call = createCall()
  const outcome = assert.rejects(send(call), withCode('client-closed'))
  await settle()
  assert.equal(ports.time.timers.size, 1)
  call.abandon(new Failure('client-closed'))
  await outcome
  assert.equal(ports.time.timers.size, 0)
  assert.deepEqual(sent(), [1, 0])
})

const giveUp: Act = call => {
  call.abandon(new Failure('client-closed'))
  return Promise.reject(connectFailed)
}

test('a call given up is not tried again', async () => {
  for (const retry of [null, {}]) {
    const { send, sent } = setUp([[giveUp], []], retry)
    await assert.rejects(send(createCall()), withCode('upstream-connect-failed'))
    assert.deepEqual(sent(), [1, 0])
  }
})

test('deadline: no try starts past it, and no wait goes past it', async () => {
  const { send, sent } = setUp([[reset], []], { backoff: 600 })
  const call = createCall()
  call.deadlineMs = 300
  await assert.rejects(send(call), withCode('upstream-reset'))
  assert.deepEqual(sent(), [1, 0])
})

test('deadline: without retry a failover ends at it', async () => {
  const { send, sent, ports } = setUp([
    [
      async () => {
        ports.time.nowMs = 300
        throw connectFailed
      },
    ],
    [],
  ])
  const call = createCall()
  call.deadlineMs = 300
  await assert.rejects(send(call), withCode('upstream-connect-failed'))
  assert.deepEqual(sent(), [1, 0])
})

test('timeouts.call brings the deadline of the call forward, never back', async () => {
  const { send, ports } = setUp([[]], null, 500)
  ports.time.nowMs = 1000
  const [patient, hasty] = [createCall(), createCall()]
  hasty.deadlineMs = 1200
  await Promise.all([send(patient), send(hasty)])
  assert.equal(patient.deadlineMs, 1500)
  assert.equal(hasty.deadlineMs, 1200)
})

test('budget: retries stop when it is used up, and that is counted', async () => {
  const always: Act[] = Array.from({ length: 200 }, () => 503)
  const { send, sent, ports } = setUp([always, always], { on: ['503'], budget: 0.1 })
  for (let i = 0; i < 100; i++) await send(createCall())
  assert.deepEqual(sent(), [100, 10])
  assert.equal(ports.counts['turnpike_upstream_retry_budget_exhausted upstream=catalog'], 90)
})

const echo: Act = async call => Reply.text(200, (await call.body.bytes(1000)).toString())

test('a PUT whose body was partly sent is sent again whole', async () => {
  const { send } = setUp([[readThenFail(6, reset)], [echo]], {})
  const source = new FakeSource()
  const answer = textOf(send(createCall({ method: 'PUT', body: new Body(12, source) })))
  source.push('one')
  source.push('two')
  await settle()
  source.push('red')
  source.push('end')
  source.sink?.end(null)
  assert.equal(await answer, '200 onetworedend')
  assert.equal(source.isCancelled, false)
})

test('a stale connection costs a PUT nothing', async () => {
  const { send, endpoints } = setUp([[readThenFail(1, stale), echo]])
  assert.equal(await textOf(send(createCall({ method: 'PUT', body: Body.of('hello') }))), '200 hello')
  assert.deepEqual(endpoints[0]?.sent, [false, true])
})

test('a POST whose body was begun is not sent again, even if nobody saw it', async () => {
  const { send, sent } = setUp([[readThenFail(1, connectFailed)], []])
  const call = createCall({ method: 'POST', body: Body.of('hello') })
  await assert.rejects(send(call), withCode('upstream-connect-failed'))
  assert.deepEqual(sent(), [1, 0])
})

test('a POST whose body was begun is sent again whole where the server said that it has not seen it', async () => {
  const unseen = failure('upstream-stale', 'yes')
  const { send, endpoints } = setUp([[readThenFail(1, unseen), echo]], null, null, true)
  assert.equal(await textOf(send(createCall({ method: 'POST', body: Body.of('hello') }))), '200 hello')
  assert.deepEqual(endpoints[0]?.sent, [false, true])
  for (const cause of [stale, reset]) {
    const { send: sendOther, sent } = setUp([[readThenFail(1, cause)], []], {}, null, true)
    await assert.rejects(sendOther(createCall({ method: 'POST', body: Body.of('hello') })), withCode(cause.code))
    assert.deepEqual(sent(), [1, 0])
  }
})

test('a body too long to keep is not sent again, and its source is told to stop', async () => {
  const { send, sent } = setUp([[readThenFail(70_000, reset)], []], {})
  const source = new FakeSource()
  const outcome = assert.rejects(
    send(createCall({ method: 'PUT', body: new Body(-1, source) })),
    withCode('upstream-reset'),
  )
  for (let i = 0; i < 70; i++) source.push(Buffer.alloc(1000))
  await outcome
  assert.deepEqual(sent(), [1, 0])
  assert.ok(source.isCancelled)
})

test('a body that no try takes any more is cancelled', async () => {
  const { send, ports } = setUp([[readThenFail(1, reset)], []], { backoff: 600 })
  const source = new FakeSource()
  const call = createCall({ method: 'PUT', body: new Body(-1, source) })
  const outcome = assert.rejects(send(call), withCode('client-closed'))
  source.push('x')
  await ports.time.pass(1)
  assert.equal(source.isCancelled, false)
  call.abandon(new Failure('client-closed'))
  await outcome
  assert.ok(source.isCancelled)
})

test('after the reply the body goes on to its end, unrecorded', async () => {
  const sink = new FakeSink()
  const early: Act = async call => {
    call.body.pipe(sink)
    return Reply.text(200, 'early')
  }
  const { send } = setUp([[early]], {})
  const source = new FakeSource()
  assert.equal(await textOf(send(createCall({ method: 'PUT', body: new Body(-1, source) }))), '200 early')
  source.push('late')
  source.sink?.end(null)
  assert.equal(sink.text, 'late')
  assert.ok(sink.isEnded)
})

/** Answers before the body is there, and reads on. */
const readOn: Act = async call => {
  call.body.pipe(new FakeSink())
  return Reply.text(200, 'early')
}

test('after the reply a cancelled body stops its source', async () => {
  const { send } = setUp([[readOn]])
  const source = new FakeSource()
  const call = createCall({ method: 'PUT', body: new Body(-1, source) })
  await send(call)
  assert.equal(source.isCancelled, false)
  call.body.cancel()
  assert.ok(source.isCancelled)
})
