// Counts of periods that outlive the process: blocks of permits are booked in a file before they are used, and then taken from
// the memory that all threads share. A crash can lose what is left of a block; it can never let a caller have more.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { LimitOutcome, LimitRule, LimitStore, LimitStoreOptions } from '../core/limits.ts'
import type { Log } from '../core/ports.ts'
import { halfSipHash } from '../core/half-sip-hash.ts'
import { LimitCells, noEntry } from './limit-cells.ts'
import type { LimitMemory } from './limit-memory.ts'
import type { SharedTime } from './local-limits.ts'

export interface DurableLimitsOptions {
  readonly memory: LimitMemory
  readonly worker: number
  readonly time: SharedTime
  readonly log: Log
  /** Where the file `limits.db` lies. */
  readonly folder: string
  readonly onFull?: () => void
}

/** A block is this share of what is left, within these bounds: the file is written seldom, and the last call still passes. */
const blockShare = 1 / 32
const blockMax = 1000
const busyMsMax = 1_000
/** How often a call books again because others were faster. */
const triesMax = 8
/** Of each rule in a row: the start of its period, permits at hand, permits booked in the file. */
const fieldsPerRule = 3
/** Keys whose blocks are remembered to be given back at the end. */
const remembersMax = 100_000
const dayMs = 86_400_000

/** What a key had booked. */
interface Booking {
  readonly startMs: number
  /** Booked in all. */
  readonly taken: number
  readonly granted: number
}

/** One thread's connection to the file. Owns it until `close`. */
export class DurableLimits {
  readonly #options: DurableLimitsOptions
  readonly #cells: LimitCells
  readonly #database: DatabaseSync
  readonly #read: StatementSync
  readonly #write: StatementSync
  readonly #unbook: StatementSync
  readonly #hash = new Int32Array(2)
  /** Scope, key and number of rules of what this thread booked. */
  readonly #booked = new Map<string, readonly [string, string, number]>()
  #isClosed = false

