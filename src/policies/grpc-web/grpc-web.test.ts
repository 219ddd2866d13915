import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { Body, type BodySource, type Sink } from '../../core/body.ts'
import { Headers } from '../../core/headers.ts'
import { transformBody } from '../../core/transform-body.ts'
import { makeCall } from '../../../test/tools/call.ts'
import { decodeBase64 } from './decode-base64.ts'
import { webReply } from './web-reply.ts'

/** A body that comes in these pieces. */
function bodyOf(pieces: readonly Buffer[], trailers: Headers | null = null): Body {
  const source: BodySource = {
    start(sink: Sink) {
      for (const piece of pieces) sink.write(piece)
      sink.end(trailers)
    },
    resume() {},
    cancel() {},
  }
  return new Body(-1, source)
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1
    pieces.push(bytes.subarray(at, at + size))
    at += size
  }
  return pieces
}

const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 })

test('base64 is decoded whatever pieces it comes in, also padded between messages', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 }), sizes, async (messages, cuts) => {
      const text = messages.map(message => Buffer.from(message).toString('base64')).join('')
      const body = bodyOf(cut(Buffer.from(text), cuts))
      const decoded = await transformBody(body, decodeBase64()).bytes(10_000)
      assert.ok(decoded.equals(Buffer.concat(messages)))
    }),
  )
})

for (const text of ['!!!!', 'AAA', 'A===', 'AB=C', 'AAAAA']) {
  test(`\`${text}\` is no base64`, async () => {
    const body = bodyOf([Buffer.from(text)])
    await assert.rejects(transformBody(body, decodeBase64()).bytes(100), { code: 'body-refused' })
  })
}

test('the trailers of a reply become its last frame', async () => {
  const trailers = Headers.of({ 'Grpc-Status': '0', 'grpc-message': '' })
  const call = makeCall()
  const body = transformBody(bodyOf([Buffer.from('message')], trailers), webReply(call, false))
  const text = 'grpc-status: 0\r\ngrpc-message: \r\n'
  const frame = Buffer.concat([Buffer.from([0x80, 0, 0, 0, text.length]), Buffer.from(text)])
  assert.ok((await body.bytes(1_000)).equals(Buffer.concat([Buffer.from('message'), frame])))
  assert.equal(call.grpcStatus, 0)
})

test('a reply without trailers is told to have ended for reasons unknown', async () => {
  const body = transformBody(bodyOf([]), webReply(makeCall(), true))
  const frame = Buffer.from((await body.bytes(1_000)).toString(), 'base64')
  assert.match(frame.subarray(5).toString(), /^grpc-status: 2\r\n$/)
})
