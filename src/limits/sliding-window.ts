// A count over the window that ends now, in a few buckets. A bucket is counted whole until its last call has left the window,
// so that no window ever holds more than the limit; in exchange, early calls of a bucket are forgotten up to one bucket late.

import type { LimitRule } from '../core/limits.ts'

/**
 * When the newest bucket began, then per bucket, newest first, its last call and its count.
 *
 * Hot path: newest first, and walked only as far as buckets were ever used, because a row is four cache lines long and most
 * callers use few buckets of it.
 */
export const slidingFieldsMin = 7

const bucketsOf = (size: number) => (size - 1) >> 1

/** Milliseconds until a call of this size could pass; 0 for now, Infinity for never. */
export function slidingWait(
  state: Float64Array,
  at: number,
  size: number,
  rule: LimitRule,
  amount: number,
  nowMs: number,
): number {
  if (amount > rule.limit) return Infinity
  let over = slidingCount(state, at, size, rule, nowMs) + amount - rule.limit
  if (over <= 0) return 0
  for (let bucket = at + slidingUsed(state, at, size) - 2; bucket > at; bucket -= 2) {
    const leavesMs = (state[bucket] as number) + rule.windowMs - nowMs
    if (leavesMs <= 0) continue
    over -= state[bucket + 1] as number
    if (over <= 0) return leavesMs
  }
  return rule.windowMs
}

/** Takes without asking. */
export function slidingTake(
  state: Float64Array,
  at: number,
  size: number,
  rule: LimitRule,
  amount: number,
  nowMs: number,
): void {
  const buckets = bucketsOf(size)
  const newest = at + 1
  const oldest = at + 1 + (buckets - 1) * 2
  const isPast = nowMs - (state[at] as number) >= rule.windowMs / (buckets - 1)
  // Without room the newest bucket goes on: that counts too much rather than too little.
  if (isPast && (state[newest + 1] as number) > 0) {
    const isFull = (state[oldest + 1] as number) > 0 && (state[oldest] as number) + rule.windowMs > nowMs
    if (!isFull) {
      state.copyWithin(newest + 2, newest, oldest)
      state[newest + 1] = 0
    }
  }
  if (state[newest + 1] === 0) {
    state[at] = nowMs
    state[newest] = nowMs
  }
  state[newest] = Math.max(nowMs, state[newest] as number)
  state[newest + 1] = (state[newest + 1] as number) + amount
}

/** How many numbers of the state `slidingTake` and `slidingGive` may change, from its start on. */
export function slidingChanging(state: Float64Array, at: number, size: number): number {
  return Math.min(1 + bucketsOf(size) * 2, slidingUsed(state, at, size) + 2)
}

/** Gives back what was taken at `takenMs`, from the bucket that has it, unless it has left the window. */
export function slidingGive(
  state: Float64Array,
  at: number,
  size: number,
  rule: LimitRule,
  amount: number,
  takenMs: number,
  nowMs: number,
): void {
  if (takenMs + rule.windowMs <= nowMs) return
  for (let bucket = at + slidingUsed(state, at, size) - 2; bucket > at; bucket -= 2) {
    const count = state[bucket + 1] as number
    if (count === 0 || (state[bucket] as number) < takenMs) continue
    state[bucket + 1] = Math.max(0, count - amount)
    return
  }
}

export function slidingCount(state: Float64Array, at: number, size: number, rule: LimitRule, nowMs: number): number {
  let count = 0
  const end = at + 1 + bucketsOf(size) * 2
  for (let bucket = at + 1; bucket < end; bucket += 2) {
    if (isUnused(state, bucket)) break
    if ((state[bucket] as number) + rule.windowMs > nowMs) count += state[bucket + 1] as number
  }
  return count
}

/** Milliseconds until the state is worth nothing. */
export function slidingReset(state: Float64Array, at: number, size: number, rule: LimitRule, nowMs: number): number {
  const end = at + 1 + bucketsOf(size) * 2
  for (let bucket = at + 1; bucket < end; bucket += 2) {
    if (isUnused(state, bucket)) break
    const leavesMs = (state[bucket] as number) + rule.windowMs - nowMs
    if ((state[bucket + 1] as number) > 0 && leavesMs > 0) return leavesMs
  }
  return 0
}

/** How many numbers of the state are in use. */
function slidingUsed(state: Float64Array, at: number, size: number): number {
  const end = at + 1 + bucketsOf(size) * 2
  let bucket = at + 1
  while (bucket < end && !isUnused(state, bucket)) bucket += 2
  return bucket - at
}

/** Whether the bucket never had a call; then those behind it had none either. */
function isUnused(state: Float64Array, bucket: number): boolean {
  return state[bucket] === 0 && state[bucket + 1] === 0
}
