// What replies say about limits: RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-11), and X-RateLimit-*.

import type { Headers } from '../core/headers.ts'
import type { LimitFallback, LimitOutcome, LimitRule } from '../core/limits.ts'

export type FieldStyle = 'draft' | 'legacy' | 'both' | 'none'

/** Rules with their names as structured fields have them, so that a call joins few texts. */
export interface NamedRules {
  readonly rules: readonly LimitRule[]
  /** Of each rule, quoted. */
  readonly names: readonly string[]
  /** The value of RateLimit-Policy: draft §3. */
  readonly policy: string
}

/** Names are letters, digits, `.`, `_` and `-`: they need no escapes. Several rules are told apart by their windows. */
export function nameRules(rules: readonly LimitRule[], name: string, given: readonly string[] = []): NamedRules {
  const base = name === '' ? 'default' : name
  const names = rules.map((rule, index) => {
    const own = given[index] ?? ''
    return `"${own !== '' ? own : rules.length === 1 ? base : `${base}-${secondsOf(rule.windowMs)}s`}"`
  })
  const items = rules.map((rule, index) => `${names[index] ?? ''};q=${rule.limit};w=${secondsOf(rule.windowMs)}`)
  return { rules, names, policy: items.join(', ') }
}

/** Structured integers have at most 15 digits (RFC 9651 §3.3.1), and no fractions. */
const integerMax = 999_999_999_999_999

/** What differences of clock readings are off by must not make a second more. */
const roundingS = 1e-6

function secondsOf(ms: number): number {
  return Math.min(integerMax, Math.max(0, Math.ceil(ms / 1000 - roundingS)))
}

export function writeFields(headers: Headers, named: NamedRules, outcome: LimitOutcome, style: FieldStyle): void {
  if (style === 'none') return
  const { standings } = outcome
  if (style !== 'legacy') {
    let state = ''
    for (let index = 0; index < standings.length; index++) {
      const standing = standings[index]
      if (standing === undefined) continue
      const item = `${named.names[index] ?? ''};r=${Math.max(0, Math.floor(standing.remaining))};t=${secondsOf(standing.resetMs)}`
      state = state === '' ? item : `${state}, ${item}`
    }
    headers.list.push('RateLimit-Policy', 'ratelimit-policy', named.policy, 'RateLimit', 'ratelimit', state)
  }
  if (style !== 'draft') writeLegacy(headers, named, outcome)
}

/** Says that the store failed, and what decided in its place. */
export function writeFallback(headers: Headers, fallback: LimitFallback | null): void {
  if (fallback !== null) headers.set('x-turnpike-limit-fallback', fallback)
}

/** There is room for one rule: the one with the smallest share left. */
function writeLegacy(headers: Headers, { rules }: NamedRules, { standings }: LimitOutcome): void {
  let tightest = 0
  let share = Infinity
  rules.forEach((rule, index) => {
    const left = (standings[index]?.remaining ?? 0) / Math.max(1, rule.limit)
    if (left >= share) return
    share = left
    tightest = index
  })
  const standing = standings[tightest]
  headers.set('X-RateLimit-Limit', String(rules[tightest]?.limit ?? 0))
  headers.set('X-RateLimit-Remaining', String(Math.max(0, Math.floor(standing?.remaining ?? 0))))
  headers.set('X-RateLimit-Reset', String(secondsOf(standing?.resetMs ?? 0)))
}

/** Milliseconds until all rules would let the call pass; `Infinity` where one never would. */
export function waitOf({ standings }: LimitOutcome): number {
  let waitMs = 0
  for (const { retryMs } of standings) waitMs = Math.max(waitMs, retryMs)
  return waitMs
}
