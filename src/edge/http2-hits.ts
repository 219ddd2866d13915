// Counts that bounds on HTTP/2 connections were hit.

import type { Meter } from '../core/ports.ts'
import type { Http2Ceiling } from './gate.ts'

/** What the metric calls them. */
const ceilings: Readonly<Record<Http2Ceiling, string>> = {
  streams: 'http2-streams',
  resets: 'http2-resets',
  pings: 'http2-pings',
  settings: 'http2-settings',
  emptyFrames: 'http2-empty-frames',
  windowUpdates: 'http2-window-updates',
  continuations: 'http2-continuations',
  heldFrames: 'http2-held-frames',
  stalls: 'http2-stalls',
}

export function createHttp2Hits(meter: Meter, listener: string): (ceiling: Http2Ceiling) => void {
  const counters = new Map(
    Object.entries(ceilings).map(([key, ceiling]) => [
      key,
      meter.counter('turnpike_ceiling_hits', { ceiling, name: listener }),
    ]),
  )
  return ceiling => counters.get(ceiling)?.add(1)
}
