import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { Headers } from '../core/headers.ts'
import { Bench, block, FakeHandler, frame, get, getLines, settings } from './fakes.ts'
import { ErrorCode, Flag, FrameType, preface } from './protocol.ts'

const { data, headers, resetStream, ping, goAway, windowUpdate, continuation } = FrameType
const { endStream, endHeaders, padded, ack } = Flag
const post = (id: number, ...lines: string[]) =>
  frame(headers, endHeaders, id, block(':method: POST', ...getLines.slice(1), ...lines))
const setting = (...pairs: string[]) => frame(FrameType.settings, 0, 0, pairs.join(''))

const replyTo = (flags: number, ...lines: string[]) => frame(headers, endHeaders | flags, 1, block(...lines))
function openOne(): { bench: Bench; handler: FakeHandler } {
  const bench = Bench.open('client')
  const handler = new FakeHandler()
  bench.session.open(handler)
  return { bench, handler }
}

/** Sends a reply to the last request. */
function reply(bench: Bench, body: Buffer, trailers: Headers | null = null): FakeHandler {
  const request = bench.requests.at(-1)
  assert.ok(request)
  const { outbox } = bench.session
  outbox.encoder.start()
  outbox.encoder.status(200)
  outbox.head(request.stream, false)
  outbox.data(request.stream, body)
  bench.session.end(request.stream, trailers)
  return request.handler
}

