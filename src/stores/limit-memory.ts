// The shared memory of limits: a set-associative hash table of rows of numbers, one row per key, changed under a lock per set.
//
// An entry whose state is worth nothing any more may be given to another key; nobody sweeps. Before a thread changes a row, it
// notes what stood there, so that the row of a thread that dies in the middle can be put back.
//
// Hot path: a call meets the row of a caller who was not here lately, so what costs is how many cache lines and pages are touched.
// The lock and all hashes of a set share one cache line, and its rows follow. A set is an odd number of lines long: were it a
// power of two, the first lines of all sets would crowd each other out of the same few places of the processor's caches.

/** Rows of a set. One that is full has no place for one more key. */
export const entriesPerSet = 7
/** How many keys a set is meant to hold: then one key in two hundred finds no place. */
const keysPerSet = 3

/** Numbers of 8 bytes in a cache line, and words of 4 bytes in a number. */
const lineNumbers = 8
const numberWords = 2
/** Numbers of a worker's note before the row: 1 + the set that it takes, 1 + the row that it changes, how much of it. */
const noteHead = 3

/** Survives structured cloning; the buffer is shared. */
export interface LimitMemory {
  readonly buffer: SharedArrayBuffer
  /** How many keys were asked for. */
  readonly keys: number
  readonly sets: number
  /** Numbers in a row. */
  readonly fields: number
  readonly workers: number
  /** Key of the hash, random: nobody outside can choose keys that fall into one set. */
  readonly seed: readonly [number, number]
}

export interface LimitMemoryOptions {
  /** How many threads may use it: indexes 0 to `workers - 1`. */
  readonly workers: number
  /** How many keys can be counted at once. */
  readonly keys: number
  readonly fields: number
  readonly seed: readonly [number, number]
}

/** Memory is taken from the system as keys come: about 600 bytes for each when there are as many as there may be. */
export function createLimitMemory({ workers, keys, fields, seed }: LimitMemoryOptions): LimitMemory {
  const sets = Math.max(1, Math.ceil(keys / keysPerSet))
  const buffer = new SharedArrayBuffer((sets * setNumbers(fields) + workers * noteNumbers(fields)) * 8)
  return { buffer, keys, sets, fields, workers, seed }
}

/** A line for the lock and the hashes, then the rows, each with the time until which it is worth something before it. */
function setNumbers(fields: number): number {
  return (Math.ceil((lineNumbers + entriesPerSet * (1 + fields)) / lineNumbers) | 1) * lineNumbers
}

/** Whole cache lines, so that no two workers write to one. */
function noteNumbers(fields: number): number {
  return Math.ceil((noteHead + fields) / lineNumbers) * lineNumbers
}

/** The numbers of a memory, and where they stand. */
export class LimitView {
  readonly numbers: Float64Array
  /** The same memory as words of 32 bits. */
  readonly words: Int32Array
  readonly sets: number
  readonly fields: number
  readonly #set: number
  readonly #notes: number

  constructor({ buffer, sets, fields }: LimitMemory) {
    this.numbers = new Float64Array(buffer)
    this.words = new Int32Array(buffer)
    this.sets = sets
    this.fields = fields
    this.#set = setNumbers(fields)
    this.#notes = sets * this.#set
  }

  /** The set of a key, by the second word of its hash. */
  setOf(high: number): number {
    return Math.floor(((high >>> 0) / 0x1_0000_0000) * this.sets)
  }

  /** Word with the lock of a set: 0, or 1 + the worker that has it. */
  lockOf(set: number): number {
    return set * this.#set * numberWords
  }

  /** Word with the low half of the hash of an entry's key; the high half stands `entriesPerSet` words on. */
  hashOf(set: number, entry: number): number {
    return this.lockOf(set) + 1 + entry
  }

  /** Number at which the row of an entry begins. The one before it is until when the row is worth something, in shared milliseconds. */
  rowOf(set: number, entry: number): number {
    return set * this.#set + lineNumbers + entry * (1 + this.fields) + 1
  }

  /** Number at which the note of a worker begins. */
  noteOf(worker: number): number {
    return this.#notes + worker * noteNumbers(this.fields)
  }

  /** Notes what stands in the first numbers of a row, before they are changed. */
  note(worker: number, row: number, count: number): void {
    const { numbers } = this
    const note = this.noteOf(worker)
    for (let field = 0; field < count; field++) numbers[note + noteHead + field] = numbers[row + field] as number
    numbers[note + 2] = count
    numbers[note + 1] = row + 1
  }
}

/**
 * Frees the set that a dead worker had and puts back the row that it was changing. To be called after the thread has ended and
 * before another one takes its index.
 */
export function releaseLimits(memory: LimitMemory, worker: number): void {
  const view = new LimitView(memory)
  const { numbers, words } = view
  const note = view.noteOf(worker)
  const row = (numbers[note + 1] as number) - 1
  if (row >= 0) {
    const count = numbers[note + 2] as number
    for (let field = 0; field < count; field++) numbers[row + field] = numbers[note + noteHead + field] as number
    numbers[note + 1] = 0
  }
  const set = (numbers[note] as number) - 1
  numbers[note] = 0
  if (set < 0) return
  const lock = view.lockOf(set)
  if (Atomics.compareExchange(words, lock, worker + 1, 0) === worker + 1) Atomics.notify(words, lock)
}

/**
 * Copies what is worth something into another memory of the same seed that nobody uses yet; where a set has no room, what is worth
 * something for the longest time stays. Takes no locks: what is counted at the same time may be missing.
 */
export function carryOver(from: LimitMemory, to: LimitMemory): void {
  const source = new LimitView(from)
  const target = new LimitView(to)
  for (let set = 0; set < source.sets; set++) {
    for (let entry = 0; entry < entriesPerSet; entry++) {
      const hashes = source.hashOf(set, entry)
      const [low, high] = [source.words[hashes] as number, source.words[hashes + entriesPerSet] as number]
      // The first word of a key is never zero.
      if (low === 0) continue
      const row = source.rowOf(set, entry)
      put(target, low, high, source.numbers.subarray(row - 1, row + source.fields))
    }
  }
}

/** `row` begins with the time until which it is worth something. */
function put(view: LimitView, low: number, high: number, row: Float64Array): void {
  const set = view.setOf(high)
  const places = Array.from({ length: entriesPerSet }, (_, entry) => view.rowOf(set, entry) - 1)
  const untilMs = (place: number) => view.numbers[place] as number
  const place = places.reduce((least, other) => (untilMs(other) < untilMs(least) ? other : least))
  if (untilMs(place) >= (row[0] as number)) return
  view.numbers.set(row, place)
  const hashes = view.hashOf(set, places.indexOf(place))
  view.words[hashes] = low
  view.words[hashes + entriesPerSet] = high
}
