// Resident memory without what is free inside of it.

/**
 * A process seldom gives memory back: what was freed stays resident and is used again first. Whoever looks at resident memory
 * alone sees a process that is full for ever after one burst. So what is known to be freed is taken off: `tracked` bytes are
 * those that the heaps and buffers of all workers have in use.
 */
export class MemoryInUse {
  #residentBytes = 0
  #trackedBytes = 0
  /** Of code, sockets, sessions: resident, but not tracked. */
  #otherBytes = 0

  /** Growth of less than `stepBytes` is not looked at. While resident memory grows, all of it is in use: nothing else was free. */
  read(residentBytes: number, trackedBytes: number, stepBytes: number): number {
    const grown = residentBytes - this.#residentBytes
    if (grown >= stepBytes) {
      this.#otherBytes += Math.max(0, grown - Math.max(0, trackedBytes - this.#trackedBytes))
      this.#mark(residentBytes, trackedBytes)
      return residentBytes
    }
    if (grown <= -stepBytes) this.#mark(residentBytes, trackedBytes)
    return Math.min(residentBytes, this.#otherBytes + trackedBytes)
  }

  #mark(residentBytes: number, trackedBytes: number): void {
    this.#residentBytes = residentBytes
    this.#trackedBytes = trackedBytes
    this.#otherBytes = Math.min(this.#otherBytes, Math.max(0, residentBytes - trackedBytes))
  }
}
