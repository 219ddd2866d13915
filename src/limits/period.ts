// A count from one point of the calendar to the next. Its state says by itself which period it counts.

import type { LimitRule } from '../core/limits.ts'

/** When the counted period began, milliseconds since the Unix epoch, and the count. */
export const periodFields = 2

/** A period older than the one that is counted already, as after a step of the clock, is counted with that one. */
export function periodCount(state: Float64Array, at: number, rule: LimitRule): number {
  return (state[at] as number) >= rule.startMs ? (state[at + 1] as number) : 0
}

export function periodWait(state: Float64Array, at: number, rule: LimitRule, amount: number, wallMs: number): number {
  if (amount > rule.limit) return Infinity
  return periodCount(state, at, rule) + amount > rule.limit ? periodReset(state, at, rule, wallMs) : 0
}

export function periodTake(state: Float64Array, at: number, rule: LimitRule, amount: number): void {
  const count = periodCount(state, at, rule)
  state[at] = Math.max(rule.startMs, state[at] as number)
  state[at + 1] = count + amount
}

/** Gives back, unless the period is over. */
export function periodGive(state: Float64Array, at: number, rule: LimitRule, amount: number): void {
  if (state[at] !== rule.startMs) return
  state[at + 1] = Math.max(0, (state[at + 1] as number) - amount)
}

/** Milliseconds until the period that is counted ends. */
export function periodReset(state: Float64Array, at: number, rule: LimitRule, wallMs: number): number {
  return Math.max(1, Math.max(rule.startMs, state[at] as number) + rule.windowMs - wallMs)
}
