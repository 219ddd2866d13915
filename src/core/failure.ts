// What is thrown when a call breaks. Only `Reply.ofFailure` makes a Reply of it.

import { codes, type FailureCode, type FailureSource } from './codes.ts'

/** `yes`: the upstream provably never saw the call. `if-idempotent`: it may have, but nothing of a reply came. */
export type Retryable = 'no' | 'if-idempotent' | 'yes'

export interface FailureOptions {
  /** What happened, for the log; never shown to the caller. */
  readonly detail?: string
  readonly cause?: unknown
  /** Whether the same call may be sent again; `no` where it is not said. */
  readonly retryable?: Retryable
  /** A more precise text for the caller than the code's own; must reveal nothing of the inside. */
  readonly publicText?: string
}

/** A breakage of a call. Denials are ordinary replies; this is for what went wrong. */
export class Failure extends Error {
  readonly code: FailureCode
  readonly status: number
  readonly source: FailureSource
  readonly retryable: Retryable
  readonly publicText: string

  constructor(code: FailureCode, options: FailureOptions = {}) {
    const entry = codes[code]
    super(options.detail ?? entry.text, { cause: options.cause })
    this.name = 'Failure'
    this.code = code
    this.status = entry.status
    this.source = entry.source
    this.retryable = options.retryable ?? 'no'
    this.publicText = options.publicText ?? entry.text
  }

  /** The failure itself, or `internal` around anything else that was thrown. */
  static from(thrown: unknown): Failure {
    if (thrown instanceof Failure) return thrown
    const detail = thrown instanceof Error ? thrown.message : String(thrown)
    return new Failure('internal', { detail, cause: thrown })
  }
}
