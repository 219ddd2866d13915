// Reads a body that may turn out too long, without losing what was read.

import { Body, type BodySource, type Sink } from './body.ts'
import { Chunks } from './chunks.ts'
import { Failure } from './failure.ts'
import type { Headers } from './headers.ts'

export interface Held {
  /** All of it; null where it is longer than was allowed. */
  readonly bytes: Buffer | null
  /** The same body, to go on with. */
  readonly body: Body
}

/** Rejects with the Failure of a body that breaks off. */
export function holdBody(body: Body, bytesMax: number): Promise<Held> {
  if (body.length > bytesMax) return Promise.resolve({ bytes: null, body })
  return new Promise((resolve, reject) => {
    const source = new HeldSource(body, bytesMax, resolve, reject)
    body.pipe(source)
  })
}

/** The same, where a longer body is none to go on with: rejects with the Failure `body-too-large`. */
export async function wholeBody(body: Body, bytesMax: number): Promise<Held & { readonly bytes: Buffer }> {
  const { bytes, body: again } = await holdBody(body, bytesMax)
  if (bytes !== null) return { bytes, body: again }
  if (body.isUsed) again.cancel()
  throw new Failure('body-too-large')
}

/** A sink until enough is known, and a source from then on. */
class HeldSource implements Sink, BodySource {
  readonly #body: Body
  readonly #bytesMax: number
  readonly #resolve: (held: Held) => void
  readonly #reject: (failure: Failure) => void
  #chunks: Chunks = new Chunks()
  #sink: Sink | null = null
  #isOver = false
  #end: { trailers: Headers | null } | { failure: Failure } | null = null

  constructor(body: Body, bytesMax: number, resolve: (held: Held) => void, reject: (failure: Failure) => void) {
    this.#body = body
    this.#bytesMax = bytesMax
    this.#resolve = resolve
    this.#reject = reject
  }

  write(chunk: Buffer): boolean {
    if (this.#sink !== null) return this.#sink.write(chunk)
    this.#chunks.add(chunk)
    if (this.#chunks.size <= this.#bytesMax) return true
    if (!this.#isOver) {
      this.#isOver = true
      this.#resolve({ bytes: null, body: new Body(this.#body.length, this) })
    }
    return false
  }

  end(trailers: Headers | null): void {
    if (this.#sink !== null) return this.#sink.end(trailers)
    if (this.#isOver) {
      this.#end = { trailers }
      return
    }
    const bytes = this.#chunks.whole()
    // Trailers go along only where there are any: a body of bytes has a length that is known.
    if (trailers === null) return this.#resolve({ bytes, body: Body.of(bytes) })
    this.#end = { trailers }
    this.#resolve({ bytes, body: new Body(this.#body.length, this) })
  }

  fail(failure: Failure): void {
    if (this.#sink !== null) this.#sink.fail(failure)
    else if (this.#isOver) this.#end = { failure }
    else this.#reject(failure)
  }

  start(sink: Sink): void {
    this.#sink = sink
    let hasRoom = true
    for (const chunk of this.#chunks.list()) hasRoom = sink.write(chunk)
    this.#chunks = new Chunks()
    if (this.#end === null) {
      if (hasRoom) this.#body.resume()
    } else if ('failure' in this.#end) sink.fail(this.#end.failure)
    else sink.end(this.#end.trailers)
  }

  resume(): void {
    this.#body.resume()
  }

  cancel(): void {
    this.#chunks = new Chunks()
    this.#body.cancel()
  }
}
