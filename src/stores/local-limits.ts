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
export function createLocalLimits({ memory, worker, time, onFull }: LocalLimitsOptions): LimitStores {
  const cells = new LimitCells(memory, worker)
  const now: TallyTime = { nowMs: 0, wallMs: 0 }
  const hash = new Int32Array(2)
  return ({ scope, onFailure }) => {
    halfSipHash(scope, memory.seed[0], memory.seed[1], hash)
    const [seed0 = 0, seed1 = 0] = hash

    const open = (key: string, rules: readonly LimitRule[]): number => {
      now.nowMs = time.now()
      now.wallMs = time.wall()
      halfSipHash(key, seed0, seed1, hash)
      // Two zeros mark an entry that never had a key. The shape keeps rows from being read by rules of another kind.
      const low = hash[0] || 1
      const high = (hash[1] as number) ^ Math.imul(shapeOf(rules), 0x9e3779b1)
      return cells.open(low, high, now.nowMs)
    }

    const commit = (entry: number, rules: readonly LimitRule[]) => {
      const worth = worthMs(cells.rows, entry * cells.fields, rules, now)
      cells.commit(entry, worth > 0 ? now.nowMs + worth : 0)
    }

    const full = (rules: readonly LimitRule[]): LimitOutcome => {
      onFull?.()
      const isAllowed = onFailure === 'open'
      const standings = rules.map(() => ({ remaining: 0, resetMs: 1000, retryMs: isAllowed ? 0 : 1000 }))
      return { isAllowed, standings, fallback: isAllowed ? 'open' : 'closed', atMs: now.nowMs }
    }

    return {
      take(key, rules, cost) {
        if (rules.length > limitRulesMax)
          throw new Error(`a key has ${rules.length} rules; ${limitRulesMax} is the most`)
        const entry = open(key, rules)
        if (entry === noEntry) return full(rules)
        const row = entry * cells.fields
        const isAllowed = isWithin(cells.rows, row, rules, cost, now)
        if (isAllowed && cost > 0) {
          cells.begin(entry)
          take(cells.rows, row, rules, cost, now)
          commit(entry, rules)
        }
        const outcome = outcomeOf(cells.rows, row, rules, cost, isAllowed, now)
        cells.close()
        return outcome
      },
      correct(key, rules, amount, atMs) {
        if (amount === 0) return
        const entry = open(key, rules)
        if (entry === noEntry) return void onFull?.()
        const row = entry * cells.fields
        cells.begin(entry)
        if (amount > 0) take(cells.rows, row, rules, amount, now)
        else give(cells.rows, row, rules, -amount, atMs, now)
        commit(entry, rules)
        cells.close()
      },
    }
  }
}
