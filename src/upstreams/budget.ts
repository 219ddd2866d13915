// How many retries an upstream may get: a share of its calls in the last ten seconds, so that retries cannot feed an outage.

/** Retries that are allowed in any second, however few the calls: a quiet upstream may be retried too. */
const retriesPerSecondMin = 3

const slotMs = 1000
const slotCount = 10

export interface Budget {
  /** Counts a first try. `nowMs` may lag behind a little: it only chooses the slot. */
  countCall(nowMs: number): void
  /** Takes one retry out of the budget, or says that there is none left. */
  tryRetry(nowMs: number): boolean
}

/** A sliding window of one-second slots. `share` is a fraction from 0 to 1; times are those of `Clock.now`. */
export function createBudget(share: number): Budget {
  const calls = new Float64Array(slotCount)
  const retries = new Float64Array(slotCount)
  let callSum = 0
  let retrySum = 0
  let second = -slotCount

  function rollTo(nowMs: number): void {
    const now = Math.floor(nowMs / slotMs)
    if (now <= second) return
    const passed = Math.min(now - second, slotCount)
    for (let i = 0; i < passed; i++) {
      const slot = slotOf(now - i)
      callSum -= calls[slot] as number
      retrySum -= retries[slot] as number
      calls[slot] = 0
      retries[slot] = 0
    }
    second = now
  }

  return {
    countCall(nowMs) {
      rollTo(nowMs)
      const slot = slotOf(second)
      calls[slot] = (calls[slot] as number) + 1
      callSum++
    },
    tryRetry(nowMs) {
      rollTo(nowMs)
      const slot = slotOf(second)
      const inThisSecond = retries[slot] as number
      if (retrySum + 1 > share * callSum && inThisSecond >= retriesPerSecondMin) return false
      retries[slot] = inThisSecond + 1
      retrySum++
      return true
    },
  }
}

function slotOf(second: number): number {
  return ((second % slotCount) + slotCount) % slotCount
}
