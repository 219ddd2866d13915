// Whether a breaker lets calls through: one state for all worker threads, changed under a lock, read without.

import type { SharedRow } from '../../core/shared-row.ts'
import type { UpstreamBlueprint } from '../../core/upstream-schema.ts'

export type BreakerRules = NonNullable<UpstreamBlueprint['breaker']>

/** As numbers, for the shared memory and the gauge. */
export const BreakerMode = { closed: 0, halfOpen: 1, open: 2 } as const
export type BreakerModeNumber = (typeof BreakerMode)[keyof typeof BreakerMode]

/** A call is let through; one with a higher number is a probe. */
export const passes = 0
export const refused = -1

/** Numbers of the row. */
const modeField = 0
/** Open: when calls are let through again. Half open: when probes of which nothing was heard are given up. */
const untilField = 1
/** Which half-open phase it is: probes of an earlier one count no more. */
const phaseField = 2
const probesField = 3
const goodField = 4
/** Number of the slot that is counted into. */
const slotField = 5
/** Per slot: calls, failures among them, slow ones among them. */
const slotsField = 6
const slotCount = 6
const slotFields = 3

/** Told after a change, with the lock let go. */
export type ModeChange = (mode: BreakerModeNumber, share: { readonly failures: number; readonly slow: number }) => void

/**
 * A sliding window of six slots. Only this thread's calls are seen here, all threads' are counted.
 *
 * Hot path: a closed breaker lets a call pass by one read; counting its end takes the lock.
 */
export class BreakerState {
  readonly #rules: BreakerRules
  readonly #row: SharedRow
  readonly #onChange: ModeChange
  readonly #slotMs: number
  readonly #slowShare: number
  #at = -1

  constructor(rules: BreakerRules, row: SharedRow, onChange: ModeChange) {
    this.#rules = rules
    this.#row = row
    this.#onChange = onChange
    this.#slotMs = rules.window / slotCount
    this.#slowShare = rules.slow?.share ?? Infinity
  }

