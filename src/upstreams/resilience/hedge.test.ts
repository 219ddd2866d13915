import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Body } from '../../core/body.ts'
import type { Call } from '../../core/call.ts'
import { Failure } from '../../core/failure.ts'
import { Headers } from '../../core/headers.ts'
import { Reply } from '../../core/reply.ts'
import type { Step } from '../../core/step.ts'
import { createBudget } from '../budget.ts'
import { createCall, FakePorts, FakeSink, FakeSource, failure, guarded, settle } from '../fakes.ts'
import { createGuard } from './guard.ts'
import { createHedge, type Hedge, type HedgeRules } from './hedge.ts'

interface Try {
  readonly call: Call
  /** Why it was given up. */
  givenUp: string | null
  answer(reply: Reply): void
  fail(failure: Failure): void
}

const hedged = (hedge: Hedge, step: Step, ports: FakePorts) =>
  guarded(createGuard({ breaker: null, adaptive: null, hedge, patienceMs: 1000, now: () => 0 }), step, ports)

/** Tries are answered by hand. The budget has three hedges per second. */
function setUp(rules: Partial<HedgeRules> = {}) {
  const ports = new FakePorts()
  const firsts: Try[] = []
  const seconds: Try[] = []
  const open =
    (tries: Try[]): Step =>
    call =>
      new Promise((resolve, reject) => {
        const one: Try = { call, givenUp: null, answer: resolve, fail: reject }
        tries.push(one)
        call.beginTry({
          abandoned(reason) {
            one.givenUp = reason.code
            reject(reason)
          },
        })
      })
  const hedge = createHedge({
    name: 'catalog',
    rules: { after: 100, percentile: null, ...rules },
    again: open(seconds),
    budget: createBudget(0),
    ports,
    startTimer: ports.time.startTimer,
  })
  const step = hedged(hedge, open(firsts), ports)
  const count = (outcome: string) => ports.counts[`turnpike_upstream_hedges upstream=catalog outcome=${outcome}`] ?? 0
  return { ports, step, firsts, seconds, count }
}

const outcomeOf = (reply: Promise<Reply>) =>
  reply.then(
    ({ status, headers }) => `${status} ${headers.get('x') ?? ''}`.trim(),
    (thrown: unknown) => Failure.from(thrown).code,
  )

function named(status: number, name: string): Reply {
  const reply = Reply.text(status, name)
  reply.headers.add('x', name)
  return reply
}

test('a call that is answered in time is sent once', async () => {
  const { ports, step, firsts, seconds } = setUp()
  const reply = step(createCall())
  await ports.time.pass(99)
  firsts[0]?.answer(named(200, 'first'))
  assert.equal(await outcomeOf(reply), '200 first')
  await ports.time.pass(500)
  assert.equal(seconds.length, 0)
  assert.equal(ports.time.timers.size, 0)
})

test('a late call is sent again; the second answers first, and the first is given up', async () => {
  const { ports, step, firsts, seconds, count } = setUp()
  const call = createCall()
  const reply = step(call)
  await ports.time.pass(100)
  assert.equal(seconds.length, 1)
  await ports.time.pass(30)
  seconds[0]?.answer(named(200, 'second'))
  assert.equal(await outcomeOf(reply), '200 second')
  assert.equal(firsts[0]?.givenUp, 'client-closed')
  assert.equal(seconds[0]?.givenUp, null)
  assert.equal(call.abandonReason, null)
  assert.equal(call.stopReason, null, 'a layer further out may send the call again')
  assert.equal(call.upstreamMs, 130)
  assert.equal(call.upstream, 'catalog', 'though the first try may have waited for a connection')
  assert.equal(count('won'), 1)
})

test('the first answers after all, and the second is given up', async () => {
  const { ports, step, firsts, seconds, count } = setUp()
  const reply = step(createCall())
  await ports.time.pass(100)
  firsts[0]?.answer(named(404, 'first'))
  assert.equal(await outcomeOf(reply), '404 first')
  assert.equal(seconds[0]?.givenUp, 'client-closed')
  assert.equal(count('lost'), 1)
})

