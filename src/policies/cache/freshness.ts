// How long a reply is fresh, and how old it already is (RFC 9111 §4.2).

import type { Headers } from '../../core/headers.ts'
import type { ReplyRules } from './directives.ts'
import { parseHttpDate } from '../../core/http-date.ts'

/** What the config says of replies that say nothing themselves. */
export interface Guess {
  /** Milliseconds by status. */
  readonly ttl: ReadonlyMap<number, number>
  /** The share of the time since Last-Modified; 0 for none. */
  readonly heuristic: number
  readonly heuristicMsMax: number
}

/** RFC 9110 §15.1: statuses whose replies may be kept though they do not say for how long. */
const heuristicStatuses: ReadonlySet<number> = new Set([200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501])

/**
 * Milliseconds for which the reply is fresh, counted from when it was made; 0 for none. `guess` is null where nothing may be
 * guessed.
 */
export function lifetimeOf(
  status: number,
  headers: Headers,
  rules: ReplyRules,
  nowMs: number,
  guess: Guess | null,
): number {
  if (rules.maxAgeMs !== null) return rules.maxAgeMs
  const dateMs = dateIn(headers, 'date', nowMs) ?? nowMs
  const expires = headers.all('expires')
  if (expires.length > 0) {
    // More than one, or none that is a date: stale (§5.3).
    const untilMs = expires.every(value => value === expires[0]) ? parseHttpDate(expires[0] as string, nowMs) : null
    return untilMs === null ? 0 : Math.max(0, untilMs - dateMs)
  }
  if (guess === null) return 0
  const given = guess.ttl.get(status)
  if (given !== undefined) return given
  if (guess.heuristic === 0 || (!heuristicStatuses.has(status) && !rules.isPublic)) return 0
  const modifiedMs = dateIn(headers, 'last-modified', nowMs)
  if (modifiedMs === null) return 0
  return Math.min(guess.heuristicMsMax, Math.max(0, dateMs - modifiedMs) * guess.heuristic)
}

/**
 * The corrected age value of §4.2.3, in milliseconds: what Age says, and how long the reply was on its way. Clocks of other
 * machines play no part in it.
 */
export function initialAgeOf(headers: Headers, delayMs: number): number {
  // §5.1: of several values the first counts, and what is no number does not.
  const [first = ''] = (headers.get('age') ?? '').split(',')
  const text = first.trim()
  return (/^\d+$/.test(text) ? Math.min(Number(text), 2 ** 31) * 1000 : 0) + Math.max(0, delayMs)
}

/** Null where the field is missing or is no date. */
export function dateIn(headers: Headers, key: string, nowMs: number): number | null {
  const text = headers.get(key)
  return text === undefined ? null : parseHttpDate(text, nowMs)
}
