// A body in base64, decoded as it comes.

import type { Body, BodySource, Sink } from '../../core/body.ts'
import { Failure } from '../../core/failure.ts'
import type { Headers } from '../../core/headers.ts'

/** Groups of four are decoded each for itself: senders may pad between messages. */
export class Base64Source implements BodySource, Sink {
  readonly #body: Body
  #sink: Sink | null = null
  /** Up to three characters whose group is not complete. */
  #rest = ''
  #isOver = false

  constructor(body: Body) {
    this.#body = body
  }

  start(sink: Sink): void {
    this.#sink = sink
    this.#body.pipe(this)
  }

  resume(): void {
    this.#body.resume()
  }

  cancel(): void {
    this.#isOver = true
    this.#body.cancel()
  }

  write(chunk: Buffer): boolean {
    if (this.#isOver || this.#sink === null) return false
    const text = this.#rest + chunk.toString('latin1').replace(/[\r\n]/g, '')
    const length = text.length - (text.length % 4)
    this.#rest = text.slice(length)
    const decoded = decode(text.slice(0, length))
    if (decoded === null) {
      this.#break()
      return false
    }
    return decoded.length === 0 || this.#sink.write(decoded)
  }

  end(trailers: Headers | null): void {
    if (this.#isOver) return
    if (this.#rest !== '') return this.#break()
    this.#isOver = true
    this.#sink?.end(trailers)
  }

  fail(failure: Failure): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#sink?.fail(failure)
  }

  #break(): void {
    this.#isOver = true
    this.#body.cancel()
    this.#sink?.fail(new Failure('body-refused', { detail: 'the body is not base64' }))
  }
}

/** Null for what is no base64. */
function decode(text: string): Buffer | null {
  if (text === '') return Buffer.alloc(0)
  if (!/^(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)*$/.test(text)) return null
  if (!text.slice(0, -2).includes('=')) return Buffer.from(text, 'base64')
  return Buffer.concat((text.match(/[^=]+={0,2}/g) ?? []).map(piece => Buffer.from(piece, 'base64')))
}
