// Quotas as texts, and as the rules of the period that is running.

import type { LimitRule } from '../core/limits.ts'
import { dateOf, periodAt, type PeriodKind, periodKinds } from './calendar.ts'
import { nameRules, type NamedRules } from './fields.ts'

export interface Quota {
  readonly limit: number
  readonly per: PeriodKind
}

/** Reads `10000/month` or `1000/day, 10000/month`; null for anything else. */
export function parseQuotas(text: string): Quota[] | null {
  const quotas: Quota[] = []
  for (const part of text.split(',')) {
    const [, count = '', word = ''] = /^(\d{1,15})\/([a-z]+)$/.exec(part.replaceAll(' ', '')) ?? []
    const per = periodKinds.find(kind => kind === word)
    if (per === undefined) return null
    quotas.push({ limit: Number(count), per })
  }
  return quotas
}

export interface QuotaRulesOptions {
  readonly timeZone: string
  readonly anchor: Temporal.PlainDate
  readonly name: string
  readonly wall: () => number
}

/** Rules of the moment, by the text of the caller's own anchor. */
export type RunningRules = (anchor: string | undefined) => NamedRules

interface Running {
  readonly named: NamedRules
  readonly startMs: number
  readonly endMs: number
}

/** Anchors that are remembered; past it all are worked out anew. */
const anchorsMax = 4096

/** Rules are made once per period, and again when the clock leaves it. */
export function createQuotaRules({
  timeZone,
  anchor,
  name,
  wall,
}: QuotaRulesOptions): (quotas: readonly Quota[]) => RunningRules {
  return quotas => {
    const hasAnchors = quotas.some(({ per }) => per === 'period')
    const byAnchor = new Map<string, Running>()
    const make = (date: Temporal.PlainDate, wallMs: number): Running => {
      const periods = quotas.map(({ per }) => periodAt(per, timeZone, wallMs, date))
      const rules = quotas.map(({ limit }, index): LimitRule => {
        const { startMs = 0, endMs = 0 } = periods[index] ?? {}
        return { algorithm: 'period', limit, windowMs: endMs - startMs, burst: limit, startMs }
      })
      return {
        named: nameRules(rules, name, quotas.length === 1 ? [] : quotas.map(({ per }) => per)),
        startMs: Math.max(...periods.map(({ startMs }) => startMs)),
        endMs: Math.min(...periods.map(({ endMs }) => endMs)),
      }
    }
    return text => {
      const wallMs = wall()
      const key = hasAnchors && text !== undefined ? text : ''
      const known = byAnchor.get(key)
      if (known !== undefined && wallMs >= known.startMs && wallMs < known.endMs) return known.named
      if (byAnchor.size >= anchorsMax) byAnchor.clear()
      const made = make((key === '' ? null : dateOf(key)) ?? anchor, wallMs)
      byAnchor.set(key, made)
      return made.named
    }
  }
}
