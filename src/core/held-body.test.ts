import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualSource, RecordingSink } from '../../test/tools/call.ts'
import { Failure } from './failure.ts'
import { holdBody } from './held-body.ts'

test('a body within the limit is given whole, and once more', async () => {
  const { body, source } = ManualSource.body()
  const held = holdBody(body, 10)
  source.push('ab')
  source.push('cd')
  source.sink?.end(null)
  const { bytes, body: again } = await held
  assert.equal(bytes?.toString(), 'abcd')
  assert.equal((await again.bytes(10)).toString(), 'abcd')
})

test('a body past the limit goes on from its first byte', async () => {
  const { body, source } = ManualSource.body()
  const held = holdBody(body, 3)
  assert.equal(source.push('ab'), true)
  assert.equal(source.push('cd'), false)
  const { bytes, body: again } = await held
  assert.equal(bytes, null)
  const sink = new RecordingSink()
  again.pipe(sink)
  assert.equal(source.resumes, 1)
  source.push('ef')
  source.sink?.end(null)
  assert.equal(sink.text, 'abcdef')
  assert.ok(sink.isEnded)
})

test('a body that breaks off is a failure, also after the limit', async () => {
  const early = ManualSource.body()
  const held = holdBody(early.body, 3)
  early.source.sink?.fail(new Failure('upstream-reset'))
  await assert.rejects(held, { code: 'upstream-reset' })

  const late = ManualSource.body()
  const over = holdBody(late.body, 1)
  late.source.push('ab')
  const { body } = await over
  late.source.sink?.fail(new Failure('upstream-reset'))
  const sink = new RecordingSink()
  body.pipe(sink)
  assert.equal(sink.failure?.code, 'upstream-reset')
})

test('giving up a body past the limit reaches its source', async () => {
  const { body, source } = ManualSource.body()
  const held = holdBody(body, 1)
  source.push('ab')
  ;(await held).body.cancel()
  assert.ok(source.isCancelled)
})

test('what came byte by byte goes on in few pieces, as each costs more than its byte', async () => {
  const { body, source } = ManualSource.body()
  const held = holdBody(body, 9_999)
  for (let i = 0; i < 10_000; i++) source.push('x')
  const { body: again } = await held
  let pieces = 0
  const sink = new RecordingSink()
  again.pipe({
    write(chunk) {
      pieces++
      return sink.write(chunk)
    },
    end: () => {},
    fail: () => {},
  })
  assert.equal(sink.text.length, 10_000)
  assert.equal(pieces, 3)
})
