// Calls over HTTP/2 by Node's client, with all that came back.

import { once } from 'node:events'
import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2'
import { text } from 'node:stream/consumers'

export interface Http2Answer {
  readonly status: number
  readonly headers: Record<string, unknown>
  readonly trailers: Record<string, unknown>
  readonly body: string
}

/** Rejects where the stream is reset. */
export async function answerOf(stream: ClientHttp2Stream): Promise<Http2Answer> {
  let trailers: Record<string, unknown> = {}
  stream.on('trailers', came => {
    trailers = { ...came }
  })
  const [[headers], body] = await Promise.all([once(stream, 'response'), text(stream)])
  return { status: headers[':status'], headers, trailers, body }
}

/** One call by its path. */
export async function get(
  session: ClientHttp2Session,
  path: string,
  headers: OutgoingHttpHeaders = {},
): Promise<Http2Answer> {
  return answerOf(session.request({ ':path': path, ...headers }))
}

/** How a stream ended: its code. */
export async function codeOf(stream: ClientHttp2Stream): Promise<number> {
  stream.on('error', () => {})
  stream.resume()
  await new Promise<void>(resolve => stream.once('close', resolve))
  return stream.rstCode
}
