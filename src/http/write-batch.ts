// Writes of one turn of the event loop, made one after the other at its end.

/** Something that holds back what was written to it. */
export interface Flushable {
  /** Has it leave. */
  flush(): void
}

/** What holds back its writes until it is uncorked: a socket. */
export interface Corkable {
  readonly writableCorked: number
  cork(): void
  uncork(): void
}

/** So many wait at most: the first of them is not to wait for a crowd. */
const heldMax = 256

/**
 * Shared by all connections of a worker.
 *
 * Hot path: writing to a socket wakes whoever reads at the other end, and where that is asleep, waking costs as much as the write
 * (2 of 4 µs in a virtual machine). Where writes follow each other closely, it is awake from the first one on. Plain calls got 5 to
 * 9 % cheaper by this (bench/NOTES.md, docs/decisions/0017-writes-of-a-turn.md).
 */
export class WriteBatch {
  readonly #defer: (run: () => void) => void
  readonly #flush: () => void = () => this.flush()
  #held: Flushable[] = []

  /** `defer` runs something when the events of this turn have been handled: `setImmediate`. */
  constructor(defer: (run: () => void) => void) {
    this.#defer = defer
  }

  /** Not to be called again for one that is held. It may hold nothing yet: it is not flushed before this returns. */
  hold(held: Flushable): void {
    if (this.#held.length === heldMax) this.flush()
    if (this.#held.length === 0) this.#defer(this.#flush)
    this.#held.push(held)
  }

  flush(): void {
    const leaving = this.#held
    this.#held = []
    for (const held of leaving) held.flush()
  }
}

/** The writes to one socket. */
export class HeldWrites implements Flushable {
  readonly #output: Corkable
  readonly #batch: WriteBatch

  constructor(output: Corkable, batch: WriteBatch) {
    this.#output = output
    this.#batch = batch
  }

  /** What is written from now on leaves when this turn of the event loop ends. */
  hold(): void {
    if (this.#output.writableCorked > 0) return
    this.#output.cork()
    this.#batch.hold(this)
  }

  flush(): void {
    this.#output.uncork()
  }
}
