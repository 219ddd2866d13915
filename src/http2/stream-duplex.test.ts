import assert from 'node:assert/strict'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import test from 'node:test'
import { Bench, block, frame, getLines } from './fakes.ts'
import { ErrorCode, Flag, FrameType } from './protocol.ts'
import { createStreamDuplex } from './stream-duplex.ts'

const { data, headers, resetStream } = FrameType

/** The stream of a request whose body goes on, as a duplex. */
function open(bench: Bench, id = 1) {
  bench.receive(frame(headers, Flag.endHeaders, id, block(':method: POST', ...getLines.slice(1))))
  const stream = bench.requests.at(-1)?.stream
  assert.ok(stream !== undefined)
  const { duplex, handler } = createStreamDuplex(bench.session, stream)
  stream.handler = handler
  return duplex
}

const resets = (bench: Bench) =>
  bench
    .sent()
    .filter(({ type }) => type === resetStream)
    .map(({ payload }) => payload.readUInt32BE(0))

test('what came before the last word of the peer is read, though it resets the stream behind that', async () => {
  const bench = Bench.open('server')
  const duplex = open(bench)
  bench.receive(frame(data, Flag.endStream, 1, Buffer.from('last words')), frame(resetStream, 0, 1, '00000000'))
  const closed = once(duplex, 'close')
  assert.equal(await text(duplex), 'last words')
  await closed
})

test('a reset before that ends it at once, also where a write waits for room', { timeout: 5_000 }, async () => {
  const bench = Bench.open('server')
  const duplex = open(bench)
  duplex.write(Buffer.alloc(100_000))
  bench.receive(frame(data, 0, 1, Buffer.from('half')), frame(resetStream, 0, 1, '00000008'))
  await once(duplex, 'close')
  assert.equal(duplex.readableEnded, false)
})

test('it is reset with CANCEL, and behind a last word of ours with NO_ERROR', async () => {
  const bench = Bench.open('server')
  open(bench).destroy()
  assert.deepEqual(resets(bench), [ErrorCode.cancel])
  const ended = open(bench, 3)
  ended.end('all')
  await once(ended, 'finish')
  ended.destroy()
  assert.deepEqual(resets(bench), [ErrorCode.noError])
})

test('what nobody reads of streams that are gone takes nothing of the window of the connection', () => {
  const bench = Bench.open('server', { streamsMax: 100 })
  // Together more than the connection may hold.
  for (let id = 1; id < 100; id += 2) {
    const duplex = open(bench, id)
    for (let i = 0; i < 7; i++) bench.receive(frame(data, 0, id, Buffer.alloc(16_000)))
    duplex.destroy()
    assert.equal(bench.end, null, `at stream ${id}`)
  }
})
