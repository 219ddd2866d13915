// A table by text that is looked up with a piece of a longer text, without cutting the piece out.

import { codeAt } from '../../core/code-at.ts'

/** Texts are added when routes are compiled; calls only look up. */
export interface TextTable<T> {
  readonly size: number
  get(text: string): T | undefined
  set(text: string, value: T): void
  /** The value of the text that stands in `whole` from `start` to `end`. */
  find(whole: string, start: number, end: number): T | undefined
}

interface Entry<T> {
  readonly text: string
  value: T
}

/**
 * Hot path: a `Map` by string would have each piece of a path cut out and entered into V8's table of internalized strings, at
 * several times the price of this look-up. Nobody outside can add texts, so chains stay short whatever is looked up.
 */
export function createTextTable<T>(): TextTable<T> {
  const chains = new Map<number, Entry<T>[]>()
  let size = 0

  const entryAt = (whole: string, start: number, end: number): Entry<T> | undefined => {
    const chain = chains.get(hashOf(whole, start, end))
    if (chain === undefined) return undefined
    for (const entry of chain) {
      if (entry.text.length === end - start && whole.startsWith(entry.text, start)) return entry
    }
    return undefined
  }

  return {
    get size() {
      return size
    },
    get: text => entryAt(text, 0, text.length)?.value,
    set(text, value) {
      const known = entryAt(text, 0, text.length)
      if (known !== undefined) {
        known.value = value
        return
      }
      size++
      const hash = hashOf(text, 0, text.length)
      const chain = chains.get(hash)
      if (chain === undefined) chains.set(hash, [{ text, value }])
      else chain.push({ text, value })
    },
    find: (whole, start, end) => (size === 0 ? undefined : entryAt(whole, start, end)?.value),
  }
}

function hashOf(whole: string, start: number, end: number): number {
  let hash = end - start
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + codeAt(whole, i)) | 0
  // A small integer to the engine, which a hash of 32 bits is not always.
  return hash & 0x3fffffff
}
