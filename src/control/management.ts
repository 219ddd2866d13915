// What the admin API manages consumers with; implemented by whoever owns the store.

import type { ConsumerStore } from '../core/consumers.ts'

export interface Management {
  readonly store: ConsumerStore
  /** Milliseconds since the Unix epoch. */
  readonly wall: () => number
  /** A new key: its text is shown once, the rest is kept. */
  makeKey(): { readonly text: string; readonly lookup: string; readonly hint: string }
  hashPassword(text: string): Promise<string>
  /**
   * What is kept of a public key of signatures, for this algorithm or, where it is null, for the one that fits; or why it
   * cannot be used, and how to mend that.
   */
  publicKey(
    pem: string,
    algorithm: string | null,
  ): { readonly verifier: string; readonly hint: string } | { readonly refusal: string; readonly mend: string }
}
