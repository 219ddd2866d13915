// A reply body on its way to a client and into the store at once.

import type { Body, BodySource, Sink } from '../../core/body.ts'
import type { Failure } from '../../core/failure.ts'
import type { Headers } from '../../core/headers.ts'
import { pieceBytes } from './serve.ts'

export interface FillEvents {
  /** Takes room for bytes that are to be kept; false where there is none. */
  tryKeep(bytes: number): boolean
  /** The body is complete, and kept whole. */
  complete(bytes: Buffer): void
  /** It will not be kept: too long, broken off, or not wanted any more. Not told behind `complete`. */
  gaveUp(): void
  /** Whoever read it has gone before the end. */
  readerLeft(): void
  /** Nothing more comes, whichever way. */
  over(): void
  /** None of it is held here any more: the reader has it all, or has gone. Told once, at the end or before. */
  free(): void
}

/**
 * As long as the body is kept it is read as fast as it comes, however slow the reader is: who waits for it must not wait for that
 * one. A body that turns out too long is passed on at the reader's pace, and forgotten.
 */
export class Fill implements Sink, BodySource {
  readonly #body: Body
  readonly #events: FillEvents
  readonly #bytesMax: number
  /** All of it while it is kept; then what the reader has not taken yet. */
  #chunks: Buffer[] = []
  #size = 0
  /** How many of the chunks the reader has. */
  #taken = 0
  #isKept = true
  #isOver = false
  #hasNoReader = false
  #isFree = false
  #reader: Sink | null = null
  #hasRoom = true
  #isPushing = false
  #end: { readonly trailers: Headers | null } | null = null
  #failure: Failure | null = null

  constructor(body: Body, bytesMax: number, events: FillEvents) {
    this.#body = body
    this.#bytesMax = bytesMax
    this.#events = events
  }

  /** Begins to read. To be called once; a body that is there already ends within. */
  begin(): void {
    this.#body.pipe(this)
  }

  write(chunk: Buffer): boolean {
    if (this.#isOver) return false
    this.#chunks.push(chunk)
    this.#size += chunk.length
    if (this.#isKept && (this.#size > this.#bytesMax || !this.#events.tryKeep(chunk.length))) this.#forget()
    this.#push()
    return this.#isKept || (this.#hasRoom && this.#chunks.length === 0)
  }

  end(trailers: Headers | null): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#end = { trailers }
    // What is kept is sent again with a length, and then without trailers: a reply that has some is not the same.
    const isWhole = trailers === null && (this.#body.length < 0 || this.#body.length === this.#size)
    if (this.#isKept && isWhole) this.#complete()
    else if (this.#isKept) this.#events.gaveUp()
    this.#events.over()
    if (this.#hasNoReader) this.#letGo()
    this.#push()
  }

  fail(failure: Failure): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#failure = failure
    this.#chunks = []
    if (this.#isKept) this.#events.gaveUp()
    this.#events.over()
    this.#letGo()
    this.#push()
  }

  start(reader: Sink): void {
    this.#reader = reader
    this.#push()
  }

  resume(): void {
    this.#hasRoom = true
    this.#push()
  }

  /** What is kept is read to its end all the same, unless its owner breaks it off. */
  cancel(): void {
    this.#reader = null
    this.#hasNoReader = true
    if (!this.#isKept) this.#drop()
    if (this.#isOver) this.#letGo()
    this.#events.readerLeft()
  }

  /** The reader goes on from the bytes that are kept, so that they are not held twice. */
  #complete(): void {
    const whole = joined(this.#chunks, this.#size)
    let taken = 0
    for (const chunk of this.#chunks.slice(0, this.#taken)) taken += chunk.length
    this.#chunks = []
    this.#taken = 0
    for (let at = taken; at < whole.length; at += pieceBytes) this.#chunks.push(whole.subarray(at, at + pieceBytes))
    this.#events.complete(whole)
  }

  #forget(): void {
    this.#isKept = false
    this.#chunks.splice(0, this.#taken)
    this.#taken = 0
    this.#events.gaveUp()
    if (this.#hasNoReader) this.#drop()
  }

  #drop(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#chunks = []
    this.#body.cancel()
    this.#events.over()
    this.#letGo()
  }

  #letGo(): void {
    if (this.#isFree) return
    this.#isFree = true
    this.#chunks = []
    this.#events.free()
  }

  #push(): void {
    if (this.#isPushing) return
    this.#isPushing = true
    while (this.#reader !== null && this.#hasRoom && this.#taken < this.#chunks.length) {
      this.#hasRoom = this.#reader.write(this.#chunks[this.#taken++] as Buffer)
    }
    this.#isPushing = false
    if (!this.#isKept && this.#taken > 0) {
      this.#chunks.splice(0, this.#taken)
      this.#taken = 0
    }
    this.#settle()
  }

  /** What follows once the reader has all that is there. */
  #settle(): void {
    const reader = this.#reader
    if (reader === null) return
    if (this.#failure !== null) {
      this.#reader = null
      return reader.fail(this.#failure)
    }
    if (this.#taken < this.#chunks.length) return
    if (this.#end !== null) {
      this.#reader = null
      this.#letGo()
      reader.end(this.#end.trailers)
    } else if (!this.#isKept) {
      this.#letGo()
      if (this.#hasRoom) this.#body.resume()
    }
  }
}

/** In a piece of memory of their own: chunks may be parts of larger ones. */
function joined(chunks: readonly Buffer[], size: number): Buffer {
  const whole = Buffer.allocUnsafeSlow(size)
  let at = 0
  for (const chunk of chunks) at += chunk.copy(whole, at)
  return whole
}
