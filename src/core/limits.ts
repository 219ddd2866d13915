// How much may be called: the rules of a limit, and the port of whatever counts by them.

import type { Soon } from './consumers.ts'

/** One rule of a limit, resolved: so much per window. */
export interface LimitRule {
  /**
   * `gcra`: the generic cell rate algorithm (ITU-T I.371), an even rate with a burst. `sliding-window`: a count over the last
   * window, kept in a few buckets and never too low. `period`: a count from one point of the calendar to the next.
   */
  readonly algorithm: 'gcra' | 'sliding-window' | 'period'
  /** Calls, or units of cost, that one window admits. */
  readonly limit: number
  /** Milliseconds. Of a `period` from its start to its end. */
  readonly windowMs: number
  /** Of `gcra`: how many may come at once; at least 1. */
  readonly burst: number
  /** Of `period`: when the period began, milliseconds since the Unix epoch. */
  readonly startMs: number
}

/** What decides while a store fails: calls pass, are refused, or are counted by an even share of the limit. */
export type LimitFallback = 'open' | 'closed' | 'local-share'

/** How one rule stands after a call. */
export interface LimitStanding {
  /** Units left now. */
  readonly remaining: number
  /** Milliseconds until all of it is there again. */
  readonly resetMs: number
  /** Of a rule that refused: milliseconds until a call of this cost could pass; 0 for one that did not. Infinity for never. */
  readonly retryMs: number
}

export interface LimitOutcome {
  readonly isAllowed: boolean
  /** In the order of the rules. */
  readonly standings: readonly LimitStanding[]
  /** Set where the store failed and something else decided. */
  readonly fallback: LimitFallback | null
  /** When it was decided, by the clock of the store, milliseconds. Only to be handed to `correct`. */
  readonly atMs: number
}

/** The most rules that one key can have. */
export const limitRulesMax = 4

/** Counts. The same key is the same count for all who share the store. */
export interface LimitStore {
  /**
   * Takes `cost`, a whole number, from every rule of the key, or from none: a refused call costs nothing. Never admits more than
   * a rule says. A cost of 0 takes nothing, and is refused where less than one unit is left.
   */
  take(key: string, rules: readonly LimitRule[], cost: number): Soon<LimitOutcome>
  /**
   * Corrects what was taken once the reply is known: a positive amount takes more (past the limit if need be, so that the next
   * calls pay), a negative gives back, as far as that lets nobody have more than the rules say. `atMs` is that of the outcome
   * by which it was taken.
   */
  correct(key: string, rules: readonly LimitRule[], amount: number, atMs: number): void
}

/** Which store counts, and how a limit wants it to. */
export interface LimitStoreOptions {
  /**
   * Whose counts these are, such as the key of the policy's place. The same key in another scope is another count. Held here and
   * not put before each key, so that a call need not join texts.
   */
  readonly scope: string
  /** A name of the config's `stores`; null for the memory that the threads of this gateway share. */
  readonly store: string | null
  /** `exact`: the store is asked on each call. `leased`: permits are taken in blocks, and no call waits for the store. */
  readonly mode: 'exact' | 'leased'
  /** What happens while the store fails. */
  readonly onFailure: LimitFallback
  /** How many keys are counted at once in the memory of this gateway. */
  readonly callers: number
  /** Whether counts must survive a restart and a crash; without a `store` they are then kept on disk. */
  readonly isDurable: boolean
  /**
   * For counts of what goes wrong, in the memory of this gateway: where there is no room for one more key, that which would be
   * worth nothing first is forgotten for it, so that no flood of keys keeps others from being counted. Else, and where it is
   * left out, `onFailure` decides: what was counted stays.
   */
  readonly makesRoom?: boolean
  /** For metrics and logs. */
  readonly name: string
}
