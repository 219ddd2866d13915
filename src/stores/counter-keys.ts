// Finds the slot of a key in the shared memory of counters, and gives slots to new keys.

import { type CounterMemory, claimed, countMask, slotsPerSet, viewCells } from './counter-memory.ts'

export const absent = -1

/** How long a thread waits for another one that is adding a key to the same set: 50 ms, in steps. */
const lockWaits = 1000
const lockWaitMs = 0.05
const lockSpins = 100

export interface CounterKeys {
  /** The slot of a key, or `absent`. Without the lock this is a hint: look at the slot's word, then ask `isAt`. */
  find(low: number, high: number): number
  isAt(slot: number, low: number, high: number): boolean
  /** Gives a key a slot with count 0, unless another thread just did. False where its set has no room. */
  add(low: number, high: number): boolean
}

export function createCounterKeys(memory: CounterMemory, worker: number): CounterKeys {
  const { locks, words, lows, highs } = viewCells(memory)
  const setMask = memory.slots / slotsPerSet - 1

  const isAt = (slot: number, low: number, high: number) => lows[slot] === low && highs[slot] === high

  const find = (low: number, high: number): number => {
    const first = (high & setMask) * slotsPerSet
    for (let slot = first; slot < first + slotsPerSet; slot++) {
      if (lows[slot] === low && highs[slot] === high) return slot
    }
    return absent
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

  const add = (low: number, high: number): boolean => {
    const set = high & setMask
    if (!lock(locks, set, worker)) return false
    const isThere = find(low, high) !== absent || replaceDeadKey(set, low, high)
    Atomics.store(locks, set, 0)
    return isThere
  }

  return { find, isAt, add }
}

/** Held for well under a microsecond, unless its owner was paused; `releaseWorker` frees it if the owner dies. */
function lock(locks: Int32Array, set: number, worker: number): boolean {
  for (let tries = 0; tries < lockSpins + lockWaits; tries++) {
    const owner = Atomics.compareExchange(locks, set, 0, worker + 1)
    if (owner === 0) return true
    if (tries >= lockSpins) Atomics.wait(locks, set, owner, lockWaitMs)
  }
  return false
}
