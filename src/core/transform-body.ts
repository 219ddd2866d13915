// A body that passes through something on its way: looked at, copied, changed, cut short.

import { Body, type BodySource, type Sink } from './body.ts'
import type { Failure } from './failure.ts'
import type { Headers } from './headers.ts'

/** What one body passes through. What is not given lets it by as it is. Nothing is told any more once it is `over`. */
export interface Transform {
  /** The body begins to move. */
  start?(out: Outlet): void
  /** Takes a chunk, which is the transform's from then on. `false` asks for no more until the taker, or `pull`, does. */
  write?(chunk: Buffer, out: Outlet): boolean
  /** The body is complete: `finish` or `cut` has to follow, now or later. */
  end?(trailers: Headers | null, out: Outlet): void
  /** The body was cut short: `cut` has to follow, or `finish` where the transform can tell the taker in its own way. */
  fail?(failure: Failure, out: Outlet): void
  /** The taker has room again. Whoever answers this asks for more by `pull`. */
  resume?(out: Outlet): void
  /** Complete, cut short or unwanted, before it began to move, too. Told once, and before the taker is. */
  over?(): void
}

/** The way on to whoever takes the body. */
export interface Outlet {
  /** Passes on a chunk, and answers for the taker: `false` where it wants no more, for now or for good. */
  pass(chunk: Buffer): boolean
  /** Ends the body for the taker; the source's rest is not wanted. */
  finish(trailers: Headers | null): void
  /** Cuts the body short for the taker; the source's rest is not wanted. */
  cut(failure: Failure): void
  /** Asks the source for more after `write` answered `false`. */
  pull(): void
}

/** The body in whose place it stands is used by it alone. `length` is that of what comes out, -1 where nobody knows it yet. */
export function transformBody(body: Body, transform: Transform, length: number = body.length): Body {
  return new Body(length, new TransformedSource(body, transform))
}

class TransformedSource implements BodySource, Sink, Outlet {
  readonly #body: Body
  readonly #transform: Transform
  /** Null before it is started, and once it is over. */
  #sink: Sink | null = null
  /** Nothing is taken from the source any more. */
  #isEnded = false
  /** Nothing is passed on any more. */
  #isOver = false

  constructor(body: Body, transform: Transform) {
    this.#body = body
    this.#transform = transform
  }

  start(sink: Sink): void {
    this.#sink = sink
    this.#transform.start?.(this)
    if (!this.#isOver) this.#body.pipe(this)
  }

  resume(): void {
    if (this.#isOver) return
    if (this.#transform.resume === undefined) this.#body.resume()
    else this.#transform.resume(this)
  }

  cancel(): void {
    if (!this.#isOver) this.#close()
  }

  write(chunk: Buffer): boolean {
    if (this.#isEnded) return false
    return this.#transform.write === undefined ? this.pass(chunk) : this.#transform.write(chunk, this)
  }

  end(trailers: Headers | null): void {
    if (this.#isEnded) return
    this.#isEnded = true
    if (this.#transform.end === undefined) this.finish(trailers)
    else this.#transform.end(trailers, this)
  }

  fail(failure: Failure): void {
    if (this.#isEnded) return
    this.#isEnded = true
    if (this.#transform.fail === undefined) this.cut(failure)
    else this.#transform.fail(failure, this)
  }

  pass(chunk: Buffer): boolean {
    return this.#sink !== null && this.#sink.write(chunk)
  }

  finish(trailers: Headers | null): void {
    if (!this.#isOver) this.#close()?.end(trailers)
  }

  cut(failure: Failure): void {
    if (!this.#isOver) this.#close()?.fail(failure)
  }

  pull(): void {
    if (!this.#isEnded) this.#body.resume()
  }

  /** Returns who took the body. */
  #close(): Sink | null {
    const taker = this.#sink
    const isWanted = !this.#isEnded
    this.#sink = null
    this.#isEnded = true
    this.#isOver = true
    this.#transform.over?.()
    if (isWanted) this.#body.cancel()
    return taker
  }
}
