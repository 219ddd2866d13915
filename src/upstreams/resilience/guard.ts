// What lets calls through to an upstream or turns them away, and learns from how they end: its breaker and its adaptive limit.

import type { Layer } from '../../core/step.ts'
import type { Adaptive } from './adaptive.ts'
import type { Breaker } from './breaker.ts'
import { passes, refused } from './breaker-state.ts'
import { isTimeout, unmeasured, verdictOfFailure, verdictOfReply } from './outcome.ts'

export interface GuardOptions {
  readonly breaker: Breaker | null
  readonly adaptive: Adaptive | null
  /** See `patienceOf`. */
  readonly patienceMs: number
  /** The clock that is the same in every thread, monotonic milliseconds. */
  readonly now: () => number
}

/**
 * An open breaker refuses before a place of the limit is taken.
 *
 * Hot path: one promise, one look at the reply and at most two at the clock serve both.
 */
export function createGuard({ breaker, adaptive, patienceMs, now }: GuardOptions): Layer {
  /** Where nobody has to know the time, it is not asked for. */
  const endMs = (startedMs: number) => (breaker === null && startedMs === unmeasured ? unmeasured : now())
  return next =>
    function guard(call) {
      const ticket = breaker === null ? passes : breaker.admit()
      if (breaker !== null && ticket === refused) return Promise.resolve(breaker.refuse(call))
      if (adaptive !== null && !adaptive.tryEnter(call)) {
        breaker?.release(ticket)
        return Promise.resolve(adaptive.refuse(call))
      }
      const startedMs = breaker?.isTimed === true || adaptive?.isCurious === true ? now() : unmeasured
      return next(call).then(
        reply => {
          const verdict = verdictOfReply(reply)
          const nowMs = endMs(startedMs)
          adaptive?.left(call, startedMs, nowMs, verdict === 'good')
          breaker?.ended(call, ticket, startedMs, nowMs, verdict)
          return reply
        },
        (thrown: unknown) => {
          const nowMs = endMs(startedMs)
          adaptive?.left(call, startedMs, nowMs, isTimeout(call, thrown, patienceMs))
          breaker?.ended(call, ticket, startedMs, nowMs, verdictOfFailure(call, thrown, patienceMs))
          throw thrown
        },
      )
    }
}
