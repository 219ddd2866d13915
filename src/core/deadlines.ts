// A table of everything in one thread that has a deadline, looked through on a coarse beat.

import type { Deadlines, Timed } from './ports.ts'

/**
 * Hot path: no timer per call or connection. Moving a deadline is writing a number; a beat over ten thousand idle
 * connections takes well under a millisecond. Deadlines are met between 0 and one beat late.
 */
export class DeadlineTable implements Deadlines {
  readonly #entries: Timed[] = []

  get size(): number {
    return this.#entries.length
  }

  add(entry: Timed): void {
    if (entry.slot !== -1) return
    entry.slot = this.#entries.length
    this.#entries.push(entry)
  }

  remove(entry: Timed): void {
    const slot = entry.slot
    if (slot === -1) return
    entry.slot = -1
    const last = this.#entries.pop() as Timed
    if (last === entry) return
    this.#entries[slot] = last
    last.slot = slot
  }

  /** Calls back all that is due. Entries may be added and removed meanwhile. */
  beat(nowMs: number): void {
    // From the end, because removing puts the last entry, already looked at, into the place of the removed one.
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      const entry = this.#entries[i]
      if (entry !== undefined && nowMs > entry.dueMs) entry.due(nowMs)
    }
  }
}
