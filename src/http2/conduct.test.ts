// What a session does with a peer that breaks the rules. Section numbers are those of RFC 9113 where no other RFC is named.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Bench, block, FakeHandler, frame, get, getLines, settings } from './fakes.ts'
import { ErrorCode, Flag, FrameType, preface } from './protocol.ts'

const { data, headers, priority, resetStream, pushPromise, ping, goAway, windowUpdate, continuation } = FrameType
const { endStream, endHeaders, padded, ack } = Flag
const post = (id: number, ...lines: string[]) =>
  frame(headers, endHeaders, id, block(':method: POST', ...getLines.slice(1), ...lines))
const cancel = (id: number) => frame(resetStream, 0, id, '00000008')
const setting = (...pairs: string[]) => frame(FrameType.settings, 0, 0, pairs.join(''))

/** What ends the connection: a GOAWAY with this code, and nothing behind it. */
function assertConnectionError(bench: Bench, code: number): void {
  const frames = bench.sent()
  const last = frames.at(-1)
  assert.equal(last?.type, goAway, `the last of ${JSON.stringify(frames)}`)
  assert.equal(last.payload.readUInt32BE(4), code)
  assert.equal(bench.end?.code, code)
  assert.equal(bench.session.isOver, true)
}

function assertStreamError(bench: Bench, streamId: number, code: number): void {
  const frames = bench.sent()
  const reset = frames.find(({ type }) => type === resetStream)
  assert.equal(reset?.streamId, streamId, `RST_STREAM in ${JSON.stringify(frames)}`)
  assert.equal(reset.payload.readUInt32BE(0), code)
  assert.equal(bench.end, null)
  bench.receive(get(101))
  assert.equal(bench.requests.at(-1)?.stream.id, 101, 'the connection goes on')
}

