// Takes fields off a call by their names, in every spelling that an upstream may read as the same.

import { Body, type BodySource, type Sink } from './body.ts'
import type { Call } from './call.ts'
import type { Failure } from './failure.ts'
import type { Headers } from './headers.ts'

/** Off the fields and the trailers, which an upstream may merge (RFC 9110 §6.5.1). Nothing is done where no name is given. */
export function compileDrop(names: readonly string[]): (call: Call) => void {
  const plain = new Set(names.map(name => plainName(name.toLowerCase())))
  if (plain.size === 0) return () => {}
  const drop = ({ list }: Headers) => {
    for (let i = list.length - 2; i > 0; i -= 3) if (plain.has(plainName(list[i] as string))) list.splice(i - 1, 3)
  }
  return call => {
    drop(call.headers)
    const { body } = call
    // A body whose length is known has no trailers.
    if (body.length < 0 && !body.isUsed) call.body = new Body(-1, new TrailerFilter(body, drop))
  }
}

/** An upstream may read `X_Consumer` and `X-Consumer` as one name (CGI does). `key` is in lower case. */
export function plainName(key: string): string {
  return key.includes('_') ? key.replaceAll('_', '-') : key
}

/** Passes a body on and edits its trailers. */
class TrailerFilter implements BodySource, Sink {
  readonly #body: Body
  readonly #edit: (trailers: Headers) => void
  #sink: Sink | null = null

  constructor(body: Body, edit: (trailers: Headers) => void) {
    this.#body = body
    this.#edit = edit
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
    this.#body.cancel()
  }

  write(chunk: Buffer): boolean {
    return this.#sink?.write(chunk) ?? false
  }

  end(trailers: Headers | null): void {
    if (trailers !== null) this.#edit(trailers)
    this.#sink?.end(trailers === null || trailers.size === 0 ? null : trailers)
  }

  fail(failure: Failure): void {
    this.#sink?.fail(failure)
  }
}
