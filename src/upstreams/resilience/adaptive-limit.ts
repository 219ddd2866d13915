// How many calls at once an upstream can take without its latency growing: one number for all worker threads.
//
// The gradient controller of Envoy's adaptive concurrency filter (envoyproxy.io, "Adaptive Concurrency"), which goes back to
// Netflix's concurrency-limits (Gradient2): in short windows the median latency is compared with the lowest one, and the limit
// is multiplied by their ratio. So that the lowest does not drift up with the load, it is measured anew now and then with few
// calls at once. From Netflix's comes that a limit which nobody uses does not grow.

import type { SharedRow } from '../../core/shared-row.ts'
import type { UpstreamBlueprint } from '../../core/upstream-schema.ts'

export type AdaptiveRules = NonNullable<UpstreamBlueprint['adaptive']>

/** Numbers of the row. */
const limitField = 0
/** The lowest latency, milliseconds; 0 before it was first measured. */
const lowestField = 1
/** When it is measured next. While it is being measured: 0. */
const measureAtField = 2
/** Samples of calls that began before are not of this window. */
const windowStartField = 3
const countField = 4
/** The most calls at once that were seen in this window. */
const peakField = 5
/** The limit before the lowest latency was measured. */
const savedField = 6
/** Windows in a row that ended at the least limit. */
const floorsField = 7
/** Latencies of this window, drawn evenly where there are more. */
const samplesField = 8
const samplesMax = 16

/** Of the calls of a window beyond twice as many, so many are samples. */
const furtherShare = 0.1

const windowMs = 100
/** A window is not over before so many calls ended. */
const windowSamples = 10
/** Calls by which the lowest latency is measured. */
const measureSamples = 25
/** A measurement that gets no calls ends after this. */
const measureMsMax = 5_000
const initialLimit = 20
/** A limit that stays at its least for so many windows was perhaps compared with a latency that is no longer possible. */
const floorsMax = 20

export class AdaptiveLimit {
  readonly #rules: AdaptiveRules
  readonly #row: SharedRow
  readonly #random: () => number
  readonly #sorted = new Float64Array(samplesMax)
  #at = -1

  constructor(rules: AdaptiveRules, row: SharedRow, random: () => number) {
    this.#rules = rules
    this.#row = row
    this.#random = random
  }

  /** Calls at once that may be under way now. Hot path: one read. */
  get limit(): number {
    if (this.#at === -1 && !this.#prepare()) return this.#rules.max
    return this.#row.numbers[this.#at + limitField] as number
  }

  /** The lowest latency, milliseconds; 0 before it was measured. */
  get lowestMs(): number {
    return this.#at === -1 ? 0 : (this.#row.numbers[this.#at + lowestField] as number)
  }

  /**
   * Whether to measure a call that begins now. Hot path: where there are samples enough, taking the time and the lock for each
   * further one would cost more than it tells.
   */
  get isCurious(): boolean {
    if (this.#at === -1) return true
    const count = this.#row.numbers[this.#at + countField] as number
    return count <= samplesMax * 2 || this.#random() < furtherShare
  }

  /** A call ended whose latency says something; `underWay` calls were at the upstream then, this one among them. */
  sample(startedMs: number, endedMs: number, underWay: number): void {
    if (!this.#open()) return
    const { numbers } = this.#row
    const at = this.#at
    if (startedMs >= (numbers[at + windowStartField] as number)) {
      this.#keep(endedMs - startedMs)
      if (underWay > (numbers[at + peakField] as number)) numbers[at + peakField] = underWay
    }
    const sinceMs = endedMs - (numbers[at + windowStartField] as number)
    const count = numbers[at + countField] as number
    const isMeasuring = numbers[at + measureAtField] === 0
    if (isMeasuring) {
      if (count >= measureSamples || sinceMs > measureMsMax) this.#endMeasurement(endedMs)
    } else if (sinceMs >= windowMs && count >= windowSamples) this.#endWindow(endedMs)
    this.#row.close()
  }

  #keep(latencyMs: number): void {
    const { numbers } = this.#row
    const count = (numbers[this.#at + countField] as number) + 1
    numbers[this.#at + countField] = count
    const place = count <= samplesMax ? count - 1 : Math.floor(this.#random() * count)
    if (place < samplesMax) numbers[this.#at + samplesField + place] = latencyMs
  }

  #endWindow(nowMs: number): void {
    const { numbers } = this.#row
    const at = this.#at
    const { min, max, tolerance } = this.#rules
    const median = this.#median()
    const lowest = Math.min(numbers[at + lowestField] as number, median)
    numbers[at + lowestField] = lowest
    const before = numbers[at + limitField] as number
    const gradient = Math.min(2, Math.max(0.5, (lowest * (1 + tolerance)) / median))
    const scaled = before * gradient
    const isUsed = (numbers[at + peakField] as number) * 2 >= before
    // Room for a queue, which lets the limit grow where latency does not.
    const wanted = scaled + Math.sqrt(scaled)
    const after = Math.min(max, Math.max(min, isUsed ? wanted : Math.min(before, wanted)))
    numbers[at + limitField] = after
    numbers[at + floorsField] = after <= min ? (numbers[at + floorsField] as number) + 1 : 0
    const isDue = nowMs >= (numbers[at + measureAtField] as number)
    if (isDue || (numbers[at + floorsField] as number) >= floorsMax) this.#beginMeasurement(nowMs)
    else this.#beginWindow(nowMs)
  }

  #beginMeasurement(nowMs: number): void {
    const { numbers } = this.#row
    const at = this.#at
    numbers[at + savedField] = numbers[at + limitField] as number
    numbers[at + limitField] = this.#rules.min
    numbers[at + measureAtField] = 0
    this.#beginWindow(nowMs)
  }

  #endMeasurement(nowMs: number): void {
    const { numbers } = this.#row
    const at = this.#at
    if ((numbers[at + countField] as number) >= windowSamples) numbers[at + lowestField] = this.#median()
    numbers[at + limitField] = numbers[at + savedField] as number
    numbers[at + floorsField] = 0
    // Give or take a tenth, so that gateways in front of the same servers do not measure at once.
    numbers[at + measureAtField] = nowMs + this.#rules.measure * (0.9 + 0.2 * this.#random())
    this.#beginWindow(nowMs)
  }

  #beginWindow(nowMs: number): void {
    const { numbers } = this.#row
    numbers[this.#at + windowStartField] = nowMs
    numbers[this.#at + countField] = 0
    numbers[this.#at + peakField] = 0
  }

  #median(): number {
    const { numbers } = this.#row
    const count = Math.min(samplesMax, numbers[this.#at + countField] as number)
    const sorted = this.#sorted.subarray(0, count)
    for (let i = 0; i < count; i++) sorted[i] = numbers[this.#at + samplesField + i] as number
    sorted.sort()
    return sorted[count >> 1] as number
  }

  #prepare(): boolean {
    if (!this.#open()) return false
    this.#row.close()
    return true
  }

  #open(): boolean {
    const at = this.#row.open()
    if (at === -1) return false
    this.#at = at
    const { numbers } = this.#row
    if (numbers[at + limitField] === 0) {
      const { min, max } = this.#rules
      numbers[at + limitField] = Math.min(max, Math.max(min, initialLimit))
      this.#beginMeasurement(this.#row.now())
    }
    // Another config may have set other bounds.
    else if ((numbers[at + limitField] as number) > this.#rules.max) numbers[at + limitField] = this.#rules.max
    return true
  }
}
