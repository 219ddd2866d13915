// What is known when a call is over: one event, for metrics and the access log.

import type { Call } from './call.ts'
import type { FailureCode } from './codes.ts'

export interface FinishedCall {
  readonly call: Call
  /** Status sent to the client; 0 when it left before one was sent. */
  readonly status: number
  /** Set when the gateway denied or failed the call, or the client left. */
  readonly code: FailureCode | null
  /** What went wrong, for the log; empty when nothing did. */
  readonly detail: string
  /** Body bytes received from the client and sent to it. */
  readonly bytesIn: number
  readonly bytesOut: number
  /** From the first byte of the head to the last byte of the reply handed to the socket, milliseconds. */
  readonly totalMs: number
}
