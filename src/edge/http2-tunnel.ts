// WebSocket over HTTP/2 (RFC 8441): a stream that carries the bytes of an upgraded connection to an upstream.

import type { Reply } from '../core/reply.ts'
import { createStreamDuplex } from '../http2/stream-duplex.ts'
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
  const { session } = connection
  const { outbox } = session
  for (const key of handshakeKeys) headers.delete(key)
  outbox.encoder.start()
  outbox.encoder.status(200)
  outbox.encoder.fields(headers.list)
  outbox.head(turn.stream, false)
  const { duplex, handler } = createStreamDuplex(session, turn.stream)
  // The client may have ended its side while the upstream was asked.
  if (turn.stream.isRemoteEnded) handler.ended(null)
  spliceTunnel(duplex, null, tunnel, connection.gate, onClose)
  return handler
}
