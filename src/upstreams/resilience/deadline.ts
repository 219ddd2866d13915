// Tells the upstream how much time a call has left, so that it does not work on for nobody.

import type { Call } from '../../core/call.ts'
import type { Layer } from '../../core/step.ts'

export interface DeadlineTeller {
  /** Takes the field off each call; what a trusted proxy says in it brings the deadline forward. */
  readonly layer: Layer
  /** To be called before each try; `nowMs` is `Clock.now`. */
  readonly tell: (call: Call, nowMs: number) => void
}

/** Milliseconds as plain digits, as in Envoy's `x-envoy-expected-rq-timeout-ms`. */
export function createDeadlineTeller(header: string): DeadlineTeller {
  const key = header.toLowerCase()
  return {
    layer: next =>
      function deadline(call) {
        const { headers, peer } = call
        const given = headers.get(key)
        if (given !== undefined) {
          headers.delete(key)
          const dueMs = peer.isTrusted && /^\d{1,9}$/.test(given) ? call.startedMs + Number(given) : Infinity
          if (dueMs < call.deadlineMs) call.deadlineMs = dueMs
        }
        return next(call)
      },
    tell(call, nowMs) {
      if (call.deadlineMs === Infinity) return
      const left = String(Math.max(0, Math.floor(call.deadlineMs - nowMs)))
      // Hot path: before its first try no call has the field, and `set` would lower the case of its name anew.
      if (call.headers.has(key)) call.headers.set(header, left)
      else call.headers.list.push(header, key, left)
    },
  }
}
