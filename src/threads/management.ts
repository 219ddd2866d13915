// What the admin API manages consumers with, in a running gateway.

import { randomFillSync } from 'node:crypto'
import type { Management } from '../control/management.ts'
import type { ConsumerStore } from '../core/consumers.ts'
import { createKeyText, digestOf, hintOf } from '../identity/key.ts'
import { hashPassword } from '../identity/password.ts'
import { algorithmOf, KeyRefused, registerPublicKey } from '../identity/signing-key.ts'

export function createManagement(store: ConsumerStore): Management {
  return {
    store,
    wall: Date.now,
    makeKey() {
      const text = createKeyText(randomFillSync)
      return { text, lookup: digestOf(text), hint: hintOf(text) }
    },
    hashPassword,
    publicKey(pem, algorithm) {
      try {
        const verifier = registerPublicKey(pem, algorithm)
        return { verifier, hint: algorithmOf(verifier) }
      } catch (error) {
        if (error instanceof KeyRefused) return { refusal: error.message, mend: error.hint }
        throw error
      }
    },
  }
}
