// What stands around all tries of a call: lets it through to the upstream or turns it away, has it sent again where its reply is
// late, and learns from how it ends.

import type { Call } from '../../core/call.ts'
import { Failure } from '../../core/failure.ts'
import { Reply } from '../../core/reply.ts'
import type { Adaptive } from './adaptive.ts'
import type { Breaker } from './breaker.ts'
import { passes, refused } from './breaker-state.ts'
import type { Hedge, Race } from './hedge.ts'
import { isTimeout, unmeasured, verdictOfFailure, verdictOfReply } from './outcome.ts'

export interface GuardOptions {
  readonly breaker: Breaker | null
  readonly adaptive: Adaptive | null
  readonly hedge: Hedge | null
  /** See `patienceOf`. */
  readonly patienceMs: number
  /** The clock that is the same in every thread, monotonic milliseconds. */
  readonly now: () => number
}

export interface Guard {
  /** Whether it wants to know when calls begin. */
  readonly isTimed: boolean
  /** To be asked before the first try, with `Clock.now` where it wants to know. Gives the reply to a call that is turned away. */
  admit(call: Call, nowMs: number): Passage | Reply
}

/**
 * An open breaker refuses before a place of the limit is taken. A call that is sent twice takes one place.
 *
 * Hot path: none of the three has a promise of its own; breaker and limit share one look at the reply, and at most two at their clock.
 */
export function createGuard(options: GuardOptions): Guard {
  const { breaker, adaptive, hedge, now } = options
  return {
    isTimed: hedge !== null,
    admit(call, nowMs) {
      const ticket = breaker === null ? passes : breaker.admit()
      if (breaker !== null && ticket === refused) return breaker.refuse(call)
      if (adaptive !== null && !adaptive.tryEnter(call)) {
        breaker?.release(ticket)
        return adaptive.refuse(call)
      }
      const startedMs = breaker?.isTimed === true || adaptive?.isCurious === true ? now() : unmeasured
      return new Passage(options, call, ticket, startedMs, hedge === null ? null : hedge.begin(call, nowMs))
    },
  }
}

/** One call that was let through. It is told once how its tries ended, and says what the call ends with. */
export class Passage {
  readonly #options: GuardOptions
  readonly #call: Call
  readonly #ticket: number
  readonly #startedMs: number
  readonly #race: Race | null

  constructor(options: GuardOptions, call: Call, ticket: number, startedMs: number, race: Race | null) {
    this.#options = options
    this.#call = call
    this.#ticket = ticket
    this.#startedMs = startedMs
    this.#race = race
  }

  /** The call itself was answered; its connection may still be reading. Where it was late, a copy of it may be under way. */
  answered(reply: Reply): Reply | Promise<Reply> {
    const outcome = this.#race === null ? reply : this.#race.answered(reply)
    return outcome instanceof Reply ? this.#passed(outcome) : this.#raced(outcome)
  }

  /** The call itself failed. @throws Failure where that is the outcome */
  failed(failure: Failure): Promise<Reply> {
    const outcome = this.#race === null ? null : this.#race.failed(failure)
    return outcome === null ? this.#broke(failure) : this.#raced(outcome)
  }

  /** It was sent twice, and ends as the race of the two does. */
  #raced(outcome: Promise<Reply>): Promise<Reply> {
    return outcome.then(
      reply => this.#passed(reply),
      (thrown: unknown) => this.#broke(Failure.from(thrown)),
    )
  }

  #passed(reply: Reply): Reply {
    const { breaker, adaptive } = this.#options
    const verdict = verdictOfReply(reply)
    const nowMs = this.#endMs
    adaptive?.left(this.#call, this.#startedMs, nowMs, verdict === 'good')
    breaker?.ended(this.#call, this.#ticket, this.#startedMs, nowMs, verdict)
    return reply
  }

  #broke(failure: Failure): never {
    const { breaker, adaptive, patienceMs } = this.#options
    const nowMs = this.#endMs
    adaptive?.left(this.#call, this.#startedMs, nowMs, isTimeout(this.#call, failure, patienceMs))
    breaker?.ended(this.#call, this.#ticket, this.#startedMs, nowMs, verdictOfFailure(this.#call, failure, patienceMs))
    throw failure
  }

  /** Where nobody has to know the time, it is not asked for. */
  get #endMs(): number {
    const { breaker, now } = this.#options
    return breaker === null && this.#startedMs === unmeasured ? unmeasured : now()
  }
}