describe('faults of the connection', () => {
  const { protocolError, frameSizeError, flowControlError, compressionError, streamClosed } = ErrorCode
  const cases: [string, number, ...Buffer[]][] = [
    ['§4.2 a frame larger than SETTINGS_MAX_FRAME_SIZE', frameSizeError, frame(data, 0, 1, Buffer.alloc(16_385))],
    ['§4.3 a header block that cannot be read', compressionError, frame(headers, endHeaders | endStream, 1, '80')],
    ['§5.1 DATA on an idle stream', protocolError, frame(data, 0, 1, '00')],
    ['§5.1 RST_STREAM on an idle stream', protocolError, frame(resetStream, 0, 1, '00000008')],
    ['§5.1 WINDOW_UPDATE on an idle stream', protocolError, frame(windowUpdate, 0, 1, '00000001')],
    ['§5.1 a stream of our own side', protocolError, frame(windowUpdate, 0, 2, '00000001')],
    ['§5.1.1 a stream with an even number', protocolError, get(2)],
    ['§6.1 DATA without a stream', protocolError, frame(data, 0, 0, '00')],
    ['§6.1 padding longer than its frame', protocolError, post(1), frame(data, padded, 1, '0500')],
    ['§6.2 HEADERS without a stream', protocolError, get(0)],
    ['§6.2 padding longer than its HEADERS', protocolError, frame(headers, padded | endHeaders, 1, 'ff82')],
    [
      '§6.2 a frame between HEADERS and CONTINUATION',
      protocolError,
      frame(headers, 0, 1, '82'),
      frame(ping, 0, 0, Buffer.alloc(8)),
    ],
    [
      '§6.2 CONTINUATION of another stream',
      protocolError,
      frame(headers, 0, 1, '82'),
      frame(continuation, endHeaders, 3, '87'),
    ],
    ['§6.2 an unknown frame inside a header block', protocolError, frame(headers, 0, 1, '82'), frame(0x42, 0, 1)],
    ['§6.3 PRIORITY without a stream', protocolError, frame(priority, 0, 0, Buffer.alloc(5))],
    ['§6.3 PRIORITY of a wrong size', frameSizeError, frame(priority, 0, 1, Buffer.alloc(4))],
    ['§6.4 RST_STREAM without a stream', protocolError, frame(resetStream, 0, 0, '00000008')],
    ['§6.4 RST_STREAM of a wrong size', frameSizeError, get(1), frame(resetStream, 0, 1, '000008')],
    ['§6.5 SETTINGS on a stream', protocolError, frame(FrameType.settings, 0, 1)],
    ['§6.5 SETTINGS with ACK and a payload', frameSizeError, frame(FrameType.settings, ack, 0, '000100000000')],
    ['§6.5 SETTINGS of a wrong size', frameSizeError, frame(FrameType.settings, 0, 0, '0001')],
    ['§6.5.2 SETTINGS_ENABLE_PUSH that is neither 0 nor 1', protocolError, setting('000200000002')],
    ['§6.5.2 SETTINGS_INITIAL_WINDOW_SIZE past its limit', flowControlError, setting('000480000000')],
    ['§6.5.2 SETTINGS_MAX_FRAME_SIZE that is too small', protocolError, setting('000500003fff')],
    ['§6.5.2 SETTINGS_MAX_FRAME_SIZE that is too large', protocolError, setting('000501000000')],
    ['RFC 8441 §3 SETTINGS_ENABLE_CONNECT_PROTOCOL that is neither 0 nor 1', protocolError, setting('000800000002')],
    ['§6.6 PUSH_PROMISE of a client', protocolError, frame(pushPromise, endHeaders, 1, '0000000282')],
    ['§6.7 PING on a stream', protocolError, frame(ping, 0, 1, Buffer.alloc(8))],
    ['§6.7 PING of a wrong size', frameSizeError, frame(ping, 0, 0, Buffer.alloc(6))],
    ['§6.8 GOAWAY on a stream', protocolError, frame(goAway, 0, 1, Buffer.alloc(8))],
    ['§6.8 GOAWAY of a wrong size', frameSizeError, frame(goAway, 0, 0, Buffer.alloc(4))],
    ['§6.9 WINDOW_UPDATE of a wrong size', frameSizeError, frame(windowUpdate, 0, 0, '000001')],
    ['§6.9 WINDOW_UPDATE of nothing', protocolError, frame(windowUpdate, 0, 0, '00000000')],
    ['§6.9.1 a window past its limit', flowControlError, frame(windowUpdate, 0, 0, '7fffffff')],
    [
      '§6.9.2 windows of streams past their limit',
      flowControlError,
      get(1),
      frame(windowUpdate, 0, 1, '70000000'),
      setting('00047fffffff'),
    ],
    ['§6.10 CONTINUATION without HEADERS', protocolError, frame(continuation, endHeaders, 1, '82')],
    ['§6.10 CONTINUATION behind the end of a block', protocolError, get(1), frame(continuation, endHeaders, 1, '82')],
  ]
  for (const [title, code, ...frames] of cases) {
    test(title, () => assertConnectionError(Bench.open('server').receive(...frames), code))
  }

  test('§3.4 another preface', () =>
    assertConnectionError(new Bench('server').receive(Buffer.from('GET / HTTP/1.1\r\n')), protocolError))
  test('§3.4 a first frame that is not SETTINGS', () =>
    assertConnectionError(new Bench('server').receive(preface, get(1)), protocolError))
  test('§3.4 an ACK for a first frame', () =>
    assertConnectionError(new Bench('server').receive(preface, frame(FrameType.settings, ack, 0)), protocolError))
  test('§6.5.2 a server that allows itself to be pushed to', () =>
    assertConnectionError(Bench.open('client').receive(setting('000200000001')), protocolError))
  test('§8.4 PUSH_PROMISE of a server that was told not to', () => {
    const bench = Bench.open('client')
    bench.session.open(new FakeHandler())
    assertConnectionError(bench.receive(frame(pushPromise, endHeaders, 1, '0000000282')), protocolError)
  })
  test('§6.9.1 more DATA than the connection had room for', () => {
    const bench = Bench.open('server', { window: 2_000_000 })
    bench.receive(post(1))
    for (let i = 0; i < 65 && bench.end === null; i++) bench.receive(frame(data, 0, 1, Buffer.alloc(16_384)))
    assertConnectionError(bench, flowControlError)
  })
  test('§5.1 a stream that is over stays over', () => {
    const bench = Bench.open('server').receive(get(1))
    const stream = bench.requests[0]?.stream
    assert.ok(stream)
    bench.session.outbox.encoder.start()
    bench.session.outbox.encoder.status(204)
    bench.session.outbox.head(stream, true)
    bench.session.closeIfDone(stream)
    bench.sent()
    bench.receive(get(1))
    assertStreamError(bench, 1, streamClosed)
  })
})

