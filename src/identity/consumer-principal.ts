// The principal of a credential that the store of consumers knows.

import type { Identity } from '../core/consumers.ts'
import type { Principal } from '../core/principal.ts'

const noClaims: Principal['claims'] = {}

/** `method` is the name of the policy that proved it. */
export function principalOf(method: string, { consumer, application, credential }: Identity): Principal {
  return {
    method,
    id: consumer.id,
    consumer,
    application,
    credential: credential.id,
    scopes: credential.scopes,
    claims: noClaims,
  }
}
