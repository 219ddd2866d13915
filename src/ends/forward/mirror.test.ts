import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Body } from '../../core/body.ts'
import type { Call } from '../../core/call.ts'
import { Failure } from '../../core/failure.ts'
import { Headers } from '../../core/headers.ts'
import type { Timed } from '../../core/ports.ts'
import { priority } from '../../core/priority.ts'
import { Reply } from '../../core/reply.ts'
import type { Step } from '../../core/step.ts'
import {
  type CallOptions,
  fakePorts,
  makeCall,
  makeNext,
  ManualSource,
  RecordingSink,
} from '../../../test/tools/call.ts'
import { createMirror, type MirrorOptions } from './mirror.ts'

const plain: MirrorOptions = {
  to: 'shadow',
  share: 1,
  host: null,
  remove: [],
  timeout: 10_000,
  limits: { body: 10, calls: 2 },
}

/** A route whose calls are answered 200 with their own body, and a mirror that does what `shadow` does. */
function setUp(shadow: Step, changes: Partial<MirrorOptions> = {}, random = () => 0.5) {
  const seen = makeNext(shadow)
  const ports = fakePorts({ shadow: seen })
  const counts: Record<string, number> = {}
  const timed: Timed[] = []
  const meter = {
    ...ports.meter,
    counter: (_: string, labels: Readonly<Record<string, string>>) => {
      const key = labels['outcome'] ?? labels['ceiling'] ?? ''
      return { add: (amount: number) => void (counts[key] = (counts[key] ?? 0) + amount) }
    },
  }
  const deadlines = { add: (entry: Timed) => void timed.push(entry), remove: () => {} }
  const place = { route: 'r', key: 'r/end' }
  const layer = createMirror({ ...plain, ...changes }, { ...ports, meter, deadlines, random }, place)
  const main = makeNext(call => new Reply(200, call.headers, call.body))
  const step = layer(main)
  const ask = (options: CallOptions = {}) => step(makeCall(options))
  return { ask, step, main, seen, counts, timed, ports }
}

const settle = () => new Promise(resolve => setImmediate(resolve))
const textOf = async (call: Call | undefined) => (await call?.body.bytes(1000))?.toString()

test('a copy goes to the mirror, marked, after the call itself', async () => {
  const order: string[] = []
  const { ask, main, seen, counts } = setUp(async () => {
    order.push('copy')
    return Reply.text(500, 'nobody reads this')
  })
  const reply = await ask({ target: '/a?b=1', headers: { 'x-a': '1' } })
  assert.equal(reply.status, 200)
  await settle()
  const [call, copy] = [main.calls[0], seen.calls[0]]
  assert.ok(call && copy)
  assert.equal(copy.target, '/a?b=1')
  assert.equal(copy.headers.get('host'), 'api.acme.test')
  assert.equal(copy.headers.get('x-turnpike-mirrored'), 'true')
  assert.equal(call.headers.has('x-turnpike-mirrored'), false)
  assert.equal(copy.facts.get(priority), 'low')
  assert.deepEqual(counts, { answered: 1 })
})

test('what is removed from copies, in any spelling, stays on the call', async () => {
  const { ask, main, seen } = setUp(async () => Reply.empty(200), { remove: ['Authorization', 'x-api-key'] })
  const headers = { authorization: 'Bearer a', x_api_key: 'b', 'X-Api-Key': 'c', 'x-a': '1' }
  await ask({ headers })
  await ask({ headers, body: 'b' }).then(reply => reply.body.bytes(10))
  await settle()
  assert.equal(seen.calls.length, 2)
  for (const { headers: sent } of seen.calls) {
    assert.deepEqual(
      ['authorization', 'x_api_key', 'x-api-key', 'x-a'].filter(key => sent.has(key)),
      ['x-a'],
    )
  }
  for (const { headers: sent } of main.calls) assert.equal(sent.get('authorization'), 'Bearer a')
})

