// How long the last calls took, and within what time a share of them was answered.

/** Calls that are remembered. */
const size = 256
/** Before so many are known, nothing is said of them. */
const knownMin = 32
/** Of further calls, every fourth is looked at. */
const step = 4
/** How many new ones it takes to work the answer out anew, at first and when all that can be remembered is: it is a sort. */
const freshMin = 32
const freshMax = 64

export class Latencies {
  readonly #share: number
  readonly #ring = new Float64Array(size)
  readonly #sorted = new Float64Array(size)
  #count = 0
  #fresh = 0
  #seen = 0
  #quantileMs = 0

  /** `share` of the calls: 0.95 for the 95th percentile. */
  constructor(share: number) {
    this.#share = share
  }

  /** Whether the call that just ended is to be added. */
  get isCurious(): boolean {
    return this.#count < size || ++this.#seen % step === 0
  }

  add(ms: number): void {
    this.#ring[this.#count % size] = ms
    this.#count++
    if (++this.#fresh >= (this.#count < size ? freshMin : freshMax)) this.#update()
  }

  /** Milliseconds; 0 while too little is known. */
  get quantileMs(): number {
    return this.#count < knownMin ? 0 : this.#quantileMs
  }

  #update(): void {
    this.#fresh = 0
    const known = Math.min(size, this.#count)
    const sorted = this.#sorted.subarray(0, known)
    sorted.set(this.#ring.subarray(0, known))
    sorted.sort()
    this.#quantileMs = sorted[Math.min(known - 1, Math.ceil(this.#share * known) - 1)] as number
  }
}