describe('faults of one stream', () => {
  const { protocolError, flowControlError, streamClosed } = ErrorCode
  const cases: [string, number, ...Buffer[]][] = [
    ['§5.1 DATA behind the end of a request', streamClosed, get(1), frame(data, 0, 1, '00')],
    ['§5.1 HEADERS behind the end of a request', streamClosed, get(1), get(1)],
    ['§6.9 WINDOW_UPDATE of nothing', protocolError, get(1), frame(windowUpdate, 0, 1, '00000000')],
    ['§6.9.1 a window past its limit', flowControlError, get(1), frame(windowUpdate, 0, 1, '7fffffff')],
    ['§8.1 a second head', protocolError, post(1), post(1)],
    [
      '§8.1 a pseudo-header field in trailers',
      protocolError,
      post(1),
      frame(headers, endHeaders | endStream, 1, block(':path: /')),
    ],
    [
      '§8.2.2 a connection field in trailers',
      protocolError,
      post(1),
      frame(headers, endHeaders | endStream, 1, block('connection: x')),
    ],
    [
      '§8.1.1 a body longer than announced',
      protocolError,
      post(1, 'content-length: 1'),
      frame(data, endStream, 1, '0000'),
    ],
    [
      '§8.1.1 a body shorter than announced',
      protocolError,
      post(1, 'content-length: 3'),
      frame(data, endStream, 1, '0000'),
    ],
  ]
  for (const [title, code, ...frames] of cases) {
    test(title, () => assertStreamError(Bench.open('server').receive(...frames), 1, code))
  }

  test('§6.9.1 more DATA than the stream had room for', () => {
    const bench = Bench.open('server').receive(post(1))
    for (let i = 0; i < 5; i++) bench.receive(frame(data, 0, 1, Buffer.alloc(16_384)))
    assertStreamError(bench, 1, flowControlError)
  })

  test('§5.1.2 more streams than allowed are refused, as unseen', () => {
    const bench = Bench.open('server')
    for (let i = 0; i < 11; i++) bench.receive(get(2 * i + 1))
    assert.equal(bench.requests.length, 10)
    const [reset] = bench.sent()
    assert.equal(reset?.streamId, 21)
    assert.equal(reset?.payload.readUInt32BE(0), ErrorCode.refusedStream)
    assert.deepEqual(bench.hits, ['streams'])
  })

  test('§5.1 what was under way when we reset a stream is ignored, and its window given back', () => {
    const bench = Bench.open('server').receive(post(1))
    const stream = bench.requests[0]?.stream
    assert.ok(stream)
    bench.session.reset(stream, ErrorCode.cancel)
    bench.sent()
    for (let i = 0; i < 40; i++) bench.receive(frame(data, 0, 1, Buffer.alloc(16_384)))
    bench.receive(frame(headers, endHeaders | endStream, 1, block('x-late: 1')))
    const frames = bench.sent()
    assert.deepEqual([...new Set(frames.map(({ type, streamId }) => `${type} ${streamId}`))], [`${windowUpdate} 0`])
    assert.equal(bench.end, null)
  })
})

