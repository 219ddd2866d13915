// What outlives a reload: things kept by their definition and counted, ended when the last runtime that uses them is gone.

import type { Closable } from '../core/policy.ts'

/** Owned by one worker. The same key gives the same thing as long as somebody holds it. */
export class Kept<T extends Closable> {
  readonly #entries = new Map<string, { readonly thing: T; holders: number }>()

  get size(): number {
    return this.#entries.size
  }

  /** The thing of this key, made where there is none yet. To be given back by `release`. */
  acquire(key: string, make: () => T): T {
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      entry = { thing: make(), holders: 0 }
      this.#entries.set(key, entry)
    }
    entry.holders++
    return entry.thing
  }

  /** Gives one hold back; the last one closes the thing. */
  release(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined || --entry.holders > 0) return
    this.#entries.delete(key)
    entry.thing.close()
  }
}
