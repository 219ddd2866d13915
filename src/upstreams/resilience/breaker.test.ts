import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Body } from '../../core/body.ts'
import type { Call } from '../../core/call.ts'
import { Failure } from '../../core/failure.ts'
import { Headers } from '../../core/headers.ts'
import { Reply } from '../../core/reply.ts'
import type { Step } from '../../core/step.ts'
import { createBreaker } from './breaker.ts'
import type { BreakerRules } from './breaker-state.ts'
import { createGuard } from './guard.ts'
import { createCall, FakePorts, FakeRow, failure, guarded } from '../fakes.ts'

const plain: BreakerRules = { failures: 0.5, slow: null, window: 6000, minimum: 4, open: 5000, probes: 2 }

const refusal = 'breaker-open'

const good: Step = async () => Reply.empty(200)

/** A call that is answered by hand. */
function byHand(): { step: Step; answer: (reply: Reply) => void } {
  const { promise, resolve } = Promise.withResolvers<Reply>()
  return { step: () => promise, answer: resolve }
}

/** Some workers that share one breaker. Each `ask` sends a call that does what `act` says. */
function setUp(changes: Partial<BreakerRules> = {}, workers = 1) {
  const ports = new FakePorts()
  const first = new FakeRow(ports.time)
  let act: Step = good
  let sent = 0
  const breakers = Array.from({ length: workers }, (_, index) => {
    const row = index === 0 ? first : new FakeRow(ports.time, first.numbers)
    return createBreaker({ name: 'catalog', rules: { ...plain, ...changes }, row, ports })
  })
  const steps = breakers.map(breaker =>
    guarded(
      createGuard({ breaker, adaptive: null, hedge: null, patienceMs: 1000, now: () => first.now() }),
      call => {
        sent++
        return act(call)
      },
      ports,
    ),
  )
  const ask = async (does: Step | number | Failure = 200, worker = 0, call: Call = createCall()): Promise<string> => {
    act =
      typeof does === 'function'
        ? does
        : async () => (does instanceof Failure ? Promise.reject(does) : Reply.empty(does))
    const step = steps[worker]
    assert.ok(step)
    return step(call).then(
      reply => reply.code ?? String(reply.status),
      (thrown: unknown) => Failure.from(thrown).code,
    )
  }
  const several = async (count: number, does: Step | number | Failure) => {
    for (let i = 0; i < count; i++) await ask(does)
  }
  return { ports, ask, several, first, breakers, steps, sent: () => sent }
}

test('stays closed below its share, and below its minimum of calls', async () => {
  const { ask, several } = setUp()
  await several(3, 500)
  assert.equal(await ask(200), '200')
  await several(3, 200)
  // Three of seven, then three of eight.
  assert.equal(await ask(200), '200')
  assert.equal(await ask(200), '200')
})

test('opens at its share: further calls are refused at once, with a time to come back', async () => {
  const { ports, ask, several, steps, sent } = setUp()
  await several(2, 200)
  await several(2, 503)
  const [step] = steps
  const call = createCall()
  const reply = await step?.(call)
  assert.equal(reply?.status, 503)
  assert.equal(reply.code, refusal)
  assert.equal(reply.headers.get('retry-after'), '5')
  assert.deepEqual([call.upstream, call.refusal], ['catalog', 'the breaker of the upstream is open'])
  await ports.time.pass(2500)
  assert.equal((await step?.(createCall()))?.headers.get('retry-after'), '3')
  assert.equal(await ask(200), refusal)
  assert.equal(sent(), 4)
  assert.equal(ports.counts['turnpike_breaker_refusals upstream=catalog'], 3)
})

test('what counts as a failure, and what does not', async () => {
  const cases: readonly [does: number | Failure, counts: boolean][] = [
    [500, true],
    [502, true],
    [504, true],
    [404, false],
    [429, false],
    [failure('upstream-connect-failed'), true],
    [failure('upstream-reset'), true],
    [failure('upstream-timeout'), true],
    [failure('upstream-malformed-reply'), true],
    [failure('call-timeout'), false],
    [failure('client-closed'), false],
    [failure('request-timeout'), false],
    [failure('body-too-large'), false],
    [failure('upstream-busy'), false],
    [failure('internal'), false],
  ]
  for (const [does, counts] of cases) {
    const { ask, several } = setUp()
    await several(4, does)
    const name = does instanceof Failure ? does.code : String(does)
    assert.equal((await ask(200)) === refusal, counts, name)
  }
})

