// A header block over its frames: HEADERS, and CONTINUATION as long as it was not the end (RFC 9113 §4.3).

export class HeaderBlock {
  /** The stream of the block that is not complete; 0 for none. */
  streamId = 0
  isEnd = false
  bytes: Buffer = none
  length = 0
  readonly #bytesMax: number
  readonly #continuationsMax: number
  #continuations = 0

  constructor(bytesMax: number, continuationsMax: number) {
    this.#bytesMax = bytesMax
    this.#continuationsMax = continuationsMax
  }

  get isOpen(): boolean {
    return this.streamId !== 0
  }

  open(streamId: number, isEnd: boolean, bytes: Buffer, start: number, end: number): void {
    this.streamId = streamId
    this.isEnd = isEnd
    this.#continuations = 0
    this.length = 0
    this.#append(bytes, start, end)
  }

  /** False where the block has become too long, or came in too many pieces (CVE-2024-27316 and its kin). */
  append(bytes: Buffer, start: number, end: number): boolean {
    if (++this.#continuations > this.#continuationsMax || this.length + end - start > this.#bytesMax) return false
    this.#append(bytes, start, end)
    return true
  }

  close(): void {
    this.streamId = 0
    this.bytes = none
  }

  #append(bytes: Buffer, start: number, end: number): void {
    const needed = this.length + end - start
    if (this.bytes.length < needed) {
      const larger = Buffer.allocUnsafeSlow(Math.max(1_024, needed * 2))
      this.bytes.copy(larger, 0, 0, this.length)
      this.bytes = larger
    }
    bytes.copy(this.bytes, this.length, start, end)
    this.length = needed
  }
}

const none = Buffer.alloc(0)
