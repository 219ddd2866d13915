import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { encodeGrpcMessage, grpcStatusOf, isGrpc, readGrpcTimeout, writeGrpcTimeout } from './grpc.ts'
import { codes, type FailureCode } from './codes.ts'
import { Headers } from './headers.ts'

const kinds: readonly (readonly [type: string, isIt: boolean])[] = [
  ['application/grpc', true],
  ['application/grpc+proto', true],
  ['application/grpc;charset=x', true],
  ['application/grpc-web', false],
  ['application/grpc-web-text+proto', false],
  ['application/grpcx', false],
  ['application/json', false],
]

for (const [type, isIt] of kinds) {
  test(`${type} is ${isIt ? '' : 'not '}gRPC`, () => assert.equal(isGrpc(Headers.of({ 'content-type': type })), isIt))
}

const timeouts: readonly (readonly [value: string, ms: number | null])[] = [
  ['1H', 3_600_000],
  ['2M', 120_000],
  ['3S', 3_000],
  ['250m', 250],
  ['1500u', 1.5],
  ['1000000n', 1],
  ['99999999S', 99_999_999_000],
  ['100000000S', null],
  ['S', null],
  ['1', null],
  ['-1S', null],
  ['1.5S', null],
  ['1s', null],
  ['', null],
]

for (const [value, ms] of timeouts) {
  test(`grpc-timeout \`${value}\` is ${ms ?? 'malformed'}`, () => assert.equal(readGrpcTimeout(value), ms))
}

test('what is written is read as nearly the same, and never as longer', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.001, max: 3e14, noNaN: true }), leftMs => {
      const read = readGrpcTimeout(writeGrpcTimeout(leftMs))
      assert.ok(read !== null && read <= leftMs)
      assert.ok(read >= leftMs * 0.99 - 0.001 || read === 99_999_999 * 3_600_000)
    }),
  )
  assert.equal(writeGrpcTimeout(-5), '0n')
})

test('messages are percent-encoded as UTF-8', () => {
  assert.equal(encodeGrpcMessage('plain: 100% ü\n'), 'plain: 100%25 %C3%BC%0A')
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 12 }), text => {
      const encoded = encodeGrpcMessage(text)
      assert.match(encoded, /^[ -~]*$/)
      assert.equal(decodeURIComponent(encoded), text.toWellFormed())
    }),
  )
})

test('every code has a status of gRPC, and none is OK', () => {
  for (const [code, { status }] of Object.entries(codes)) {
    const grpcStatus = grpcStatusOf(code as FailureCode, status)
    assert.ok(grpcStatus > 0 && grpcStatus <= 16)
  }
  assert.equal(grpcStatusOf('rate-limited', 429), 8)
  assert.equal(grpcStatusOf('call-timeout', 504), 4)
  assert.equal(grpcStatusOf('upstream-connect-failed', 502), 14)
  assert.equal(grpcStatusOf('route-not-found', 404), 12)
})
