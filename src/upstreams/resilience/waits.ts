// Waits of about the same length, of which most are called off: one timer for all of them.

import type { StartTimer } from '../pause.ts'

/** Something that waits in a line, and its neighbours there. Only `Waits` writes them. */
export interface Waiting {
  dueMs: number
  before: Waiting | null
  after: Waiting | null
  /** The wait is over. */
  due(): void
}

/**
 * Hot path: beginning and calling off a wait is writing a few fields. Who came first is called first; where waits differ in
 * length, one may be called as much later as one before it had longer to wait.
 */
export class Waits {
  readonly #now: () => number
  readonly #startTimer: StartTimer
  #first: Waiting | null = null
  #last: Waiting | null = null
  #hasTimer = false

  constructor(now: () => number, startTimer: StartTimer) {
    this.#now = now
    this.#startTimer = startTimer
  }

  add(waiting: Waiting, nowMs: number, ms: number): void {
    waiting.dueMs = nowMs + ms
    waiting.before = this.#last
    if (this.#last === null) this.#first = waiting
    else this.#last.after = waiting
    this.#last = waiting
    if (!this.#hasTimer) this.#arm(ms)
  }

  /** Calls a wait off; harmless when it is over. */
  remove(waiting: Waiting): void {
    const { before, after } = waiting
    if (before === null && this.#first !== waiting) return
    if (before === null) this.#first = after
    else before.after = after
    if (after === null) this.#last = before
    else after.before = before
    waiting.before = null
    waiting.after = null
  }

  #arm(ms: number): void {
    this.#hasTimer = true
    this.#startTimer(Math.max(1, Math.ceil(ms)), () => this.#fire())
  }

  /** The timer may have been started for a wait that was called off since. */
  #fire(): void {
    this.#hasTimer = false
    const nowMs = this.#now()
    while (this.#first !== null && this.#first.dueMs <= nowMs) {
      const waiting = this.#first
      this.remove(waiting)
      waiting.due()
    }
    // Whoever was called may have begun another wait.
    if (this.#first !== null && !this.#hasTimer) this.#arm(this.#first.dueMs - nowMs)
  }
}
