// What is known of a call once its last byte was sent or it was given up; made by the edge, read by metrics and the log.

import type { Call } from './call.ts'
import type { FailureCode } from './codes.ts'

export interface FinishedCall {
  readonly call: Call
  /** Status sent to the client; 0 when nothing was sent. */
  readonly status: number
  /** Why the gateway itself denied, failed or gave up the call, else null. */
  readonly code: FailureCode | null
  /** What went wrong, for the log only; empty when nothing did. */
  readonly detail: string
  /** Bytes of the request body. */
  readonly bytesIn: number
  /** Bytes of the reply body. */
  readonly bytesOut: number
  /** From the first byte of the head to the last of the reply, milliseconds. */
  readonly totalMs: number
  /** The part of it spent waiting for upstreams; see `Call.upstreamMs`. */
  readonly upstreamMs: number
  /** Milliseconds since the Unix epoch (`Clock.wall`). */
  readonly endedMs: number
}
