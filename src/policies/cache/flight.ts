// One question to the upstream, and all who wait for its answer.

import type { Abandonable, Call } from '../../core/call.ts'
import type { FailureCode } from '../../core/codes.ts'
import { Failure } from '../../core/failure.ts'
import type { Deadlines, Timed } from '../../core/ports.ts'
import type { Stored } from './stored.ts'

/** What those who waited get: the reply that was kept; word to ask for themselves; or the failure that struck the question. */
export type Outcome =
  | { readonly kind: 'stored'; readonly stored: Stored }
  | { readonly kind: 'alone' }
  | { readonly kind: 'late' }
  | { readonly kind: 'failed'; readonly code: FailureCode }

/**
 * The call is one without a client: whoever waits may leave, and it goes on for the others. When the last has left it is given up.
 * It keeps its own deadline, as no connection does.
 */
export class Flight implements Timed {
  readonly call: Call
  slot = -1
  readonly #deadlines: Deadlines
  readonly #waiters = new Set<Waiter>()
  #parties = 0

  constructor(call: Call, deadlines: Deadlines) {
    this.call = call
    this.#deadlines = deadlines
    deadlines.add(this)
  }

  get dueMs(): number {
    return this.call.deadlineMs
  }

  due(): void {
    this.#deadlines.remove(this)
    this.call.abandon(new Failure('call-timeout'))
  }

  /** Somebody wants the answer, whose call may be given up; `gaveUp` is told then. */
  enter(call: Call, gaveUp: (reason: Failure) => void): Party {
    this.#parties++
    return new Party(call, gaveUp, () => this.#left())
  }

  /** Nobody's call, but it is wanted. */
  hold(): void {
    this.#parties++
  }

  /** Resolves with the outcome, or with `late` when it has not come by then. Rejects when the call is given up. */
  wait(call: Call, untilMs: number): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const waiter = new Waiter(untilMs, this.#deadlines, outcome => {
        this.#waiters.delete(waiter)
        party.leave()
        resolve(outcome)
      })
      const party = this.enter(call, reason => {
        this.#waiters.delete(waiter)
        waiter.stop()
        reject(reason)
      })
      this.#waiters.add(waiter)
    })
  }

  /** Tells all who wait; later ones ask for themselves. */
  settle(outcome: Outcome): void {
    for (const waiter of [...this.#waiters]) waiter.tell(outcome)
  }

  /** Nothing more comes of it. */
  over(): void {
    this.#deadlines.remove(this)
  }

  #left(): void {
    this.#parties--
    if (this.#parties === 0) this.call.abandon(new Failure('client-closed'))
  }
}

/** Somebody's share in a flight, until it is given back. */
export class Party implements Abandonable {
  readonly #call: Call
  readonly #gaveUp: (reason: Failure) => void
  readonly #left: () => void
  isGone = false

  constructor(call: Call, gaveUp: (reason: Failure) => void, left: () => void) {
    this.#call = call
    this.#gaveUp = gaveUp
    this.#left = left
    call.onAbandon(this)
  }

  abandoned(reason: Failure): void {
    if (this.isGone) return
    this.#gaveUp(reason)
    this.leave()
  }

  leave(): void {
    if (this.isGone) return
    this.stay()
    this.#left()
  }

  /** Needs nothing more, but leaves its share, so that the flight goes on. */
  stay(): void {
    this.isGone = true
    this.#call.offAbandon(this)
  }
}

class Waiter implements Timed {
  readonly dueMs: number
  slot = -1
  readonly #deadlines: Deadlines
  readonly #told: (outcome: Outcome) => void

  constructor(untilMs: number, deadlines: Deadlines, told: (outcome: Outcome) => void) {
    this.dueMs = untilMs
    this.#deadlines = deadlines
    this.#told = told
    deadlines.add(this)
  }

  tell(outcome: Outcome): void {
    this.stop()
    this.#told(outcome)
  }

  due(): void {
    this.tell({ kind: 'late' })
  }

  stop(): void {
    this.#deadlines.remove(this)
  }
}
