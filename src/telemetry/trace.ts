// Request ids and W3C Trace Context (https://www.w3.org/TR/trace-context/): made of pooled randomness, checked strictly.

import type { Headers } from '../core/headers.ts'

export interface Ids {
  /** 32 hexadecimal digits that nobody can guess; for `x-request-id`. */
  requestId(): string
  /** 32 digits, not all zero. */
  traceId(): string
  /** 16 digits, not all zero. */
  spanId(): string
}

const poolBytes = 4096
const zeroTraceId = '0'.repeat(32)
const zeroSpanId = '0'.repeat(16)

/** `fill` overwrites bytes with cryptographic randomness (`randomFillSync`); asked for 4 kB at a time, because each asking costs. */
export function createIds(fill: (bytes: Buffer) => void): Ids {
  const bytes = Buffer.alloc(poolBytes)
  let pool = ''
  let at = 0
  const take = (digits: number): string => {
    if (at + digits > pool.length) {
      fill(bytes)
      pool = bytes.toString('hex')
      at = 0
    }
    at += digits
    return pool.slice(at - digits, at)
  }
  const takeUnlike = (zero: string): string => {
    let id = take(zero.length)
    while (id === zero) id = take(zero.length)
    return id
  }
  return {
    requestId: () => take(32),
    traceId: () => takeUnlike(zeroTraceId),
    spanId: () => takeUnlike(zeroSpanId),
  }
}

export type TraceMode = 'start' | 'forward' | 'off'

/**
 * What is done with the trace context of a call before it is forwarded; changes its headers in place.
 *
 * `start` continues a valid `traceparent` under a new parent id and keeps its `tracestate`; where there is none, a broken one
 * or several, it starts a trace, marked as sampled, and drops `tracestate`. `forward` lets both pass untouched. `off` drops them.
 */
export function createTracing(mode: TraceMode, ids: Ids): (headers: Headers) => void {
  if (mode === 'forward') return () => {}
  if (mode === 'off') return dropTrace
  return headers => {
    const received = onlyValue(headers)
    if (received !== undefined && isTraceparent(received)) {
      headers.set('traceparent', `00-${received.slice(3, 35)}-${ids.spanId()}-${continuedFlags(received)}`)
      return
    }
    dropTrace(headers)
    headers.add('traceparent', `00-${ids.traceId()}-${ids.spanId()}-01`)
  }
}

function dropTrace(headers: Headers): void {
  headers.delete('traceparent')
  headers.delete('tracestate')
}

/** Section 3.2: more than one `traceparent` is as good as none. */
function onlyValue(headers: Headers): string | undefined {
  const list = headers.list
  let value: string | undefined
  for (let i = 1; i < list.length; i += 3) {
    if (list[i] !== 'traceparent') continue
    if (value !== undefined) return undefined
    value = list[i + 1]
  }
  return value
}

/**
 * Whether a field is a `traceparent` that may be continued: `version-traceid-parentid-flags`, lower-case hexadecimal digits,
 * neither id all zero, version not `ff`. Section 4.3: a later version may have more after a further dash.
 */
export function isTraceparent(text: string): boolean {
  if (text.length !== 55 && (text.startsWith('00') || text.charAt(55) !== '-')) return false
  return traceparentShape.test(text)
}

const traceparentShape = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}/

/** The flags `sampled` (bit 0) and `random-trace-id` (bit 1 of level 2) go on; bits without a meaning are written as 0. */
function continuedFlags(traceparent: string): string {
  const flags = Number.parseInt(traceparent.charAt(54), 16) & 3
  return `0${flags}`
}