test('a client cannot mark its calls', async () => {
  const { ask, main } = setUp(async () => Reply.empty(200))
  await ask({ headers: { 'x-turnpike-mirrored': 'true' } })
  assert.equal(main.calls[0]?.headers.has('x-turnpike-mirrored'), false)
})

test('only the share is copied', async () => {
  let at = 0
  const { ask, seen } = setUp(
    async () => Reply.empty(200),
    { share: 0.25, limits: { body: 10, calls: 100 } },
    () => {
      at = (at + 1) % 100
      return at / 100
    },
  )
  for (let i = 0; i < 100; i++) await ask()
  assert.equal(seen.calls.length, 25)
})

test('a share of 0% copies nothing', async () => {
  const { ask, seen } = setUp(
    async () => Reply.empty(200),
    { share: 0 },
    () => 0,
  )
  await ask()
  assert.equal(seen.calls.length, 0)
})

test('the body and its trailers go along, once the call has it whole', async () => {
  const { step, seen } = setUp(async () => Reply.empty(200), { remove: ['x-secret'] })
  const { body, source } = ManualSource.body()
  const reply = await step(makeCall({ method: 'POST', body }))
  const sink = new RecordingSink()
  reply.body.pipe(sink)
  source.push('one ')
  assert.equal(sink.text, 'one ')
  assert.equal(seen.calls.length, 0)
  source.push('two')
  source.sink?.end(Headers.of({ 'x-sum': '42', 'x-secret': 's' }))
  assert.equal(sink.isEnded, true)
  await settle()
  const copy = new RecordingSink()
  seen.calls[0]?.body.pipe(copy)
  assert.deepEqual([copy.text, [...(copy.trailers ?? [])]], ['one two', [['x-sum', '42']]])
})

test('a copy has bytes of its own', async () => {
  const { step, seen } = setUp(async () => Reply.empty(200))
  const { body, source } = ManualSource.body(3)
  const reply = await step(makeCall({ method: 'POST', body }))
  reply.body.pipe({
    write(chunk) {
      chunk.fill(0x21)
      return true
    },
    end: () => {},
    fail: () => {},
  })
  source.push('one')
  source.sink?.end(null)
  await settle()
  assert.equal(await textOf(seen.calls[0]), 'one')
})

test('a body past the bound is not copied, and passes as it is', async () => {
  const { ask, seen, counts, ports } = setUp(async () => Reply.empty(200))
  for (const text of ['just ten..', 'eleven bytes']) {
    const reply = await ask({ method: 'POST', body: text })
    assert.equal((await reply.body.bytes(100)).toString(), text)
  }
  const { body, source } = ManualSource.body()
  const reply = await setUpReply(body)
  const sink = new RecordingSink()
  reply.body.pipe(sink)
  source.push('eleven')
  source.push('bytes!')
  source.sink?.end(null)
  assert.equal(sink.text, 'elevenbytes!')
  await settle()
  assert.equal(seen.calls.length, 1)
  assert.deepEqual(counts, { answered: 1, dropped: 2, 'mirror-body': 2 })
  assert.deepEqual([...ports.taken.values()], [0])

  function setUpReply(unknown: Body): Promise<Reply> {
    return ask({ method: 'POST', body: unknown })
  }
})

test('a body that breaks off, or that nobody wants to its end, is not copied', async () => {
  const { ask, seen, counts, ports } = setUp(async () => Reply.empty(200))
  for (const ending of ['fail', 'cancel'] as const) {
    const { body, source } = ManualSource.body()
    const reply = await ask({ method: 'POST', body })
    const sink = new RecordingSink()
    reply.body.pipe(sink)
    source.push('some')
    if (ending === 'fail') source.sink?.fail(new Failure('client-closed'))
    else reply.body.cancel()
    assert.equal(sink.failure?.code, ending === 'fail' ? 'client-closed' : undefined)
    assert.equal(source.isCancelled, ending === 'cancel')
  }
  await settle()
  assert.equal(seen.calls.length, 0)
  assert.equal(counts['dropped'], 2)
  assert.deepEqual([...ports.taken.values()], [0])
})

