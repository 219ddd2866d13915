// What was found out about tokens, by their text: a table of fixed size, in which those unused for longest make room.

import { randomFillSync } from 'node:crypto'
import { halfSipHash } from '../core/half-sip-hash.ts'
import type { Closable } from '../core/policy.ts'

/** Entries that share a place. */
const ways = 8
/** Tokens are kept whole; together they have this many characters for each of the entries at most. */
const charactersPerEntry = 1024

export interface TokenCacheOptions {
  /** The most entries. */
  readonly entriesMax: number
  /** How much of a token is hashed, from its end: enough that nobody knows it who has not the token. */
  readonly hashedCharacters: number
  /** Told when an entry had to make room for another. */
  readonly onFull: () => void
}

/**
 * Hot path: a digest of a token of 800 characters and a `Map` cost several microseconds (bench/micro/jwt.ts). A keyed 64-bit
 * hash of its end finds it here, and then the whole text is compared. That may be done the fast way, which ends at the first
 * difference: only who has the end of the token, for a JWT that of its signature, gets as far, and has nothing left to guess.
 */
export class TokenCache<T> implements Closable {
  readonly #options: TokenCacheOptions
  /** Secret: callers must not choose tokens that crowd each other out. */
  readonly #seed = randomFillSync(new Int32Array(2))
  readonly #ways: number
  readonly #sets: number
  readonly #hashes: Int32Array
  readonly #usedAt: Uint32Array
  readonly #tokens: string[]
  readonly #values: (T | undefined)[]
  readonly #hash = new Int32Array(2)
  readonly #charactersMax: number
  #characters = 0
  #size = 0
  #tick = 0
  #hand = 0

  constructor(options: TokenCacheOptions) {
    const { entriesMax } = options
    this.#options = options
    this.#ways = Math.min(ways, entriesMax)
    this.#sets = Math.floor(entriesMax / this.#ways)
    const count = this.#sets * this.#ways
    this.#hashes = new Int32Array(2 * count)
    this.#usedAt = new Uint32Array(count)
    this.#tokens = Array.from({ length: count }, () => '')
    this.#values = Array.from({ length: count }, () => undefined)
    this.#charactersMax = entriesMax * charactersPerEntry
  }

  get size(): number {
    return this.#size
  }

  get(token: string): T | undefined {
    const slot = this.#find(token)
    if (slot < 0) return undefined
    this.#usedAt[slot] = this.#tick = (this.#tick + 1) >>> 0
    return this.#values[slot]
  }

  set(token: string, value: T): void {
    if (token === '' || token.length > this.#charactersMax) return
    this.#drop(this.#find(token))
    const slot = this.#makeRoom(token.length)
    this.#hashes[2 * slot] = this.#hash[0] as number
    this.#hashes[2 * slot + 1] = this.#hash[1] as number
    // A copy: a token cut out of a head would keep all of that alive.
    this.#tokens[slot] = Buffer.from(token, 'utf8').toString('utf8')
    this.#values[slot] = value
    this.#usedAt[slot] = this.#tick = (this.#tick + 1) >>> 0
    this.#characters += token.length
    this.#size++
  }

  close(): void {
    for (let slot = 0; slot < this.#tokens.length; slot++) this.#drop(slot)
  }

  /** The slot, or -1. Leaves the hash of the token in `#hash`. */
  #find(token: string): number {
    const { hashedCharacters } = this.#options
    const hash = this.#hash
    const end = token.length > hashedCharacters ? token.slice(-hashedCharacters) : token
    halfSipHash(end, this.#seed[0] as number, this.#seed[1] as number, hash)
    const hashes = this.#hashes
    const first = this.#first()
    for (let slot = first; slot < first + this.#ways; slot++) {
      if (hashes[2 * slot] === hash[0] && hashes[2 * slot + 1] === hash[1] && this.#tokens[slot] === token) return slot
    }
    return -1
  }

  #first(): number {
    return (((this.#hash[0] as number) >>> 0) % this.#sets) * this.#ways
  }

  /** An empty slot of the set, else that of the entry unused for longest; and room for so many characters. */
  #makeRoom(characters: number): number {
    const first = this.#first()
    let oldest = first
    for (let slot = first; slot < first + this.#ways && this.#tokens[oldest] !== ''; slot++) {
      if (this.#tokens[slot] === '' || (this.#usedAt[slot] as number) < (this.#usedAt[oldest] as number)) oldest = slot
    }
    const isFull = this.#tokens[oldest] !== '' || this.#characters + characters > this.#charactersMax
    if (isFull) this.#options.onFull()
    this.#drop(oldest)
    while (this.#characters + characters > this.#charactersMax) {
      this.#drop(this.#hand)
      this.#hand = (this.#hand + 1) % this.#tokens.length
    }
    return oldest
  }

  #drop(slot: number): void {
    const token = this.#tokens[slot]
    if (token === undefined || token === '') return
    this.#characters -= token.length
    this.#size--
    this.#tokens[slot] = ''
    this.#values[slot] = undefined
  }
}
