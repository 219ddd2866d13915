// Who a call was proven to be. Every authentication policy leaves exactly this on the call.

import type { Application, Consumer } from './consumers.ts'
import { defineFact, type Fact } from './facts.ts'

export interface Principal {
  /** Name of the policy that proved it, such as `api-key` or `jwt`. */
  readonly method: string
  /**
   * Who it is, unique over all methods: the id of the consumer where one is known, else a name made of the issuer and the
   * subject. `anonymous` for nobody.
   */
  readonly id: string
  /** Null where the proof leads to no consumer that is known here. */
  readonly consumer: Consumer | null
  readonly application: Application | null
  /** Id of the credential that was presented; empty where the proof has none of ours, as a token of another issuer. */
  readonly credential: string
  /** What the credential or token may be used for. */
  readonly scopes: readonly string[]
  /** Claims of the token or facts of the certificate; empty where there are none. */
  readonly claims: Readonly<Record<string, unknown>>
}

export const principal: Fact<Principal> = defineFact<Principal>('principal')
