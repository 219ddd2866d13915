// Unary gRPC over node:http2: framing, deadline, and the status in the trailers.

import http2, { type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2'
import { OutsideError, type OutsideRpc } from '../core/outside.ts'
import { type Exchange, outsideErrorOf } from './deadline.ts'

/** Bytes in front of a message: whether it is compressed, and its length. */
const prefixBytes = 5

export interface RpcEvents {
  /** Something of a reply came. */
  heard(): void
  /**
   * It broke before anything of a reply came; `isRefused` where the server says that it did not look at it (RFC 9113 section
   * 8.7). True where whoever is told sends it again.
   */
  broke(isRefused: boolean): boolean
  /** Nothing whole came in time. */
  timedOut(): void
}

/** `remainingMs` is what is left of the deadline; the server is told. */
export function exchangeRpc(
  rpc: OutsideRpc,
  session: ClientHttp2Session,
  exchange: Exchange<Uint8Array>,
  remainingMs: number,
  events: RpcEvents,
): void {
  let hasReply = false
  let isBroken = false
  // Several events may tell of one break; only the first may send the call again.
  const broken = (thrown: unknown, isRefused = false) => {
    if (isBroken || exchange.isOver) return
    isBroken = true
    if (hasReply || !events.broke(isRefused)) exchange.fail(outsideErrorOf(thrown))
  }
  let stream: ClientHttp2Stream
  try {
    stream = open(rpc, session, remainingMs)
  } catch (error) {
    return broken(error)
  }
  exchange.onEnd = error => {
    if (error !== null) stream.close(http2.constants.NGHTTP2_CANCEL)
    if (error?.kind === 'timeout') events.timedOut()
  }
  stream.on('response', () => {
    hasReply = true
    events.heard()
  })
  read(stream, rpc.bodyBytesMax, exchange)
  const isRefused = () => stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM
  stream.on('error', error => broken(error, isRefused()))
  stream.on('close', () => broken(new OutsideError('unreachable', 'the reply was cut short'), isRefused()))
  send(stream, rpc.message)
}

function read(stream: ClientHttp2Stream, bytesMax: number, exchange: Exchange<Uint8Array>): void {
  const chunks: Buffer[] = []
  let size = 0
  let hasHead = false
  let status: string | undefined
  let text = ''
  const note = (headers: IncomingHttpHeaders) => {
    const found = headers['grpc-status']
    if (typeof found !== 'string') return
    status = found
    text = String(headers['grpc-message'] ?? '').slice(0, 200)
  }
  stream.on('response', headers => {
    hasHead = true
    note(headers)
    const type = headers['content-type'] ?? ''
    if (headers[':status'] !== 200) {
      exchange.fail(new OutsideError('malformed', `the reply has status ${headers[':status']}`))
    } else if (!/^application\/grpc(\+proto)?(;|$)/.test(type)) {
      exchange.fail(new OutsideError('malformed', 'the reply is not gRPC'))
    }
  })
  stream.on('trailers', note)
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size <= bytesMax + prefixBytes) chunks.push(chunk)
    else exchange.fail(new OutsideError('too-large', `the reply is larger than ${bytesMax} bytes`))
  })
  // A stream that was reset may end like one that is whole; `close` tells of it.
  stream.on('end', () => {
    if (hasHead && stream.rstCode === 0) settle(exchange, status, text, Buffer.concat(chunks))
  })
}

function open(rpc: OutsideRpc, session: ClientHttp2Session, remainingMs: number): ClientHttp2Stream {
  return session.request({
    ...rpc.metadata,
    ':method': 'POST',
    ':path': rpc.path,
    'content-type': 'application/grpc',
    te: 'trailers',
    'user-agent': 'turnpike',
    // Eight digits at most.
    'grpc-timeout': `${Math.min(99_999_999, Math.max(1, Math.ceil(remainingMs)))}m`,
  })
}

function send(stream: ClientHttp2Stream, message: Uint8Array): void {
  const head = Buffer.alloc(prefixBytes)
  head.writeUInt32BE(message.length, 1)
  stream.end(Buffer.concat([head, message]))
}

function settle(exchange: Exchange<Uint8Array>, status: string | undefined, text: string, body: Buffer): void {
  if (status === undefined) exchange.fail(new OutsideError('malformed', 'the reply has no gRPC status'))
  // The server was told of the deadline and may notice first.
  else if (status === '4') exchange.fail(new OutsideError('timeout', 'the server gave up in time'))
  else if (status !== '0')
    exchange.fail(new OutsideError('status', `gRPC status ${status.slice(0, 10)} ${clean(text)}`))
  else if (body.length < prefixBytes || body[0] !== 0 || body.readUInt32BE(1) !== body.length - prefixBytes) {
    exchange.fail(new OutsideError('malformed', 'the reply is not one uncompressed message'))
  } else exchange.finish(body.subarray(prefixBytes))
}

/** Percent-encoded by servers; for the log. */
function clean(text: string): string {
  let decoded = text
  try {
    decoded = decodeURIComponent(text)
  } catch {
    // Then it stands there as it came.
  }
  return decoded.replace(/[^ -~]/g, ' ')
}