/** Says after each DATA frame of so many octets, for the stream and the connection, that it was taken. */
function takeFrames(octets: number, frames: number): Bench {
  const bench = Bench.open('server')
  bench.receive(get(1))
  const { stream } = bench.requests[0] ?? assert.fail('there is no request')
  bench.session.outbox.data(stream, Buffer.alloc(octets))
  const taken = Buffer.from([0, 0, octets >> 8, octets & 0xff])
  for (let sent = 1; sent < frames && bench.end === null; sent++) {
    bench.receive(Buffer.concat([frame(windowUpdate, 0, 1, taken), frame(windowUpdate, 0, 0, taken)]))
    if (bench.end === null) bench.session.outbox.data(stream, Buffer.alloc(octets))
    bench.session.outbox.flush()
  }
  return bench
}

describe('floods', () => {
  const { enhanceYourCalm } = ErrorCode
  const over = Buffer.concat([get(1), cancel(1)])
  const cases: [string, string, (i: number) => Buffer][] = [
    ['CVE-2019-9512 PING', 'pings', () => frame(ping, 0, 0, Buffer.alloc(8))],
    ['CVE-2019-9515 SETTINGS', 'settings', () => settings],
    ['CVE-2019-9518 empty DATA', 'emptyFrames', i => (i === 0 ? post(1) : frame(data, 0, 1))],
    ['CVE-2019-9513 PRIORITY', 'emptyFrames', () => frame(priority, 0, 1, Buffer.alloc(5))],
    ['§10.5 frames of unknown types', 'emptyFrames', () => frame(0x77, 0, 0, '00')],
    ['§6.8 GOAWAY', 'emptyFrames', i => (i === 0 ? post(1) : frame(goAway, 0, 0, Buffer.alloc(8)))],
    ['§5.1 RST_STREAM on a stream that is over', 'emptyFrames', i => (i === 0 ? over : cancel(1))],
    ['§5.1 HEADERS on a stream that is over', 'emptyFrames', i => (i === 0 ? over : get(1))],
    ['§5.1 empty DATA on a stream that is over', 'emptyFrames', i => (i === 0 ? over : frame(data, 0, 1))],
    ['CVE-2023-44487 rapid reset', 'resets', i => Buffer.concat([get(2 * i + 1), cancel(2 * i + 1)])],
    [
      'CVE-2025-8671 made to reset',
      'resets',
      i => Buffer.concat([get(2 * i + 1), frame(windowUpdate, 0, 2 * i + 1, '00000000')]),
    ],
    ['§10.5 WINDOW_UPDATE', 'windowUpdates', () => frame(windowUpdate, 0, 0, '00000001')],
    [
      'CVE-2024-27316 CONTINUATION',
      'continuations',
      i => (i === 0 ? frame(headers, 0, 1, '82') : frame(continuation, 0, 1, '84')),
    ],
  ]
  for (const [title, ceiling, make] of cases) {
    test(title, () => {
      const bench = Bench.open('server')
      let count = 0
      while (bench.end === null && count < 200) bench.receive(make(count++))
      assert.deepEqual(bench.hits, [ceiling])
      assertConnectionError(bench, enhanceYourCalm)
    })
    if (ceiling === 'continuations') continue
    test(`${title}, as often as is honest`, () => {
      const bench = Bench.open('server')
      for (let i = 0; i < 9; i++) bench.receive(make(i))
      bench.nowMs = 10_001
      for (let i = 9; i < 18; i++) bench.receive(make(i))
      assert.equal(bench.end, null)
    })
  }

  test('WINDOW_UPDATE for each frame of a long body is honest, and for crumbs of one a flood', () => {
    assert.deepEqual(takeFrames(1_024, 1_000).hits, [])
    assert.deepEqual(takeFrames(1_023, 1_000).hits, ['windowUpdates'])
  })

  test('what long bodies make room for is not saved up', () => {
    const bench = takeFrames(16_384, 1_000)
    for (let i = 0; i < 200 && bench.end === null; i++) bench.receive(frame(windowUpdate, 0, 0, '00000001'))
    assert.deepEqual(bench.hits, ['windowUpdates'])
  })

  test('§6.8 requests behind our GOAWAY', () => {
    const bench = Bench.open('server')
    bench.receive(get(1))
    bench.session.leave()
    for (let i = 1; i < 200 && bench.end === null; i++) bench.receive(get(2 * i + 1))
    assert.deepEqual(bench.hits, ['emptyFrames'])
  })

  test('§5.1 what was under way when its stream ended is no flood, however many streams end', () => {
    const bench = Bench.open('server')
    for (let i = 0; i < 200; i++) {
      bench.receive(get(2 * i + 1))
      bench.session.end(bench.requests[i]?.stream ?? assert.fail('there is no request'), null)
      bench.receive(cancel(2 * i + 1))
    }
    assert.deepEqual([bench.requests.length, bench.end], [200, null])
  })

  test('CVE-2019-9512 answers that nobody reads', () => {
    const bench = Bench.open('server', {
      bounds: { resets: 20, pings: 5_000, settings: 10, emptyFrames: 20, windowUpdates: 100, continuations: 4 },
    })
    bench.hasRoom = false
    for (let i = 0; i < 4_000 && bench.end === null; i++) {
      bench.receive(frame(ping, 0, 0, Buffer.alloc(8)))
      bench.session.outbox.flush()
    }
    assert.deepEqual(bench.hits, ['heldFrames'])
  })

  test('§10.5.1 a block larger than may be kept ends the connection; one that is only too large is answered', () => {
    const bench = Bench.open('server')
    const large = block(...getLines, `x: ${'y'.repeat(9_000)}`)
    bench.receive(frame(headers, endHeaders | endStream, 1, large))
    assert.equal(bench.refused[0]?.failure.code, 'headers-too-large')
    bench.receive(
      frame(headers, 0, 3, Buffer.alloc(10_000, 0x82)),
      frame(continuation, 0, 3, Buffer.alloc(10_000, 0x82)),
    )
    assertConnectionError(bench, enhanceYourCalm)
  })
})

