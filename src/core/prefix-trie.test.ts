import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { createPrefixTrie, findVerdict, insertPrefix, Verdict } from './prefix-trie.ts'

interface Entry {
  readonly words: Uint32Array
  readonly bits: number
  readonly verdict: Verdict
}

function digits(words: Uint32Array): string {
  return [...words].map(word => word.toString(2).padStart(32, '0')).join('')
}

function matches({ words, bits }: Entry, address: Uint32Array): boolean {
  return digits(words).slice(0, bits) === digits(address).slice(0, bits)
}

/** Looks at every entry. */
function naive(entries: readonly Entry[], address: Uint32Array): Verdict {
  let best: Entry | null = null
  for (const entry of entries) {
    if (!matches(entry, address)) continue
    const isBetter =
      best === null || entry.bits > best.bits || (entry.bits === best.bits && entry.verdict > best.verdict)
    if (isBetter) best = entry
  }
  return best?.verdict ?? Verdict.none
}

function masked(words: readonly number[], bits: number): Uint32Array {
  return Uint32Array.from(words, (word, i) => {
    const kept = Math.min(32, Math.max(0, bits - 32 * i))
    return kept === 0 ? 0 : (word & (-1 << (32 - kept))) >>> 0
  })
}

/** Words that differ in few places, so that prefixes nest and part at every depth. */
const word = fc.oneof(
  fc.constantFrom(0, 0xffffffff, 0x80000000, 1, 0x0a000000, 0x0a800000),
  fc.nat(31).map(bit => (1 << bit) >>> 0),
  fc.integer({ min: 0, max: 0xffffffff }),
)

for (const wordCount of [1, 4] as const) {
  test(`agrees with looking at every entry, ${32 * wordCount} bits`, () => {
    const address = fc.array(word, { minLength: wordCount, maxLength: wordCount })
    const entry = fc
      .tuple(address, fc.nat(32 * wordCount), fc.constantFrom(Verdict.allow, Verdict.deny))
      .map(([words, bits, verdict]): Entry => ({ words: masked(words, bits), bits, verdict }))
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 30 }), fc.array(address, { maxLength: 10 }), (entries, addresses) => {
        const trie = createPrefixTrie(wordCount)
        for (const { words, bits, verdict } of entries) insertPrefix(trie, words, bits, verdict)
        const asked = [...addresses.map(words => Uint32Array.from(words)), ...entries.map(({ words }) => words)]
        for (const one of asked) assert.equal(findVerdict(trie, one), naive(entries, one))
        assert.ok(trie.lengths.length <= 1 + 2 * entries.length)
      }),
      { numRuns: 500 },
    )
  })
}
