// A message body: used once, either piped through under back-pressure or read whole under a limit.

import { Chunks } from './chunks.ts'
import { Failure } from './failure.ts'
import type { Headers } from './headers.ts'

/** What takes the chunks of a body. Exactly one of `end` and `fail` is called, once, and nothing after it. */
export interface Sink {
  /** Takes one chunk, which is the sink's from then on. `false` asks for no more until `resume()`; a sink copes with more. */
  write(chunk: Buffer): boolean
  /** The body is complete. */
  end(trailers: Headers | null): void
  /** The body was cut short: what was written must not be passed off as complete. */
  fail(failure: Failure): void
}

/** Where the chunks of a body come from. The owner is a connection, or whatever made the body. */
export interface BodySource {
  /** Starts pushing into the sink; chunks at hand may be pushed before this returns. Called at most once. */
  start(sink: Sink): void
  /** The sink has room again. */
  resume(): void
  /** Nobody wants the rest, and nothing more may be pushed. Called at any time before the end, also instead of `start`. */
  cancel(): void
}

/** The body of a call or a reply. */
export class Body {
  /** Length in bytes where it is known before reading, else -1. */
  readonly length: number
  readonly #source: BodySource | null
  #isUsed = false

  constructor(length: number, source: BodySource | null) {
    this.length = length
    this.#source = source
  }

  /** No body at all. Shared: it may be piped any number of times. */
  static readonly empty: Body = new Body(0, null)

  /** A body of bytes in memory; a string is encoded as UTF-8. With trailers it tells no length: HTTP/1.1 has none behind one. */
  static of(content: Buffer | string, trailers: Headers | null = null): Body {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content
    if (trailers !== null) return new Body(-1, new BytesSource(bytes, trailers))
    return bytes.length === 0 ? Body.empty : new Body(bytes.length, new BytesSource(bytes, null))
  }

  get isEmpty(): boolean {
    return this.#source === null
  }

  /** True once piped, read or cancelled. */
  get isUsed(): boolean {
    return this.#isUsed
  }

  /** Sends the body to a sink. Throws when the body was used before. */
  pipe(sink: Sink): void {
    if (this.#source === null) return sink.end(null)
    if (this.#isUsed) throw new Error('this body was already piped, read or cancelled')
    this.#isUsed = true
    this.#source.start(sink)
  }

  /** To be called by the sink's owner when there is room after `write` returned false. */
  resume(): void {
    this.#source?.resume()
  }

  /** Says that nobody will read the rest. Harmless when the body has ended. */
  cancel(): void {
    this.#isUsed = true
    this.#source?.cancel()
  }

  /** Reads the whole body. Rejects with the Failure `body-too-large` past `bytesMax`. */
  bytes(bytesMax: number): Promise<Buffer> {
    if (this.length > bytesMax) return Promise.reject(new Failure('body-too-large'))
    return new Promise((resolve, reject) => {
      const chunks = new Chunks()
      this.pipe({
        write: chunk => {
          if (chunks.size + chunk.length > bytesMax) {
            this.cancel()
            reject(new Failure('body-too-large'))
            return false
          }
          chunks.add(chunk)
          return true
        },
        end: () => resolve(chunks.whole()),
        fail: reject,
      })
    })
  }

  /** Reads the whole body as JSON. Rejects with the Failure `body-not-json` when it is none. */
  async json(bytesMax: number): Promise<unknown> {
    const bytes = await this.bytes(bytesMax)
    try {
      return JSON.parse(bytes.toString('utf8'))
    } catch (cause) {
      throw new Failure('body-not-json', { cause })
    }
  }
}

class BytesSource implements BodySource {
  readonly #bytes: Buffer
  readonly #trailers: Headers | null
  #isCancelled = false

  constructor(bytes: Buffer, trailers: Headers | null) {
    this.#bytes = bytes
    this.#trailers = trailers
  }

  start(sink: Sink): void {
    if (this.#bytes.length > 0) sink.write(this.#bytes)
    if (!this.#isCancelled) sink.end(this.#trailers)
  }

  resume(): void {}

  cancel(): void {
    this.#isCancelled = true
  }
}
