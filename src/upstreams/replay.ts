// A call body that can be sent more than once: what the source pushed is kept, up to a bound, for the next try.

import { Body, type BodySource, type Sink } from '../core/body.ts'
import type { Failure } from '../core/failure.ts'
import type { Headers } from '../core/headers.ts'

/** Kept bytes of one body. A longer body is still sent, but only once. */
export const replayBytesMax = 65_536

/**
 * Stands between the live body of a call and the tries that send it. Each try gets a `Body` of its own that starts from the
 * first byte: first what was kept, then what the live source goes on to push. The try before gets nothing more from then on.
 *
 * Chunks are kept without a copy: endpoints write them out and never change them.
 */
export class Replay implements Sink {
  readonly #live: Body
  readonly #bytesMax: number
  #chunks: Buffer[] = []
  #size = 0
  /** Part of what was pushed is gone: no further try can be served. */
  #isDropped = false
  /** The sender has its outcome; nothing needs to be kept for another try. */
  #isSettled = false
  /** The current try wants no more; the live body goes on until there is surely no other try. */
  #isUnwanted = false
  #isStarted = false
  /** The live source was told to wait. */
  #isPaused = false
  #isEnded = false
  #trailers: Headers | null = null
  #failure: Failure | null = null
  #tape: Tape | null = null

  constructor(live: Body, bytesMax = replayBytesMax) {
    this.#live = live
    this.#bytesMax = bytesMax
  }

  /** Whether another try would get every byte. */
  get isReplayable(): boolean {
    return !this.#isDropped && this.#failure === null
  }

  /** The body for the next try; takes the source away from the try before. */
  body(): Body {
    this.#isUnwanted = false
    this.#tape = new Tape(this)
    return new Body(this.#live.length, this.#tape)
  }

  /** No further try will come: what is kept is let go, and a body that nobody wants is cancelled. */
  settle(): void {
    this.#isSettled = true
    if (this.#isUnwanted) this.#live.cancel()
    else if (this.#tape?.isCaughtUp) this.#drop()
  }

  // Called by the live source.

  write(chunk: Buffer): boolean {
    const tape = this.#tape
    if (tape === null || !tape.isCaughtUp) {
      // Nobody takes it yet. The source stops here, so that at most its next chunks go past the bound.
      this.#keep(chunk)
      this.#isPaused = true
      return false
    }
    if (!this.#isDropped) {
      if (this.#isSettled || this.#size + chunk.length > this.#bytesMax) this.#drop()
      else this.#keep(chunk)
    }
    const hasRoom = tape.write(chunk) && this.#tape === tape
    if (!hasRoom) this.#isPaused = true
    return hasRoom
  }

  end(trailers: Headers | null): void {
    this.#isEnded = true
    this.#trailers = trailers
    if (this.#tape?.isCaughtUp) this.#tape.end(trailers)
  }

  fail(failure: Failure): void {
    this.#failure = failure
    if (this.#tape?.isCaughtUp) this.#tape.fail(failure)
  }

  // Called by the tapes.

  /** Gives a tape what it has not had yet, as long as it has room; then lets the live source go on. */
  feed(tape: Tape): void {
    if (tape !== this.#tape) return
    while (!tape.isCaughtUp) {
      const chunk = this.#chunks[tape.position]
      if (chunk === undefined) this.#catchUp(tape)
      else {
        tape.position++
        if (!tape.write(chunk)) return
      }
      if (tape !== this.#tape) return
    }
    if (this.#isEnded || this.#failure !== null) return
    if (!this.#isStarted) {
      this.#isStarted = true
      this.#live.pipe(this)
    } else if (this.#isPaused) {
      this.#isPaused = false
      this.#live.resume()
    }
  }

  /** A tape wants no more. */
  leave(tape: Tape): void {
    if (tape !== this.#tape) return
    this.#tape = null
    this.#isUnwanted = true
    if (this.#isSettled) this.#live.cancel()
  }

  #catchUp(tape: Tape): void {
    tape.isCaughtUp = true
    if (this.#isSettled || this.#size > this.#bytesMax) this.#drop()
    if (this.#isEnded) tape.end(this.#trailers)
    else if (this.#failure !== null) tape.fail(this.#failure)
  }

  #keep(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#size += chunk.length
  }

  #drop(): void {
    this.#isDropped = true
    this.#chunks = []
  }
}

/** The source of one try's body. */
class Tape implements BodySource {
  /** Kept chunks already written. */
  position = 0
  /** Had everything that was kept: takes chunks straight from the live source. */
  isCaughtUp = false
  readonly #replay: Replay
  #sink: Sink | null = null

  constructor(replay: Replay) {
    this.#replay = replay
  }

  start(sink: Sink): void {
    this.#sink = sink
    this.#replay.feed(this)
  }

  resume(): void {
    this.#replay.feed(this)
  }

  cancel(): void {
    this.#sink = null
    this.#replay.leave(this)
  }

  write(chunk: Buffer): boolean {
    return this.#sink?.write(chunk) ?? false
  }

  end(trailers: Headers | null): void {
    this.#sink?.end(trailers)
  }

  fail(failure: Failure): void {
    this.#sink?.fail(failure)
  }
}
