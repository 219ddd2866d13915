// The body of the message that is being received on a connection, on either side of the gateway.

import type { BodySource, Sink } from '../core/body.ts'
import { Chunks } from '../core/chunks.ts'
import type { Failure } from '../core/failure.ts'
import { ChunkedDecoder } from './chunked.ts'
import { Framing, type FramingNumber } from './reply.ts'

/** What a body asks of the connection it comes in on, and tells it. */
export interface IncomingBodyOwner {
  /** Stop and go on reading from the socket. */
  pauseReading(): void
  resumeReading(): void
  /** Somebody wants the body. */
  bodyWanted(): void
  /** The body has been received to its end, though perhaps not yet been taken. */
  bodyReceived(): void
  /** Nobody wants the rest. */
  bodyCancelled(): void
  /** The Failure for broken framing. */
  malformedBody(problem: string): Failure
}

/** Chunks that came before anyone asked for the body are held up to this many bytes; then the socket is paused. */
const heldBytesMax = 65_536

/** Takes bytes from its connection and pushes them into the sink; reading pauses while the sink is full. */
export class IncomingBody implements BodySource {
  /** Body bytes received, framing not counted. */
  bytes = 0
  /** The end of the body has been received. */
  isReceived = false
  isCancelled = false
  /** Reading is paused by who takes the body; the sender is not to blame for the silence. */
  isHeldBack = false
  readonly #owner: IncomingBodyOwner
  readonly #isLent: boolean
  readonly #chunked: ChunkedDecoder | null
  /** Bytes to come; Infinity where the end of the connection ends the body. */
  #remaining: number
  #sink: Sink | null = null
  #held: Chunks | null = null
  #failure: Failure | null = null

  /**
   * `length` in bytes counts with `Framing.length` only. `isLent` says that what is read belongs to the reader of the socket and
   * must be copied to be handed on.
   */
  constructor(owner: IncomingBodyOwner, framing: FramingNumber, length: number, isLent: boolean) {
    this.#owner = owner
    this.#isLent = isLent
    this.#chunked = framing === Framing.chunked ? new ChunkedDecoder() : null
    this.#remaining = framing === Framing.length ? length : Infinity
  }

  /** Takes received bytes from `from` on; returns where the body ended, or the chunk's length. Throws on bad framing. */
  read(chunk: Buffer, from: number): number {
    if (this.#chunked !== null) return this.#readChunked(this.#chunked, chunk, from)
    const end = Math.min(chunk.length, from + this.#remaining)
    this.#remaining -= end - from
    if (end > from) this.bodyChunk(from === 0 && end === chunk.length ? chunk : chunk.subarray(from, end))
    if (this.#remaining === 0) this.#received()
    return end
  }

  /** The connection has ended. True where that ends the body as it should. */
  connectionEnded(): boolean {
    if (this.#chunked !== null || this.#remaining !== Infinity) return false
    if (!this.isReceived) this.#received()
    return true
  }

  /** The body will not become complete. */
  fail(failure: Failure): void {
    if (this.isReceived || this.#failure !== null) return
    this.#failure = failure
    const sink = this.#sink
    if (sink === null || this.isCancelled) return
    this.#sink = null
    sink.fail(failure)
  }

  start(sink: Sink): void {
    this.#sink = sink
    this.#owner.bodyWanted()
    let hasRoom = true
    const held = this.#held
    if (held !== null) {
      this.#held = null
      for (const chunk of held.list()) {
        hasRoom = sink.write(chunk)
        if (this.isCancelled) return
      }
    }
    if (this.#failure !== null) {
      this.#sink = null
      sink.fail(this.#failure)
    } else if (this.isReceived) this.#end()
    else if (hasRoom) this.resume()
    else this.#holdBack()
  }

  resume(): void {
    if (!this.isHeldBack) return
    this.isHeldBack = false
    this.#owner.resumeReading()
  }

  cancel(): void {
    if (this.isCancelled) return
    this.isCancelled = true
    this.#sink = null
    this.#held = null
    this.resume()
    this.#owner.bodyCancelled()
  }

  /** One piece of the body, from the framing. */
  bodyChunk(chunk: Buffer): void {
    this.bytes += chunk.length
    if (this.isCancelled) return
    const own = this.#isLent ? Buffer.from(chunk) : chunk
    if (this.#sink !== null) {
      if (!this.#sink.write(own) && !this.isCancelled) this.#holdBack()
      return
    }
    if (this.#held === null) this.#held = new Chunks()
    this.#held.add(own)
    if (this.#held.size >= heldBytesMax) this.#holdBack()
  }

  #readChunked(decoder: ChunkedDecoder, chunk: Buffer, from: number): number {
    const end = decoder.read(chunk, from, this)
    if (decoder.problem !== null) throw this.#owner.malformedBody(decoder.problem)
    if (decoder.isDone) this.#received()
    return end
  }

  #received(): void {
    this.isReceived = true
    // What follows the body is not the sink's business: the connection must not stay paused for it.
    this.resume()
    // The owner first: a connection that is free again can serve the next call while the last bytes are on their way.
    this.#owner.bodyReceived()
    if (this.#sink !== null) this.#end()
  }

  #end(): void {
    const sink = this.#sink
    this.#sink = null
    if (!this.isCancelled) sink?.end(this.#chunked?.trailers ?? null)
  }

  #holdBack(): void {
    if (this.isHeldBack || this.isReceived) return
    this.isHeldBack = true
    this.#owner.pauseReading()
  }
}
