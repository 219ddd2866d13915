// Counts for limits in the memory that all threads of this gateway share: exact, and no call waits.

import {
  type LimitOutcome,
  type LimitRule,
  limitRulesMax,
  type LimitStore,
  type LimitStoreOptions,
} from '../core/limits.ts'
import { give, isWithin, outcomeOf, shapeOf, take, type TallyTime, worthMs } from '../limits/tally.ts'
import { halfSipHash } from '../core/half-sip-hash.ts'
import { LimitCells, noEntry } from './limit-cells.ts'
import type { LimitMemory } from './limit-memory.ts'

export interface SharedTime {
  /** Monotonic milliseconds by a clock that is the same in every thread of the process. */
  now(): number
  /** Milliseconds since the Unix epoch. */
  wall(): number
}

export interface LocalLimitsOptions {
  readonly memory: LimitMemory
  /** Index of this thread, below `memory.workers`. */
  readonly worker: number
  readonly time: SharedTime
  /** Told each time a key found no room. */
  readonly onFull?: () => void
}

export type LimitStores = (options: LimitStoreOptions) => LimitStore

/**
 * Keys are told apart by a keyed 64-bit hash. Where all entries of a key's set are worth something, its limit cannot be watched:
 * by `onFailure: open` the call passes, else it is refused.
 */
export function createLocalLimits(options: LocalLimitsOptions): LimitStores {
  const shared: Shared = { ...options, cells: new LimitCells(options.memory, options.worker) }
  return ({ scope, onFailure }) => new LocalStore(shared, scope, onFailure === 'open')
}

const isCalendar = ({ algorithm }: LimitRule) => algorithm === 'period'

interface Shared extends LocalLimitsOptions {
  readonly cells: LimitCells
}

class LocalStore implements LimitStore {
  readonly #shared: Shared
  readonly #cells: LimitCells
  readonly #isOpen: boolean
  readonly #seed0: number
  readonly #seed1: number
  readonly #hash = new Int32Array(2)
  readonly #now: TallyTime = { nowMs: 0, wallMs: 0 }

  constructor(shared: Shared, scope: string, isOpen: boolean) {
    this.#shared = shared
    this.#cells = shared.cells
    this.#isOpen = isOpen
    const [seed0, seed1] = shared.memory.seed
    halfSipHash(scope, seed0, seed1, this.#hash)
    this.#seed0 = this.#hash[0] ?? 0
    this.#seed1 = this.#hash[1] ?? 0
  }

  take(key: string, rules: readonly LimitRule[], cost: number): LimitOutcome {
    if (rules.length > limitRulesMax) throw new Error(`a key has ${rules.length} rules; ${limitRulesMax} is the most`)
    const entry = this.#open(key, rules)
    if (entry === noEntry) return this.#full(rules)
    const { rows, fields } = this.#cells
    const row = entry * fields
    const isAllowed = isWithin(rows, row, rules, cost, this.#now)
    if (isAllowed && cost > 0) {
      this.#cells.begin(entry)
      take(rows, row, rules, cost, this.#now)
      this.#commit(entry, rules)
    }
    const outcome = outcomeOf(rows, row, rules, cost, isAllowed, this.#now)
    this.#cells.close()
    return outcome
  }

  correct(key: string, rules: readonly LimitRule[], amount: number, atMs: number): void {
    if (amount === 0) return
    const entry = this.#open(key, rules)
    if (entry === noEntry) {
      this.#shared.onFull?.()
      return
    }
    const { rows, fields } = this.#cells
    this.#cells.begin(entry)
    if (amount > 0) take(rows, entry * fields, rules, amount, this.#now)
    else give(rows, entry * fields, rules, -amount, atMs, this.#now)
    this.#commit(entry, rules)
    this.#cells.close()
  }

  #open(key: string, rules: readonly LimitRule[]): number {
    const { time } = this.#shared
    const now = this.#now
    now.nowMs = time.now()
    // Reading this clock costs a good part of the whole.
    now.wallMs = rules.some(isCalendar) ? time.wall() : 0
    const hash = this.#hash
    halfSipHash(key, this.#seed0, this.#seed1, hash)
    // Two zeros mark an entry that never had a key. The shape keeps rows from being read by rules of another kind.
    const low = hash[0] || 1
    const high = (hash[1] as number) ^ Math.imul(shapeOf(rules), 0x9e3779b1)
    return this.#cells.open(low, high, now.nowMs)
  }

  #commit(entry: number, rules: readonly LimitRule[]): void {
    const worth = worthMs(this.#cells.rows, entry * this.#cells.fields, rules, this.#now)
    this.#cells.commit(entry, worth > 0 ? this.#now.nowMs + worth : 0)
  }

  #full(rules: readonly LimitRule[]): LimitOutcome {
    this.#shared.onFull?.()
    const isAllowed = this.#isOpen
    const standings = rules.map(() => ({ remaining: 0, resetMs: 1000, retryMs: isAllowed ? 0 : 1000 }))
    return { isAllowed, standings, fallback: isAllowed ? 'open' : 'closed', atMs: this.#now.nowMs }
  }
}
