// Bytes to frames, over any split: DATA is handed on as it comes, all other frames whole.

import { Flag, frameHeadBytes, framePayloadMax, FrameType } from './protocol.ts'

export interface FrameTaker {
  /** Nothing more is to be read. */
  readonly isOver: boolean
  /** A frame other than DATA: its payload stands in `bytes` from `start` to `end`. */
  frame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void
  /** A DATA frame begins, with so many octets of data among `payloadLength` that count for flow control. */
  dataBegins(flags: number, streamId: number, length: number, payloadLength: number): void
  dataPiece(chunk: Buffer, start: number, end: number): void
  dataEnds(): void
  /** Larger than a frame may be. */
  frameTooLarge(): void
  paddingTooLong(): void
}

export class FrameReader {
  readonly #taker: FrameTaker
  /** The beginning of a frame whose rest has not come yet, and how much of it is needed to go on. */
  #held: Buffer | null = null
  #filled = 0
  #isInData = false
  #dataLeft = 0
  #paddingLeft = 0

  constructor(taker: FrameTaker) {
    this.#taker = taker
  }

  /** Whether some bytes of a frame have come, but not enough to take it. */
  get isPartial(): boolean {
    return this.#held !== null
  }

  read(chunk: Buffer, from: number): void {
    const taker = this.#taker
    let i = from
    while (i < chunk.length && !taker.isOver) {
      if (this.#isInData) i = this.#readData(chunk, i)
      else if (this.#held !== null) i = this.#readHeld(chunk, i)
      else if (chunk.length - i < frameHeadBytes) return this.#hold(chunk, i, frameHeadBytes)
      else {
        const need = this.#needOf(chunk, i)
        if (need === -1) return
        if (chunk.length - i < need) return this.#hold(chunk, i, need)
        i = this.#take(chunk, i, need)
      }
    }
  }

  /** How many octets of the frame that begins at `at` must be there before it can be taken; -1 for one that may not be. */
  #needOf(bytes: Buffer, at: number): number {
    const length = lengthAt(bytes, at)
    if (length > framePayloadMax) {
      this.#taker.frameTooLarge()
      return -1
    }
    if (bytes[at + 3] !== FrameType.data) return frameHeadBytes + length
    const isPadded = ((bytes[at + 4] as number) & Flag.padded) !== 0
    return isPadded && length > 0 ? frameHeadBytes + 1 : frameHeadBytes
  }

  /** Takes a frame of which enough is there; returns where to go on. */
  #take(bytes: Buffer, at: number, need: number): number {
    const type = bytes[at + 3] as number
    const flags = bytes[at + 4] as number
    const streamId = bytes.readUInt32BE(at + 5) & 0x7fffffff
    if (type !== FrameType.data) {
      this.#taker.frame(type, flags, streamId, bytes, at + frameHeadBytes, at + need)
      return at + need
    }
    const payload = lengthAt(bytes, at)
    const isPadded = (flags & Flag.padded) !== 0
    const padding = isPadded ? (bytes[at + frameHeadBytes] as number) : 0
    const length = payload - padding - (isPadded ? 1 : 0)
    if (length < 0) {
      this.#taker.paddingTooLong()
      return bytes.length
    }
    this.#isInData = true
    this.#dataLeft = length
    this.#paddingLeft = padding
    this.#taker.dataBegins(flags, streamId, length, payload)
    return this.#readData(bytes, at + need)
  }

  #readData(chunk: Buffer, from: number): number {
    let i = from
    if (this.#dataLeft > 0 && i < chunk.length) {
      const end = Math.min(chunk.length, i + this.#dataLeft)
      this.#dataLeft -= end - i
      this.#taker.dataPiece(chunk, i, end)
      i = end
    }
    if (this.#dataLeft > 0) return i
    const end = Math.min(chunk.length, i + this.#paddingLeft)
    this.#paddingLeft -= end - i
    if (this.#paddingLeft > 0) return end
    this.#isInData = false
    this.#taker.dataEnds()
    return end
  }

  #readHeld(chunk: Buffer, from: number): number {
    const held = this.#held as Buffer
    const end = Math.min(chunk.length, from + held.length - this.#filled)
    chunk.copy(held, this.#filled, from, end)
    this.#filled += end - from
    if (this.#filled < held.length) return end
    const need = this.#needOf(held, 0)
    this.#held = null
    if (need === -1) return chunk.length
    if (need > held.length) this.#hold(held, 0, need)
    else this.#take(held, 0, need)
    return end
  }

  /** Keeps what is there of a frame, with room for what is needed to go on. */
  #hold(bytes: Buffer, from: number, need: number): void {
    const held = Buffer.allocUnsafe(need)
    bytes.copy(held, 0, from)
    this.#held = held
    this.#filled = bytes.length - from
  }
}

function lengthAt(bytes: Buffer, at: number): number {
  return ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
}
