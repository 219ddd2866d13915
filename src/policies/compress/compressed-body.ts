// A body that is compressed on its way, at the pace of whoever takes it.

import { Body, type BodySource, type Sink } from '../../core/body.ts'
import { Failure } from '../../core/failure.ts'
import type { Headers } from '../../core/headers.ts'
import type { Coder } from './coders.ts'

export interface Compression {
  readonly makeCoder: () => Coder
  /** Told of all bytes that went in and came out. */
  readonly count: (bytesIn: number, bytesOut: number) => void
  /** The body is over, whichever way; told once. */
  readonly over: () => void
}

/** The body in whose place it stands is used by it alone. */
export function compressBody(body: Body, compression: Compression): Body {
  return new Body(-1, new CompressedSource(body, compression))
}

/**
 * What the source has sent is brought out as soon as the compressor has nothing more to do, so that an event or a line reaches the
 * client when it was sent. While bytes keep coming nothing is flushed, which would cost compression.
 */
class CompressedSource implements BodySource, Sink {
  readonly #body: Body
  readonly #compression: Compression
  #sink: Sink | null = null
  #coder: Coder | null = null
  #trailers: Headers | null = null
  #bytesIn = 0
  #bytesOut = 0
  #isComplete = false
  #isOver = false
  readonly #written = (): void => {
    const coder = this.#coder
    if (coder === null || this.#isComplete || coder.stream.writableLength > 0) return
    coder.flush()
  }

  constructor(body: Body, compression: Compression) {
    this.#body = body
    this.#compression = compression
  }

  start(sink: Sink): void {
    this.#sink = sink
    const coder = this.#compression.makeCoder()
    const { stream } = coder
    this.#coder = coder
    stream.on('data', (chunk: Buffer) => {
      this.#bytesOut += chunk.length
      if (this.#sink?.write(chunk) === false) stream.pause()
    })
    stream.on('drain', () => this.#body.resume())
    stream.on('end', () => this.#finish()?.end(this.#trailers))
    stream.on('error', cause => this.#broke(new Failure('internal', { detail: 'a reply was not compressed', cause })))
    this.#body.pipe(this)
  }

  resume(): void {
    this.#coder?.stream.resume()
  }

  cancel(): void {
    this.#finish()
    this.#body.cancel()
  }

  write(chunk: Buffer): boolean {
    const coder = this.#coder
    if (coder === null) return false
    this.#bytesIn += chunk.length
    return coder.stream.write(chunk, this.#written)
  }

  end(trailers: Headers | null): void {
    this.#isComplete = true
    this.#trailers = trailers
    this.#coder?.stream.end()
  }

  fail(failure: Failure): void {
    this.#finish()?.fail(failure)
  }

  #broke(failure: Failure): void {
    const taker = this.#finish()
    this.#body.cancel()
    taker?.fail(failure)
  }

  /** Lets go of the compressor; returns who took the body, once. */
  #finish(): Sink | null {
    const taker = this.#sink
    this.#sink = null
    this.#coder?.stream.destroy()
    this.#coder = null
    if (this.#isOver) return null
    this.#isOver = true
    this.#compression.count(this.#bytesIn, this.#bytesOut)
    this.#compression.over()
    return taker
  }
}