test('a body that does not end in time, as that of a stream, gives its place back and goes on', async () => {
  const { ask, seen, counts, timed, ports } = setUp(async () => Reply.empty(200))
  const { body, source } = ManualSource.body()
  const reply = await ask({ method: 'POST', body })
  const sink = new RecordingSink()
  reply.body.pipe(sink)
  source.push('one ')
  assert.deepEqual([...ports.taken.values()], [1])
  timed[0]?.due(11_001)
  assert.deepEqual([...ports.taken.values()], [0])
  source.push('two')
  source.sink?.end(null)
  assert.deepEqual([sink.text, sink.isEnded], ['one two', true])
  await settle()
  assert.equal(seen.calls.length, 0)
  assert.deepEqual(counts, { dropped: 1, 'mirror-body': 1 })
})

test('a body that is never sent takes no place', async () => {
  const { ask, ports } = setUp(async () => Reply.empty(200))
  for (let i = 0; i < 5; i++) await ask({ method: 'POST', body: 'x' })
  assert.deepEqual([...ports.taken.values()], [0])
})

test('no more copies than allowed are under way, and a finished one makes room', async () => {
  const waiting: (() => void)[] = []
  const { ask, seen, counts } = setUp(
    () => new Promise<Reply>(resolve => waiting.push(() => resolve(Reply.empty(200)))),
  )
  for (let i = 0; i < 5; i++) assert.equal((await ask()).status, 200)
  assert.equal(seen.calls.length, 2)
  assert.deepEqual(counts, { dropped: 3, 'mirror-calls': 3 })
  waiting.shift()?.()
  await settle()
  await ask()
  assert.equal(seen.calls.length, 3)
})

test('a mirror that breaks, throws, or cuts its reply short is nothing to the caller', async () => {
  const { body, source } = ManualSource.body()
  const shadows: Step[] = [
    () => Promise.reject(new Failure('upstream-reset')),
    () => {
      throw new Error('a bug')
    },
    async () => new Reply(200, Reply.empty(200).headers, body),
  ]
  const { ask, counts, ports } = setUp(call => (shadows.shift() as Step)(call))
  for (let i = 0; i < 2; i++) assert.equal((await ask()).status, 200)
  await settle()
  assert.equal((await ask()).status, 200)
  await settle()
  source.sink?.fail(new Failure('upstream-reply-cut-short'))
  await settle()
  assert.deepEqual(counts, { failed: 3 })
  assert.deepEqual([...ports.taken.values()], [0])
})

test('a copy that takes too long is given up, the call is not', async () => {
  const { step, seen, timed } = setUp(() => new Promise(() => {}))
  const call = makeCall()
  await step(call)
  assert.equal(timed[0]?.dueMs, 11_000)
  timed[0]?.due(11_001)
  assert.equal(seen.calls[0]?.abandonReason?.code, 'call-timeout')
  assert.equal(call.abandonReason, null)
})

test('giving the call up is nothing to its copy', async () => {
  const { step, seen } = setUp(() => new Promise(() => {}))
  const call = makeCall()
  await step(call)
  call.abandon(new Failure('client-closed'))
  assert.equal(seen.calls[0]?.abandonReason, null)
})

test('another host for the copy alone; one that cannot be made is the copy’s failure', async () => {
  const { ask, main, seen, counts } = setUp(async () => Reply.empty(200), { host: '{header.x-shadow}' })
  await ask({ headers: { 'x-shadow': 'shadow.test' } })
  await ask({ headers: { 'x-shadow': 'no host' } })
  await settle()
  assert.equal(seen.calls[0]?.headers.get('host'), 'shadow.test')
  assert.deepEqual(
    main.calls.map(call => call.headers.get('host')),
    ['api.acme.test', 'api.acme.test'],
  )
  assert.deepEqual(counts, { answered: 1, failed: 1 })
})

test('an upgrade is not copied', async () => {
  const { step, seen } = setUp(async () => Reply.empty(200))
  const call = makeCall()
  call.upgrade = 'websocket'
  await step(call)
  assert.equal(seen.calls.length, 0)
})
