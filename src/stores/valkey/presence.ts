// Under which name the store knows this worker as one that has calls under way.

import { randomBytes } from 'node:crypto'

const oldMax = 8

/**
 * The name is a new one on each connection: what is still on its way on an old one says nothing about the new one. Names of before are
 * forgotten when all was told by the new one, so that nothing is uncounted in between.
 */
export class Presence {
  /** Empty before the first connection. */
  name = ''
  #old: string[] = []
  readonly #tellers = new Set<() => Promise<boolean>>()

  /** Names of before, of which not all was told by the new one yet. */
  get old(): readonly string[] {
    return this.#old
  }

  begin(): void {
    if (this.name !== '') this.#old = [...this.#old.slice(1 - oldMax), this.name]
    this.name = randomBytes(6).toString('base64url')
  }

  /**
   * Calls `tell` when the store may not know what this worker has under way: on a new connection, after a failure, when the worker was
   * taken for gone, and when data was lost. It resolves with whether all of it was told.
   */
  onRenewal(tell: () => Promise<boolean>): () => void {
    this.#tellers.add(tell)
    return () => this.#tellers.delete(tell)
  }

  /** `forget` has the store forget names. Those that it is not told of it forgets when it has not heard of them for a while. */
  async renew(forget: (names: readonly string[]) => Promise<unknown>): Promise<void> {
    const { name } = this
    const told = await Promise.all([...this.#tellers].map(tell => tell()))
    if (name !== this.name || this.#old.length === 0 || told.includes(false)) return
    await forget(this.#old.splice(0))
  }

  /** All names, for the last word. */
  end(): readonly string[] {
    const all = this.name === '' ? this.#old : [...this.#old, this.name]
    this.#old = []
    return all
  }
}