test('a call whose own time ran out counts if the upstream had it for long enough', async () => {
  for (const [hadMs, counts] of [
    [999, false],
    [1000, true],
  ] as const) {
    const { ask } = setUp()
    for (let i = 0; i < 4; i++) {
      await ask(async call => {
        call.upstreamMs = hadMs
        throw failure('call-timeout')
      })
    }
    assert.equal((await ask(200)) === refusal, counts, String(hadMs))
  }
})

/** A call of gRPC that ends at once. */
function grpc(status: string): Step {
  return async () => new Reply(200, Headers.of({ 'grpc-status': status }), Body.empty)
}

test('the time in which a client sends its body counts neither for a timeout nor for slow', async () => {
  const { ports, ask } = setUp({ slow: { share: 0.5, over: 1000 }, window: 60_000 })
  const sending: Step = async call => {
    await ports.time.pass(2000)
    call.upstreamMs = 2000
    call.sendingMs = 1500
    return Reply.empty(200)
  }
  const late: Step = async call => {
    await sending(call)
    throw failure('call-timeout')
  }
  for (const step of [sending, late]) for (let i = 0; i < 8; i++) await ask(step)
  assert.equal(await ask(200), '200')
})

test('what a service does not implement says nothing of its health', async () => {
  const { ask, several } = setUp()
  await several(8, 501)
  await several(8, grpc('12'))
  assert.equal(await ask(200), '200')
})

test('a failure of gRPC counts, whose HTTP status is 200', async () => {
  const { ask, several } = setUp()
  await several(10, grpc('5'))
  // The client set that deadline.
  await several(20, grpc('4'))
  assert.equal(await ask(200), '200')
  await several(12, grpc('14'))
  assert.equal(await ask(200), refusal)
})

test('replies of the gateway itself say nothing of the upstream', async () => {
  const { ask, several } = setUp()
  await several(10, async () => Reply.problem('upstream-overloaded'))
  assert.equal(await ask(200), '200')
})

test('forgets calls that are older than its window', async () => {
  const { ports, ask, several } = setUp()
  await several(3, 500)
  await ports.time.pass(7000)
  await several(3, 500)
  assert.equal(await ask(200), '200')
  // Four of five within one window.
  assert.equal(await ask(500), '500')
  assert.equal(await ask(200), refusal)
})

test('the window slides: of failures spread over it, all count', async () => {
  const { ports, ask } = setUp()
  for (let i = 0; i < 4; i++) {
    assert.equal(await ask(500), '500')
    await ports.time.pass(1000)
  }
  assert.equal(await ask(200), refusal)
})

test('slow calls open it too, where `slow` says so', async () => {
  const { ports, ask } = setUp({ slow: { share: 0.5, over: 1000 } })
  const taking =
    (ms: number): Step =>
    async () => {
      await ports.time.pass(ms)
      return Reply.empty(200)
    }
  await ask(taking(1000))
  await ask(taking(1000))
  await ask(taking(1001))
  assert.equal(await ask(taking(1001)), '200')
  assert.equal(await ask(200), refusal)
  assert.ok(ports.lines.some(line => line.includes('0% of the calls failed, 50% were slow')))
})