test('an answer that is not good waits for the other try', async () => {
  for (const bad of [() => named(503, 'first'), () => failure('upstream-reset')]) {
    const { ports, step, firsts, seconds, count } = setUp()
    const reply = step(createCall())
    await ports.time.pass(100)
    const outcome = bad()
    if (outcome instanceof Reply) firsts[0]?.answer(outcome)
    else firsts[0]?.fail(outcome)
    await settle()
    seconds[0]?.answer(named(200, 'second'))
    assert.equal(await outcomeOf(reply), '200 second')
    if (outcome instanceof Reply) assert.equal(outcome.body.isUsed, true, 'its body is cancelled')
    assert.equal(count('won'), 1)
  }
})

const first = () => named(500, 'first')
const second = () => named(502, 'second')
const broken = () => failure('upstream-reset')

/** Says where the tries of a call have gone. */
function targets(one: Try | undefined, other: Try | undefined): void {
  if (one !== undefined) one.call.askedTarget = { id: 'one' }
  if (other !== undefined) other.call.askedTarget = { id: 'other' }
}

test('where no try ends well, an answer goes before a failure, the last before the first', async () => {
  for (const [one, other, wanted] of [
    [first, broken, '500 first'],
    [broken, second, '502 second'],
    [first, second, '502 second'],
    [() => failure('upstream-timeout'), broken, 'upstream-timeout'],
  ] as const) {
    const { ports, step, firsts, seconds, count } = setUp()
    const call = createCall()
    const reply = outcomeOf(step(call))
    await ports.time.pass(100)
    targets(firsts[0], seconds[0])
    for (const [tries, make] of [[firsts, one] as const, [seconds, other] as const]) {
      const outcome = make()
      if (outcome instanceof Reply) tries[0]?.answer(outcome)
      else tries[0]?.fail(outcome)
      await settle()
    }
    assert.equal(await reply, wanted)
    assert.equal(call.askedTarget?.id, wanted === '502 second' ? 'other' : 'one', 'the target whose outcome it is')
    assert.equal(count('failed'), 1)
  }
})

test('a failure before the time is up is not hedged: that is for retries', async () => {
  const { ports, step, firsts, seconds } = setUp()
  const reply = step(createCall())
  firsts[0]?.fail(failure('upstream-reset'))
  assert.equal(await outcomeOf(reply), 'upstream-reset')
  await ports.time.pass(200)
  assert.equal(seconds.length, 0)
})

test('a late reply of a try that lost is let go', async () => {
  const { ports, step, firsts, seconds } = setUp()
  const reply = step(createCall())
  await ports.time.pass(100)
  const body = new Body(-1, new FakeSource())
  // Both answer in one turn: the second one's reply is there before it is given up.
  firsts[0]?.answer(named(200, 'first'))
  seconds[0]?.answer(new Reply(200, Reply.empty(200).headers, body))
  assert.equal(await outcomeOf(reply), '200 first')
  await settle()
  assert.equal(body.isUsed, true)
})

test('calls that are not safe to repeat, upgrades and those that expect 100 go by', async () => {
  const { ports, step, firsts, seconds } = setUp()
  const upgrade = createCall()
  upgrade.upgrade = 'websocket'
  const expecting = createCall({ method: 'PUT', body: Body.of('x') })
  expecting.expectsContinue = true
  for (const call of [createCall({ method: 'POST' }), createCall({ method: 'PATCH' }), upgrade, expecting]) {
    void step(call)
    assert.equal(firsts.at(-1)?.call, call)
  }
  await ports.time.pass(200)
  assert.equal(seconds.length, 0)
})

test('takes from the budget, and goes without where it is used up', async () => {
  const { ports, step, seconds } = setUp()
  for (let i = 0; i < 5; i++) void step(createCall())
  await ports.time.pass(100)
  assert.equal(seconds.length, 3)
  assert.equal(ports.counts['turnpike_upstream_retry_budget_exhausted upstream=catalog'], 2)
})

