// What the end of a call says about the upstream.

import type { Call } from '../../core/call.ts'
import type { FailureCode } from '../../core/codes.ts'
import type { Failure } from '../../core/failure.ts'
import type { Reply } from '../../core/reply.ts'
import type { UpstreamBlueprint } from '../../core/upstream-schema.ts'
import { isOwnFault } from '../own-fault.ts'
import { statusOf } from '../status-of.ts'

/** `none`: it was the client or the gateway itself, and the upstream is not to blame. */
export type Verdict = 'good' | 'bad' | 'none'

/** Stands for the start of calls of which nobody has to know it. */
export const unmeasured = -1

/** Refusals of the gateway that cost the upstream nothing. */
const ownRefusals: ReadonlySet<FailureCode> = new Set<FailureCode>([
  'upstream-busy',
  'upstream-unhealthy',
  'breaker-open',
  'upstream-overloaded',
])

export function verdictOfReply(reply: Reply): Verdict {
  if (reply.code !== null) return 'none'
  const status = statusOf(reply)
  if (isClientsDeadline(reply, status)) return 'none'
  // What the server does not know by name was asked for by the client (RFC 9110 §15.6.2, UNIMPLEMENTED of gRPC).
  if (status === 501) return 'none'
  return status >= 500 ? 'bad' : 'good'
}

/**
 * DEADLINE_EXCEEDED of gRPC: a client that gives no time at all would make any server pass for a sick one. `meant` is the reply's
 * `statusOf`.
 */
export function isClientsDeadline({ status }: Reply, meant: number): boolean {
  return status === 200 && meant === 504
}

export function verdictOfFailure(call: Call, failure: Failure, patienceMs: number): Verdict {
  const { code, source } = failure
  if (code === 'call-timeout') return isPatient(call, patienceMs) ? 'bad' : 'none'
  return source === 'upstream' && !ownRefusals.has(code) && !isOwnFault(failure) ? 'bad' : 'none'
}

/** The upstream took all the time there was. */
export function isTimeout(call: Call, { code }: Failure, patienceMs: number): boolean {
  return code === 'upstream-timeout' || (code === 'call-timeout' && isPatient(call, patienceMs))
}

/** Whether the upstream had the whole call, or could have taken more of it, for so long. */
export function isPatient({ upstreamMs, sendingMs }: Call, patienceMs: number): boolean {
  return upstreamMs - sendingMs >= patienceMs
}

/**
 * How long a call must have been with an upstream before the end of its own time says something about that: a client may set a
 * deadline that no upstream could meet. What the config sets for all calls of the upstream is believed; give or take a tenth,
 * for that time begins a little earlier.
 */
export function patienceOf({ response, call }: UpstreamBlueprint['timeouts']): number {
  return Math.min(1000, response, call ?? Infinity) * 0.9
}
