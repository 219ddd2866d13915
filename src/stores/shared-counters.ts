// The SharedCounters port: numbers that are one and the same in every worker thread, exact and without messages.

import type { SharedCounter, SharedCounters } from '../core/ports.ts'
import { type CounterMemory, claimed, countMask, countMax, slotsPerSet, viewCells } from './counter-memory.ts'
import { halfSipHash } from './half-sip-hash.ts'

export interface SharedCountersOptions {
  readonly memory: CounterMemory
  /** Index of this thread, below `memory.workers`. */
  readonly worker: number
  /** Told each time a key found no room, so that its `tryTake` refused. */
  onFull?(): void
}

const absent = -1

/** How long a thread waits for another one that is adding a key to the same set: 50 ms, in steps. */
const lockWaits = 1000
const lockWaitMs = 0.05
const lockSpins = 100

/**
 * Keys are told apart by a keyed 64-bit hash: with 65,536 keys at once, the chance that any two are counted together is about
 * 1 in 10^10. Where all slots of a key's set are in use, `tryTake` refuses: a ceiling that cannot be watched is taken as hit.
 *
 * A count and what this thread holds of it are two words, changed one after the other with no function entry or loop edge
 * between them, which is where V8 may end a thread. Should they ever differ, the count errs low and mends itself at 0.
 */
export function createSharedCounters({ memory, worker, onFull = () => {} }: SharedCountersOptions): SharedCounters {
  const { workers, seed } = memory
  const setMask = memory.slots / slotsPerSet - 1
  const { locks, words, lows, highs, held } = viewCells(memory)
  const hash = new Int32Array(2)

  const isAt = (slot: number, low: number, high: number) => lows[slot] === low && highs[slot] === high

  const find = (low: number, high: number): number => {
    const first = (high & setMask) * slotsPerSet
    for (let slot = first; slot < first + slotsPerSet; slot++) {
      if (lows[slot] === low && highs[slot] === high) return slot
    }
    return absent
  }

  const counter = (key: string): SharedCounter => {
    halfSipHash(key, seed[0], seed[1], hash)
    // Two zeros mark a slot that never had a key.
    const low = hash[0] || 1
    const high = hash[1] ?? 0
    // Where the key was last seen. Only a hint: another key may have got the slot.
    let slot = absent

    const locate = () => {
      if (slot === absent || !isAt(slot, low, high)) slot = find(low, high)
      return slot
    }

    return {
      tryTake: limit => {
        if (limit < 1) return false
        for (;;) {
          const word = locate() === absent ? claimed : Atomics.load(words, slot)
          const count = word & countMask
          if (count === claimed) {
            // No slot, or one whose key is just being written: settled under the lock.
            if (addKey(low, high)) continue
            onFull()
            return false
          }
          // The generation in the word makes the exchange fail if the slot gets another key after this look at it.
          if (!isAt(slot, low, high)) continue
          if (count >= limit || count >= countMax) return false
          if (Atomics.compareExchange(words, slot, word, word + 1) !== word) continue
          held[slot * workers + worker] = (held[slot * workers + worker] as number) + 1
          return true
        }
      },
      give: () => {
        // A key that this thread holds has a count above 0, so that its slot cannot get another key meanwhile.
        if (locate() === absent || (held[slot * workers + worker] as number) < 1) return
        for (;;) {
          const word = Atomics.load(words, slot)
          if ((word & countMask) !== 0 && Atomics.compareExchange(words, slot, word, word - 1) !== word) continue
          held[slot * workers + worker] = (held[slot * workers + worker] as number) - 1
          return
        }
      },
      taken: () => {
        if (locate() === absent) return 0
        const count = Atomics.load(words, slot) & countMask
        return count !== claimed && isAt(slot, low, high) ? count : 0
      },
    }
  }

  /** Gives a key a slot with count 0, unless another thread just did. False where the set has no room. */
  const addKey = (low: number, high: number): boolean => {
    const set = high & setMask
    if (!lock(set)) return false
    const isThere = find(low, high) !== absent || replaceDeadKey(set, low, high)
    Atomics.store(locks, set, 0)
    return isThere
  }

  const replaceDeadKey = (set: number, low: number, high: number): boolean => {
    // Starting anywhere spreads the loss of kept keys over the set.
    for (let step = 0; step < slotsPerSet; step++) {
      const slot = set * slotsPerSet + ((low + step) & (slotsPerSet - 1))
      const word = Atomics.load(words, slot)
      if ((word & countMask) !== 0) continue
      const next = (word + countMask + 1) & ~countMask
      if (Atomics.compareExchange(words, slot, word, next | claimed) !== word) continue
      lows[slot] = low
      highs[slot] = high
      Atomics.store(words, slot, next)
      return true
    }
    return false
  }

  /** Held for well under a microsecond, unless its owner was paused; `releaseWorker` frees it if the owner dies. */
  const lock = (set: number): boolean => {
    for (let tries = 0; tries < lockSpins + lockWaits; tries++) {
      const owner = Atomics.compareExchange(locks, set, 0, worker + 1)
      if (owner === 0) return true
      if (tries >= lockSpins) Atomics.wait(locks, set, owner, lockWaitMs)
    }
    return false
  }

  return { counter }
}
