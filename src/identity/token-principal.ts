// From the claims of a token to a principal, with the consumer that they name.

import type { Identities, Soon } from '../core/consumers.ts'
import type { Principal } from '../core/principal.ts'
import { Maybe, Type } from '../core/schema.ts'
import { scopesOf } from './bearer.ts'
import { compilePrincipalField } from './principal-field.ts'

export const consumerOption = Maybe(
  Type.String({
    description:
      'The claim that holds the name or id of a consumer, such as `claims.azp`; tokens that lead to none are refused.',
  }),
)

/** Without its consumer. */
export function principalOf(
  method: string,
  issuer: string,
  subject: string,
  claims: Readonly<Record<string, unknown>>,
): Principal {
  const scopes = scopesOf(claims)
  const id = `${issuer}|${subject}`
  return { method, id, consumer: null, application: null, credential: '', scopes, claims }
}

/** The principal with its consumer as it is now; null where there is none. Unchanged where no claim is to name one. */
export function compileConsumer(
  option: string | null,
  identities: Pick<Identities, 'consumer'>,
): ((principal: Principal) => Soon<Principal | null>) | null {
  if (option === null) return null
  const read = compilePrincipalField(option, ['consumer'])
  return principal => {
    const name = read(principal)
    if (name === undefined || name === '') return null
    const found = identities.consumer(name)
    const join = (consumer: Principal['consumer']) =>
      consumer === null ? null : { ...principal, consumer, id: consumer.id }
    return found instanceof Promise ? found.then(join) : join(found)
  }
}
