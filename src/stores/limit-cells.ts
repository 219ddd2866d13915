// One thread's hands on the shared memory of limits: takes a set, finds or gives the row of a key, and lets go.

import { entriesPerSet, type LimitMemory, type LimitView, viewLimits } from './limit-memory.ts'

/** In place of an entry: the set has no room, or could not be had in time. */
export const noEntry = -1

/** How long a thread waits for another one that has the same set: 50 ms, in steps. */
const lockWaits = 1000
const lockWaitMs = 0.05
const lockSpins = 200

/**
 * Between `open` and `close` the set of the key belongs to this thread: well under a microsecond, unless it is paused. Nothing in
 * between may throw or wait. If the thread ends there, `releaseLimits` undoes what it began.
 */
export class LimitCells {
  readonly rows: Float64Array
  readonly fields: number
  readonly #view: LimitView
  readonly #setMask: number
  readonly #worker: number
  readonly #note: number
  #set = 0

  constructor(memory: LimitMemory, worker: number) {
    this.#view = viewLimits(memory)
    this.rows = this.#view.rows
    this.fields = memory.fields
    this.#setMask = memory.entries / entriesPerSet - 1
    this.#worker = worker
    this.#note = worker * (1 + memory.fields)
  }

  /**
   * Takes the set of a key and returns the key's entry, its row empty where it had none. On `noEntry` nothing is held. The row
   * may be read; before it is written, call `begin`.
   */
  open(low: number, high: number, nowMs: number): number {
    const set = high & this.#setMask
    if (!this.#lock(set)) return noEntry
    this.#set = set
    const entry = this.#locate(set, low, high, nowMs)
    if (entry === noEntry) this.#unlock()
    return entry
  }

  /** Notes what stands in the row. */
  begin(entry: number): void {
    const { notes } = this.#view
    const { rows, fields } = this
    const note = this.#note
    const start = entry * fields
    for (let field = 0; field < fields; field++) notes[note + 1 + field] = rows[start + field] as number
    notes[note] = entry + 1
  }

  /** Keeps what was written into the row, for so long. */
  commit(entry: number, expiryMs: number): void {
    this.#view.expiries[entry] = expiryMs
    this.#view.notes[this.#note] = 0
  }

  /** Lets go of the set. */
  close(): void {
    this.#unlock()
  }

  #locate(set: number, low: number, high: number, nowMs: number): number {
    const { lows, highs, expiries } = this.#view
    const first = set * entriesPerSet
    const end = first + entriesPerSet
    for (let entry = first; entry < end; entry++) {
      if (lows[entry] === low && highs[entry] === high) {
        if ((expiries[entry] as number) <= nowMs) this.#clear(entry)
        return entry
      }
    }
    for (let entry = first; entry < end; entry++) {
      if ((expiries[entry] as number) > nowMs) continue
      // Cleared first: a thread that ends in between leaves an empty row, whoever's.
      this.#clear(entry)
      lows[entry] = low
      highs[entry] = high
      return entry
    }
    return noEntry
  }

  #clear(entry: number): void {
    const { rows, fields } = this
    const start = entry * fields
    rows.fill(0, start, start + fields)
    this.#view.expiries[entry] = 0
  }

  #lock(set: number): boolean {
    const { locks } = this.#view
    const mine = this.#worker + 1
    for (let tries = 0; tries < lockSpins + lockWaits; tries++) {
      const owner = Atomics.compareExchange(locks, set, 0, mine)
      if (owner === 0) return true
      if (tries >= lockSpins) Atomics.wait(locks, set, owner, lockWaitMs)
    }
    return false
  }

  #unlock(): void {
    Atomics.store(this.#view.locks, this.#set, 0)
  }
}
