// A body that leaves a copy of itself on its way, as long as it is short enough.

import { Body } from './body.ts'
import { Chunks } from './chunks.ts'
import { transformBody } from './transform-body.ts'

export interface BodyCopy {
  /** Bytes of a body that is copied; a longer one passes without a copy. */
  readonly bytesMax: number
  /**
   * Asked once, when the body begins to move; `false`: no copy is wanted, and `done` is not called. `stop` ends the copying
   * before the body ends, as where that takes too long.
   */
  begin(stop: () => void): boolean
  /** Called once after `begin`: with all of it, trailers too, or null where it was too long, broke off or was not wanted to its end. */
  done(copy: Body | null): void
}

/** The body in whose place it stands is used by it alone. Nothing waits for the copy. */
export function copyBody(body: Body, copy: BodyCopy): Body {
  /** Null while nothing is copied. */
  let chunks: Chunks | null = null
  const stop = () => {
    if (chunks === null) return
    chunks = null
    copy.done(null)
  }
  return transformBody(body, {
    start() {
      if (copy.begin(stop)) chunks = new Chunks()
      if (body.length > copy.bytesMax) stop()
    },
    write(chunk, out) {
      if (chunks !== null && chunks.size + chunk.length > copy.bytesMax) stop()
      // The chunk itself is the taker's from now on.
      chunks?.add(Buffer.from(chunk))
      return out.pass(chunk)
    },
    end(trailers, out) {
      const whole = chunks
      chunks = null
      out.finish(trailers)
      if (whole !== null) copy.done(Body.of(whole.whole(), trailers?.clone()))
    },
    over: stop,
  })
}
