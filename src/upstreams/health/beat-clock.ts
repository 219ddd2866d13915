// Time as a thread lives it: while it stands still, so does its clock.

import type { Clock } from '../../core/ports.ts'

/**
 * The clock of checks. A thread that was held up would find all deadlines passed before it reads the answers that lie in its
 * sockets, and take every target for sick. So from one beat to the next no more than one beat passes.
 */
export class BeatClock implements Clock {
  readonly #clock: Clock
  readonly #beatMs: number
  #countedMs = 0
  #beatAtMs: number

  constructor(clock: Clock, beatMs: number) {
    this.#clock = clock
    this.#beatMs = beatMs
    this.#beatAtMs = clock.now()
  }

  now(): number {
    return this.#countedMs + Math.min(this.#beatMs, this.#clock.now() - this.#beatAtMs)
  }

  wall(): number {
    return this.#clock.wall()
  }

  /** To be called about every `beatMs`. */
  beat(): void {
    this.#countedMs = this.now()
    this.#beatAtMs = this.#clock.now()
  }
}
