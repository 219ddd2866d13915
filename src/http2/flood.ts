// What a peer may do so often and no more: it costs us much more than it costs the peer (CVE-2019-9511 to 9518, CVE-2023-44487).

import type { Clock } from '../core/ports.ts'

/** Of one connection. All but `continuations` are counted over ten seconds. */
export interface FloodBounds {
  /** Streams that end by RST_STREAM before their reply was whole, whoever sent it. */
  readonly resets: number
  readonly pings: number
  readonly settings: number
  /** DATA without data and end, PRIORITY, GOAWAY, frames of unknown types, and those on streams that are over. */
  readonly emptyFrames: number
  /** WINDOW_UPDATE, of which each DATA frame of a fair size pays for some. */
  readonly windowUpdates: number
  /** CONTINUATION frames behind one HEADERS frame. */
  readonly continuations: number
}

export type Flood = keyof FloodBounds

const periodMs = 10_000
/** A receiver with a small window may say so often that it has taken a frame. */
const updatesPerDataFrame = 10
/** What an honest peer may have under way when a stream ends: a head, the end of a body, trailers, RST_STREAM. */
const lateFramesPerStream = 4
/** A DATA frame of a fair size has as many octets at least. */
export const fairFrameBytes = 1_024

export class FloodCounts {
  readonly #bounds: FloodBounds
  readonly #clock: Clock
  readonly #counts: Record<Flood, number> = createCounts()
  #untilMs = 0
  #lateFrames = 0

  constructor(bounds: FloodBounds, clock: Clock) {
    this.#bounds = bounds
    this.#clock = clock
  }

  /** Counts one; false when it is one too many. */
  count(flood: Flood): boolean {
    const now = this.#clock.now()
    if (now >= this.#untilMs) {
      this.#untilMs = now + periodMs
      Object.assign(this.#counts, createCounts())
    }
    return ++this.#counts[flood] <= this.#bounds[flood]
  }

  streamEnded(): void {
    this.#lateFrames += lateFramesPerStream
  }

  /** Counts a frame on a stream that is over; false when it is one too many. */
  countLate(): boolean {
    if (this.#lateFrames === 0) return this.count('emptyFrames')
    this.#lateFrames--
    return true
  }

  /** So many DATA frames of a fair size were sent. To be told before the next WINDOW_UPDATE is counted. */
  dataSent(frames: number): void {
    this.#counts.windowUpdates = Math.max(0, this.#counts.windowUpdates - frames * updatesPerDataFrame)
  }
}

function createCounts(): Record<Flood, number> {
  return { resets: 0, pings: 0, settings: 0, emptyFrames: 0, windowUpdates: 0, continuations: 0 }
}
