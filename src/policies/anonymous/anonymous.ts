// The policy `anonymous`: lets everybody in as nobody, so that policies which need a principal have one.

import { refuseForbidden } from '../../identity/refuse.ts'
import type { Call } from '../../core/call.ts'
import type { Consumer } from '../../core/consumers.ts'
import { definePolicy } from '../../core/policy.ts'
import { principal, type Principal } from '../../core/principal.ts'
import type { Reply } from '../../core/reply.ts'
import { Fields, Maybe, Shorthand, Type } from '../../core/schema.ts'
import { compileForwardFields, forwardOption, ownedFields } from '../../identity/forward-fields.ts'

export const anonymous = definePolicy({
  name: 'anonymous',
  summary: 'Lets everybody in, as nobody or as one consumer.',
  gives: [principal],
  owns: ownedFields,
  options: Shorthand(
    'consumer',
    Fields({
      consumer: Maybe(
        Type.String({
          minLength: 1,
          description: 'Name or id of the consumer that these calls count as; none by default.',
        }),
      ),
      forward: forwardOption,
    }),
  ),
  check({ forward }) {
    compileForwardFields(forward)
  },
  build({ consumer: name, forward }, { identities }) {
    const fields = compileForwardFields(forward)
    let known = principalOf(null)
    return next => {
      function enter(call: Call, consumer: Consumer | null): Promise<Reply> {
        if (name !== null && consumer === null) {
          return Promise.resolve(refuseForbidden(call, `anonymous: there is no consumer ${name}`))
        }
        if (known.consumer !== consumer) known = principalOf(consumer)
        call.facts.set(principal, known)
        fields.write(call, known)
        return next(call)
      }
      return function anonymous(call) {
        const consumer = name === null ? null : identities.consumer(name)
        return consumer instanceof Promise ? consumer.then(found => enter(call, found)) : enter(call, consumer)
      }
    }
  },
})

function principalOf(consumer: Consumer | null): Principal {
  const id = consumer?.id ?? 'anonymous'
  return { method: 'anonymous', id, consumer, application: null, credential: '', scopes: [], claims: {} }
}
