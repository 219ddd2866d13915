// The state of all rules of one key as one row of numbers: asked, taken from and corrected together.

import { type LimitOutcome, type LimitRule, limitRulesMax, type LimitStanding } from '../core/limits.ts'
import { gcraFields, gcraGive, gcraRemaining, gcraReset, gcraTake, gcraWait } from './gcra.ts'
import { periodCount, periodFields, periodGive, periodReset, periodTake, periodWait } from './period.ts'
import {
  slidingCount,
  slidingFieldsMin,
  slidingGive,
  slidingReset,
  slidingTake,
  slidingWait,
} from './sliding-window.ts'

/** Numbers in the row of one key: enough for as many windows as there may be rules. */
export const tallyFields: number = limitRulesMax * slidingFieldsMin

/** The two clocks: one that never steps and is the same for all who share the row, and that of the calendar. Milliseconds. */
export interface TallyTime {
  nowMs: number
  wallMs: number
}

/** How many numbers a sliding window may have: the more, the finer its buckets. */
export function slidingSizeOf(rules: readonly LimitRule[]): number {
  let room = tallyFields
  let sliding = 0
  for (const { algorithm } of rules) {
    if (algorithm === 'gcra') room -= gcraFields
    else if (algorithm === 'period') room -= periodFields
    else sliding++
  }
  return sliding === 0 ? 0 : Math.floor(room / sliding)
}

/** Two lists of rules with the same shape read each other's rows. */
export function shapeOf(rules: readonly LimitRule[]): number {
  let shape = 0
  for (const { algorithm } of rules) shape = shape * 4 + (algorithm === 'gcra' ? 1 : algorithm === 'period' ? 2 : 3)
  return shape
}

/** Milliseconds until all rules would let a call of this size pass. */
function waitOf(row: Float64Array, at: number, size: number, rule: LimitRule, amount: number, time: TallyTime): number {
  if (rule.algorithm === 'gcra') return gcraWait(row, at, rule, amount, time.nowMs)
  if (rule.algorithm === 'period') return periodWait(row, at, rule, amount, time.wallMs)
  return slidingWait(row, at, size, rule, amount, time.nowMs)
}

function sizeOf(rule: LimitRule, sliding: number): number {
  return rule.algorithm === 'gcra' ? gcraFields : rule.algorithm === 'period' ? periodFields : sliding
}

/** Whether all rules let the call pass. Changes nothing. */
export function isWithin(
  row: Float64Array,
  start: number,
  rules: readonly LimitRule[],
  cost: number,
  time: TallyTime,
): boolean {
  const sliding = slidingSizeOf(rules)
  let at = start
  for (const rule of rules) {
    const size = sizeOf(rule, sliding)
    if (waitOf(row, at, size, rule, cost === 0 ? 1 : cost, time) > 0) return false
    at += size
  }
  return true
}

/** Takes from all rules without asking. */
export function take(
  row: Float64Array,
  start: number,
  rules: readonly LimitRule[],
  amount: number,
  { nowMs }: TallyTime,
): void {
  const sliding = slidingSizeOf(rules)
  let at = start
  for (const rule of rules) {
    const size = sizeOf(rule, sliding)
    if (rule.algorithm === 'gcra') gcraTake(row, at, rule, amount, nowMs)
    else if (rule.algorithm === 'period') periodTake(row, at, rule, amount)
    else slidingTake(row, at, size, rule, amount, nowMs)
    at += size
  }
}

/** Gives back to all rules what was taken at `takenMs`. */
export function give(
  row: Float64Array,
  start: number,
  rules: readonly LimitRule[],
  amount: number,
  takenMs: number,
  { nowMs }: TallyTime,
): void {
  const sliding = slidingSizeOf(rules)
  let at = start
  for (const rule of rules) {
    const size = sizeOf(rule, sliding)
    if (rule.algorithm === 'gcra') gcraGive(row, at, rule, amount, takenMs, nowMs)
    else if (rule.algorithm === 'period') periodGive(row, at, rule, amount)
    else slidingGive(row, at, size, rule, amount, takenMs, nowMs)
    at += size
  }
}

/** How all rules stand. Where the call was refused, `cost` says for what the wait is. */
export function outcomeOf(
  row: Float64Array,
  start: number,
  rules: readonly LimitRule[],
  cost: number,
  isAllowed: boolean,
  time: TallyTime,
): LimitOutcome {
  const sliding = slidingSizeOf(rules)
  const standings: LimitStanding[] = []
  let at = start
  for (const rule of rules) {
    const size = sizeOf(rule, sliding)
    standings.push({
      remaining: remainingOf(row, at, size, rule, time),
      resetMs: resetOf(row, at, size, rule, time),
      retryMs: isAllowed ? 0 : waitOf(row, at, size, rule, cost === 0 ? 1 : cost, time),
    })
    at += size
  }
  return { isAllowed, standings, fallback: null, atMs: time.nowMs }
}

/** Milliseconds until the row is worth nothing, so that another key may have it. */
export function worthMs(row: Float64Array, start: number, rules: readonly LimitRule[], time: TallyTime): number {
  const sliding = slidingSizeOf(rules)
  let worth = 0
  let at = start
  for (const rule of rules) {
    const size = sizeOf(rule, sliding)
    worth = Math.max(worth, resetOf(row, at, size, rule, time))
    at += size
  }
  return worth
}

function remainingOf(row: Float64Array, at: number, size: number, rule: LimitRule, time: TallyTime): number {
  if (rule.algorithm === 'gcra') return gcraRemaining(row, at, rule, time.nowMs)
  const count = rule.algorithm === 'period' ? periodCount(row, at, rule) : slidingCount(row, at, size, rule, time.nowMs)
  return Math.max(0, rule.limit - count)
}

function resetOf(row: Float64Array, at: number, size: number, rule: LimitRule, time: TallyTime): number {
  if (rule.algorithm === 'gcra') return gcraReset(row, at, rule, time.nowMs)
  if (rule.algorithm === 'period') return periodReset(row, at, rule, time.wallMs)
  return slidingReset(row, at, size, rule, time.nowMs)
}
