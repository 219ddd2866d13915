// An upgrade asked of an upstream over HTTP/2: an extended CONNECT (RFC 8441), and its answer as that of an upgrade.

import { createHash } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { Body } from '../core/body.ts'
import type { Call } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import { Reply } from '../core/reply.ts'
import type { ReplyHead } from '../http/reply.ts'
import type { HpackEncoder } from '../http2/hpack-encoder.ts'

const keyField = 'sec-websocket-key'
/** RFC 6455 §1.3. */
const keySalt = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** Why a call cannot be upgraded over a connection whose server takes such a CONNECT or not; null where it can. */
export function upgradeRefusal(call: Call, takesConnect: boolean, label: string): Failure | null {
  if (!takesConnect) {
    return new Failure('upgrade-not-supported', { detail: `${label}: the server takes no extended CONNECT` })
  }
  // RFC 6455 §4.2.1: the server would refuse it, but over HTTP/2 is not told of the key.
  if (call.upgrade !== 'websocket' || /^[+/0-9A-Za-z]{22}==$/.test(call.headers.get(keyField) ?? '')) return null
  const detail = 'no valid Sec-WebSocket-Key'
  return new Failure('malformed-request', { detail, publicText: `The request is not valid HTTP: ${detail}.` })
}

/** Puts the head into the encoder. It takes the place of a GET (RFC 8441 §5). */
export function encodeConnect(encoder: HpackEncoder, call: Call, scheme: string, host: string): void {
  const { list } = call.headers
  encoder.start()
  encoder.field(':method', 'CONNECT')
  encoder.field(':protocol', call.upgrade)
  encoder.field(':scheme', scheme)
  encoder.field(':path', call.target)
  encoder.field(':authority', host)
  for (let i = 1; i < list.length; i += 3) {
    if (list[i] !== 'host' && list[i] !== keyField) encoder.field(list[i] as string, list[i + 1] as string)
  }
}

/** What the server would have said over HTTP/1.1. `socket` is the stream, the caller's from now on. */
export function upgradedReply(call: Call, head: ReplyHead, socket: Duplex): Reply {
  const reply = new Reply(101, head.headers, Body.empty)
  reply.headers.set('upgrade', call.upgrade)
  const key = call.headers.get(keyField)
  if (call.upgrade === 'websocket' && key !== undefined) {
    const accept = createHash('sha1').update(key).update(keySalt).digest('base64')
    reply.headers.set('sec-websocket-accept', accept)
  }
  reply.tunnel = { socket, head: Buffer.alloc(0) }
  return reply
}
