// How a target of an upstream stands, for those who look from outside.

export interface TargetStatus {
  /** Scheme, host and port as the config has them. */
  readonly target: string
  readonly address: string
  readonly state: 'usable' | 'unhealthy' | 'ejected'
  /** Of active checks; null where there are none. */
  readonly check: {
    readonly state: 'unknown' | 'healthy' | 'unhealthy'
    /** When the last one ended, ISO 8601; null before. */
    readonly at: string | null
    /** What was wrong; null where it passed. */
    readonly problem: string | null
  } | null
  /** Of ejection by calls; null where it is not ejected. */
  readonly ejection: { readonly reason: string; readonly endsInMs: number } | null
}