describe('requests that are not to be taken', () => {
  const cases: [string, string, ...string[]][] = [
    ['§8.2.1 a name in upper case', 'malformed-request', ...getLines, 'X-Upper: 1'],
    ['§8.2.1 a name with a space', 'malformed-request', ...getLines, 'x y: 1'],
    ['§8.2.1 a value with a line end', 'malformed-request', ...getLines, 'x: a\r\nb'],
    ['§8.2.1 a value with NUL', 'malformed-request', ...getLines, 'x: a\0b'],
    ['§8.2.2 Connection', 'malformed-request', ...getLines, 'connection: close'],
    ['§8.2.2 Keep-Alive', 'malformed-request', ...getLines, 'keep-alive: 1'],
    ['§8.2.2 Proxy-Connection', 'malformed-request', ...getLines, 'proxy-connection: close'],
    ['§8.2.2 Transfer-Encoding', 'malformed-request', ...getLines, 'transfer-encoding: chunked'],
    ['§8.2.2 Upgrade', 'malformed-request', ...getLines, 'upgrade: h2c'],
    ['§8.2.2 TE that is not trailers', 'malformed-request', ...getLines, 'te: gzip'],
    ['§8.3 an unknown pseudo-header field', 'malformed-request', ...getLines, ':custom: 1'],
    ['§8.3 a pseudo-header field of replies', 'malformed-request', ...getLines, ':status: 200'],
    ['§8.3 a pseudo-header field behind others', 'malformed-request', 'x: 1', ...getLines],
    ['§8.3.1 no :method', 'malformed-request', ...getLines.slice(1)],
    ['§8.3.1 no :scheme', 'malformed-request', ':method: GET', ':path: /', ':authority: a'],
    ['§8.3.1 no :path', 'malformed-request', ':method: GET', ':scheme: http', ':authority: a'],
    ['§8.3.1 an empty :path', 'malformed-request', ':method: GET', ':scheme: http', ':path:', ':authority: a'],
    [
      '§8.3.1 a :path that is no path',
      'malformed-request',
      ':method: GET',
      ':scheme: http',
      ':path: x',
      ':authority: a',
    ],
    [
      '§8.3.1 a :path with a space',
      'malformed-request',
      ':method: GET',
      ':scheme: http',
      ':path: /a b',
      ':authority: a',
    ],
    ['§8.3.1 two :method', 'malformed-request', ':method: GET', ...getLines],
    ['§8.3 two :method, the first empty', 'malformed-request', ':method:', ...getLines],
    ['§8.3 two :scheme, the first empty', 'malformed-request', ':scheme:', ...getLines],
    ['§8.3 two :authority, the first empty', 'malformed-request', ':authority:', ...getLines],
    ['§8.3.1 an empty :authority', 'malformed-request', ...getLines.slice(0, 3), ':authority:', 'host: api.test'],
    ['§8.3.1 two Host', 'malformed-request', ...getLines.slice(0, 3), 'host: api.test', 'host: api.test'],
    ['§8.3.1 two Host beside :authority', 'malformed-request', ...getLines, 'host: api.test', 'host: api.test'],
    ['§8.3.1 two :authority', 'malformed-request', ...getLines, ':authority: b'],
    ['§8.3.1 Host that is not :authority', 'malformed-request', ...getLines, 'host: other.test'],
    ['§8.3.1 user information in :authority', 'malformed-request', ...getLines.slice(0, 3), ':authority: u@api.test'],
    ['§8.3.1 no host at all', 'malformed-request', ...getLines.slice(0, 3)],
    ['§8.3.1 another scheme', 'malformed-request', ':method: GET', ':scheme: ftp', ':path: /', ':authority: a'],
    ['§8.1.1 Content-Length without a body', 'malformed-request', ...getLines, 'content-length: 3'],
    ['§8.1.1 two Content-Length', 'malformed-request', ...getLines, 'content-length: 0', 'content-length: 0'],
    ['§8.5 CONNECT', 'method-not-implemented', ':method: CONNECT', ':authority: a:80'],
    ['RFC 8441 §4 :protocol without CONNECT', 'malformed-request', ...getLines, ':protocol: websocket'],
    ['an expectation of something else', 'expectation-failed', ...getLines, 'expect: tea'],
    [
      'a target past its limit',
      'target-too-long',
      ':method: GET',
      ':scheme: http',
      `:path: /${'a'.repeat(1_001)}`,
      ':authority: a',
    ],
    ['too many fields', 'headers-too-large', ...getLines, ...Array.from({ length: 51 }, (_, i) => `x-${i}: 1`)],
    ['a framing field in disguise', 'malformed-request', ...getLines, 'transfer_encoding: chunked'],
  ]
  for (const [title, code, ...lines] of cases) {
    test(title, () => {
      const bench = Bench.open('server').receive(frame(headers, endHeaders | endStream, 1, block(...lines)))
      assert.equal(bench.refused[0]?.failure.code, code, bench.refused[0]?.failure.message ?? 'taken')
      assert.equal(bench.requests.length, 0)
      bench.receive(get(3))
      assert.equal(bench.requests.length, 1)
    })
  }

  test('§8.2.1 a bad value that the table repeats is bad again', () => {
    const bench = Bench.open('server')
    const bad = Buffer.concat([block(...getLines), Buffer.from('40017802610a', 'hex')])
    bench.receive(frame(headers, endHeaders | endStream, 1, bad))
    bench.receive(
      frame(headers, endHeaders | endStream, 3, Buffer.concat([block(...getLines), Buffer.from('be', 'hex')])),
    )
    assert.deepEqual(
      bench.refused.map(({ failure }) => failure.code),
      ['malformed-request', 'malformed-request'],
    )
  })
})