test('half open: lets so many calls through at once, and closes when all went well', async () => {
  const { ports, ask, several, steps } = setUp()
  await several(4, 500)
  await ports.time.pass(5000)
  const [step] = steps
  const waiting: ((reply: Reply) => void)[] = []
  const probe: Step = () => new Promise(resolve => waiting.push(resolve))
  const [one, other] = [ask(probe), ask(probe)]
  assert.equal(await ask(probe), refusal)
  assert.equal(waiting.length, 2)
  waiting[0]?.(Reply.empty(200))
  assert.equal(await one, '200')
  assert.equal(await ask(200), refusal, 'both places are used up until the other probe ends')
  waiting[1]?.(Reply.empty(200))
  assert.equal(await other, '200')
  assert.equal((await step?.(createCall()))?.status, 200)
  // Nothing of before counts any more.
  await several(2, 500)
  assert.equal(await ask(200), '200')
  assert.deepEqual(
    ports.lines.map(line => line.replace(/^(\w+) upstream catalog: the breaker is /, '$1 ')),
    [
      'warn open for 5000 ms: 100% of the calls failed, 0% were slow',
      'info half open and lets 2 calls through',
      'info closed, calls pass again',
    ],
  )
  assert.equal(ports.counts['turnpike_breaker_changes upstream=catalog state=open'], 1)
  assert.equal(ports.counts['turnpike_breaker_changes upstream=catalog state=half-open'], 1)
  assert.equal(ports.counts['turnpike_breaker_changes upstream=catalog state=closed'], 1)
})

test('half open: one failure opens it again, for the whole time', async () => {
  const { ports, ask, several } = setUp()
  await several(4, 500)
  await ports.time.pass(5000)
  assert.equal(await ask(200), '200')
  assert.equal(await ask(failure('upstream-reset')), 'upstream-reset')
  await ports.time.pass(4999)
  assert.equal(await ask(200), refusal)
  await ports.time.pass(1)
  assert.equal(await ask(200), '200')
})

test('half open: a probe that says nothing gives its place back', async () => {
  const { ports, ask, several } = setUp({ probes: 1 })
  await several(4, 500)
  await ports.time.pass(5000)
  assert.equal(await ask(failure('client-closed')), 'client-closed')
  assert.equal(await ask(200), '200')
  assert.equal(await ask(200), '200')
})

test('half open: probes that never end do not keep it so', async () => {
  const { ports, ask, several } = setUp({ probes: 1 })
  await several(4, 500)
  await ports.time.pass(5000)
  const { step, answer } = byHand()
  const lost = ask(step)
  assert.equal(await ask(200), refusal)
  await ports.time.pass(5000)
  const second = ask(() => new Promise(() => {}))
  // The first one is heard of after all, and counts no more.
  answer(Reply.empty(500))
  assert.equal(await lost, '500')
  assert.equal(await ask(200), refusal)
  await ports.time.pass(5000)
  assert.equal(await ask(200), '200')
  assert.equal(await ask(200), '200')
  void second
})

test('a call from before it opened counts neither for nor against the probes', async () => {
  const { ports, ask, several } = setUp({ probes: 1 })
  const { step, answer } = byHand()
  const early = ask(step)
  await several(4, 500)
  await ports.time.pass(5000)
  const probe = ask(() => new Promise(() => {}))
  answer(Reply.empty(200))
  assert.equal(await early, '200')
  assert.equal(await ask(200), refusal)
  void probe
})

test('all workers count together, and are open together', async () => {
  const { ports, ask } = setUp({}, 2)
  for (let i = 0; i < 2; i++) for (const worker of [0, 1]) await ask(500, worker)
  assert.equal(await ask(200, 0), refusal)
  assert.equal(await ask(200, 1), refusal)
  await ports.time.pass(5000)
  assert.equal(await ask(200, 1), '200')
  assert.equal(await ask(200, 0), '200')
  assert.equal(await ask(200, 0), '200')
  // Told once, whoever brought it about.
  assert.equal(ports.lines.length, 3)
})

test('where the row cannot be had, calls pass', async () => {
  const { ask, several, first } = setUp()
  first.isLost = true
  await several(10, 500)
  assert.equal(await ask(200), '200')
})

test('reports the state of all workers, also in one that saw no call', async () => {
  const { ask, breakers } = setUp({}, 2)
  for (let i = 0; i < 4; i++) await ask(500, 0)
  breakers[1]?.report()
  breakers[1]?.close()
  assert.equal(await ask(200, 1), refusal)
})
