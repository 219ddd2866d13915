// The SharedCounters port: numbers that are one and the same in every worker thread, exact and without messages.

import type { SharedCounter, SharedCounters } from '../core/ports.ts'
import { absent, type CounterKeys, createCounterKeys } from './counter-keys.ts'
import { type CounterCells, type CounterMemory, claimed, countMask, countMax, viewCells } from './counter-memory.ts'
import { halfSipHash } from '../core/half-sip-hash.ts'

export interface SharedCountersOptions {
  readonly memory: CounterMemory
  /** Index of this thread, below `memory.workers`. */
  readonly worker: number
  /** Told each time a key found no room, so that its `tryTake` refused. */
  readonly onFull?: () => void
}

interface Table {
  readonly cells: CounterCells
  readonly keys: CounterKeys
  /** Number of threads, and the index of this one. */
  readonly workers: number
  readonly worker: number
  readonly onFull: () => void
}

/**
 * Keys are told apart by a keyed 64-bit hash: with 65,536 keys at once, the chance that any two are counted together is about
 * 1 in 10^10. Where all slots of a key's set are in use, `tryTake` refuses: a ceiling that cannot be watched is taken as hit.
 *
 * A handle is cheap to make, about 0.1 µs: keys may be made per call.
 */
export function createSharedCounters({ memory, worker, onFull }: SharedCountersOptions): SharedCounters {
  const { workers, seed } = memory
  const keys = createCounterKeys(memory, worker)
  const table = { cells: viewCells(memory), keys, workers, worker, onFull: onFull ?? (() => {}) }
  const hash = new Int32Array(2)
  return {
    counter: key => {
      halfSipHash(key, seed[0], seed[1], hash)
      // Two zeros mark a slot that never had a key.
      return createCounter(table, hash[0] || 1, hash[1] ?? 0)
    },
  }
}

/**
 * A count and what this thread holds of it are two words, changed one after the other with no function entry or loop edge
 * between them, which is where V8 may end a thread. Should they ever differ, the count errs low and mends itself at 0.
 */
function createCounter(table: Table, low: number, high: number): SharedCounter {
  const { cells, keys, workers, worker } = table
  const { words, held } = cells
  // Where the key was last seen. Only a hint: another key may have got the slot.
  let slot = absent

  const locate = (): number => {
    if (slot === absent || !keys.isAt(slot, low, high)) slot = keys.find(low, high)
    return slot
  }

  const tryTake = (limit: number): boolean => {
    if (limit < 1) return false
    for (;;) {
      const word = locate() === absent ? claimed : Atomics.load(words, slot)
      const count = word & countMask
      if (count === claimed) {
        // No slot, or one whose key is just being written: settled under the lock.
        if (keys.add(low, high)) continue
        table.onFull()
        return false
      }
      // The generation in the word makes the exchange fail if the slot gets another key after this look at it.
      if (!keys.isAt(slot, low, high)) continue
      if (count >= limit || count >= countMax) return false
      if (Atomics.compareExchange(words, slot, word, word + 1) !== word) continue
      held[slot * workers + worker] = (held[slot * workers + worker] as number) + 1
      return true
    }
  }

  const give = (): void => {
    // A key that this thread holds has a count above 0, so that its slot cannot get another key meanwhile.
    if (locate() === absent || (held[slot * workers + worker] as number) < 1) return
    for (;;) {
      const word = Atomics.load(words, slot)
      if ((word & countMask) !== 0 && Atomics.compareExchange(words, slot, word, word - 1) !== word) continue
      held[slot * workers + worker] = (held[slot * workers + worker] as number) - 1
      return
    }
  }

  const taken = (): number => {
    if (locate() === absent) return 0
    const count = Atomics.load(words, slot) & countMask
    return count !== claimed && keys.isAt(slot, low, high) ? count : 0
  }

  return { tryTake, give, taken }
}
