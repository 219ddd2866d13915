import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Body } from '../../core/body.ts'
import { Failure } from '../../core/failure.ts'
import { Headers } from '../../core/headers.ts'
import { OptionsError } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import type { Step } from '../../core/step.ts'
import { fakePorts, makeCall, makeNext, ManualSource, RecordingSink } from '../../../test/tools/call.ts'
import { buffer } from './buffer.ts'

const place = { route: 'r', key: 'r/policies/0' }
const small = { max: 10, replies: null as number | null, memory: 100 }
const build = (given: Partial<typeof small> = {}, next: Step = makeNext(() => Reply.empty(200))) =>
  buffer.build({ ...small, ...given }, fakePorts(), place)(next)
const post = (body: Body) => makeCall({ method: 'POST', body })

test('a body of unknown length goes on whole, with its length, once it has come', async () => {
  const next = makeNext(() => Reply.empty(200))
  const { body, source } = ManualSource.body()
  const answer = build({}, next)(post(body))
  source.push('01234')
  source.push('56789')
  assert.equal(next.calls.length, 0)
  source.sink?.end(Headers.of({ 'x-trailer': '1' }))
  assert.equal((await answer).status, 200)
  const sent = next.calls[0]?.body
  assert.equal(sent?.length, 10)
  assert.equal((await sent?.bytes(10))?.toString(), '0123456789')
})

test('an empty chunked body goes on with a length of 0', async () => {
  const next = makeNext(() => Reply.empty(200))
  const { body, source } = ManualSource.body()
  const answer = build({}, next)(post(body))
  source.sink?.end(null)
  await answer
  assert.equal(next.calls[0]?.body.length, 0)
})

test('413 past `max`, announced or not, and nothing reaches the upstream', async () => {
  const next = makeNext(() => Reply.empty(200))
  const announced = ManualSource.body(11)
  assert.equal((await build({}, next)(post(announced.body))).code, 'body-too-large')
  assert.equal(announced.source.sink, null)
  const { body, source } = ManualSource.body()
  const answer = build({}, next)(post(body))
  source.push('0123456789')
  source.push('x')
  assert.equal((await answer).status, 413)
  assert.equal(source.isCancelled, true)
  assert.equal(next.calls.length, 0)
})

test('503 with Retry-After when the memory is used up, until a reply has begun', async () => {
  let { promise, resolve: release } = Promise.withResolvers<Reply>()
  const next = makeNext(() => promise)
  const step = build({ memory: 10 }, next)
  const first = step(post(Body.of('0123456')))
  await new Promise(setImmediate)
  const refused = await step(post(Body.of('4567')))
  assert.equal(refused.code, 'buffers-full')
  assert.equal(refused.headers.get('retry-after'), '1')
  const streamed = ManualSource.body()
  const third = step(post(streamed.body))
  streamed.source.push('abc')
  streamed.source.push('d')
  assert.equal((await third).code, 'buffers-full')
  release(Reply.empty(200))
  await first
  ;({ promise, resolve: release } = Promise.withResolvers<Reply>())
  const last = step(post(Body.of('0123456789')))
  await new Promise(setImmediate)
  release(Reply.empty(200))
  assert.equal((await last).status, 200)
})

test('a body that breaks off is never sent, and its memory is free again', async () => {
  const next = makeNext(() => Reply.empty(200))
  const step = build({ memory: 10 }, next)
  const { body, source } = ManualSource.body()
  const answer = step(post(body))
  source.push('0123456789')
  source.sink?.fail(new Failure('client-closed'))
  await assert.rejects(answer, new Failure('client-closed'))
  assert.equal(next.calls.length, 0)
  assert.equal((await step(post(Body.of('0123456789')))).status, 200)
})

test('a call without a body passes untouched', async () => {
  const next = makeNext(() => Reply.empty(200))
  const call = makeCall()
  await build({}, next)(call)
  assert.equal(next.calls[0], call)
})

const streamed = (type: string) => {
  const { body, source } = ManualSource.body()
  return { source, reply: new Reply(200, Headers.of({ 'content-type': type }), body) }
}

test('`replies`: a short reply of unknown length gets one, a long one streams', async () => {
  const short = streamed('text/plain')
  const answer = build(
    { replies: 5 },
    makeNext(() => short.reply),
  )(makeCall())
  await new Promise(setImmediate)
  short.source.push('12345')
  short.source.sink?.end(null)
  const reply = await answer
  assert.equal(reply.body.length, 5)
  assert.equal((await reply.body.bytes(5)).toString(), '12345')

  const long = streamed('text/plain')
  const later = build(
    { replies: 5 },
    makeNext(() => long.reply),
  )(makeCall())
  await new Promise(setImmediate)
  long.source.push('123456')
  const open = await later
  assert.equal(open.body.length, -1)
  const sink = new RecordingSink()
  open.body.pipe(sink)
  long.source.push('7')
  long.source.sink?.end(null)
  assert.deepEqual([sink.text, sink.isEnded], ['1234567', true])
})

async function untouched(reply: Reply, method: string, replies: number | null): Promise<void> {
  const { body } = reply
  const answer = await build(
    { replies },
    makeNext(() => reply),
  )(makeCall({ method }))
  assert.equal(answer.body, body)
}

test('`replies`: events, HEAD and replies with a length are left alone; all are without it', async () => {
  await untouched(streamed('text/event-stream; charset=utf-8').reply, 'GET', 5)
  await untouched(streamed('text/plain').reply, 'HEAD', 5)
  await untouched(Reply.text(200, 'long enough to be more'), 'GET', 5)
  await untouched(streamed('text/plain').reply, 'GET', null)
})

test('`replies`: where there is no room a reply streams; the room is given back when a reply is over', async () => {
  let made = streamed('text/plain')
  const step = build(
    { replies: 10, memory: 10 },
    makeNext(() => (made = streamed('text/plain')).reply),
  )
  const first = step(makeCall())
  await new Promise(setImmediate)
  made.source.push('123')
  made.source.sink?.end(null)
  const held = await first
  assert.equal(held.body.length, 3)
  assert.equal((await step(makeCall())).body.length, -1)
  await held.body.bytes(3)
  const third = step(makeCall())
  await new Promise(setImmediate)
  made.source.push('4')
  made.source.sink?.end(null)
  assert.equal((await third).body.length, 1)
})

test('a memory that one body would not fit in is refused', () => {
  assert.throws(() => buffer.check?.({ max: 10, replies: null, memory: 9 }), OptionsError)
  assert.throws(() => buffer.check?.({ max: 1, replies: 10, memory: 9 }), OptionsError)
  buffer.check?.({ max: 10, replies: 10, memory: 10 })
})
