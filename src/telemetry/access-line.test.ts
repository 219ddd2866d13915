import assert from 'node:assert/strict'
import process from 'node:process'
import test from 'node:test'
import * as fc from 'fast-check'
import { createLineFormat } from './access-line.ts'
import { lineBytesMax } from './line-writer.ts'
import type { FinishedCall } from '../core/finished-call.ts'
import { HiddenParameters } from './redact.ts'
import { fakeFinished } from './fakes.ts'

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

/** Lines as texts, written behind others into a buffer that just has room for the longest. */
function lineFormat() {
  const format = createLineFormat(new HiddenParameters())
  return (event: FinishedCall) => {
    const bytes = Buffer.alloc(10 + lineBytesMax)
    return bytes.toString('latin1', 10, format(event, bytes, 10))
  }
}

test('a line holds the whole call', () => {
  const event = fakeFinished({
    path: '/items/7',
    query: '?page=2&api_key=s3cret',
    headers: { 'User-Agent': 'curl/8', Referer: 'https://a.test/?token=s3cret', traceparent, Authorization: 's3cret' },
    upstream: 'stock',
    status: 502,
    code: 'upstream-reset',
    detail: 'read ECONNRESET',
    bytesIn: 10,
    totalMs: 12.34567,
    upstreamMs: 11,
  })
  const line = lineFormat()(event)
  assert.ok(line.endsWith('}\n'))
  assert.doesNotMatch(line, /s3cret/)
  assert.deepEqual(JSON.parse(line), {
    time: '2026-11-23T07:08:09.042Z',
    id: 'id-1',
    client: '10.0.0.1',
    listener: '8080',
    scheme: 'http',
    protocol: 'HTTP/1.1',
    method: 'GET',
    host: 'api.acme.test',
    path: '/items/7',
    query: '?page=2&api_key=[redacted]',
    status: 502,
    code: 'upstream-reset',
    detail: 'read ECONNRESET',
    route: 'catalog',
    upstream: 'stock',
    bytesIn: 10,
    bytesOut: 5,
    durationMs: 12.346,
    upstreamMs: 11,
    userAgent: 'curl/8',
    referer: 'https://a.test/?token=[redacted]',
    traceId: '0af7651916cd43dd8448eb211c80319c',
  })
})

test('where a call was sent, how often, and what gRPC told the client', () => {
  const event = fakeFinished({ upstream: 'stock' })
  const { call } = event
  call.askedTarget = { id: 'http://stock.test:80 10.0.0.7' }
  call.tries = 1
  const members = () => JSON.parse(lineFormat()(event)) as { target?: string; tries?: number; grpcStatus?: number }
  assert.deepEqual(pick(members()), {
    target: 'http://stock.test:80 10.0.0.7',
    tries: undefined,
    grpcStatus: undefined,
  })
  call.tries = 3
  call.grpcStatus = 0
  assert.deepEqual(pick(members()), { target: 'http://stock.test:80 10.0.0.7', tries: 3, grpcStatus: 0 })
})

const pick = ({ target, tries, grpcStatus }: { target?: string; tries?: number; grpcStatus?: number }) => ({
  ...{ target, tries, grpcStatus },
})

for (const protocol of ['HTTP/1.0', 'HTTP/1.1', 'HTTP/2'] as const) {
  test(`what the client spoke is in the line: ${protocol}`, () => {
    const event = fakeFinished({})
    event.call.protocol = protocol
    assert.equal((JSON.parse(lineFormat()(event)) as { protocol: string }).protocol, protocol)
  })
}

test('the time is right across seconds, and for every fraction', () => {
  const format = lineFormat()
  for (const endedMs of [0, 999, 1000, 1_700_000_000_123, 1_700_000_000_999.9, 1_700_000_001_000, 1_700_000_000_001]) {
    const { time } = JSON.parse(format(fakeFinished({ endedMs }))) as { time: string }
    assert.equal(time, new Date(endedMs).toISOString())
  }
})

test('whatever a client sends, a line is one line of ASCII that reads back as it was', () => {
  const format = lineFormat()
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), fc.string({ unit: 'grapheme' }), (agent, path) => {
      const line = format(fakeFinished({ path, headers: { 'user-agent': agent } }))
      assert.match(line, /^[ -~]+\n$/)
      const read = JSON.parse(line) as Record<string, unknown>
      assert.equal(read.userAgent, agent)
      assert.equal(read.path, path)
    }),
  )
})

for (const [what, character] of [
  ['plain', 'a'],
  ['escaped', '\u0001'],
  ['foreign', '\u00ff'],
] as const) {
  test(`a line of huge ${what} fields is cut to what a pipe takes in one piece, and says so`, () => {
    const long = character.repeat(30_000)
    const event = fakeFinished({ path: long, query: `?${long}`, headers: { 'user-agent': long, referer: long } })
    const line = lineFormat()(event)
    assert.ok(line.length <= lineBytesMax)
    const read = JSON.parse(line) as Record<string, unknown>
    assert.equal(read.cut, true)
    assert.equal(read.status, 200)
  })
}

test('a line all of whose fields are escaped is no longer than others, and made as fast', () => {
  const long = '\u00ff'.repeat(60_000)
  const fields = { 'user-agent': long, referer: long, traceparent: '\u00ff'.repeat(55) }
  const event = fakeFinished({
    ...{ method: long, path: long, query: `?${long}`, headers: fields },
    ...{ upstream: long, code: 'unauthenticated', detail: long },
  })
  const format = lineFormat()
  // Time of the processor: what else runs on the machine does not count.
  const before = process.cpuUsage()
  for (let round = 0; round < 100; round++) format(event)
  assert.ok(process.cpuUsage(before).user < 3_000_000)
  const line = format(event)
  assert.ok(line.length <= lineBytesMax, `${line.length} bytes`)
  assert.equal((JSON.parse(line) as Record<string, unknown>).cut, true)
})
