// WebSocket over HTTP/2 (RFC 8441): a stream that carries the bytes of an upgraded connection to an upstream.

import { Duplex } from 'node:stream'
import type { Reply } from '../core/reply.ts'
import { ErrorCode } from '../http2/protocol.ts'
import type { StreamHandler } from '../http2/stream.ts'
import type { Http2Connection } from './http2-connection.ts'
import type { Http2Turn } from './http2-turn.ts'
import { type Moved, spliceTunnel } from './tunnel.ts'

/** Fields of the handshake over HTTP/1.1 that have no meaning here (RFC 8441 §5.1). */
const handshakeKeys = ['upgrade', 'sec-websocket-accept']

/** Answers an extended CONNECT whose upstream has upgraded, and joins both. Returns who takes the bytes of the stream. */
export function acceptTunnel(
  connection: Http2Connection,
  turn: Http2Turn,
  reply: Reply,
  onClose: (moved: Moved) => void,
): StreamHandler | null {
  const { tunnel, headers } = reply
  if (tunnel === null) return null
  const { outbox } = connection.session
  for (const key of handshakeKeys) headers.delete(key)
  outbox.encoder.start()
  outbox.encoder.status(200)
  outbox.encoder.fields(headers.list)
  outbox.head(turn.stream, false)
  const { duplex, handler } = createStreamDuplex(connection, turn)
  spliceTunnel(duplex, null, tunnel, connection.gate, onClose)
  return handler
}

function createStreamDuplex(connection: Http2Connection, turn: Http2Turn): { duplex: Duplex; handler: StreamHandler } {
  const { session } = connection
  const { stream } = turn
  let goOn: (() => void) | null = null
  /** Octets that wait in the duplex; the client may send no more until they were read. */
  let unread = 0
  const duplex = new Duplex({
    read() {
      const size = unread
      unread = 0
      if (size > 0) session.consumed(stream, size)
    },
    write(chunk: Buffer, _, done) {
      if (stream.isClosed || session.outbox.data(stream, chunk)) done()
      else goOn = done
    },
    final(done) {
      session.end(stream, null)
      done()
    },
    destroy(error, done) {
      session.reset(stream, ErrorCode.cancel)
      done(error)
    },
  })
  const handler: StreamHandler = {
    head() {},
    data(chunk) {
      if (duplex.push(chunk)) session.consumed(stream, chunk.length)
      else unread += chunk.length
    },
    ended() {
      duplex.push(null)
    },
    broke() {
      duplex.destroy()
    },
    drained() {
      const next = goOn
      goOn = null
      next?.()
    },
  }
  return { duplex, handler }
}
