import assert from 'node:assert/strict'
import test from 'node:test'
import { Headers } from '../core/headers.ts'
import { createIds, createTracing, isTraceparent } from './trace.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const spanId = 'b7ad6b7169203331'
const valid = `00-${traceId}-${spanId}-01`

/** Bytes that count up: every id differs and none is random. */
function countingIds() {
  let next = 1
  return createIds(bytes => {
    for (let index = 0; index < bytes.length; index++) bytes[index] = next++ & 0xff
  })
}

for (const [what, text, expected] of [
  ['version 00', valid, true],
  ['not sampled', `00-${traceId}-${spanId}-00`, true],
  ['unknown flags', `00-${traceId}-${spanId}-ff`, true],
  ['a later version', `01-${traceId}-${spanId}-01`, true],
  ['a later version with more', `cc-${traceId}-${spanId}-01-what-the-future-will-be-like`, true],
  ['a later version with a bare dash', `cc-${traceId}-${spanId}-01-`, true],
  ['a later version with more but no dash', `cc-${traceId}-${spanId}-01.what`, false],
  ['version 00 with more', `${valid}-what`, false],
  ['version 00 with a bare dash', `${valid}-`, false],
  ['version ff', `ff-${traceId}-${spanId}-01`, false],
  ['an upper-case trace id', `00-${traceId.toUpperCase()}-${spanId}-01`, false],
  ['an upper-case parent id', `00-${traceId}-${spanId.toUpperCase()}-01`, false],
  ['an upper-case flag', `00-${traceId}-${spanId}-0A`, false],
  ['an all-zero trace id', `00-${'0'.repeat(32)}-${spanId}-01`, false],
  ['an all-zero parent id', `00-${traceId}-${'0'.repeat(16)}-01`, false],
  ['a short trace id', `00-${traceId.slice(1)}-${spanId}-01`, false],
  ['a long trace id', `00-${traceId}0-${spanId}-01`, false],
  ['a short parent id', `00-${traceId}-${spanId.slice(1)}-01`, false],
  ['one digit of flags', `00-${traceId}-${spanId}-1`, false],
  ['one digit of version', `0-${traceId}-${spanId}-01`, false],
  ['no flags', `00-${traceId}-${spanId}`, false],
  ['letters past f', `00-${traceId.slice(1)}g-${spanId}-01`, false],
  ['underscores', valid.replaceAll('-', '_'), false],
  ['white space before', ` ${valid}`, false],
  ['a line feed behind', `${valid}\n`, false],
  ['nothing', '', false],
] as const) {
  test(`a traceparent with ${what} is ${expected ? 'taken' : 'refused'}`, () => {
    assert.equal(isTraceparent(text), expected)
  })
}

test('start: a valid trace goes on under a new parent, its state untouched', () => {
  const headers = Headers.of([
    ['Traceparent', valid],
    ['tracestate', 'a=1'],
    ['tracestate', 'b=2'],
  ])
  createTracing('start', countingIds())(headers)
  assert.deepEqual(headers.all('tracestate'), ['a=1', 'b=2'])
  const [field, ...others] = headers.all('traceparent')
  assert.deepEqual(others, [])
  assert.equal(field, `00-${traceId}-0102030405060708-01`)
})

for (const [flags, expected] of [
  ['00', '00'],
  ['01', '01'],
  ['03', '03'],
  ['02', '02'],
  ['ff', '03'],
]) {
  test(`start: the flags ${flags} go on as ${expected}`, () => {
    const headers = Headers.of({ traceparent: `00-${traceId}-${spanId}-${flags}` })
    createTracing('start', countingIds())(headers)
    assert.equal(headers.get('traceparent')?.slice(53), expected)
  })
}

for (const [what, fields] of [
  ['no traceparent', [['tracestate', 'a=1']]],
  [
    'a broken traceparent',
    [
      ['traceparent', '00-broken'],
      ['tracestate', 'a=1'],
    ],
  ],
  [
    'two traceparents',
    [
      ['traceparent', valid],
      ['traceparent', valid],
      ['tracestate', 'a=1'],
    ],
  ],
] satisfies [string, [string, string][]][]) {
  test(`start: with ${what} a new trace is started and tracestate is dropped`, () => {
    const headers = Headers.of(fields)
    createTracing('start', countingIds())(headers)
    const all = headers.all('traceparent')
    assert.equal(all.length, 1)
    assert.ok(isTraceparent(all[0] ?? ''))
    assert.notEqual(all[0]?.slice(3, 35), traceId)
    assert.equal(all[0]?.slice(53), '01')
    assert.equal(headers.has('tracestate'), false)
  })
}

test('forward: nothing is touched', () => {
  const headers = Headers.of({ traceparent: 'anything', tracestate: 'a=1' })
  createTracing('forward', countingIds())(headers)
  assert.deepEqual([...headers], [...Headers.of({ traceparent: 'anything', tracestate: 'a=1' })])
})

test('off: both fields are dropped, others stay', () => {
  const headers = Headers.of({ host: 'a', traceparent: valid, tracestate: 'a=1' })
  createTracing('off', countingIds())(headers)
  assert.deepEqual([...headers], [['host', 'a']])
})

test('ids have their lengths, differ across refills of the pool, and are never all zero', () => {
  let fills = 0
  const ids = createIds(bytes => {
    // The first pool is all zero, as a broken source would be once.
    bytes.fill(0)
    if (fills++ > 0) for (let at = 0; at < bytes.length; at += 8) bytes.writeUInt32BE(fills * 10_000 + at, at)
  })
  assert.match(ids.traceId(), /^(?!0{32})[0-9a-f]{32}$/)
  assert.match(ids.spanId(), /^(?!0{16})[0-9a-f]{16}$/)
  const seen = new Set(Array.from({ length: 1000 }, () => ids.requestId()))
  assert.equal(seen.size, 1000)
  for (const id of seen) assert.match(id, /^[0-9a-f]{32}$/)
})
