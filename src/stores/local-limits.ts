// Counts for limits in the memory that all threads of this gateway share: exact, and no call waits.

import type { LimitOutcome, LimitRule, LimitStore, LimitStoreOptions } from '../core/limits.ts'
import {
  changing,
  give,
  isWithin,
  layOut,
  outcomeOf,
  take,
  type TallyLayout,
  type TallyTime,
  worthMs,
} from '../limits/tally.ts'
import type { Counter, Meter } from '../core/ports.ts'
import { noRow } from './limit-cells.ts'
import type { LimitTable } from './limit-tables.ts'
import { uncounted } from './uncounted.ts'

export interface SharedTime {
  /** Monotonic milliseconds by a clock that is the same in every thread of the process. */
  now(): number
  /** Milliseconds since the Unix epoch. */
  wall(): number
}

export interface LocalLimitsOptions {
  /** The table of a scope with room for so many keys. */
  readonly table: (scope: string, keys: number) => LimitTable
  readonly time: SharedTime
  readonly meter: Pick<Meter, 'counter'>
}

export type LimitStores = (options: LimitStoreOptions) => LimitStore

/**
 * Keys are told apart by a keyed 64-bit hash. Where all entries of a key's set are worth something, its limit cannot be watched:
 * by `onFailure: open` the call passes, else it is refused. With `makesRoom` one of the entries is given up for it.
 */
export function createLocalLimits(options: LocalLimitsOptions): LimitStores {
  return ({ scope, callers, onFailure, makesRoom = false, name }) => {
    const full = options.meter.counter('turnpike_ceiling_hits', { ceiling: 'limits', name })
    return new LocalStore(options.table(scope, callers), options.time, full, onFailure === 'open', makesRoom)
  }
}

class LocalStore implements LimitStore {
  readonly #table: LimitTable
  readonly #time: SharedTime
  readonly #full: Counter
  readonly #isOpen: boolean
  readonly #makesRoom: boolean
  readonly #now: TallyTime = { nowMs: 0, wallMs: 0 }
  /** Of the rules that were asked for last: most limits have one list. */
  #layout: TallyLayout = layOut([])

  constructor(table: LimitTable, time: SharedTime, full: Counter, isOpen: boolean, makesRoom: boolean) {
    this.#table = table
    this.#time = time
    this.#full = full
    this.#isOpen = isOpen
    this.#makesRoom = makesRoom
  }

  take(key: string, rules: readonly LimitRule[], cost: number): LimitOutcome {
    const layout = this.#layoutOf(rules)
    const { cells } = this.#table
    let row = this.#open(key, layout)
    if (row === noRow) {
      this.#full.add(1)
      // What only asks is counted nowhere, and is to cost no other key its count.
      if (this.#makesRoom && cost > 0) row = this.#table.openAnyway(key, layout.shape, this.#now.nowMs)
      if (row === noRow) return uncounted(rules, this.#isOpen, this.#now.nowMs)
    }
    const { rows } = cells
    const now = this.#now
    const isAllowed = isWithin(rows, row, layout, cost, now)
    const takes = isAllowed && cost > 0
    if (takes) {
      cells.begin(row, changing(rows, row, layout))
      take(rows, row, layout, cost, now)
    }
    const outcome = outcomeOf(rows, row, layout, cost, isAllowed, now)
    if (takes) {
      // As `worthMs`, which would walk the row once more.
      let worth = 0
      for (const { resetMs } of outcome.standings) if (resetMs > worth) worth = resetMs
      cells.commit(row, worth > 0 ? now.nowMs + worth : 0)
    }
    cells.close()
    return outcome
  }

  correct(key: string, rules: readonly LimitRule[], amount: number, atMs: number): void {
    if (amount === 0) return
    const layout = this.#layoutOf(rules)
    const { cells } = this.#table
    const row = this.#open(key, layout)
    if (row === noRow) return this.#full.add(1)
    cells.begin(row, changing(cells.rows, row, layout))
    if (amount > 0) take(cells.rows, row, layout, amount, this.#now)
    else give(cells.rows, row, layout, -amount, atMs, this.#now)
    const worth = worthMs(cells.rows, row, layout, this.#now)
    cells.commit(row, worth > 0 ? this.#now.nowMs + worth : 0)
    cells.close()
  }

  #layoutOf(rules: readonly LimitRule[]): TallyLayout {
    if (this.#layout.rules !== rules) this.#layout = layOut(rules)
    return this.#layout
  }

  #open(key: string, { shape, hasPeriod }: TallyLayout): number {
    const time = this.#time
    const now = this.#now
    now.nowMs = time.now()
    // Reading this clock costs a good part of the whole.
    now.wallMs = hasPeriod ? time.wall() : 0
    return this.#table.open(key, shape, now.nowMs)
  }
}
