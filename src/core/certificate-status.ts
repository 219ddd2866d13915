// How it stands with a certificate that the gateway gets by itself.

export interface CertificateStatus {
  readonly name: string
  /** `waiting`: there is none yet and nothing failed. `failing`: the last attempt failed, whether or not there is one. */
  readonly state: 'waiting' | 'issued' | 'failing'
  /** ISO 8601; null while there is none. */
  readonly notAfter: string | null
  /** When it is next asked for, ISO 8601. */
  readonly nextAttempt: string
  /** In a row. */
  readonly failures: number
  /** Why the last attempt failed, empty where it did not. */
  readonly lastError: string
}
