// Collects the bytes of a message head over any split, until its empty line came.

import { CR, LF } from './octets.ts'

const emptyLine = Buffer.from('\r\n\r\n')

/** What `HeadBuffer.take` found. */
export const Found = { incomplete: 0, complete: 1, tooLarge: 2, malformed: 3 } as const
export type FoundNumber = (typeof Found)[keyof typeof Found]

/**
 * The head of the next message on a connection.
 *
 * After `take` said `complete`, `bytes` holds the head from `start` to `end` (the empty line included), and what follows
 * from `end` on belongs to the body or the next message. In the common case, a head in one chunk, nothing is copied.
 */
export class HeadBuffer {
  bytes: Buffer = none
  start = 0
  end = 0
  readonly #bytesMax: number
  readonly #skipsEmptyLine: boolean
  /** Room for a head in pieces: grows by doubling, so that dripping single bytes costs linear time. */
  #room: Buffer | null = null
  #filled = 0

  /** RFC 9112 §2.2: an empty line before a request line is ignored, once; before a status line it is an error. */
  constructor(bytesMax: number, precedes: 'request' | 'reply' = 'request') {
    this.#bytesMax = bytesMax
    this.#skipsEmptyLine = precedes === 'request'
  }

  /** Whether some bytes of a head have come, but not all. */
  get isPartial(): boolean {
    return this.#filled > 0
  }

  /** Why `take` said `malformed`. */
  get problem(): string {
    return isTls(this.bytes[this.start]) ? 'TLS is spoken where plain HTTP was expected' : 'bare CR or LF as line end'
  }

  /** Adds what was received, from `from` on. */
  take(chunk: Buffer, from: number): FoundNumber {
    if (this.#filled > 0) return this.#takePiece(chunk, from)
    let start = from
    if (this.#skipsEmptyLine && chunk[start] === CR && chunk[start + 1] === LF) start += 2
    const blank = chunk.indexOf(emptyLine, start)
    if (blank === -1) return this.#takePiece(chunk, from)
    return this.#found(chunk, start, blank + 4)
  }

  /** Forgets everything; the bytes of a complete head stay valid for who holds them. */
  reset(): void {
    this.bytes = none
    this.#room = null
    this.#filled = 0
  }

  #found(bytes: Buffer, start: number, end: number): FoundNumber {
    this.bytes = bytes
    this.start = start
    this.end = end
    return end - start > this.#bytesMax ? Found.tooLarge : Found.complete
  }

  #takePiece(chunk: Buffer, from: number): FoundNumber {
    const added = chunk.length - from
    if (added === 0) return Found.incomplete
    const before = this.#filled
    const room = this.#roomFor(before + added)
    chunk.copy(room, before, from)
    this.#filled = before + added
    const filled = room.subarray(0, this.#filled)
    const start = this.#skipsEmptyLine && filled[0] === CR && filled[1] === LF ? 2 : 0
    const blank = filled.indexOf(emptyLine, Math.max(start, before - 3))
    if (blank !== -1) {
      this.#room = null
      this.#filled = 0
      return this.#found(filled, start, blank + 4)
    }
    this.bytes = filled
    this.start = start
    this.end = filled.length
    if (isTls(filled[start]) || hasBareLineEnd(filled, Math.max(0, before - 1))) return Found.malformed
    return this.#filled - start > this.#bytesMax ? Found.tooLarge : Found.incomplete
  }

  #roomFor(size: number): Buffer {
    const room = this.#room
    if (room !== null && room.length >= size) return room
    const larger = Buffer.allocUnsafeSlow(Math.max(512, size * 2))
    if (room !== null) room.copy(larger, 0, 0, this.#filled)
    this.#room = larger
    return larger
  }
}

const none = Buffer.alloc(0)

/** The first byte of a handshake, or of an alert. No head begins with one, and whoever sends it awaits an answer before the empty line. */
function isTls(octet: number | undefined): boolean {
  return octet === 0x16 || octet === 0x15
}

/** Tells early that a head can never become valid: a client that sends bare LF would wait for an answer forever. */
function hasBareLineEnd(bytes: Buffer, from: number): boolean {
  for (let i = from; i < bytes.length; i++) {
    const octet = bytes[i]
    if (octet === LF && (i === 0 || bytes[i - 1] !== CR)) return true
    if (octet === CR && i + 1 < bytes.length && bytes[i + 1] !== LF) return true
  }
  return false
}
