// Counts of periods that outlive the process: blocks of permits are booked in a file before they are used, and then taken from
// the memory that all threads share. A crash can lose what is left of a block; it can never let a caller have more.

import type { LimitOutcome, LimitRule, LimitStore, LimitStoreOptions } from '../core/limits.ts'
import type { Counter, Log, Meter } from '../core/ports.ts'
import { noRow } from './limit-cells.ts'
import { bookedPrefix, type LimitTable } from './limit-tables.ts'
import type { SharedTime } from './local-limits.ts'
import { type Booking, QuotaFile } from './quota-file.ts'
import { uncounted } from './uncounted.ts'

export interface DurableLimitsOptions {
  /** The table of a scope with room for so many keys. */
  readonly table: (scope: string, keys: number) => LimitTable
  readonly time: SharedTime
  readonly log: Log
  readonly meter: Pick<Meter, 'counter'>
  /** Where the file `limits.db` lies. */
  readonly folder: string
}

/** How often a call books again because others were faster. */
const triesMax = 8
/** Each is a write to the file, and calls wait meanwhile. */
const givenBackPerTurn = 20
/** Of each rule in a row: the start of its period, permits at hand, permits booked in the file. */
const fieldsPerRule = 3

/** Blocks of one key. */
interface Booked {
  /** How many of the key's rules, from the first. */
  readonly rules: number
  readonly giveBack: () => void
}

/** One thread's connection to the file. Owns it until `close`. */
export class DurableLimits {
  readonly #options: DurableLimitsOptions
  readonly #file: QuotaFile
  /** What gives back the rest of the blocks that this thread booked, by scope and key. */
  readonly #booked = new Map<string, Map<string, Booked>>()
  /** Those of scopes that no config has any more. */
  readonly #leaving = new Set<Map<string, Booked>>()
  #isClosed = false

  constructor(options: DurableLimitsOptions) {
    this.#options = options
    this.#file = new QuotaFile(options.folder, () => options.time.wall())
  }

