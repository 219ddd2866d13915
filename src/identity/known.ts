// What is known by text, in a table of fixed size: found within a fraction of a microsecond, forgotten precisely.

import { codeAt } from '../core/code-at.ts'
import { halfSipHash } from '../core/half-sip-hash.ts'

/** Entries that share a place; the one unused for longest makes room. */
const ways = 8

interface Entry<T> {
  readonly tag: number
  readonly text: string
  /** What `forget` calls it. */
  readonly name: string
  readonly value: T
}

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
 * Hot path: a keyed 64-bit hash finds the entry, and its text is then compared whole in constant time. For a key that takes 1 µs;
 * SHA-256 and a `Map` by the digest take 1.7 µs. A `Map` by the text itself takes 0.4 µs, but compares a secret only up to the
 * first difference, and is neither bounded nor forgets what was unused for longest (bench/micro/directory.ts).
 */
export class Known<T> {
  readonly #seed: readonly [number, number]
  readonly #onFull: () => void
  readonly #sets: number
  readonly #hashes: Int32Array
  readonly #usedAt: Uint32Array
  readonly #entries: (Entry<T> | null)[]
  readonly #slotOf = new Map<string, number>()
  /** What the last text that was looked for hashes to. */
  readonly #hash = new Int32Array(2)
  #tick = 0

  constructor({ entriesMax, seed, onFull }: KnownOptions) {
    this.#seed = seed
    this.#onFull = onFull
    this.#sets = 2 ** Math.ceil(Math.log2(Math.max(1, entriesMax / ways)))
    const slots = this.#sets * ways
    this.#hashes = new Int32Array(2 * slots)
    this.#usedAt = new Uint32Array(slots)
    this.#entries = Array.from({ length: slots }, () => null)
  }

  get size(): number {
    return this.#slotOf.size
  }

  get(tag: number, text: string): T | undefined {
    const slot = this.#find(tag, text)
    if (slot < 0) return undefined
    this.#touch(slot)
    return this.#entries[slot]?.value
  }

  /** `name` is what it is forgotten by; several entries may not share one. */
  set(tag: number, text: string, name: string, value: T): void {
    this.forget(name)
    const found = this.#find(tag, text)
    this.#drop(found)
    const slot = found < 0 ? this.#makeRoom() : found
    this.#hashes[2 * slot] = this.#hash[0] as number
    this.#hashes[2 * slot + 1] = this.#hash[1] as number
    this.#entries[slot] = { tag, text, name, value }
    this.#touch(slot)
    this.#slotOf.set(name, slot)
  }

  forget(name: string): void {
    this.#drop(this.#slotOf.get(name) ?? -1)
  }

  clear(): void {
    this.#entries.fill(null)
    this.#usedAt.fill(0)
    this.#slotOf.clear()
  }

  #find(tag: number, text: string): number {
    halfSipHash(text, this.#seed[0] ^ tag, this.#seed[1], this.#hash)
    const low = this.#hash[0] as number
    const high = this.#hash[1] as number
    const hashes = this.#hashes
    const first = (low & (this.#sets - 1)) * ways
    for (let slot = first; slot < first + ways; slot++) {
      if (hashes[2 * slot] !== low || hashes[2 * slot + 1] !== high) continue
      const entry = this.#entries[slot]
      if (entry?.tag === tag && isSameText(entry.text, text)) return slot
    }
    return -1
  }

  #touch(slot: number): void {
    this.#tick = (this.#tick + 1) >>> 0
    this.#usedAt[slot] = this.#tick
  }

  #drop(slot: number): void {
    const entry = this.#entries[slot] ?? null
    if (entry === null) return
    this.#slotOf.delete(entry.name)
    this.#entries[slot] = null
    this.#usedAt[slot] = 0
  }

  /** The first empty place of the set, else that of the entry unused for longest. */
  #makeRoom(): number {
    const first = ((this.#hash[0] as number) & (this.#sets - 1)) * ways
    let oldest = first
    for (let slot = first; slot < first + ways; slot++) {
      if (this.#entries[slot] === null) return slot
      if ((this.#usedAt[slot] as number) < (this.#usedAt[oldest] as number)) oldest = slot
    }
    this.#onFull()
    this.#drop(oldest)
    return oldest
  }
}

/** Takes as long for texts that differ in their first character as for those that differ in none. */
function isSameText(known: string, given: string): boolean {
  const { length } = known
  if (length !== given.length) return false
  let difference = 0
  for (let i = 0; i < length; i++) difference |= codeAt(known, i) ^ codeAt(given, i)
  return difference === 0
}