  get mode(): BreakerModeNumber {
    if (this.#at === -1) {
      if (!this.#open()) return BreakerMode.closed
      this.#row.close()
    }
    return this.#row.numbers[this.#at + modeField] as BreakerModeNumber
  }

  /** `passes`, `refused`, or the number of a probe. */
  admit(): number {
    const { numbers } = this.#row
    if (this.#at !== -1 && numbers[this.#at + modeField] === BreakerMode.closed) return passes
    return this.#admitUnlessClosed()
  }

  /** How a call ended that was let through. */
  record(ticket: number, isBad: boolean, isSlow: boolean, nowMs: number): void {
    if (!this.#open()) return
    const { numbers } = this.#row
    const at = this.#at
    const before = numbers[at + modeField] as BreakerModeNumber
    let share = noShare
    if (ticket === passes) {
      if (before === BreakerMode.closed) share = this.#count(isBad, isSlow, nowMs)
    } else if (before === BreakerMode.halfOpen && ticket === numbers[at + phaseField]) {
      if (isBad || isSlow) {
        this.#trip(nowMs)
        share = { failures: isBad ? 1 : 0, slow: isSlow ? 1 : 0 }
      } else if (add(numbers, at + goodField, 1) >= this.#rules.probes) {
        this.#clear()
        numbers[at + modeField] = BreakerMode.closed
      }
    }
    const after = numbers[at + modeField] as BreakerModeNumber
    this.#row.close()
    if (after !== before) this.#onChange(after, share)
  }

  /** A call that was let through ended in a way that says nothing: its place as a probe is free again. */
  release(ticket: number): void {
    if (ticket === passes || !this.#open()) return
    const { numbers } = this.#row
    const at = this.#at
    const isOurs = numbers[at + modeField] === BreakerMode.halfOpen && numbers[at + phaseField] === ticket
    if (isOurs) add(numbers, at + probesField, -1)
    this.#row.close()
  }

  /** Milliseconds until calls are let through again; 0 where that is now or soon. */
  waitMs(): number {
    const { numbers } = this.#row
    if (this.#at === -1 || numbers[this.#at + modeField] !== BreakerMode.open) return 0
    return Math.max(0, (numbers[this.#at + untilField] as number) - this.#row.now())
  }

  #admitUnlessClosed(): number {
    const nowMs = this.#row.now()
    if (this.#at !== -1 && this.#isShut(nowMs)) return refused
    if (!this.#open()) return passes
    const { numbers } = this.#row
    const at = this.#at
    const before = numbers[at + modeField] as BreakerModeNumber
    const ticket = this.#admitLocked(before, nowMs)
    this.#row.close()
    if (before === BreakerMode.open && ticket > passes) this.#onChange(BreakerMode.halfOpen, noShare)
    return ticket
  }

  #isShut(nowMs: number): boolean {
    const { numbers } = this.#row
    return numbers[this.#at + modeField] === BreakerMode.open && nowMs < (numbers[this.#at + untilField] as number)
  }

  #admitLocked(mode: BreakerModeNumber, nowMs: number): number {
    const { numbers } = this.#row
    const at = this.#at
    if (mode === BreakerMode.closed) return passes
    const isDue = nowMs >= (numbers[at + untilField] as number)
    if (mode === BreakerMode.halfOpen && (numbers[at + probesField] as number) < this.#rules.probes) {
      add(numbers, at + probesField, 1)
      return numbers[at + phaseField] as number
    }
    // Where probes were lost, as with a worker that died, there are new ones after the same time.
    if (!isDue) return refused
    numbers[at + modeField] = BreakerMode.halfOpen
    numbers[at + untilField] = nowMs + this.#rules.open
    numbers[at + probesField] = 1
    numbers[at + goodField] = 0
    return add(numbers, at + phaseField, 1)
  }

  #count(isBad: boolean, isSlow: boolean, nowMs: number): { failures: number; slow: number } {
    const { numbers } = this.#row
    const first = this.#at + slotsField
    const slot = first + this.#roll(nowMs) * slotFields
    add(numbers, slot, 1)
    if (isBad) add(numbers, slot + 1, 1)
    if (isSlow) add(numbers, slot + 2, 1)
    // Only a bad or slow call can make it open.
    if (!isBad && !isSlow) return noShare
    let calls = 0
    let failures = 0
    let slow = 0
    for (let i = first; i < first + slotCount * slotFields; i += slotFields) {
      calls += numbers[i] as number
      failures += numbers[i + 1] as number
      slow += numbers[i + 2] as number
    }
    if (calls < this.#rules.minimum) return noShare
    const share = { failures: failures / calls, slow: slow / calls }
    if (share.failures >= this.#rules.failures || share.slow >= this.#slowShare) this.#trip(nowMs)
    return share
  }

  /** Empties slots that time has passed over, and says which one is counted into now. */
  #roll(nowMs: number): number {
    const { numbers } = this.#row
    const now = Math.floor(nowMs / this.#slotMs)
    const last = numbers[this.#at + slotField] as number
    for (let slot = Math.max(last + 1, now - slotCount + 1); slot <= now; slot++) {
      const at = this.#at + slotsField + (slot % slotCount) * slotFields
      numbers.fill(0, at, at + slotFields)
    }
    if (now > last) numbers[this.#at + slotField] = now
    return Math.max(now, last) % slotCount
  }

  #trip(nowMs: number): void {
    const { numbers } = this.#row
    numbers[this.#at + modeField] = BreakerMode.open
    numbers[this.#at + untilField] = nowMs + this.#rules.open
    this.#clear()
  }

  #clear(): void {
    const at = this.#at + slotsField
    this.#row.numbers.fill(0, at, at + slotCount * slotFields)
  }

  #open(): boolean {
    const at = this.#row.open()
    if (at === -1) return false
    this.#at = at
    return true
  }
}

const noShare = { failures: 0, slow: 0 }

/** Returns what stands there then. */
function add(numbers: Float64Array, at: number, amount: number): number {
  const sum = (numbers[at] as number) + amount
  numbers[at] = sum
  return sum
}
