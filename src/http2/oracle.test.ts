// Our sessions against Node's HTTP/2 (nghttp2), over pipes in memory and any split of the bytes.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2, { type ServerHttp2Stream } from 'node:http2'
import { type Duplex, duplexPair } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { Bench, FakeHandler } from './fakes.ts'
import type { Session } from './session.ts'

/** Joins a session and a pipe; what is read is cut into pieces of these sizes. */
function join(session: Session, pipe: Duplex, sizes: readonly number[]): void {
  let turn = 0
  pipe.on('data', (chunk: Buffer) => {
    for (let at = 0; at < chunk.length; ) {
      const size = sizes[turn++ % sizes.length] ?? 1
      session.receive(chunk.subarray(at, at + size))
      at += size
    }
    session.outbox.flush()
  })
  pipe.on('drain', () => {
    session.outbox.drained()
    session.outbox.flush()
  })
  session.outbox.flush()
}

const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/).map(name => `x-${name}`)
const value = fc.stringMatching(/^([!-~]([ -~]{0,40}[!-~])?)?$/)
const exchange = fc.record({
  path: fc.stringMatching(/^\/[a-z0-9._~-]{0,20}$/),
  fields: fc.dictionary(token, value, { maxKeys: 6 }),
  body: fc
    .string({ minLength: 1, maxLength: 40 })
    .chain(piece => fc.integer({ min: 1, max: 3_000 }).map(n => piece.repeat(n))),
  trailer: value,
})
const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 30 }), fc.constant(16_384)), { minLength: 1, maxLength: 10 })

/** Sends what is wanted of a stream once what it depends on was received. */
function respond(session: Session, handler: FakeHandler, send: () => void): void {
  handler.ended = trailers => {
    handler.isEnded = true
    handler.trailers = trailers
    send()
    session.outbox.flush()
  }
}

test('a client of Node and our server', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(exchange, { minLength: 1, maxLength: 4 }), sizes, async (exchanges, cuts) => {
      const [ours, theirs] = duplexPair()
      const bench = new Bench('server', { output: ours, limits: { headBytes: 16_000, fields: 50, targetBytes: 1_000 } })
      const { session } = bench
      bench.request = (stream, head) => {
        const handler = new FakeHandler()
        stream.handler = handler
        handler.data = chunk => {
          handler.chunks.push(chunk)
          session.consumed(stream, chunk.length)
        }
        bench.requests.push({ stream, head, handler })
        respond(session, handler, () => {
          const { outbox } = session
          outbox.encoder.start()
          outbox.encoder.status(200)
          for (const [name, field] of head.headers) if (name.startsWith('x-')) outbox.encoder.field(name, field)
          outbox.encoder.field('x-path', head.target)
          outbox.head(stream, false)
          outbox.data(stream, Buffer.concat(handler.chunks))
          session.end(stream, handler.trailers)
        })
      }
      join(session, ours, cuts)
      const client = http2.connect('http://api.test', { createConnection: () => theirs })
      const answers = await Promise.all(
        exchanges.map(async ({ path, fields, body, trailer }) => {
          const request = client.request({ ':method': 'POST', ':path': path, ...fields }, { waitForTrailers: true })
          request.on('wantTrailers', () => request.sendTrailers({ 'x-trailer': trailer }))
          request.end(body)
          const [[head], trailers, received] = await Promise.all([
            once(request, 'response'),
            once(request, 'trailers'),
            text(request),
          ])
          return { head, trailers: trailers[0], received }
        }),
      )
      exchanges.forEach(({ path, fields, body, trailer }, i) => {
        const answer = answers[i]
        assert.equal(answer?.received, body)
        assert.equal(answer.head['x-path'], path)
        assert.equal(answer.trailers['x-trailer'], trailer)
        for (const [name, field] of Object.entries(fields)) assert.equal(answer.head[name], field)
      })
      client.destroy()
      assert.equal(bench.end, null)
    }),
    { numRuns: 60 },
  )
})

test('our client and a server of Node', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(exchange, { minLength: 1, maxLength: 4 }), sizes, async (exchanges, cuts) => {
      const [ours, theirs] = duplexPair()
      const peer = http2.performServerHandshake(theirs)
      peer.on('stream', (stream: ServerHttp2Stream, headers) => {
        const fields = Object.entries(headers).filter(([name]) => name.startsWith('x-'))
        stream.respond({ ...Object.fromEntries(fields), 'x-path': headers[':path'] ?? '' }, { waitForTrailers: true })
        stream.on('wantTrailers', () => stream.sendTrailers({ 'x-trailer': headers['x-want'] ?? '' }))
        stream.pipe(stream)
      })
      const { session, ...bench } = new Bench('client', { output: ours })
      join(session, ours, cuts)
      const handlers = await Promise.all(
        exchanges.map(({ path, fields, body, trailer }) => {
          const handler = new FakeHandler()
          const stream = session.open(handler)
          assert.ok(stream)
          handler.data = chunk => {
            handler.chunks.push(chunk)
            session.consumed(stream, chunk.length)
          }
          const { outbox } = session
          outbox.encoder.start()
          for (const [name, field] of Object.entries({
            ':method': 'POST',
            ':scheme': 'http',
            ':path': path,
            ':authority': 'api.test',
            ...fields,
            'x-want': trailer,
          }))
            outbox.encoder.field(name, field)
          outbox.head(stream, false)
          outbox.data(stream, Buffer.from(body))
          session.end(stream, null)
          const ended = new Promise<FakeHandler>(resolve => respond(session, handler, () => resolve(handler)))
          outbox.flush()
          return ended
        }),
      )
      exchanges.forEach(({ path, fields, body, trailer }, i) => {
        const handler = handlers[i]
        assert.equal(Buffer.concat(handler?.chunks ?? []).toString(), body)
        const head = handler?.heads[0]
        assert.equal(head?.headers.get('x-path'), path)
        assert.equal(handler?.trailers?.get('x-trailer'), trailer)
        for (const [name, field] of Object.entries(fields)) assert.equal(head?.headers.get(name), field)
      })
      assert.equal(bench.end, null)
      peer.destroy()
      ours.destroy()
    }),
    { numRuns: 60 },
  )
})
