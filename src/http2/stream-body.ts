// The body that comes in on a stream: pushed into its sink, and its window opened as far as the sink took it.

import type { BodySource, Sink } from '../core/body.ts'
import { Chunks } from '../core/chunks.ts'
import type { Failure } from '../core/failure.ts'
import type { Headers } from '../core/headers.ts'
import type { Session } from './session.ts'
import type { Stream } from './stream.ts'

export interface StreamBodyOwner {
  /** Somebody wants the body. */
  bodyWanted(): void
  /** Nobody wants the rest. */
  bodyCancelled(): void
}

/** Holds at most what the window of its stream lets in. */
export class StreamBody implements BodySource {
  /** Octets received. */
  bytes = 0
  isReceived = false
  isCancelled = false
  /** The sender may send no more because nobody takes it. */
  isHeldBack = false
  readonly #session: Session
  readonly #stream: Stream
  readonly #owner: StreamBodyOwner
  #sink: Sink | null = null
  #held: Chunks | null = null
  /** Octets that the window is not yet opened for. */
  #withheld = 0
  #trailers: Headers | null = null
  #failure: Failure | null = null

  constructor(session: Session, stream: Stream, owner: StreamBodyOwner) {
    this.#session = session
    this.#stream = stream
    this.#owner = owner
  }

  /** Takes one chunk, which is this body's from then on. */
  push(chunk: Buffer): void {
    const size = chunk.length
    this.bytes += size
    if (this.isCancelled || this.#failure !== null) return this.#session.consumed(this.#stream, size)
    if (this.#sink === null) {
      if (this.#held === null) this.#held = new Chunks()
      this.#held.add(chunk)
      this.#withhold(size)
    } else if (this.#sink.write(chunk)) this.#session.consumed(this.#stream, size)
    else if (this.isCancelled) this.#session.consumed(this.#stream, size)
    else this.#withhold(size)
  }

  /** The body is complete. */
  finish(trailers: Headers | null): void {
    if (this.isReceived || this.#failure !== null) return
    this.isReceived = true
    this.isHeldBack = false
    this.#trailers = trailers
    if (this.#sink !== null) this.#end()
  }

  /** The body will not become complete. */
  fail(failure: Failure): void {
    if (this.isReceived || this.#failure !== null) return
    this.#failure = failure
    const sink = this.#sink
    this.#sink = null
    this.#release()
    if (sink !== null && !this.isCancelled) sink.fail(failure)
  }

  start(sink: Sink): void {
    this.#owner.bodyWanted()
    const held = this.#held
    this.#held = null
    let hasRoom = true
    this.#sink = sink
    if (held !== null) {
      for (const chunk of held.list()) {
        hasRoom = sink.write(chunk)
        if (this.isCancelled) return
      }
    }
    if (hasRoom) this.#release()
    if (this.#failure !== null) {
      this.#sink = null
      sink.fail(this.#failure)
    } else if (this.isReceived) this.#end()
  }

  resume(): void {
    this.#release()
  }

  cancel(): void {
    if (this.isCancelled) return
    this.isCancelled = true
    this.#sink = null
    this.#held = null
    this.#release()
    this.#owner.bodyCancelled()
  }

  #end(): void {
    const sink = this.#sink
    this.#sink = null
    if (!this.isCancelled) sink?.end(this.#trailers)
  }

  #withhold(size: number): void {
    this.#withheld += size
    this.isHeldBack = true
  }

  #release(): void {
    const size = this.#withheld
    this.#withheld = 0
    this.isHeldBack = false
    if (size > 0) this.#session.consumed(this.#stream, size)
  }
}
