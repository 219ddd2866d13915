// The policy `api-key`: whoever presents a valid key is the consumer that it belongs to.

import type { Call } from '../../core/call.ts'
import type { Identity } from '../../core/consumers.ts'
import { definePolicy, OptionsError } from '../../core/policy.ts'
import { principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { Fields, OneOrMany, type Static, Type } from '../../core/schema.ts'
import { compileForwardFields, forwardOption, ownedFields } from '../../identity/forward-fields.ts'
import { principalOf } from '../../identity/consumer-principal.ts'
import { createKeyReader, isJwtText, keyPlaceOptions } from '../../identity/key-reader.ts'
import { challengeOf, refuseGuess, refuseUnauthenticated } from '../../identity/refuse.ts'

const options = Fields({
  ...keyPlaceOptions,
  keep: Type.Boolean({ default: false, description: 'Whether the upstream gets to see the key.' }),
  realm: Type.String({
    default: 'api',
    pattern: '^[ -~]*$',
    description: 'What `WWW-Authenticate` calls the protected space.',
  }),
  scopes: OneOrMany(Type.String(), { default: [], description: 'Scopes that the key must have, all of them.' }),
  forward: forwardOption,
})

export const apiKey = definePolicy({
  name: 'api-key',
  summary: 'Lets calls pass that present a valid API key.',
  options,
  gives: [principal],
  credentialFor: () => 'key',
  owns: ownedFields,
  check,
  secrets: ({ query }) => ({ query }),
  build({ header, query, cookie, keep, realm, scopes, forward }, { identities }) {
    const reader = createKeyReader({ header, query, cookie })
    const challenge = challengeOf('ApiKey', { realm })
    const fields = compileForwardFields(forward)
    return next => {
      const proceed = (call: Call, text: string, identity: Identity | null): Promise<Reply> => {
        if (identity === null) {
          // What stands in `Authorization` for another policy is no guess: `any-of` may let the call pass by it.
          const refuse = text === '' || isJwtText(text) ? refuseUnauthenticated : refuseGuess
          return Promise.resolve(refuse(call, challenge, `the key is ${identities.why('key', text)}`))
        }
        if (!scopes.every(scope => identity.credential.scopes.includes(scope))) {
          call.refusal = 'the key lacks a scope'
          return Promise.resolve(Reply.problem('insufficient-scope'))
        }
        const proven = principalOf('api-key', identity)
        call.facts.set(principal, proven)
        identities.used(identity)
        if (!keep) reader.remove(call)
        fields.write(call, proven)
        return next(call)
      }
      return function apiKey(call) {
        const { count, text } = reader.read(call)
        if (count !== 1) {
          const reason = count === 0 ? 'no key' : 'more than one key'
          return Promise.resolve(refuseUnauthenticated(call, challenge, reason))
        }
        const found = identities.key(text)
        if (found instanceof Promise) return found.then(identity => proceed(call, text, identity))
        return proceed(call, text, found)
      }
    }
  },
})

function check({ header, query, cookie, forward }: Static<typeof options>): void {
  if (header.length + query.length + cookie.length === 0) {
    throw new OptionsError('no place is named that a key may come from', [], 'Write `header`, `query` or `cookie`.')
  }
  compileForwardFields(forward)
}