  constructor(options: DurableLimitsOptions) {
    this.#options = options
    this.#cells = new LimitCells(options.memory, options.worker)
    this.#database = openFile(join(options.folder, 'limits.db'), options.folder, options.time.wall())
    this.#read = this.#database.prepare('SELECT period, taken FROM counts WHERE scope = ? AND key = ? AND rule = ?')
    this.#write = this.#database.prepare('INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?, ?, ?)')
    this.#unbook = this.#database.prepare(
      'UPDATE counts SET taken = max(0, taken - ?) WHERE scope = ? AND key = ? AND rule = ? AND period = ?',
    )
  }

  /** A store for rules of `period` alone. */
  store({ scope, onFailure }: LimitStoreOptions): LimitStore {
    return {
      take: (key, rules, cost) => this.#take(scope, key, rules, cost, onFailure),
      correct: (key, rules, amount) => this.#correct(scope, key, rules, amount),
    }
  }

  /** Gives back what was booked and not used, and closes the file. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    try {
      for (const [scope, key, rules] of this.#booked.values()) this.#giveBack(scope, key, rules)
    } finally {
      this.#database.close()
    }
  }

  #take(
    scope: string,
    key: string,
    rules: readonly LimitRule[],
    cost: number,
    onFailure: LimitStoreOptions['onFailure'],
  ): LimitOutcome {
    const { time } = this.#options
    const { rows, fields } = this.#cells
    const need = Math.max(1, cost)
    let fallback: LimitOutcome['fallback'] = null
    for (let tries = 0; tries < triesMax; tries++) {
      const entry = this.#open(scope, key)
      if (entry === noEntry) return this.#without(rules, onFailure)
      const row = entry * fields
      const [lacking, isWithin] = look(rows, row, rules, need)
      if (lacking === -1 || !isWithin) {
        if (isWithin && cost > 0) this.#change(entry, rules, 1, -cost)
        const outcome = outcomeOf(rows, row, rules, need, isWithin, fallback, time)
        this.#cells.close()
        return outcome
      }
      const at = row + lacking * fieldsPerRule
      const rule = rules[lacking] as LimitRule
      const isKnown = (rows[at] as number) >= rule.startMs
      const short = need - (isKnown ? (rows[at + 1] as number) : 0)
      const booked = isKnown ? (rows[at + 2] as number) : 0
      this.#cells.close()
      let booking: Booking
      try {
        booking = this.#book(scope, key, lacking, rule, short)
      } catch (error) {
        this.#options.log.error({ err: error }, 'the file of quotas cannot be written')
        if (onFailure !== 'local-share') return this.#without(rules, onFailure)
        fallback = 'local-share'
        booking = { startMs: rule.startMs, taken: booked + short, granted: short }
      }
      this.#install(scope, key, rules, lacking, booking)
    }
    return this.#without(rules, onFailure)
  }

  #correct(scope: string, key: string, rules: readonly LimitRule[], amount: number): void {
    if (amount > 0) {
      rules.forEach((rule, index) => {
        try {
          const { startMs, taken } = this.#book(scope, key, index, rule, amount, true)
          this.#install(scope, key, rules, index, { startMs, taken, granted: 0 })
        } catch (error) {
          this.#options.log.error({ err: error }, 'the file of quotas cannot be written')
        }
      })
      return
    }
    const entry = this.#open(scope, key)
    if (entry === noEntry) return
    this.#change(entry, rules, 1, -amount)
    this.#cells.close()
  }

  /** Books in the file. A charge is booked whole, past the limit if need be. */
  #book(scope: string, key: string, index: number, rule: LimitRule, short: number, isCharge = false): Booking {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      const found = this.#read.get(scope, key, index)
      const period = Number(found?.['period'] ?? 0)
      // A period older than the one in the file, as after a step of the clock, is counted with that one.
      const taken = period >= rule.startMs ? Number(found?.['taken'] ?? 0) : 0
      const startMs = Math.max(period, rule.startMs)
      const left = rule.limit - taken
      const block = Math.min(left, Math.max(short, Math.min(blockMax, Math.floor(left * blockShare))))
      const granted = isCharge ? short : block >= short ? block : 0
      if (granted > 0) this.#write.run(scope, key, index, startMs, startMs + rule.windowMs, taken + granted)
      this.#database.exec('COMMIT')
      if (granted > 0) this.#remember(scope, key, index + 1)
      return { startMs, taken: taken + granted, granted }
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }

  #remember(scope: string, key: string, rules: number): void {
    const name = `${scope.length}:${scope}${key}`
    const known = this.#booked.get(name)
    if (known !== undefined && known[2] >= rules) return
    if (this.#booked.size >= remembersMax) this.#booked.delete(this.#booked.keys().next().value ?? '')
    this.#booked.set(name, [scope, key, rules])
  }

  /** Puts what was booked at the hand of all threads. */
  #install(scope: string, key: string, rules: readonly LimitRule[], index: number, booking: Booking): void {
    const entry = this.#open(scope, key)
    if (entry === noEntry) return
    const { rows, fields } = this.#cells
    const at = entry * fields + index * fieldsPerRule
    this.#cells.begin(entry)
    if ((rows[at] as number) < booking.startMs) {
      rows[at] = booking.startMs
      rows[at + 1] = 0
      rows[at + 2] = 0
    }
    if (rows[at] === booking.startMs) {
      rows[at + 1] = (rows[at + 1] as number) + booking.granted
      rows[at + 2] = Math.max(rows[at + 2] as number, booking.taken)
    }
    this.#commit(entry, rules)
    this.#cells.close()
  }

  /** Adds to one field of every rule whose period is at hand. */
  #change(entry: number, rules: readonly LimitRule[], field: number, amount: number): void {
    const { rows, fields } = this.#cells
    this.#cells.begin(entry)
    rules.forEach((rule, index) => {
      const at = entry * fields + index * fieldsPerRule
      if ((rows[at] as number) >= rule.startMs) rows[at + field] = (rows[at + field] as number) + amount
    })
    this.#commit(entry, rules)
  }

  #commit(entry: number, rules: readonly LimitRule[]): void {
    const { time } = this.#options
    let endMs = 0
    rules.forEach((rule, index) => {
      const startMs = this.#cells.rows[entry * this.#cells.fields + index * fieldsPerRule] as number
      endMs = Math.max(endMs, Math.max(startMs, rule.startMs) + rule.windowMs)
    })
    this.#cells.commit(entry, time.now() + Math.max(1, endMs - time.wall()))
  }

  #giveBack(scope: string, key: string, rules: number): void {
    const entry = this.#open(scope, key)
    if (entry === noEntry) return
    const { rows, fields } = this.#cells
    const unused: [startMs: number, amount: number][] = []
    for (let index = 0; index < rules; index++) {
      const at = entry * fields + index * fieldsPerRule
      const amount = Math.max(0, rows[at + 1] as number)
      unused.push([rows[at] as number, amount])
      rows[at + 1] = (rows[at + 1] as number) - amount
      rows[at + 2] = (rows[at + 2] as number) - amount
    }
    this.#cells.close()
    unused.forEach(([startMs, amount], index) => {
      if (amount > 0) this.#unbook.run(amount, scope, key, index, startMs)
    })
  }

  #open(scope: string, key: string): number {
    const { memory, time } = this.#options
    const hash = this.#hash
    halfSipHash(scope, memory.seed[0], memory.seed[1], hash)
    halfSipHash(key, hash[0] ?? 0, hash[1] ?? 0, hash)
    // Told apart from rows that are counted in memory alone.
    return this.#cells.open(hash[0] || 1, ~(hash[1] ?? 0), time.now())
  }

  #without(rules: readonly LimitRule[], onFailure: LimitStoreOptions['onFailure']): LimitOutcome {
    this.#options.onFull?.()
    const isAllowed = onFailure === 'open'
    const standings = rules.map(() => ({ remaining: 0, resetMs: 1000, retryMs: isAllowed ? 0 : 1000 }))
    return { isAllowed, standings, fallback: isAllowed ? 'open' : 'closed', atMs: this.#options.time.now() }
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

function outcomeOf(
  rows: Float64Array,
  row: number,
  rules: readonly LimitRule[],
  need: number,
  isAllowed: boolean,
  fallback: LimitOutcome['fallback'],
  time: SharedTime,
): LimitOutcome {
  const standings = rules.map((rule, index) => {
    const at = row + index * fieldsPerRule
    const startMs = Math.max(rule.startMs, rows[at] as number)
    const isKnown = (rows[at] as number) >= rule.startMs
    const used = isKnown ? (rows[at + 2] as number) - (rows[at + 1] as number) : 0
    const resetMs = Math.max(1, startMs + rule.windowMs - time.wall())
    const retryMs = isAllowed ? 0 : need > rule.limit ? Infinity : used + need > rule.limit ? resetMs : 0
    return { remaining: Math.max(0, rule.limit - used), resetMs, retryMs }
  })
  return { isAllowed, standings, fallback, atMs: time.now() }
}

/** Several threads may make the file at the same time; changing to a write-ahead log does not wait by itself. */
function openFile(path: string, folder: string, wallMs: number): DatabaseSync {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let tries = 1; ; tries++) {
    const database = new DatabaseSync(path, { timeout: busyMsMax })
    try {
      // A killed process loses nothing that was written; only the power may take the last blocks with it.
      database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
      database.exec(
        'CREATE TABLE IF NOT EXISTS counts (scope TEXT, key TEXT, rule INTEGER, period INTEGER, ends INTEGER, taken INTEGER, PRIMARY KEY (scope, key, rule)) WITHOUT ROWID',
      )
      database.prepare('DELETE FROM counts WHERE ends < ?').run(wallMs - dayMs)
      return database
    } catch (error) {
      database.close()
      if (tries >= 50) throw error
      Atomics.wait(pause, 0, 0, 20)
    }
  }
}