  /** A store for rules of `period` alone. */
  store(options: LimitStoreOptions): LimitStore {
    const { scope, callers, name } = options
    const full = this.#options.meter.counter('turnpike_ceiling_hits', { ceiling: 'leases', name })
    const store = new DurableStore(options, this.#options, this.#file, (key, rules) => {
      // Made anew where the last call of an old config comes when the scope was let go.
      let booked = this.#booked.get(scope)
      if (booked === undefined) this.#booked.set(scope, (booked = new Map<string, Booked>()))
      const most = Math.max(rules, booked.get(key)?.rules ?? 0)
      // Behind all others: the one that booked nothing for longest is pushed out first.
      booked.delete(key)
      booked.set(key, { rules: most, giveBack: () => store.giveBack(key, most) })
      const [oldest] = booked
      if (booked.size <= callers || oldest === undefined) return
      full.add(1)
      booked.delete(oldest[0])
      oldest[1].giveBack()
    })
    return store
  }

  /** Lets go of scopes that no config in force has: what was booked for them goes back, some at a time. */
  keep(isInForce: (scope: string) => boolean): void {
    for (const [scope, booked] of this.#booked) {
      if (isInForce(scope)) continue
      this.#booked.delete(scope)
      this.#leaving.add(booked)
    }
    this.#giveBackSome()
  }

  #giveBackSome(): void {
    if (this.#isClosed) return
    let count = 0
    try {
      for (const booked of this.#leaving) {
        for (const [key, { giveBack }] of booked) {
          if (count++ === givenBackPerTurn) return void setImmediate(() => this.#giveBackSome())
          booked.delete(key)
          giveBack()
        }
        this.#leaving.delete(booked)
      }
    } catch (error) {
      // What is left is spent, as after a crash.
      this.#leaving.clear()
      this.#options.log.error({ err: error }, 'the file of quotas cannot be written')
    }
  }

  /** Gives back what was booked and not used, and closes the file. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    try {
      for (const booked of [...this.#booked.values(), ...this.#leaving]) {
        for (const { giveBack } of booked.values()) giveBack()
      }
    } finally {
      this.#file.close()
    }
  }
}

class DurableStore implements LimitStore {
  readonly #scope: string
  readonly #onFailure: LimitStoreOptions['onFailure']
  readonly #table: LimitTable
  readonly #time: SharedTime
  readonly #log: Log
  readonly #full: Counter
  readonly #file: QuotaFile
  readonly #remember: (key: string, rules: number) => void

  constructor(
    { scope, onFailure, callers, name }: LimitStoreOptions,
    { table, time, log, meter }: DurableLimitsOptions,
    file: QuotaFile,
    remember: (key: string, rules: number) => void,
  ) {
    this.#scope = scope
    this.#onFailure = onFailure
    // Told apart from rows that are counted in memory alone.
    this.#table = table(bookedPrefix + scope, callers)
    this.#time = time
    this.#log = log
    this.#full = meter.counter('turnpike_ceiling_hits', { ceiling: 'limits', name })
    this.#file = file
    this.#remember = remember
  }

  take(key: string, rules: readonly LimitRule[], cost: number): LimitOutcome {
    const { cells } = this.#table
    const need = Math.max(1, cost)
    let fallback: LimitOutcome['fallback'] = null
    for (let tries = 0; tries < triesMax; tries++) {
      const row = this.#open(key)
      if (row === noRow) break
      const [lacking, isWithin] = look(cells.rows, row, rules, need)
      if (lacking === -1 || !isWithin) {
        if (isWithin && cost > 0) this.#change(row, rules, 1, -cost)
        const outcome = this.#outcomeOf(row, rules, need, isWithin, fallback)
        cells.close()
        return outcome
      }
      const at = row + lacking * fieldsPerRule
      const rule = rules[lacking] as LimitRule
      const isKnown = (cells.rows[at] as number) >= rule.startMs
      const short = need - (isKnown ? (cells.rows[at + 1] as number) : 0)
      const booked = isKnown ? (cells.rows[at + 2] as number) : 0
      cells.close()
      let booking: Booking
      try {
        booking = this.#file.book({ scope: this.#scope, key, index: lacking }, rule, short)
        if (booking.granted > 0) this.#remember(key, lacking + 1)
      } catch (error) {
        this.#log.error({ err: error }, 'the file of quotas cannot be written')
        if (this.#onFailure !== 'local-share') return this.#without(rules)
        fallback = 'local-share'
        booking = { startMs: rule.startMs, taken: booked + short, granted: short }
      }
      this.#install(key, rules, lacking, booking)
    }
    this.#full.add(1)
    return this.#without(rules)
  }

  correct(key: string, rules: readonly LimitRule[], amount: number): void {
    if (amount > 0) return rules.forEach((_, index) => this.#charge(key, rules, index, amount))
    const row = this.#open(key)
    if (row === noRow) return
    this.#change(row, rules, 1, -amount)
    this.#table.cells.close()
  }

  /** Writes down that what is at hand for the key is no longer booked. */
  giveBack(key: string, rules: number): void {
    const { cells } = this.#table
    const row = this.#open(key)
    if (row === noRow) return
    const { rows } = cells
    const unused: [startMs: number, amount: number][] = []
    for (let index = 0; index < rules; index++) {
      const at = row + index * fieldsPerRule
      const amount = Math.max(0, rows[at + 1] as number)
      unused.push([rows[at] as number, amount])
      rows[at + 1] = (rows[at + 1] as number) - amount
      rows[at + 2] = (rows[at + 2] as number) - amount
    }
    cells.close()
    unused.forEach(([startMs, amount], index) => {
      if (amount > 0) this.#file.unbook({ scope: this.#scope, key, index }, startMs, amount)
    })
  }

  #charge(key: string, rules: readonly LimitRule[], index: number, amount: number): void {
    try {
      const { startMs, taken } = this.#file.charge(
        { scope: this.#scope, key, index },
        rules[index] as LimitRule,
        amount,
      )
      this.#remember(key, index + 1)
      this.#install(key, rules, index, { startMs, taken, granted: 0 })
    } catch (error) {
      this.#log.error({ err: error }, 'the file of quotas cannot be written')
    }
  }

  /** Puts what was booked at the hand of all threads. */
  #install(key: string, rules: readonly LimitRule[], index: number, booking: Booking): void {
    const { cells } = this.#table
    const row = this.#open(key)
    if (row === noRow) return
    const { rows } = cells
    const at = row + index * fieldsPerRule
    cells.begin(row)
    if ((rows[at] as number) < booking.startMs) {
      rows[at] = booking.startMs
      rows[at + 1] = 0
      rows[at + 2] = 0
    }
    if (rows[at] === booking.startMs) {
      rows[at + 1] = (rows[at + 1] as number) + booking.granted
      rows[at + 2] = Math.max(rows[at + 2] as number, booking.taken)
    }
    this.#commit(row, rules)
    cells.close()
  }

  /** Adds to one field of every rule whose period is at hand. */
  #change(row: number, rules: readonly LimitRule[], field: number, amount: number): void {
    const { cells } = this.#table
    const { rows } = cells
    cells.begin(row)
    rules.forEach((rule, index) => {
      const at = row + index * fieldsPerRule
      if ((rows[at] as number) >= rule.startMs) rows[at + field] = (rows[at + field] as number) + amount
    })
    this.#commit(row, rules)
  }

  #commit(row: number, rules: readonly LimitRule[]): void {
    const { cells } = this.#table
    let endMs = 0
    rules.forEach((rule, index) => {
      const startMs = cells.rows[row + index * fieldsPerRule] as number
      endMs = Math.max(endMs, Math.max(startMs, rule.startMs) + rule.windowMs)
    })
    cells.commit(row, this.#time.now() + Math.max(1, endMs - this.#time.wall()))
  }

  #open(key: string): number {
    return this.#table.open(key, 0, this.#time.now())
  }

  #outcomeOf(
    row: number,
    rules: readonly LimitRule[],
    need: number,
    isAllowed: boolean,
    fallback: LimitOutcome['fallback'],
  ): LimitOutcome {
    const { rows } = this.#table.cells
    const nowMs = this.#time.wall()
    const standings = rules.map((rule, index) => {
      const at = row + index * fieldsPerRule
      const startMs = Math.max(rule.startMs, rows[at] as number)
      const isKnown = (rows[at] as number) >= rule.startMs
      const used = isKnown ? (rows[at + 2] as number) - (rows[at + 1] as number) : 0
      const resetMs = Math.max(1, startMs + rule.windowMs - nowMs)
      const retryMs = isAllowed ? 0 : need > rule.limit ? Infinity : used + need > rule.limit ? resetMs : 0
      return { remaining: Math.max(0, rule.limit - used), resetMs, retryMs }
    })
    return { isAllowed, standings, fallback, atMs: this.#time.now() }
  }

  #without(rules: readonly LimitRule[]): LimitOutcome {
    return uncounted(rules, this.#onFailure === 'open', this.#time.now())
  }
}

/** The first rule that has too few permits at hand, or -1; and whether all rules would let the call pass as far as is known. */
function look(rows: Float64Array, row: number, rules: readonly LimitRule[], need: number): [number, boolean] {
  let lacking = -1
  for (let index = 0; index < rules.length; index++) {
    const rule = rules[index] as LimitRule
    const at = row + index * fieldsPerRule
    const isKnown = (rows[at] as number) >= rule.startMs
    const used = (rows[at + 2] as number) - (rows[at + 1] as number)
    if (need > rule.limit || (isKnown && used + need > rule.limit)) return [index, false]
    if (lacking === -1 && (!isKnown || (rows[at + 1] as number) < need)) lacking = index
  }
  return [lacking, true]
}
