// What the admin API manages consumers with, in a running gateway.

import { createPublicKey, randomFillSync } from 'node:crypto'
import type { Management } from '../control/management.ts'
import type { ConsumerStore } from '../core/consumers.ts'
import { createKeyText, digestOf, hintOf } from '../identity/key.ts'
import { hashPassword } from '../identity/password.ts'

export function createManagement(store: ConsumerStore): Management {
  return {
    store,
    wall: Date.now,
    makeKey() {
      const text = createKeyText(randomFillSync)
      return { text, lookup: digestOf(text), hint: hintOf(text) }
    },
    hashPassword,
    publicKey(pem) {
      try {
        return createPublicKey(pem).export({ type: 'spki', format: 'pem' })
      } catch {
        return null
      }
    },
  }
}
