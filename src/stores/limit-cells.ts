// One thread's hands on the shared memory of limits: takes a set, finds or gives the row of a key, and lets go.

import { entriesPerSet, type LimitMemory, LimitView } from './limit-memory.ts'

/** In place of a row: the set has no room, or could not be had in time. */
export const noRow = -1

/** How long a thread waits for another one that has the same set: 50 ms, in steps. */
const lockWaits = 1000
const lockWaitMs = 0.05
const lockSpins = 200

/**
 * Between `open` and `close` the set of the key belongs to this thread: well under a microsecond, unless it is paused. Nothing in
 * between may throw or wait. If the thread ends there, `releaseLimits` undoes what it began.
 */
export class LimitCells {
  /** A row is `fields` numbers of these from where `open` says. */
  readonly rows: Float64Array
  readonly fields: number
  readonly #view: LimitView
  readonly #words: Int32Array
  readonly #worker: number
  readonly #note: number
  #lock = 0

  constructor(memory: LimitMemory, worker: number) {
    this.#view = new LimitView(memory)
    this.rows = this.#view.numbers
    this.#words = this.#view.words
    this.fields = memory.fields
    this.#worker = worker
    this.#note = this.#view.noteOf(worker)
  }

  /**
   * Takes the set of a key and returns where the key's row begins, all zeros where it had none. On `noRow` nothing is held. The
   * row may be read; before it is written, call `begin`.
   */
  open(low: number, high: number, nowMs: number): number {
    const set = this.#view.setOf(high)
    if (!this.#take(set)) return noRow
    const row = this.#locate(set, low, high, nowMs)
    if (row === noRow) this.close()
    return row
  }

  /** Forgets the row of this key's set that would be worth nothing first; the next `open` of a key of the set may have it. */
  makeRoom(high: number): void {
    const set = this.#view.setOf(high)
    if (!this.#take(set)) return
    let least = this.#view.rowOf(set, 0)
    for (let entry = 1; entry < entriesPerSet; entry++) {
      const row = this.#view.rowOf(set, entry)
      if ((this.rows[row - 1] as number) < (this.rows[least - 1] as number)) least = row
    }
    this.#clear(least)
    this.close()
  }

  /** Notes what stands in the row, of which only so many numbers will be changed. */
  begin(row: number, count: number = this.fields): void {
    this.#view.note(this.#worker, row, count)
  }

  /** Keeps what was written into the row, until then. */
  commit(row: number, expiryMs: number): void {
    this.rows[row - 1] = expiryMs
    this.rows[this.#note + 1] = 0
  }

  /** Lets go of the set. */
  close(): void {
    Atomics.store(this.#words, this.#lock, 0)
    this.rows[this.#note] = 0
  }

  #locate(set: number, low: number, high: number, nowMs: number): number {
    const words = this.#words
    const view = this.#view
    const hashes = view.hashOf(set, 0)
    for (let entry = 0; entry < entriesPerSet; entry++) {
      if (words[hashes + entry] !== low || words[hashes + entriesPerSet + entry] !== high) continue
      const row = view.rowOf(set, entry)
      if ((this.rows[row - 1] as number) <= nowMs) this.#clear(row)
      return row
    }
    for (let entry = 0; entry < entriesPerSet; entry++) {
      const row = view.rowOf(set, entry)
      if ((this.rows[row - 1] as number) > nowMs) continue
      // Cleared first: a thread that ends in between leaves an empty row, whoever's.
      this.#clear(row)
      words[hashes + entry] = low
      words[hashes + entriesPerSet + entry] = high
      return row
    }
    return noRow
  }

  #clear(row: number): void {
    this.rows.fill(0, row - 1, row + this.fields)
  }

  #take(set: number): boolean {
    const words = this.#words
    const lock = this.#view.lockOf(set)
    const mine = this.#worker + 1
    // Noted before it is had, so that whoever looks after this thread need not search.
    this.rows[this.#note] = set + 1
    this.#lock = lock
    for (let tries = 0; tries < lockSpins + lockWaits; tries++) {
      const owner = Atomics.compareExchange(words, lock, 0, mine)
      if (owner === 0) return true
      if (tries >= lockSpins) Atomics.wait(words, lock, owner, lockWaitMs)
    }
    this.rows[this.#note] = 0
    return false
  }
}
