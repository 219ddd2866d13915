// What was found out about tokens, by their digest: bounded, the least used forgotten first.

import type { Closable } from '../core/policy.ts'

/** Two tables: when the younger is full the older is dropped, so that finding costs a lookup and keeping no list. */
export class TokenCache<T> implements Closable {
  readonly #half: number
  readonly #onFull: () => void
  #young = new Map<string, T>()
  #old = new Map<string, T>()

  constructor(max: number, onFull: () => void) {
    this.#half = Math.max(1, Math.floor(max / 2))
    this.#onFull = onFull
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(digest: string): T | undefined {
    const found = this.#young.get(digest)
    if (found !== undefined) return found
    const older = this.#old.get(digest)
    if (older !== undefined) {
      this.#old.delete(digest)
      this.set(digest, older)
    }
    return older
  }

  set(digest: string, value: T): void {
    if (this.#young.size >= this.#half) {
      if (this.#old.size > 0) this.#onFull()
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#old.delete(digest)
    this.#young.set(digest, value)
  }

  close(): void {
    this.#young.clear()
    this.#old.clear()
  }
}
