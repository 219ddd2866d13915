// What the admin API manages consumers with; implemented by whoever owns the store.

import type { ConsumerStore } from '../core/consumers.ts'

export interface Management {
  readonly store: ConsumerStore
  /** Milliseconds since the Unix epoch. */
  readonly wall: () => number
  /** A new key: its text is shown once, the rest is kept. */
  makeKey(): { readonly text: string; readonly lookup: string; readonly hint: string }
  hashPassword(text: string): Promise<string>
  /** The text of a public key in PEM; null where it is none. */
  publicKey(pem: string): string | null
}
