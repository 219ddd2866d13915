// One finished call as one line of JSON. Never holds header fields that carry secrets, nor secret query parameters.

import type { FinishedCall } from '../core/finished-call.ts'
import { type HiddenParameters, redactQuery, redactUrl } from './redact.ts'

/** The longest line, its end included: what POSIX writes to a pipe in one piece (PIPE_BUF on Linux). */
export const lineBytesMax = 4096

/** Longest text of one client-given field in a line that had to be cut. */
const cutTo = 128

/**
 * A serialiser of access-log lines. A line is ASCII, ends in a line feed and is never longer than `lineBytesMax`: where it
 * would be, what the client wrote is cut and `"cut":true` says so.
 *
 * Hot path: about 1 µs per line (bench/micro/access-line.ts), half of what JSON.stringify takes for the same object.
 */
export function createLineFormat(hidden: HiddenParameters): (event: FinishedCall) => string {
  const formatTime = createTimeFormat()
  return event => {
    const line = formatLine(event, formatTime(event.endedMs), Infinity, hidden)
    return line.length <= lineBytesMax ? line : formatLine(event, formatTime(event.endedMs), cutTo, hidden)
  }
}

function formatLine(event: FinishedCall, time: string, cut: number, hidden: HiddenParameters): string {
  const { call, code } = event
  const headers = call.headers
  let line = `{"time":"${time}","id":${quote(call.id, cut)},"client":${quote(call.clientAddress, cut)}`
  line += `,"listener":${quote(call.peer.listener, cut)},"scheme":"${call.peer.scheme}"`
  line += `,"method":${quote(call.method, cut)},"host":${quote(call.host, cut)},"path":${quote(call.path, cut)}`
  if (call.query !== '') line += `,"query":${quote(redactQuery(call.query, hidden), cut)}`
  line += `,"status":${event.status}`
  if (code !== null) line += `,"code":"${code}"`
  if (event.detail !== '') line += `,"detail":${quote(event.detail, cut)}`
  line += `,"route":${quote(call.route, cut)}`
  if (call.upstream !== '') line += `,"upstream":${quote(call.upstream, cut)}`
  line += `,"bytesIn":${event.bytesIn},"bytesOut":${event.bytesOut}`
  line += `,"durationMs":${round(event.totalMs)},"upstreamMs":${round(event.upstreamMs)}`
  const userAgent = headers.get('user-agent')
  if (userAgent !== undefined) line += `,"userAgent":${quote(userAgent, cut)}`
  const referer = headers.get('referer')
  if (referer !== undefined) line += `,"referer":${quote(redactUrl(referer, hidden), cut)}`
  const traceparent = headers.get('traceparent')
  if (traceparent?.length === 55) line += `,"traceId":${quote(traceparent.slice(3, 35), cut)}`
  return cut === Infinity ? `${line}}\n` : `${line},"cut":true}\n`
}

const needsEscape = /[^ !#-[\]-~]/
const notAscii = /[\x7f-\uffff]/g

/** A JSON string of ASCII only: header fields hold bytes of any encoding, and a line must stay readable to every tool. */
function quote(text: string, cut: number): string {
  const value = text.length > cut ? text.slice(0, cut) : text
  if (!needsEscape.test(value)) return `"${value}"`
  return JSON.stringify(value).replace(notAscii, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000
}

/** ISO 8601 in UTC. The text up to the second is kept, because formatting a date costs as much as half a line. */
function createTimeFormat(): (wallMs: number) => string {
  let second = -1
  let prefix = ''
  return wallMs => {
    const whole = Math.floor(wallMs / 1000)
    if (whole !== second) {
      second = whole
      prefix = new Date(whole * 1000).toISOString().slice(0, -4)
    }
    return `${prefix}${String(Math.floor(wallMs) - whole * 1000).padStart(3, '0')}Z`
  }
}
