// A body that leaves a copy of itself on its way, as long as it is short enough.

import { Body, type BodySource, type Sink } from './body.ts'
import { Chunks } from './chunks.ts'
import type { Failure } from './failure.ts'
import type { Headers } from './headers.ts'

export interface BodyCopy {
  /** Bytes of a body that is copied; a longer one passes without a copy. */
  readonly bytesMax: number
  /**
   * Asked once, when the body begins to move; `false`: no copy is wanted, and `done` is not called. `stop` ends the copying
   * before the body ends, as where that takes too long.
   */
  begin(stop: () => void): boolean
  /** Called once after `begin`: with the whole body, or null where it was too long, broke off or was not wanted to its end. */
  done(bytes: Buffer | null): void
}

/** The body in whose place it stands is used by it alone. Nothing waits for the copy. */
export function copyBody(body: Body, copy: BodyCopy): Body {
  return new Body(body.length, new CopiedSource(body, copy))
}

class CopiedSource implements BodySource, Sink {
  readonly #body: Body
  readonly #copy: BodyCopy
  #sink: Sink | null = null
  /** Null while nothing is copied. */
  #chunks: Chunks | null = null
  #size = 0

  constructor(body: Body, copy: BodyCopy) {
    this.#body = body
    this.#copy = copy
  }

  start(sink: Sink): void {
    this.#sink = sink
    if (this.#copy.begin(() => this.#finish(false))) this.#chunks = new Chunks()
    if (this.#body.length > this.#copy.bytesMax) this.#finish(false)
    this.#body.pipe(this)
  }

  resume(): void {
    this.#body.resume()
  }

  cancel(): void {
    this.#sink = null
    this.#finish(false)
    this.#body.cancel()
  }

  write(chunk: Buffer): boolean {
    const sink = this.#sink
    if (sink === null) return false
    this.#size += chunk.length
    if (this.#size > this.#copy.bytesMax) this.#finish(false)
    // The chunk itself is the sink's from now on.
    else this.#chunks?.add(Buffer.from(chunk))
    return sink.write(chunk)
  }

  end(trailers: Headers | null): void {
    this.#sink?.end(trailers)
    this.#finish(true)
  }

  fail(failure: Failure): void {
    this.#finish(false)
    this.#sink?.fail(failure)
  }

  #finish(isWhole: boolean): void {
    const chunks = this.#chunks
    if (chunks === null) return
    this.#chunks = null
    this.#copy.done(isWhole ? chunks.whole() : null)
  }
}
