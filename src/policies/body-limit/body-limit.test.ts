import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { Body } from '../../core/body.ts'
import type { Call } from '../../core/call.ts'
import { Failure } from '../../core/failure.ts'
import { Headers } from '../../core/headers.ts'
import { Reply } from '../../core/reply.ts'
import { fakePorts, makeCall, makeNext, ManualSource, RecordingSink } from '../../../test/tools/call.ts'
import { bodyLimit } from './body-limit.ts'

const place = { route: 'r', key: 'r/policies/0' }
const build = (max: number) => bodyLimit.build({ max }, fakePorts(), place)

/** Answers when the body has come whole, as an upstream does, and breaks when it was cut short. */
function uploadTo(sink: RecordingSink): (call: Call) => Promise<Reply> {
  return call =>
    new Promise((resolve, reject) => {
      call.body.pipe({
        write: chunk => sink.write(chunk),
        end(trailers) {
          sink.end(trailers)
          resolve(Reply.text(200, 'thanks'))
        },
        fail(failure) {
          sink.fail(failure)
          reject(failure)
        },
      })
    })
}

test('413 at once for an announced length past the limit, without the upstream', async () => {
  const next = makeNext(() => Reply.empty(200))
  const { body, source } = ManualSource.body(11)
  const answer = await build(10)(next)(makeCall({ method: 'POST', body }))
  assert.equal(answer.status, 413)
  assert.equal(answer.code, 'body-too-large')
  assert.equal(next.calls.length, 0)
  assert.equal(source.sink, null)
})

test('an announced length within the limit passes untouched', async () => {
  const next = makeNext(() => Reply.empty(200))
  for (const body of [Body.empty, Body.of('0123456789')]) {
    const call = makeCall({ method: 'POST', body })
    assert.equal((await build(10)(next)(call)).status, 200)
    assert.equal(call.body, body)
  }
})

test('413 as soon as a streamed body is past the limit, which the upstream sees cut short', async () => {
  const sink = new RecordingSink()
  const { body, source } = ManualSource.body()
  const answer = build(10)(makeNext(uploadTo(sink)))(makeCall({ method: 'POST', body }))
  source.push('01234')
  source.push('56789')
  assert.equal(sink.text, '0123456789')
  assert.equal(source.push('x'), false)
  assert.equal((await answer).status, 413)
  assert.equal(sink.text, '0123456789')
  assert.equal(sink.failure?.code, 'body-too-large')
  assert.equal(sink.isEnded, false)
  assert.ok(source.isCancelled)
})

test('a streamed body within the limit passes with its trailers', async () => {
  const sink = new RecordingSink()
  const { body, source } = ManualSource.body()
  const answer = build(10)(makeNext(uploadTo(sink)))(makeCall({ method: 'POST', body }))
  source.push('0123456789')
  const trailers = Headers.of({ 'x-sum': '1' })
  source.sink?.end(trailers)
  assert.equal((await answer).status, 200)
  assert.equal(sink.trailers, trailers)
})

test('413 also when the upstream answered in spite of the cut', async () => {
  const { body, source } = ManualSource.body()
  const late = ManualSource.body()
  const sink = new RecordingSink()
  const step = build(10)(
    makeNext(async call => {
      call.body.pipe(sink)
      await Promise.resolve()
      return new Reply(200, new Headers(), late.body)
    }),
  )
  const answer = step(makeCall({ method: 'POST', body }))
  source.push('01234567890')
  assert.equal((await answer).status, 413)
  assert.ok(late.source.isCancelled)
})

test('other failures stay what they are', async () => {
  const { body, source } = ManualSource.body()
  const sink = new RecordingSink()
  const answer = build(10)(makeNext(uploadTo(sink)))(makeCall({ method: 'POST', body }))
  source.push('0')
  const failure = new Failure('client-closed')
  source.sink?.fail(failure)
  await assert.rejects(answer, failure)
})

test('back-pressure and cancel reach the source', async () => {
  const sink = new RecordingSink()
  const { body, source } = ManualSource.body()
  const call = makeCall({ method: 'POST', body })
  await build(10)(makeNext(() => Reply.empty(200)))(call)
  call.body.pipe(sink)
  assert.equal(source.push('0'), true)
  sink.hasRoom = false
  assert.equal(source.push('1'), false)
  call.body.resume()
  assert.equal(source.resumes, 1)
  call.body.cancel()
  assert.ok(source.isCancelled)
})

test('however it is cut into chunks, a body passes whole or not at all', async () => {
  const chunks = fc.array(fc.string({ minLength: 1, maxLength: 8, unit: fc.constantFrom('a', 'b') }), { maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(chunks, fc.nat(40), async (texts, max) => {
      const sink = new RecordingSink()
      const { body, source } = ManualSource.body()
      const answer = build(max)(makeNext(uploadTo(sink)))(makeCall({ method: 'POST', body }))
      for (const text of texts) if (!source.isCancelled) source.push(text)
      if (!source.isCancelled) source.sink?.end(null)
      const whole = texts.join('')
      const fits = whole.length <= max
      assert.equal((await answer).status, fits ? 200 : 413)
      assert.equal(sink.isEnded, fits)
      if (fits) assert.equal(sink.text, whole)
      else assert.ok(sink.text.length <= max)
    }),
  )
})
