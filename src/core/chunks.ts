// Chunks that are held until somebody wants them. Small ones are put together: a Buffer costs a hundred bytes beside what is in
// it, so that a body sent byte by byte would take a hundred times its size.

/** Shorter ones are small. */
const smallBytes = 1_024
const blockBytes = 4_096

export class Chunks {
  /** Bytes of all. */
  size = 0
  #list: Buffer[] = []
  /** Where small chunks go; the last of the list is its filled part, once sealed. */
  #block: Buffer | null = null
  #filled = 0

  /** Takes one, which is not the caller's any more. */
  add(chunk: Buffer): void {
    this.size += chunk.length
    if (chunk.length >= smallBytes) {
      this.#seal()
      this.#list.push(chunk)
      return
    }
    const block = this.#block
    if (block === null || this.#filled + chunk.length > blockBytes) return this.#begin(chunk)
    this.#filled += chunk.copy(block, this.#filled)
  }

  /** All, in their order, and in fewer pieces than they came in. */
  list(): readonly Buffer[] {
    this.#seal()
    return this.#list
  }

  /** All in one piece. */
  whole(): Buffer {
    const list = this.list()
    return list.length === 1 ? (list[0] as Buffer) : Buffer.concat(list, this.size)
  }

  /** The only small chunk of a body is kept as it is; only a further one begins a block. */
  #begin(chunk: Buffer): void {
    this.#seal()
    const last = this.#list.at(-1)
    if (last === undefined || last.length >= smallBytes) return void this.#list.push(chunk)
    this.#list.pop()
    const block = Buffer.allocUnsafeSlow(blockBytes)
    this.#filled = last.copy(block)
    this.#filled += chunk.copy(block, this.#filled)
    this.#block = block
  }

  #seal(): void {
    if (this.#block === null) return
    this.#list.push(this.#block.subarray(0, this.#filled))
    this.#block = null
    this.#filled = 0
  }
}
