// Unary gRPC over node:http2: framing, deadline, and the status in the trailers.

import http2, { type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2'
import { OutsideError, type OutsideRpc } from '../core/outside.ts'
import { type Exchange, outsideErrorOf } from './deadline.ts'

/** Bytes in front of a message: whether it is compressed, and its length. */
const prefixBytes = 5

/** `done` is called with whether the server gave any sign of life. */
export function exchangeRpc(
  rpc: OutsideRpc,
  session: ClientHttp2Session,
  exchange: Exchange<Uint8Array>,
  done: (isAlive: boolean) => void,
): void {
  let isAlive = false
  let stream: ClientHttp2Stream
  try {
    stream = open(rpc, session)
  } catch (error) {
    exchange.fail(outsideErrorOf(error))
    return done(false)
  }
  exchange.onEnd = error => {
    if (error !== null) stream.close(http2.constants.NGHTTP2_CANCEL)
    done(isAlive)
  }
  const chunks: Buffer[] = []
  let size = 0
  let status: string | undefined
  let text = ''
  const note = (headers: IncomingHttpHeaders) => {
    const found = headers['grpc-status']
    if (typeof found !== 'string') return
    status = found
    text = String(headers['grpc-message'] ?? '').slice(0, 200)
  }
  stream.on('response', headers => {
    isAlive = true
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
    if (size <= rpc.bodyBytesMax + prefixBytes) chunks.push(chunk)
    else exchange.fail(new OutsideError('too-large', `the reply is larger than ${rpc.bodyBytesMax} bytes`))
  })
  stream.on('error', error => exchange.fail(outsideErrorOf(error)))
  stream.on('close', () => exchange.fail(new OutsideError('unreachable', 'the reply was cut short')))
  stream.on('end', () => settle(exchange, status, text, Buffer.concat(chunks)))
  send(stream, rpc.message)
}

function open(rpc: OutsideRpc, session: ClientHttp2Session): ClientHttp2Stream {
  return session.request({
    ...rpc.metadata,
    ':method': 'POST',
    ':path': rpc.path,
    'content-type': 'application/grpc',
    te: 'trailers',
    'user-agent': 'turnpike',
    'grpc-timeout': `${Math.max(1, Math.ceil(rpc.timeoutMs))}m`,
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
