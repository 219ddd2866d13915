import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Reply } from '../core/reply.ts'
import { pushbackMs, retryAfterMs } from './asked-wait.ts'

const nowMs = Date.UTC(1994, 10, 6, 8, 49, 37)

function asked(retryAfter: string | null): number {
  const reply = Reply.empty(503)
  if (retryAfter !== null) reply.headers.add('Retry-After', retryAfter)
  return retryAfterMs(reply, nowMs)
}

test('Retry-After: seconds, or a date in any of its three forms', () => {
  const cases = [
    ['0', 0],
    ['3', 3000],
    ['120', 120_000],
    ['Sun, 06 Nov 1994 08:49:40 GMT', 3000],
    ['Sunday, 06-Nov-94 08:49:40 GMT', 3000],
    ['Sun Nov  6 08:49:40 1994', 3000],
  ] as const
  for (const [text, ms] of cases) assert.equal(asked(text), ms, text)
})

test('a date that has passed asks for nothing', () => {
  assert.equal(asked('Sun, 06 Nov 1994 08:49:36 GMT'), 0)
})

test('a number beyond all bounds is a long time, not none', () => {
  assert.ok(asked('9'.repeat(400)) > 1e12)
})

test('no field, or one that cannot be read, asks for nothing', () => {
  for (const text of [null, '', '-1', '1.5', '3s', 'soon', 'Sun, 31 Feb 1994 08:49:40 GMT']) {
    assert.equal(asked(text), 0, String(text))
  }
})

test('grpc-retry-pushback-ms: a number is the wait, anything else forbids a further try', () => {
  const cases = [
    [null, null],
    ['0', 0],
    ['250', 250],
    ['-1', Infinity],
    ['', Infinity],
    ['1.5', Infinity],
    ['1e3', Infinity],
    ['99999999999', Infinity],
    ['soon', Infinity],
  ] as const
  for (const [text, ms] of cases) {
    const reply = Reply.empty(200)
    if (text !== null) reply.headers.add('grpc-retry-pushback-ms', text)
    assert.equal(pushbackMs(reply), ms, String(text))
  }
})
