// The generic cell rate algorithm as a leaky bucket that runs on (ITU-T I.371, annex A): a level that rises with each call and
// falls evenly. Admits at most `burst` at once and `limit` per window in the long run.

import type { LimitRule } from '../core/limits.ts'

/** Level and when it was so; when it last was as low as one call; the largest call since it was last empty. */
export const gcraFields = 4

function levelAt(state: Float64Array, at: number, rule: LimitRule, nowMs: number): number {
  const elapsedMs = Math.max(0, nowMs - (state[at + 1] as number))
  const level = (state[at] as number) - (elapsedMs * rule.limit) / rule.windowMs
  return level > 0 ? level : 0
}

/** Milliseconds until a call of this size could pass; 0 for now, Infinity for never. */
export function gcraWait(state: Float64Array, at: number, rule: LimitRule, amount: number, nowMs: number): number {
  if (amount > rule.burst || rule.limit <= 0) return Infinity
  const over = levelAt(state, at, rule, nowMs) + amount - rule.burst
  return over > 0 ? (over * rule.windowMs) / rule.limit : 0
}

/** Takes without asking. What is owed is at most one window's worth: a state that a reload left to another rule soon passes. */
export function gcraTake(state: Float64Array, at: number, rule: LimitRule, amount: number, nowMs: number): void {
  const level = levelAt(state, at, rule, nowMs)
  const largest = Math.max(level > 0 ? (state[at + 3] as number) : 0, amount)
  state[at] = Math.min(level + amount, rule.burst + rule.limit)
  state[at + 1] = Math.max(nowMs, state[at + 1] as number)
  if (level <= largest) state[at + 2] = nowMs
  state[at + 3] = largest
}

/**
 * Gives back what was taken at `takenMs`, less what has leaked of it: while the level was no higher than the call itself, the
 * leak was the call's, and giving that back too would lend the time to others.
 */
export function gcraGive(
  state: Float64Array,
  at: number,
  rule: LimitRule,
  amount: number,
  takenMs: number,
  nowMs: number,
): void {
  const level = levelAt(state, at, rule, nowMs)
  const lowMs = level <= Math.max(amount, state[at + 3] as number) ? nowMs : (state[at + 2] as number)
  const leaked = (Math.max(0, lowMs - takenMs) * rule.limit) / rule.windowMs
  state[at] = Math.max(0, level - Math.max(0, amount - leaked))
  state[at + 1] = Math.max(nowMs, state[at + 1] as number)
}

export function gcraRemaining(state: Float64Array, at: number, rule: LimitRule, nowMs: number): number {
  return Math.max(0, Math.floor(rule.burst - levelAt(state, at, rule, nowMs)))
}

/** Milliseconds until the state is worth nothing. */
export function gcraReset(state: Float64Array, at: number, rule: LimitRule, nowMs: number): number {
  const level = levelAt(state, at, rule, nowMs)
  return level === 0 ? 0 : rule.limit <= 0 ? rule.windowMs : (level * rule.windowMs) / rule.limit
}
