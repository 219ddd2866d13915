// The shared memory of limits: a set-associative hash table of rows of numbers, one row per key, changed under a lock per set.
//
// An entry whose state is worth nothing any more may be given to another key; nobody sweeps. Before a thread changes a row, it
// notes what stood there, so that the row of a thread that dies in the middle can be put back.

export const entriesPerSet = 32

/** Survives structured cloning; the buffer is shared. */
export interface LimitMemory {
  readonly buffer: SharedArrayBuffer
  readonly entries: number
  /** Numbers in a row. */
  readonly fields: number
  readonly workers: number
  /** Key of the hash, random: nobody outside can choose keys that fall into one set. */
  readonly seed: readonly [number, number]
}

export interface LimitMemoryOptions {
  /** How many threads may use it: indexes 0 to `workers - 1`. */
  readonly workers: number
  /** How many keys can be counted at once; rounded up to a power of two. */
  readonly keys?: number
  readonly fields: number
  readonly seed: readonly [number, number]
}

/** Memory is taken from the system as keys come: about 16 bytes and 8 per field of each key. */
export function createLimitMemory({ workers, keys = 65_536, fields, seed }: LimitMemoryOptions): LimitMemory {
  const entries = Math.max(entriesPerSet, 2 ** Math.ceil(Math.log2(keys)))
  const numbers = entries * (1 + fields) + workers * (1 + fields)
  const words = entries * 2 + entries / entriesPerSet
  return { buffer: new SharedArrayBuffer(numbers * 8 + words * 4), entries, fields, workers, seed }
}

export interface LimitView {
  /** Per entry: until when its row is worth something, by the clock that all threads share, milliseconds. */
  readonly expiries: Float64Array
  /** Per entry: its row. */
  readonly rows: Float64Array
  /** Per worker: 1 + the entry it is changing, or 0; then what stood in its row before. */
  readonly notes: Float64Array
  /** Per entry: the two halves of its key's hash. */
  readonly lows: Int32Array
  readonly highs: Int32Array
  /** One per set: 0, or 1 + the worker that has the set. */
  readonly locks: Int32Array
}

export function viewLimits({ buffer, entries, fields, workers }: LimitMemory): LimitView {
  let at = 0
  const numbers = (length: number) => {
    const view = new Float64Array(buffer, at, length)
    at += length * 8
    return view
  }
  const words = (length: number) => {
    const view = new Int32Array(buffer, at, length)
    at += length * 4
    return view
  }
  return {
    expiries: numbers(entries),
    rows: numbers(entries * fields),
    notes: numbers(workers * (1 + fields)),
    lows: words(entries),
    highs: words(entries),
    locks: words(entries / entriesPerSet),
  }
}

/**
 * Frees the set that a dead worker had and puts back the row that it was changing. To be called after the thread has ended and
 * before another one takes its index.
 */
export function releaseLimits(memory: LimitMemory, worker: number): void {
  const { locks, rows, notes } = viewLimits(memory)
  const note = worker * (1 + memory.fields)
  const entry = (notes[note] as number) - 1
  if (entry >= 0) {
    for (let field = 0; field < memory.fields; field++) {
      rows[entry * memory.fields + field] = notes[note + 1 + field] as number
    }
    notes[note] = 0
  }
  for (let set = 0; set < locks.length; set++) {
    if (Atomics.compareExchange(locks, set, worker + 1, 0) === worker + 1) Atomics.notify(locks, set)
  }
}
