// The policy `hmac`: HTTP message signatures (RFC 9421) over the call, and over its body by a digest (RFC 9530).

import type { Call } from '../../core/call.ts'
import { definePolicy } from '../../core/policy.ts'
import { principal } from '../../core/principal.ts'
import { refuseForNow } from '../../core/refuse-for-now.ts'
import { Reply } from '../../core/reply.ts'
import { principalOf } from '../../identity/consumer-principal.ts'
import { compileForwardFields, ownedFields } from '../../identity/forward-fields.ts'
import { challengeOf, refuseUnauthenticated } from '../../identity/refuse.ts'
import { writeString } from '../../identity/structured-fields.ts'
import { checkHmac, compileCover, type HmacOptions, hmacOptions } from './options.ts'
import { createVerifier } from './verifier.ts'

export const hmac = definePolicy({
  name: 'hmac',
  summary: 'Lets calls pass that are signed: HTTP message signatures (RFC 9421), with a digest of the body.',
  options: hmacOptions,
  gives: [principal],
  credentialFor: () => 'signature',
  owns: ownedFields,
  check: checkHmac,
  counts: ({ replay, store }) => ({ store: replay === 'none' ? null : store, isDurable: false }),
  build(given, ports, place) {
    const verify = createVerifier(given, ports, place)
    const refuse = createRefusal(given)
    const fields = compileForwardFields(given.forward)
    return next =>
      async function hmac(call) {
        const verdict = await verify(call)
        if ('reason' in verdict) {
          return verdict.isUnavailable ? refuseUnjudged(call, verdict.reason) : refuse(call, verdict.reason)
        }
        if (!given.scopes.every(scope => verdict.credential.scopes.includes(scope))) {
          call.refusal = 'the key lacks a scope'
          return Reply.problem('insufficient-scope')
        }
        const proven = principalOf('hmac', verdict)
        call.facts.set(principal, proven)
        ports.identities.used(verdict)
        fields.write(call, proven)
        return next(call)
      }
  },
})

function refuseUnjudged(call: Call, reason: string): Reply {
  call.refusal = reason
  return refuseForNow('authentication-unavailable')
}

/** 401 for whatever is wrong, always with the same fields; what is to be signed (RFC 9421 §5) depends on the call alone. */
function createRefusal(given: HmacOptions): (call: Call, reason: string) => Reply {
  const challenge = challengeOf('Signature', { realm: given.realm })
  const identifiers = compileCover(given).map(({ identifier }) => identifier)
  const digest = '"content-digest"'
  const parameters = given.tag === null ? ';created' : `;created;tag=${writeString(given.tag)}`
  const wanted = (components: readonly string[]) => `sig=(${components.join(' ')})${parameters}`
  const plain = wanted(identifiers)
  const withBody = identifiers.includes(digest) ? plain : wanted([...identifiers, digest])
  return (call, reason) => {
    const reply = refuseUnauthenticated(call, challenge, reason)
    if (given.acceptSignature) reply.headers.add('accept-signature', call.body.isEmpty ? plain : withBody)
    return reply
  }
}
