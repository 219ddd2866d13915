// One finished call as one line of JSON. Never holds header fields that carry secrets, nor secret query parameters.

import type { FinishedCall } from '../core/finished-call.ts'
import { putDigits, putQuoted, putText, putThousandths, putWhole } from './json-bytes.ts'
import { lineBytesMax } from './line-writer.ts'
import { type HiddenParameters, redactQuery, redactUrl } from './redact.ts'

/** Longest text of one client-given field in a line that had to be cut. */
const cutTo = 128

/** Writes one line from `at` on and returns its end. */
export type LineFormat = (event: FinishedCall, bytes: Uint8Array, at: number) => number

/**
 * A serialiser of access-log lines. A line is ASCII, ends in a line feed and is never longer than `lineBytesMax`: where it
 * would be, what the client wrote is cut and `"cut":true` says so. Bytes behind the line may have been written over.
 *
 * Hot path: about half a microsecond per line (bench/micro/observe.ts).
 */
export function createLineFormat(hidden: HiddenParameters): LineFormat {
  const putTime = createTimeFormat()
  return (event, bytes, at) => {
    const end = putLine(event, bytes, at, putTime, Infinity, hidden)
    return end - at <= lineBytesMax ? end : putLine(event, bytes, at, putTime, cutTo, hidden)
  }
}

function putLine(
  event: FinishedCall,
  bytes: Uint8Array,
  start: number,
  putTime: PutTime,
  cut: number,
  hidden: HiddenParameters,
): number {
  const { call, code } = event
  const { headers, peer } = call
  const member = (at: number, name: string, value: string) =>
    putQuoted(bytes, putText(bytes, at, name), value.length > cut ? value.slice(0, cut) : value)
  let at = putTime(bytes, putText(bytes, start, '{"time":"'), event.endedMs)
  at = member(at, '","id":', call.id)
  at = member(at, ',"client":', call.clientAddress)
  at = member(at, ',"listener":', peer.listener)
  at = member(at, ',"scheme":', peer.scheme)
  at = member(at, ',"method":', call.method)
  at = member(at, ',"host":', call.host)
  at = member(at, ',"path":', call.path)
  if (call.query !== '') at = member(at, ',"query":', redactQuery(call.query, hidden))
  at = putWhole(bytes, putText(bytes, at, ',"status":'), event.status)
  if (code !== null) at = member(at, ',"code":', code)
  if (event.detail !== '') at = member(at, ',"detail":', event.detail)
  at = member(at, ',"route":', call.route)
  if (call.upstream !== '') at = member(at, ',"upstream":', call.upstream)
  at = putWhole(bytes, putText(bytes, at, ',"bytesIn":'), event.bytesIn)
  at = putWhole(bytes, putText(bytes, at, ',"bytesOut":'), event.bytesOut)
  at = putThousandths(bytes, putText(bytes, at, ',"durationMs":'), event.totalMs)
  at = putThousandths(bytes, putText(bytes, at, ',"upstreamMs":'), event.upstreamMs)
  const userAgent = headers.get('user-agent')
  if (userAgent !== undefined) at = member(at, ',"userAgent":', userAgent)
  const referer = headers.get('referer')
  if (referer !== undefined) at = member(at, ',"referer":', redactUrl(referer, hidden))
  const traceparent = headers.get('traceparent')
  if (traceparent?.length === 55) at = member(at, ',"traceId":', traceparent.slice(3, 35))
  return putText(bytes, at, cut === Infinity ? '}\n' : ',"cut":true}\n')
}

type PutTime = (bytes: Uint8Array, at: number, wallMs: number) => number

/** ISO 8601 in UTC. The text up to the second is kept, because formatting a date costs as much as half a line. */
function createTimeFormat(): PutTime {
  let second = -1
  let prefix = ''
  return (bytes, at, wallMs) => {
    const whole = Math.floor(wallMs / 1000)
    if (whole !== second) {
      second = whole
      prefix = new Date(whole * 1000).toISOString().slice(0, -4)
    }
    const end = putDigits(bytes, putText(bytes, at, prefix), Math.floor(wallMs) - whole * 1000, 3)
    bytes[end] = 0x5a
    return end + 1
  }
}
