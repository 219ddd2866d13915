// The state of all rules of one key as one row of numbers: asked, taken from and corrected together.

import { type LimitOutcome, type LimitRule, limitRulesMax, type LimitStanding } from '../core/limits.ts'
import { gcraFields, gcraGive, gcraRemaining, gcraReset, gcraTake, gcraWait } from './gcra.ts'
import { periodCount, periodFields, periodGive, periodReset, periodTake, periodWait } from './period.ts'
import {
  slidingChanging,
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

/** How a list of rules lies in a row; worked out once for each list. */
export interface TallyLayout {
  readonly rules: readonly LimitRule[]
  /** Numbers of the row that each rule has, in their order. */
  readonly sizes: readonly number[]
  /** Two lists of rules with the same shape read each other's rows. */
  readonly shape: number
  /** Whether any rule goes by the calendar. */
  readonly hasPeriod: boolean
}

export function layOut(rules: readonly LimitRule[]): TallyLayout {
  if (rules.length > limitRulesMax) throw new Error(`a key has ${rules.length} rules; ${limitRulesMax} is the most`)
  const sliding = slidingSizeOf(rules)
  const sizes = rules.map(({ algorithm }) => fixedSizes[algorithm] ?? sliding)
  return {
    rules,
    sizes,
    shape: rules.reduce((shape, { algorithm }) => shape * 4 + shapes[algorithm], 0),
    hasPeriod: rules.some(({ algorithm }) => algorithm === 'period'),
  }
}

const shapes = { gcra: 1, period: 2, 'sliding-window': 3 } as const
const fixedSizes: Readonly<Partial<Record<LimitRule['algorithm'], number>>> = { gcra: gcraFields, period: periodFields }

/** What the others leave, for each sliding window: the more, the finer its buckets. */
function slidingSizeOf(rules: readonly LimitRule[]): number {
  const sliding = rules.filter(({ algorithm }) => algorithm === 'sliding-window').length
  const taken = rules.reduce((sum, { algorithm }) => sum + (fixedSizes[algorithm] ?? 0), 0)
  return sliding === 0 ? 0 : Math.floor((tallyFields - taken) / sliding)
}

/** Milliseconds until the rule would let a call of this size pass. */
function waitOf(row: Float64Array, at: number, size: number, rule: LimitRule, amount: number, time: TallyTime): number {
  if (rule.algorithm === 'gcra') return gcraWait(row, at, rule, amount, time.nowMs)
  if (rule.algorithm === 'period') return periodWait(row, at, rule, amount, time.wallMs)
  return slidingWait(row, at, size, rule, amount, time.nowMs)
}

/** Whether all rules let the call pass. Changes nothing. */
export function isWithin(
  row: Float64Array,
  start: number,
  layout: TallyLayout,
  cost: number,
  time: TallyTime,
): boolean {
  const { rules, sizes } = layout
  const amount = cost === 0 ? 1 : cost
  let at = start
  for (let index = 0; index < rules.length; index++) {
    const size = sizes[index] as number
    if (waitOf(row, at, size, rules[index] as LimitRule, amount, time) > 0) return false
    at += size
  }
  return true
}

/** How many numbers of the row `take` and `give` may change, from its start on. */
export function changing(row: Float64Array, start: number, { rules, sizes }: TallyLayout): number {
  const last = rules.length - 1
  let at = start
  for (let index = 0; index < last; index++) at += sizes[index] as number
  const size = sizes[last] ?? 0
  const changed = rules[last]?.algorithm === 'sliding-window' ? slidingChanging(row, at, size) : size
  return at - start + changed
}

/** Takes from all rules without asking. */
export function take(
  row: Float64Array,
  start: number,
  layout: TallyLayout,
  amount: number,
  { nowMs }: TallyTime,
): void {
  const { rules, sizes } = layout
  let at = start
  for (let index = 0; index < rules.length; index++) {
    const size = sizes[index] as number
    const rule = rules[index] as LimitRule
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
  { rules, sizes }: TallyLayout,
  amount: number,
  takenMs: number,
  { nowMs }: TallyTime,
): void {
  let at = start
  rules.forEach((rule, index) => {
    const size = sizes[index] ?? 0
    if (rule.algorithm === 'gcra') gcraGive(row, at, rule, amount, takenMs, nowMs)
    else if (rule.algorithm === 'period') periodGive(row, at, rule, amount)
    else slidingGive(row, at, size, rule, amount, takenMs, nowMs)
    at += size
  })
}

/** How all rules stand. Where the call was refused, `cost` says for what the wait is. */
export function outcomeOf(
  row: Float64Array,
  start: number,
  layout: TallyLayout,
  cost: number,
  isAllowed: boolean,
  time: TallyTime,
): LimitOutcome {
  const { rules, sizes } = layout
  const standings: LimitStanding[] = []
  let at = start
  for (let index = 0; index < rules.length; index++) {
    const size = sizes[index] as number
    const rule = rules[index] as LimitRule
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
export function worthMs(row: Float64Array, start: number, { rules, sizes }: TallyLayout, time: TallyTime): number {
  let worth = 0
  let at = start
  rules.forEach((rule, index) => {
    const size = sizes[index] ?? 0
    worth = Math.max(worth, resetOf(row, at, size, rule, time))
    at += size
  })
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
