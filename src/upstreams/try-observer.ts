// Who is told how tries end: what counts the failures of targets, and whatever else learns from them.

import type { Call } from '../core/call.ts'
import type { Failure } from '../core/failure.ts'
import type { Reply } from '../core/reply.ts'
import type { Endpoint } from './endpoint.ts'

/**
 * Told of each try of a call when the head of its reply came, or when it failed. A try whose call was given up is told too:
 * `call.abandonReason` says so. Called on the hot path: it must neither throw nor touch the call or the reply.
 */
export type TryObserver = (call: Call, endpoint: Endpoint, outcome: Reply | Failure) => void

/** One that tells all, in their order; null where there is none, so that nothing is called. */
export function combineObservers(observers: readonly (TryObserver | null)[]): TryObserver | null {
  const present = observers.filter(observer => observer !== null)
  const [first = null] = present
  if (present.length < 2) return first
  return (call, endpoint, outcome) => {
    for (const observe of present) observe(call, endpoint, outcome)
  }
}
