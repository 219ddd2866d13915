// Numbers that grow when something changed, in memory that all workers share: who remembers the number knows whether it did.

import { halfSipHash } from './half-sip-hash.ts'

/** Places in the table, a power of two: texts that share one grow together, which costs those who remember a look, and no more. */
const places = 2 ** 18

/** 1 MB, of which the system gives what is written to. */
export function createMarkMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(places * Int32Array.BYTES_PER_ELEMENT)
}

export class Marks {
  readonly #cells: Int32Array
  readonly #seed: readonly [number, number]
  readonly #hash = new Int32Array(2)

  /** The seed must be the same wherever the memory is. */
  constructor(memory: SharedArrayBuffer, seed: readonly [number, number]) {
    this.#cells = new Int32Array(memory)
    this.#seed = seed
  }

  /** Where the number of a text is. Nobody outside can choose texts that share a place. */
  placeOf(text: string): number {
    halfSipHash(text, this.#seed[0], this.#seed[1], this.#hash)
    return (this.#hash[0] as number) & (places - 1)
  }

  read(place: number): number {
    return Atomics.load(this.#cells, place)
  }

  /** From here on all threads read another number. */
  bump(place: number): void {
    Atomics.add(this.#cells, place, 1)
  }
}
