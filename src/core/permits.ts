// How many calls may be under way at once, where several gateways count together.

import type { Soon } from './consumers.ts'
import type { LimitFallback } from './limits.ts'

export interface PermitOutcome {
  readonly isAllowed: boolean
  /** Set where the store failed and something else decided. */
  readonly fallback: LimitFallback | null
  /** Gives the permit back. To be called once; of a refusal it does nothing. */
  give(): void
}

export interface PermitStore {
  /**
   * Takes a permit where fewer than `limit` are taken of the key, over all gateways that share the store. Never rejects: where the
   * store does not answer in time, its `onFailure` decides.
   */
  take(key: string, limit: number): Soon<PermitOutcome>
}

/** Which store counts, and how. */
export interface PermitStoreOptions {
  /** Whose counts these are; the same key in another scope is another count. */
  readonly scope: string
  /** A name of the config's `stores`. */
  readonly store: string
  /** `exact`: each call asks the store. `leased`: a worker keeps permits that came free for its next calls. */
  readonly mode: 'exact' | 'leased'
  /** What happens while the store fails. */
  readonly onFailure: LimitFallback
  /** For metrics and logs. */
  readonly name: string
}
