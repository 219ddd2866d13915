// One finished call as one line of JSON. Never holds header fields that carry secrets, nor secret query parameters.

import type { FinishedCall } from '../core/finished-call.ts'
import { type Piece, pieceOf, putDigits, putPiece, putQuoted, putThousandths, putWhole } from './json-bytes.ts'
import { lineBytesMax } from './line-writer.ts'
import { type HiddenParameters, redactQuery, redactUrl } from './redact.ts'

/** Longest text of one field in a line that had to be cut, and in one that was too long still: escaped, a unit takes six bytes. */
const cutTo = 128
const cutShort = 16

/** What is the same in every line, as pieces. */
const opening = '{"time":"'
const afterTime = pieceOf('","id":')
const keys = {
  client: pieceOf(',"client":'),
  listener: pieceOf(',"listener":'),
  scheme: pieceOf(',"scheme":'),
  method: pieceOf(',"method":'),
  host: pieceOf(',"host":'),
  path: pieceOf(',"path":'),
  query: pieceOf(',"query":'),
  status: pieceOf(',"status":'),
  grpcStatus: pieceOf(',"grpcStatus":'),
  code: pieceOf(',"code":'),
  detail: pieceOf(',"detail":'),
  route: pieceOf(',"route":'),
  upstream: pieceOf(',"upstream":'),
  target: pieceOf(',"target":'),
  tries: pieceOf(',"tries":'),
  bytesIn: pieceOf(',"bytesIn":'),
  bytesOut: pieceOf(',"bytesOut":'),
  durationMs: pieceOf(',"durationMs":'),
  upstreamMs: pieceOf(',"upstreamMs":'),
  userAgent: pieceOf(',"userAgent":'),
  referer: pieceOf(',"referer":'),
  traceId: pieceOf(',"traceId":'),
}
/** With their key. */
const protocols = {
  'HTTP/1.0': pieceOf(',"protocol":"HTTP/1.0"'),
  'HTTP/1.1': pieceOf(',"protocol":"HTTP/1.1"'),
  'HTTP/2': pieceOf(',"protocol":"HTTP/2"'),
}
const closing = pieceOf('}\n')
const cutClosing = pieceOf(',"cut":true}\n')

/** Writes one line from `at` on and returns its end. */
export type LineFormat = (event: FinishedCall, bytes: Uint8Array, at: number) => number

/**
 * A serialiser of access-log lines. A line is ASCII, ends in a line feed and is never longer than `lineBytesMax`: where it
 * would be, what the client wrote is cut and `"cut":true` says so. Bytes behind the line may have been written over.
 *
 * Hot path: 0.9 µs per line, where one that was written byte by byte took 1.4 µs, and one joined as text half as much again
 * (bench/micro/observe.ts).
 */
export function createLineFormat(hidden: HiddenParameters): LineFormat {
  const putTime = createTimeFormat()
  let viewed: Uint8Array = new Uint8Array(0)
  let view: DataView = new DataView(viewed.buffer)
  return (event, bytes, at) => {
    if (bytes !== viewed) {
      viewed = bytes
      view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    }
    // What is longer makes the line too long anyway, and is not to be escaped in vain.
    let end = putLine(event, bytes, view, at, putTime, lineBytesMax, hidden)
    if (end - at > lineBytesMax) end = putLine(event, bytes, view, at, putTime, cutTo, hidden)
    return end - at > lineBytesMax ? putLine(event, bytes, view, at, putTime, cutShort, hidden) : end
  }
}

function putLine(
  event: FinishedCall,
  bytes: Uint8Array,
  view: DataView,
  start: number,
  putTime: PutTime,
  cut: number,
  hidden: HiddenParameters,
): number {
  const { call, code } = event
  const { headers, peer } = call
  const member = (at: number, key: Piece, value: string) =>
    putQuoted(bytes, putPiece(bytes, view, at, key), value.length > cut ? value.slice(0, cut) : value)
  let at = putTime(bytes, view, start, event.endedMs)
  at = member(at, afterTime, call.id)
  at = member(at, keys.client, call.clientAddress)
  at = member(at, keys.listener, peer.listener)
  at = member(at, keys.scheme, peer.scheme)
  at = putPiece(bytes, view, at, protocols[call.protocol])
  at = member(at, keys.method, call.method)
  at = member(at, keys.host, call.host)
  at = member(at, keys.path, call.path)
  if (call.query !== '') at = member(at, keys.query, redactQuery(call.query, hidden))
  at = putWhole(bytes, putPiece(bytes, view, at, keys.status), event.status)
  if (call.grpcStatus !== -1) at = putWhole(bytes, putPiece(bytes, view, at, keys.grpcStatus), call.grpcStatus)
  if (code !== null) at = member(at, keys.code, code)
  if (event.detail !== '') at = member(at, keys.detail, event.detail)
  at = member(at, keys.route, call.route)
  if (call.upstream !== '') at = member(at, keys.upstream, call.upstream)
  if (call.askedTarget !== null) at = member(at, keys.target, call.askedTarget.id)
  if (call.tries > 1) at = putWhole(bytes, putPiece(bytes, view, at, keys.tries), call.tries)
  at = putWhole(bytes, putPiece(bytes, view, at, keys.bytesIn), event.bytesIn)
  at = putWhole(bytes, putPiece(bytes, view, at, keys.bytesOut), event.bytesOut)
  at = putThousandths(bytes, putPiece(bytes, view, at, keys.durationMs), event.totalMs)
  at = putThousandths(bytes, putPiece(bytes, view, at, keys.upstreamMs), event.upstreamMs)
  const userAgent = headers.get('user-agent')
  if (userAgent !== undefined) at = member(at, keys.userAgent, userAgent)
  const referer = headers.get('referer')
  if (referer !== undefined) at = member(at, keys.referer, redactUrl(referer, hidden))
  const traceparent = headers.get('traceparent')
  if (traceparent?.length === 55) at = member(at, keys.traceId, traceparent.slice(3, 35))
  return putPiece(bytes, view, at, cut === lineBytesMax ? closing : cutClosing)
}

type PutTime = (bytes: Uint8Array, view: DataView, at: number, wallMs: number) => number

/** ISO 8601 in UTC. What is before it and the text up to the second are kept: formatting a date costs as much as half a line. */
function createTimeFormat(): PutTime {
  let second = -1
  let prefix = pieceOf('')
  return (bytes, view, at, wallMs) => {
    const whole = Math.floor(wallMs / 1000)
    if (whole !== second) {
      second = whole
      prefix = pieceOf(opening + new Date(whole * 1000).toISOString().slice(0, -4))
    }
    const end = putDigits(bytes, putPiece(bytes, view, at, prefix), Math.floor(wallMs) - whole * 1000, 3)
    bytes[end] = 0x5a
    return end + 1
  }
}
