// A body that is seen on its way: counted, cut short, its trailers changed, its end told.

import { Body, type BodySource, type Sink } from './body.ts'
import type { Failure } from './failure.ts'
import type { Headers } from './headers.ts'

/** What is not given changes nothing. */
export interface BodyWatch {
  /** Sees each chunk before it is passed on. With a failure the body is cut short there. */
  readonly chunk?: (chunk: Buffer) => Failure | null
  /** Sees the trailers of a complete body. What it returns is passed on. */
  readonly trailers?: (trailers: Headers) => Headers | null
  /** The body is over, whichever way: complete, cut short or unwanted. May be told twice. */
  readonly over?: () => void
}

/** The body in whose place it stands is used by it alone. */
export function watchBody(body: Body, watch: BodyWatch): Body {
  return new Body(body.length, new WatchedSource(body, watch))
}

class WatchedSource implements BodySource, Sink {
  readonly #body: Body
  readonly #watch: BodyWatch
  #sink: Sink | null = null

  constructor(body: Body, watch: BodyWatch) {
    this.#body = body
    this.#watch = watch
  }

  start(sink: Sink): void {
    this.#sink = sink
    this.#body.pipe(this)
  }

  resume(): void {
    this.#body.resume()
  }

  cancel(): void {
    this.#sink = null
    this.#watch.over?.()
    this.#body.cancel()
  }

  write(chunk: Buffer): boolean {
    const sink = this.#sink
    if (sink === null) return false
    const failure = this.#watch.chunk?.(chunk) ?? null
    if (failure === null) return sink.write(chunk)
    this.cancel()
    sink.fail(failure)
    return false
  }

  end(trailers: Headers | null): void {
    const { over, trailers: edit } = this.#watch
    over?.()
    this.#sink?.end(trailers === null || edit === undefined ? trailers : edit(trailers))
  }

  fail(failure: Failure): void {
    this.#watch.over?.()
    this.#sink?.fail(failure)
  }
}
