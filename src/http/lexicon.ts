// Finds known words in received bytes without making a string of them.

/** Looks words up by their exact octets. */
export interface Lexicon<T> {
  /** What belongs to the word that stands in `bytes` from `start` to `end`, or null for an unknown one. */
  find(bytes: Uint8Array, start: number, end: number): T | null
}

/**
 * Hot path: a `Map` would do, but V8 enters each string that it looks up into its table of internalized strings; about 2 µs
 * a call (bench/NOTES.md).
 */
export function createLexicon<T>(words: ReadonlyMap<string, T>): Lexicon<T> {
  // Sixteen slots a word: a chain of more than two is rare.
  const size = 2 ** Math.ceil(Math.log2(words.size * 16))
  const slots: (Slot<T> | null)[] = Array.from({ length: size }, () => null)
  const mask = size - 1
  for (const [word, meaning] of words) {
    const octets = Buffer.from(word, 'latin1')
    let slot = hashOf(octets, 0, octets.length) & mask
    while (slots[slot] !== null) slot = (slot + 1) & mask
    slots[slot] = { octets, meaning }
  }
  return {
    find(bytes, start, end) {
      let slot = hashOf(bytes, start, end) & mask
      for (;;) {
        const entry = slots[slot]
        if (entry === null || entry === undefined) return null
        if (isAt(entry.octets, bytes, start, end)) return entry.meaning
        slot = (slot + 1) & mask
      }
    },
  }
}

interface Slot<T> {
  readonly octets: Uint8Array
  readonly meaning: T
}

function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0
  return hash ^ (hash >>> 11)
}

function isAt(octets: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (octets.length !== end - start) return false
  for (let i = 0; i < octets.length; i++) if (octets[i] !== bytes[start + i]) return false
  return true
}