test('a body that was sent whole is sent again; one that is still coming, or too long, is not', async () => {
  for (const [text, isWhole, isHedged] of [
    ['short', true, true],
    ['short', false, false],
    ['x'.repeat(70_000), true, false],
  ] as const) {
    const { ports, step, firsts, seconds } = setUp()
    const source = new FakeSource()
    const reply = step(createCall({ method: 'PUT', body: new Body(-1, source) }))
    const sink = new FakeSink()
    firsts[0]?.call.body.pipe(sink)
    source.push(text)
    if (isWhole) source.sink?.end(null)
    assert.equal(sink.text, text)
    await ports.time.pass(100)
    assert.equal(seconds.length, isHedged ? 1 : 0)
    if (isHedged) assert.equal((await seconds[0]?.call.body.bytes(100))?.toString(), text)
    firsts[0]?.answer(named(200, 'first'))
    assert.equal(await outcomeOf(reply), '200 first')
  }
})

test('trailers are sent again with their body', async () => {
  const { ports, step, firsts, seconds } = setUp()
  const source = new FakeSource()
  void step(createCall({ method: 'PUT', body: new Body(-1, source) }))
  firsts[0]?.call.body.pipe(new FakeSink())
  source.push('body')
  source.sink?.end(Headers.of({ 'x-sum': '42' }))
  await ports.time.pass(100)
  const sink = new FakeSink()
  seconds[0]?.call.body.pipe(sink)
  assert.deepEqual([sink.text, sink.trailers?.get('x-sum')], ['body', '42'])
  firsts[0]?.answer(named(200, 'first'))
})

test('giving the call up gives up all its tries, also when its reply has begun', async () => {
  const { ports, step, firsts, seconds, count } = setUp()
  const call = createCall()
  const reply = step(call)
  await ports.time.pass(100)
  call.abandon(failure('call-timeout'))
  assert.equal(await outcomeOf(reply), 'call-timeout')
  assert.equal(firsts[0]?.givenUp, 'call-timeout')
  assert.equal(seconds[0]?.givenUp, 'call-timeout')
  assert.equal(count('failed'), 0)

  const other = createCall()
  const answered = step(other)
  firsts[1]?.answer(named(200, 'first'))
  await answered
  other.abandon(failure('client-closed'))
  assert.equal(firsts[1]?.givenUp, 'client-closed')
})

test('a call that is given up early is not sent again', async () => {
  const { ports, step, seconds } = setUp()
  const call = createCall()
  const reply = outcomeOf(step(call))
  call.abandon(failure('client-closed'))
  assert.equal(await reply, 'client-closed')
  await ports.time.pass(200)
  assert.equal(seconds.length, 0)
  assert.equal(ports.time.timers.size, 0)
})

const bound: Step = async call => {
  call.deadlineMs = 300
  return Reply.empty(200)
}

test('the deadline that the first try gets is the call’s', async () => {
  const { step, firsts } = setUp()
  const layered = setUp()
  const call = createCall()
  void step(call)
  assert.equal(firsts[0]?.call.deadlineMs, Infinity)
  const hedge = createHedge({
    name: 'catalog',
    rules: { after: 100, percentile: null },
    again: async () => Reply.empty(200),
    budget: createBudget(0),
    ports: layered.ports,
    startTimer: layered.ports.time.startTimer,
  })
  await hedged(hedge, bound, layered.ports)(call)
  assert.equal(call.deadlineMs, 300)
})

test('percentile: waits as long as that share of the last calls took, and not at all while nothing is known', async () => {
  const { ports, step, firsts, seconds } = setUp({ after: null, percentile: 0.9 })
  for (let i = 0; i < 40; i++) {
    const reply = step(createCall())
    await ports.time.pass(i % 20 === 0 ? 500 : 20)
    firsts.at(-1)?.answer(named(200, 'first'))
    await reply
  }
  // The budget is whole again.
  await ports.time.pass(20_000)
  seconds.length = 0
  void step(createCall())
  await ports.time.pass(19)
  assert.equal(seconds.length, 0)
  await ports.time.pass(1)
  assert.equal(seconds.length, 1)
})

test('percentile with `after`: at least that long', async () => {
  const { ports, step, firsts, seconds } = setUp({ after: 50, percentile: 0.5 })
  for (let i = 0; i < 40; i++) {
    const reply = step(createCall())
    await ports.time.pass(5)
    firsts.at(-1)?.answer(named(200, 'first'))
    await reply
  }
  void step(createCall())
  await ports.time.pass(49)
  assert.equal(seconds.length, 0)
  await ports.time.pass(1)
  assert.equal(seconds.length, 1)
})
