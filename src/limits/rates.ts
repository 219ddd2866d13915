// Rates as texts and as rules.

import type { LimitRule } from '../core/limits.ts'

export interface RateOption {
  readonly count: number
  readonly windowMs: number
}

const windows: Readonly<Record<string, number>> = {
  ...{ second: 1000, minute: 60_000, hour: 3_600_000, day: 86_400_000 },
  ...{ s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, ms: 1 },
}

/** Reads `100/minute` or `10/s, 1000/h`, as consumers and plans have them; null for anything else. */
export function parseRates(text: string): RateOption[] | null {
  const rates: RateOption[] = []
  for (const part of text.split(',')) {
    const match = /^(\d{1,15})\/(\d{0,9})([a-z]+)$/.exec(part.replaceAll(' ', ''))
    const [, count = '', times = '', unit = ''] = match ?? []
    const windowMs = (times === '' ? 1 : Number(times)) * (Object.hasOwn(windows, unit) ? (windows[unit] ?? 0) : 0)
    if (match === null || windowMs === 0) return null
    rates.push({ count: Number(count), windowMs })
  }
  return rates
}

/** `burst` is that of the rate it was written for, as a share of its count. */
export function ruleOf(
  { count, windowMs }: RateOption,
  algorithm: 'gcra' | 'sliding-window',
  burstShare: number,
): LimitRule {
  const burst = Math.max(Math.min(1, count), Math.round(count * burstShare))
  return { algorithm, limit: count, windowMs, burst, startMs: 0 }
}
