import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Failure } from '../core/failure.ts'
import { IncomingBody, type IncomingBodyOwner } from './incoming-body.ts'
import { Framing } from './reply.ts'

/** Counts how often the connection was told to stop and to go on reading. */
function makeOwner(): IncomingBodyOwner & { isPaused: boolean; isReceived: boolean } {
  return {
    isPaused: false,
    isReceived: false,
    pauseReading() {
      this.isPaused = true
    },
    resumeReading() {
      this.isPaused = false
    },
    bodyWanted() {},
    bodyReceived() {
      this.isReceived = true
    },
    bodyCancelled() {},
    malformedBody: problem => new Failure('malformed-request', { detail: problem }),
  }
}

describe('a connection whose body met a full sink', () => {
  const full = { write: () => false, end: () => {}, fail: () => {} }
  for (const [name, framing, length, bytes] of [
    ['with a length', Framing.length, 4, 'body'],
    ['in chunks', Framing.chunked, -1, '4\r\nbody\r\n0\r\n\r\n'],
  ] as const) {
    test(`waits in the middle, and reads on behind the end: ${name}`, () => {
      const owner = makeOwner()
      const body = new IncomingBody(owner, framing, length, false)
      body.start(full)
      const received = Buffer.from(bytes)
      const middle = bytes.indexOf('dy')
      assert.equal(body.read(received.subarray(0, middle), 0), middle)
      assert.ok(owner.isPaused && body.isHeldBack)
      body.read(received.subarray(middle), 0)
      assert.ok(owner.isReceived)
      assert.equal(owner.isPaused, false)
      assert.equal(body.isHeldBack, false)
    })
  }
})
