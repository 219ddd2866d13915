// What one worker knows of each key of which calls are under way in it, or wait for leave.

/** A call that waits for a permit. */
export interface Waiter {
  readonly limit: number
  /** After this it goes by its `onFailure`. */
  readonly untilMs: number
  /** Whether the store is to be believed, for this one. */
  readonly mayAsk: () => boolean
  /** How long it waits before it asks again. */
  waitMs: number
  readonly admit: () => void
  readonly refuse: () => void
  /** The store failed. */
  readonly fallBack: () => void
  /** Comes again where others may give something back. */
  readonly again: () => void
}

export interface Seat {
  readonly key: string
  /** The key of the store. */
  readonly name: string
  /** Calls under way, whoever let them in. */
  used: number
  /** The most of them since permits were last trimmed, and before that. */
  usedMax: number
  usedMaxBefore: number
  /** Permits that the store has down for this worker. */
  held: number
  /** The limit by which what comes free may be used again without asking; Infinity where nobody knows one that is kept. */
  limit: number
  /** Whether the store knows that some of them may be unused. */
  isLoose: boolean
  /** Whether any of its limits may leave some unused. */
  isLeased: boolean
  /** Until then nothing is kept unused. */
  strictUntilMs: number
  readonly waiting: Waiter[]
  /** Whether the store has to be told of what changed. */
  isStale: boolean
  /** Told with whether the next statement came through. */
  readonly listeners: ((isStated: boolean) => void)[]
  isAsking: boolean
}

/** Owns the seats of a worker. Of each key there is one at a time: what it states is the whole truth about the worker. */
export class Seats {
  readonly #byKey = new Map<string, Seat>()
  readonly #byName = new Map<string, Seat>()

  get size(): number {
    return this.#byKey.size
  }

  of(key: string, nameOf: (key: string) => string): Seat {
    let seat = this.#byKey.get(key)
    if (seat === undefined) {
      seat = newSeat(key, nameOf(key))
      this.#byKey.set(key, seat)
      this.#byName.set(seat.name, seat)
    }
    return seat
  }

  named(name: string): Seat | undefined {
    return this.#byName.get(name)
  }

  has(seat: Seat): boolean {
    return this.#byKey.get(seat.key) === seat
  }

  all(): Seat[] {
    return [...this.#byKey.values()]
  }

  /** Forgets it where there is nothing to know. */
  tidy(seat: Seat): void {
    if (!this.has(seat) || seat.used + seat.held + seat.waiting.length > 0 || seat.isStale || seat.isAsking) return
    this.#byKey.delete(seat.key)
    this.#byName.delete(seat.name)
  }
}

function newSeat(key: string, name: string): Seat {
  return {
    ...{ key, name, used: 0, usedMax: 0, usedMaxBefore: 0, held: 0, limit: Infinity, isLoose: false, isLeased: false },
    ...{ strictUntilMs: 0, waiting: [], isStale: false, listeners: [], isAsking: false },
  }
}
