import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeCall, ManualSource, RecordingSink } from '../../test/tools/call.ts'
import { Body } from './body.ts'
import { compileDrop } from './drop-fields.ts'
import { Headers } from './headers.ts'

const drop = compileDrop(['X-Consumer'])

test('a field goes in every spelling, from the head and from the trailers', () => {
  const { body, source } = ManualSource.body()
  const call = makeCall({ headers: { 'x-consumer': 'admin', X_CONSUMER: 'root', 'x-other': '1' } })
  call.body = body
  drop(call)
  assert.deepEqual([...call.headers].flat(), ['Host', 'api.acme.test', 'x-other', '1'])
  const sink = new RecordingSink()
  call.body.pipe(sink)
  source.push('ab')
  source.sink?.end(Headers.of({ 'X-Consumer': 'admin', x_consumer: 'root', 'X-Checksum': '7' }))
  assert.equal(sink.text, 'ab')
  assert.ok(sink.isEnded)
  assert.deepEqual([...(sink.trailers ?? [])].flat(), ['X-Checksum', '7'])
})

test('over HTTP/2 a body whose length is known may have trailers', () => {
  const { body, source } = ManualSource.body(2)
  const call = makeCall()
  call.protocol = 'HTTP/2'
  call.body = body
  drop(call)
  assert.equal(call.body.length, 2)
  const sink = new RecordingSink()
  call.body.pipe(sink)
  source.push('ab')
  source.sink?.end(Headers.of({ 'X-Consumer': 'admin', 'X-Checksum': '7' }))
  assert.equal(sink.text, 'ab')
  assert.deepEqual([...(sink.trailers ?? [])].flat(), ['X-Checksum', '7'])
})

test('trailers that are all dropped are none', () => {
  const { body, source } = ManualSource.body()
  const call = makeCall()
  call.body = body
  drop(call)
  const sink = new RecordingSink()
  call.body.pipe(sink)
  source.sink?.end(Headers.of({ 'X-Consumer': 'admin' }))
  assert.ok(sink.isEnded)
  assert.equal(sink.trailers, null)
})

test('a body whose length is known, or that was read, stays the one it is', () => {
  const call = makeCall()
  const known = Body.of('abc')
  call.body = known
  drop(call)
  assert.equal(call.body, known)
  const { body } = ManualSource.body()
  body.cancel()
  call.body = body
  drop(call)
  assert.equal(call.body, body)
})

test('giving the body up, and room for more, reach its source', () => {
  const { body, source } = ManualSource.body()
  const call = makeCall()
  call.body = body
  drop(call)
  call.body.pipe(new RecordingSink())
  call.body.resume()
  assert.equal(source.resumes, 1)
  call.body.cancel()
  assert.ok(source.isCancelled)
})
