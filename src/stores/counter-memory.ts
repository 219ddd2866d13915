// The shared memory of counters: a set-associative hash table that every worker thread changes with Atomics.
//
// A slot is a word (count and generation), the two halves of its key's hash, and how many each worker holds. A key may stand
// in any slot of its set. A slot whose count is 0 keeps its key until another key of the set needs the room, so that dead keys
// never fill the table and nobody has to sweep it.

export const slotsPerSet = 32

/** The count is the low 20 bits of a word; the generation above changes whenever the slot gets another key. */
export const countMask = 0xfffff
/** In place of a count: the key is being written. */
export const claimed = countMask
export const countMax = countMask - 1

/** Survives structured cloning; the buffer is shared. */
export interface CounterMemory {
  readonly buffer: SharedArrayBuffer
  readonly slots: number
  readonly workers: number
  /** Key of the hash, random: nobody outside can choose keys that fall into one set. */
  readonly seed: readonly [number, number]
}

export interface CounterMemoryOptions {
  /** How many threads may use it: indexes 0 to `workers - 1`. */
  readonly workers: number
  /** How many keys can be counted at once; rounded up to a power of two. A slot takes 12 bytes and 4 per worker. */
  readonly slots?: number
  readonly seed: readonly [number, number]
}

export function createCounterMemory({ workers, slots = 65_536, seed }: CounterMemoryOptions): CounterMemory {
  const rounded = Math.max(slotsPerSet, 2 ** Math.ceil(Math.log2(slots)))
  const cells = rounded / slotsPerSet + rounded * (3 + workers)
  return { buffer: new SharedArrayBuffer(cells * 4), slots: rounded, workers, seed }
}

export interface CounterCells {
  /** One per set: 0, or 1 + the worker that is giving a slot of it another key. */
  readonly locks: Int32Array
  readonly words: Int32Array
  readonly lows: Int32Array
  readonly highs: Int32Array
  /** `slot * workers + worker`; each worker writes its own. */
  readonly held: Int32Array
}

export function viewCells({ buffer, slots, workers }: CounterMemory): CounterCells {
  const sets = slots / slotsPerSet
  const at = (from: number, length: number) => new Int32Array(buffer, from * 4, length)
  return {
    locks: at(0, sets),
    words: at(sets, slots),
    lows: at(sets + slots, slots),
    highs: at(sets + 2 * slots, slots),
    held: at(sets + 3 * slots, slots * workers),
  }
}

/**
 * Gives back everything a dead worker held, and returns how much that was. To be called after the thread has ended and before
 * another one takes its index.
 */
export function releaseWorker(memory: CounterMemory, worker: number): number {
  const { locks, words, lows, highs, held } = viewCells(memory)
  let released = 0
  for (let slot = 0; slot < memory.slots; slot++) {
    const at = slot * memory.workers + worker
    const amount = Atomics.exchange(held, at, 0)
    if (amount > 0) released += subtract(words, slot, amount)
  }
  for (let set = 0; set < locks.length; set++) {
    if (Atomics.load(locks, set) !== worker + 1) continue
    for (let slot = set * slotsPerSet; slot < (set + 1) * slotsPerSet; slot++) {
      const word = Atomics.load(words, slot)
      if ((word & countMask) !== claimed) continue
      lows[slot] = 0
      highs[slot] = 0
      Atomics.store(words, slot, word & ~countMask)
    }
    Atomics.store(locks, set, 0)
  }
  return released
}

function subtract(words: Int32Array, slot: number, amount: number): number {
  for (;;) {
    const word = Atomics.load(words, slot)
    const taken = Math.min(amount, word & countMask)
    if (Atomics.compareExchange(words, slot, word, word - taken) === word) return taken
  }
}
