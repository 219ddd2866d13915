// What a limit answers where it cannot count in the memory of this gateway.

import type { LimitOutcome, LimitRule } from '../core/limits.ts'

/** When whoever is refused may try again: entries come free, and files can be written again, at any time. */
const againMs = 1_000

export function uncounted(rules: readonly LimitRule[], isAllowed: boolean, atMs: number): LimitOutcome {
  const standings = rules.map(() => ({ remaining: 0, resetMs: againMs, retryMs: isAllowed ? 0 : againMs }))
  return { isAllowed, standings, fallback: isAllowed ? 'open' : 'closed', atMs }
}
