// The two hash functions of consistent hashing: fast, well mixed, the same in every worker and release; not for security.

import { codeAt } from '../core/code-at.ts'

/** FNV-1a over UTF-16 code units, as an unsigned 32-bit number. */
export function hashString(text: string): number {
  let hash = 0x811c9dc5
  const { length } = text
  for (let i = 0; i < length; i++) hash = Math.imul(hash ^ codeAt(text, i), 0x01000193)
  return hash >>> 0
}

/** Mixes two hashes into one that depends on each bit of both (the finaliser of MurmurHash3), unsigned 32 bits. */
export function mixHashes(one: number, other: number): number {
  let hash = Math.imul(one, 0xcc9e2d51) ^ other
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
