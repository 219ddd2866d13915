// What is known by text, in a table of fixed size: found within a fraction of a microsecond, forgotten precisely.

import { codeAt } from '../core/code-at.ts'
import { halfSipHash } from '../core/half-sip-hash.ts'

/** Entries that share a place; the one unused for longest makes room. */
const ways = 8
const ticksMax = 2 ** 30 - 1

/** Words of 32 bits that are written down of each entry: at which use of all it was used last, its tag, then its text. */
const recordWords = 32
const usedAt = 0
const tagAt = 1
const textAt = 2
const textWords = recordWords - textAt
/** Longer texts are kept beside the records. The last word of a text holds its length, and at most one unit. */
const unitsMax = 2 * textWords - 1

export interface KnownOptions {
  /** The most entries, rounded up to a power of two. */
  readonly entriesMax: number
  /** Random and secret, so that nobody outside can choose texts that crowd each other out. */
  readonly seed: readonly [number, number]
  /** Told when an entry had to make room for another. */
  readonly onFull: () => void
}

/**
 * A table of texts of several kinds, told apart by a small number, the tag.
 *
 * Hot path: a keyed 64-bit hash finds the entry, and its text is then compared whole in constant time. For a key that takes
 * 0.4 µs; SHA-256 and a `Map` by the digest take 0.5 µs. A `Map` by the text itself takes 0.2 µs, but compares a secret only up to
 * the first difference, and is neither bounded nor forgets what was unused for longest (bench/micro/directory.ts). Texts stand in
 * one array, by words as they were hashed: whoever calls was not here lately, so that each object on the way to a value would be
 * one more place in memory to wait for.
 */
export class Known<T> {
  readonly #seed: readonly [number, number]
  readonly #onFull: () => void
  readonly #sets: number
  readonly #hashes: Int32Array
  readonly #records: Int32Array
  readonly #values: (T | null)[]
  /** What `forget` calls them. */
  readonly #names: string[]
  readonly #longTexts = new Map<number, string>()
  readonly #slotOf = new Map<string, number>()
  /** What the last text that was looked for hashes to, and then its words. */
  readonly #asked = new Int32Array(2 + textWords)
  #tick = 0

  constructor({ entriesMax, seed, onFull }: KnownOptions) {
    this.#seed = seed
    this.#onFull = onFull
    this.#sets = 2 ** Math.ceil(Math.log2(Math.max(1, entriesMax / ways)))
    const slots = this.#sets * ways
    this.#hashes = new Int32Array(2 * slots)
    this.#records = new Int32Array(recordWords * slots)
    this.#values = Array.from({ length: slots }, () => null)
    this.#names = Array.from({ length: slots }, () => '')
  }

  get size(): number {
    return this.#slotOf.size
  }

  get(tag: number, text: string): T | undefined {
    const slot = this.#find(tag, text)
    if (slot < 0) return undefined
    this.#touch(slot)
    return this.#values[slot] ?? undefined
  }

  /** `name` is what it is forgotten by; several entries may not share one. */
  set(tag: number, text: string, name: string, value: T): void {
    this.forget(name)
    const found = this.#find(tag, text)
    this.#drop(found)
    const slot = found < 0 ? this.#makeRoom() : found
    const asked = this.#asked
    this.#hashes[2 * slot] = asked[0] as number
    this.#hashes[2 * slot + 1] = asked[1] as number
    const record = slot * recordWords
    this.#records[record + tagAt] = tag
    this.#records.set(asked.subarray(2, 3 + (text.length >> 1)), record + textAt)
    if (text.length > unitsMax) this.#longTexts.set(slot, text)
    this.#touch(slot)
    this.#values[slot] = value
    this.#names[slot] = name
    this.#slotOf.set(name, slot)
  }

  forget(name: string): void {
    this.#drop(this.#slotOf.get(name) ?? -1)
  }

  clear(): void {
    for (const slot of [...this.#slotOf.values()]) this.#drop(slot)
  }

  #find(tag: number, text: string): number {
    const asked = this.#asked
    halfSipHash(text, this.#seed[0] ^ tag, this.#seed[1], asked)
    const low = asked[0] as number
    const high = asked[1] as number
    const hashes = this.#hashes
    const first = (low & (this.#sets - 1)) * ways
    for (let slot = first; slot < first + ways; slot++) {
      if (hashes[2 * slot] !== low || hashes[2 * slot + 1] !== high) continue
      if (this.#records[slot * recordWords + tagAt] === tag && this.#hasText(slot, text)) return slot
    }
    return -1
  }

  /** Takes as long for texts that differ in their first character as for those that differ in none. */
  #hasText(slot: number, text: string): boolean {
    if (text.length > unitsMax) return isSameText(this.#longTexts.get(slot) ?? '', text)
    const records = this.#records
    const asked = this.#asked
    const start = slot * recordWords + textAt
    let difference = 0
    for (let word = text.length >> 1; word >= 0; word--) {
      difference |= (records[start + word] as number) ^ (asked[2 + word] as number)
    }
    return difference === 0
  }

  #touch(slot: number): void {
    this.#tick = (this.#tick + 1) & ticksMax
    this.#records[slot * recordWords + usedAt] = this.#tick
  }

  #drop(slot: number): void {
    if (slot < 0 || this.#values[slot] === null) return
    this.#slotOf.delete(this.#names[slot] as string)
    this.#values[slot] = null
    this.#names[slot] = ''
    this.#longTexts.delete(slot)
    this.#records.fill(0, slot * recordWords, (slot + 1) * recordWords)
  }

  /** The first empty place of the set, else that of the entry unused for longest. */
  #makeRoom(): number {
    const first = ((this.#asked[0] as number) & (this.#sets - 1)) * ways
    let oldest = first
    let longest = -1
    for (let slot = first; slot < first + ways; slot++) {
      if (this.#values[slot] === null) return slot
      const unusedFor = (this.#tick - (this.#records[slot * recordWords + usedAt] as number)) & ticksMax
      if (unusedFor <= longest) continue
      oldest = slot
      longest = unusedFor
    }
    this.#onFull()
    this.#drop(oldest)
    return oldest
  }
}

/** As long for all texts of one length. */
function isSameText(known: string, given: string): boolean {
  const { length } = known
  if (length !== given.length) return false
  let difference = 0
  for (let i = 0; i < length; i++) difference |= codeAt(known, i) ^ codeAt(given, i)
  return difference === 0
}