describe('requests', () => {
  test('become the same head as over HTTP/1: Host first, crumbs of Cookie together', () => {
    const bench = Bench.open('server')
    bench.receive(
      get(1, 'cookie: a=1', 'x-one: 1', 'cookie: b=2', 'te: trailers', 'x-forwarded-for: 1.2.3.4', 'host: API.test'),
    )
    const head = bench.requests[0]?.head
    assert.deepEqual(
      [...(head?.headers ?? [])],
      [
        ['host', 'api.test'],
        ['x-one', '1'],
        ['x-forwarded-for', '1.2.3.4'],
        ['cookie', 'a=1; b=2'],
      ],
    )
    assert.equal(head?.acceptsTrailers, true)
    assert.equal(head?.hasForwarding, true)
    assert.equal(head?.host, 'api.test')
  })

  test('crumbs of a cookie are one field of those that are counted', () => {
    const bench = Bench.open('server')
    bench.receive(get(1, ...Array.from({ length: 80 }, (_, i) => `cookie: c${i}=1`)))
    assert.equal(bench.requests.length, 1)
  })

  test('come over any split of their bytes', () => {
    const bytes = Buffer.concat([
      preface,
      settings,
      post(1, 'content-length: 6'),
      frame(data, padded, 1, `02${Buffer.from('abc').toString('hex')}0000`),
      frame(headers, 0, 3, block(...getLines).subarray(0, 5)),
      frame(continuation, endHeaders, 3, block(...getLines).subarray(5)),
      frame(data, 0, 1, Buffer.from('def')),
      frame(headers, endHeaders | endStream, 1, block('x-checksum: 7')),
      frame(0x99, 0, 3, 'aabb'),
      frame(data, endStream, 3, Buffer.from('g')),
    ])
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 50 }), sizes => {
        const bench = new Bench('server')
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = sizes[i % sizes.length] ?? 1
          bench.receive(bytes.subarray(at, at + size))
          at += size
        }
        const [one, two] = bench.requests
        assert.equal(one?.handler.text, 'abcdef')
        assert.equal(one?.handler.trailers?.get('x-checksum'), '7')
        assert.equal(two?.handler.text, 'g')
        assert.equal(two?.handler.isEnded, true)
        assert.equal(bench.end, null)
      }),
    )
  })

  test('no bytes behind the preface make it throw', () => {
    const anyFrame = fc
      .tuple(
        fc.integer({ min: 0, max: 10 }),
        fc.integer({ min: 0, max: 255 }),
        fc.integer({ min: 0, max: 6 }),
        fc.uint8Array({ maxLength: 40 }),
      )
      .map(([type, flags, id, payload]) => frame(type, flags, id, Buffer.from(payload)))
    const honest = fc.constantFrom(get(1), post(3), get(5), settings, frame(data, endStream, 3, '00'))
    fc.assert(
      fc.property(fc.array(fc.oneof(anyFrame, honest), { maxLength: 20 }), frames => {
        const bench = Bench.open('server').receive(...frames)
        bench.sent()
        if (bench.end === null) assert.ok(bench.session.streams.size <= 10)
        else assert.equal(bench.session.streams.size, 0)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('what is sent', () => {
  test('a reply ends with its last DATA frame, not with one more', () => {
    const bench = Bench.open('server').receive(get(1))
    reply(bench, Buffer.from('hello'))
    assert.deepEqual(
      bench.sent().map(({ type, flags }) => [type, flags]),
      [
        [headers, endHeaders],
        [data, endStream],
      ],
    )
    assert.equal(bench.session.streams.size, 0)
  })

  test('§5.2 goes as far as the windows of stream and connection have room, and on when they open', () => {
    const bench = Bench.open('server').receive(setting('000400000064'), get(1))
    const handler = reply(bench, Buffer.alloc(250, 97), Headers.of({ 'x-sum': '1' }))
    const sizes = () => bench.sent().flatMap(({ type, payload }) => (type === data ? [payload.length] : []))
    assert.deepEqual(sizes(), [100])
    bench.receive(frame(windowUpdate, 0, 1, '0000000a'))
    assert.deepEqual(sizes(), [10])
    bench.receive(setting('0004000000c8'))
    assert.deepEqual(sizes(), [100])
    bench.receive(frame(windowUpdate, 0, 1, '00000064'))
    const frames = bench.sent()
    assert.deepEqual(
      frames.map(({ type, flags }) => [type, flags]),
      [
        [data, 0],
        [headers, endHeaders | endStream],
      ],
    )
    assert.equal(handler.drains, 1)
    assert.equal(bench.session.streams.size, 0)
  })

  test('§5.2 streams that wait for the connection take turns', () => {
    const bench = Bench.open('server').receive(setting('00047fffffff'), get(1))
    reply(bench, Buffer.alloc(100_000))
    bench.receive(get(3))
    reply(bench, Buffer.alloc(40_000))
    bench.sent()
    bench.receive(frame(windowUpdate, 0, 0, '00010000'))
    const order = bench.sent().map(({ streamId }) => streamId)
    assert.deepEqual(order, [1, 3, 1, 3])
  })

  test('a socket that is full holds streams back until it has drained', () => {
    const bench = Bench.open('server').receive(get(1))
    bench.hasRoom = false
    bench.session.outbox.windowUpdate(0, 1)
    bench.session.outbox.flush()
    const handler = reply(bench, Buffer.alloc(10))
    assert.deepEqual(
      bench.sent().map(({ type }) => type),
      [windowUpdate, headers],
    )
    bench.hasRoom = true
    bench.session.outbox.drained()
    assert.deepEqual(
      bench.sent().map(({ type, flags }) => [type, flags]),
      [[data, endStream]],
    )
    assert.equal(handler.drains, 1)
  })

  test('§6.10 a head larger than a frame goes on in CONTINUATION', () => {
    const bench = Bench.open('server').receive(get(1))
    const stream = bench.requests[0]?.stream
    assert.ok(stream)
    const { outbox } = bench.session
    outbox.encoder.start()
    outbox.encoder.status(200)
    outbox.encoder.field('x-large', 'v'.repeat(20_000))
    outbox.head(stream, true)
    assert.deepEqual(
      bench.sent().map(({ type, flags }) => [type, flags]),
      [
        [headers, endStream],
        [continuation, endHeaders],
      ],
    )
  })

  test('§6.7 PING is answered with its octets, §6.5.3 SETTINGS acknowledged', () => {
    const bench = Bench.open('server').receive(frame(ping, 0, 0, '0102030405060708'), settings)
    const [pong, acknowledged] = bench.sent()
    assert.deepEqual([pong?.type, pong?.flags, pong?.payload.toString('hex')], [ping, ack, '0102030405060708'])
    assert.deepEqual([acknowledged?.type, acknowledged?.flags], [FrameType.settings, ack])
  })

  test('§6.9 windows open again as far as the data was passed on', () => {
    const bench = Bench.open('server').receive(post(1))
    for (let i = 0; i < 3; i++) bench.receive(frame(data, 0, 1, Buffer.alloc(16_384)))
    assert.deepEqual(bench.sent(), [])
    const request = bench.requests[0]
    assert.ok(request)
    bench.session.consumed(request.stream, 3 * 16_384)
    const [update] = bench.sent()
    assert.deepEqual([update?.streamId, update?.payload.readUInt32BE(0)], [1, 3 * 16_384])
  })
})

test('replies that nobody takes leave room for the others on a connection to an upstream', () => {
  const bench = new Bench('client').receive(settings)
  const windows = bench.sent().filter(({ type, streamId }) => type === FrameType.windowUpdate && streamId === 0)
  const window = 65_535 + windows.reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0)
  assert.equal(window, 0x7fffffff)
  const head = block(':status: 200')
  for (let id = 1; id < 200; id += 2) {
    bench.session.open(new FakeHandler())
    bench.receive(frame(headers, endHeaders, id, head))
    for (let i = 0; i < 3; i++) bench.receive(frame(data, 0, id, Buffer.alloc(16_384)))
  }
  assert.equal(bench.end, null)
})

describe('the end of a connection', () => {
  test('§6.8 streams that the server has not seen are broken as unseen, the others go on', () => {
    const bench = Bench.open('client')
    const handlers = [new FakeHandler(), new FakeHandler()]
    for (const handler of handlers) bench.session.open(handler)
    bench.receive(frame(goAway, 0, 0, '0000000100000000'))
    assert.equal(handlers[0]?.end, null)
    assert.equal(handlers[1]?.end?.isUnseen, true)
    assert.equal(bench.session.open(new FakeHandler()), null)
    assert.deepEqual(bench.leave, { lastStreamId: 1, code: 0 })
  })

  test('§6.8 requests behind our GOAWAY are ignored, those before it go on', () => {
    const bench = Bench.open('server').receive(post(1))
    bench.session.leave()
    bench.receive(get(3), frame(data, endStream, 1, '61'))
    assert.equal(bench.requests.length, 1)
    assert.equal(bench.requests[0]?.handler.text, 'a')
    assert.deepEqual(
      bench.sent().map(({ type, payload }) => [type, payload.readUInt32BE(0)]),
      [[goAway, 1]],
    )
  })

  test('§8.7 a refused stream was not seen, one that was reset otherwise may have been', () => {
    for (const [code, isUnseen] of [
      ['00000007', true],
      ['00000002', false],
    ] as const) {
      const bench = Bench.open('client')
      const handler = new FakeHandler()
      bench.session.open(handler)
      bench.receive(frame(resetStream, 0, 1, code))
      assert.equal(handler.end?.isUnseen, isUnseen)
    }
  })

  test('a connection that is lost breaks all that was on it', () => {
    const bench = Bench.open('server').receive(post(1), post(3))
    bench.session.lost(ErrorCode.cancel, 'closed')
    assert.deepEqual(
      bench.requests.map(({ handler }) => handler.end?.why),
      ['closed', 'closed'],
    )
  })
})

describe('replies', () => {
  test('interim ones come before the final one, trailers behind the body', () => {
    const { bench, handler } = openOne()
    bench.receive(
      replyTo(0, ':status: 103', 'link: </a>'),
      replyTo(0, ':status: 200', 'x: 1'),
      frame(data, 0, 1, '6162'),
      replyTo(endStream, 'grpc-status: 0'),
    )
    assert.deepEqual(
      handler.heads.map(({ status }) => status),
      [103, 200],
    )
    assert.equal(handler.text, 'ab')
    assert.equal(handler.trailers?.get('grpc-status'), '0')
  })

  const faults: [string, ...string[]][] = [
    ['§8.3.2 no :status', 'x: 1'],
    ['§8.3.2 a :status that is no status', ':status: 20'],
    ['§8.3.2 two :status', ':status: 200', ':status: 200'],
    ['§8.3.2 :status behind other fields', 'x: 1', ':status: 200'],
    ['§8.3 a pseudo-header field of requests', ':status: 200', ':path: /'],
    ['§8.6 101', ':status: 101'],
    ['§8.2.2 Connection', ':status: 200', 'connection: close'],
    ['§8.2.1 a name in upper case', ':status: 200', 'X-Upper: 1'],
  ]
  for (const [title, ...lines] of faults) {
    test(title, () => {
      const { bench, handler } = openOne()
      bench.receive(replyTo(endStream, ...lines))
      assert.equal(handler.end?.code, ErrorCode.protocolError)
      assert.equal(bench.sent()[0]?.type, resetStream)
    })
  }

  test('§8.1 DATA before a head, and an end with nothing but an interim head', () => {
    for (const bytes of [frame(data, 0, 1, '00'), replyTo(endStream, ':status: 100')]) {
      const { bench, handler } = openOne()
      bench.receive(bytes)
      assert.equal(handler.end?.code, ErrorCode.protocolError)
    }
  })
})
