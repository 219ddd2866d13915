// What is known by text, in a table of fixed size: found within a fraction of a microsecond, forgotten precisely.

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

/** A table of texts of several kinds, told apart by a small number, the tag. */
export interface Known<T> {
  readonly size: number
  get(tag: number, text: string): T | undefined
  /** `name` is what it is forgotten by; several entries may not share one. */
  set(tag: number, text: string, name: string, value: T): void
  forget(name: string): void
  clear(): void
}

/**
 * Hot path: a `Map` by a text that just came off the wire has to enter it into V8's table of internalized strings, which costs
 * several times this look-up, and hashing it by SHA-256 more than both (bench/micro/directory.ts). A keyed 64-bit hash finds the
 * entry here, and its text is then compared whole in constant time.
 */
export function createKnown<T>({ entriesMax, seed, onFull }: KnownOptions): Known<T> {
  const sets = 2 ** Math.ceil(Math.log2(Math.max(1, entriesMax / ways)))
  const hashes = new Int32Array(2 * sets * ways)
  const usedAt = new Uint32Array(sets * ways)
  const entries = new Array<Entry<T> | null>(sets * ways).fill(null)
  const slotOf = new Map<string, number>()
  const hash = new Int32Array(2)
  let tick = 0

  const slotFor = (tag: number, text: string): number => {
    halfSipHash(text, seed[0] ^ tag, seed[1], hash)
    const low = hash[0] as number
    const high = hash[1] as number
    const first = (low & (sets - 1)) * ways
    for (let slot = first; slot < first + ways; slot++) {
      if (hashes[2 * slot] !== low || hashes[2 * slot + 1] !== high) continue
      const entry = entries[slot]
      if (entry != null && entry.tag === tag && isSameText(entry.text, text)) return slot
    }
    return -1
  }

  const drop = (slot: number): void => {
    const entry = entries[slot]
    if (entry == null) return
    slotOf.delete(entry.name)
    entries[slot] = null
    usedAt[slot] = 0
  }

  /** The first empty place of the set, else that of the entry unused for longest. */
  const makeRoom = (): number => {
    const first = ((hash[0] as number) & (sets - 1)) * ways
    let oldest = first
    for (let slot = first; slot < first + ways; slot++) {
      if (entries[slot] === null) return slot
      if ((usedAt[slot] as number) < (usedAt[oldest] as number)) oldest = slot
    }
    onFull()
    drop(oldest)
    return oldest
  }

  return {
    get size() {
      return slotOf.size
    },
    get(tag, text) {
      const slot = slotFor(tag, text)
      if (slot < 0) return undefined
      usedAt[slot] = tick = (tick + 1) >>> 0
      return entries[slot]?.value
    },
    set(tag, text, name, value) {
      drop(slotOf.get(name) ?? -1)
      const found = slotFor(tag, text)
      drop(found)
      const slot = found < 0 ? makeRoom() : found
      hashes[2 * slot] = hash[0] as number
      hashes[2 * slot + 1] = hash[1] as number
      entries[slot] = { tag, text, name, value }
      usedAt[slot] = tick = (tick + 1) >>> 0
      slotOf.set(name, slot)
    },
    forget(name) {
      drop(slotOf.get(name) ?? -1)
    },
    clear() {
      entries.fill(null)
      usedAt.fill(0)
      slotOf.clear()
    },
  }
}

/** Takes as long for texts that differ in their first character as for those that differ in none. */
export function isSameText(known: string, given: string): boolean {
  if (known.length !== given.length) return false
  let difference = 0
  for (let i = 0; i < known.length; i++) difference |= known.charCodeAt(i) ^ given.charCodeAt(i)
  return difference === 0
}
