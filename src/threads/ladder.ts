// A reading against rising bounds: how many it has passed, with hysteresis, so that the answer does not flap.

/** A step down is not taken sooner after the last step. */
const holdMs = 1_000

export interface Bounds {
  /** Rising. */
  readonly at: readonly number[]
  /** A bound counts as passed until the reading is below this share of it. */
  readonly resume: number
}

/** Up at once, down late. */
export class Ladder {
  /** How many bounds are passed. */
  level = 0
  #sinceMs = -Infinity

  /** Says whether the level has changed. */
  read(value: number, { at, resume }: Bounds, nowMs: number): boolean {
    const before = this.level
    const reached = at.filter(bound => value >= bound).length
    if (reached > before) this.level = reached
    else if (nowMs - this.#sinceMs >= holdMs) {
      while (this.level > reached && value < (at[this.level - 1] ?? 0) * resume) this.level--
    }
    if (this.level === before) return false
    this.#sinceMs = nowMs
    return true
  }
}
