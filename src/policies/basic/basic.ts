// The policy `basic`: user name and password (RFC 7617).

import type { Call } from '../../core/call.ts'
import type { Identity } from '../../core/consumers.ts'
import { definePolicy } from '../../core/policy.ts'
import { principal } from '../../core/principal.ts'
import { refuseForNow } from '../../core/refuse-for-now.ts'
import type { Reply } from '../../core/reply.ts'
import { Duration, Fields, Type } from '../../core/schema.ts'
import { principalOf } from '../../identity/consumer-principal.ts'
import { compileForwardFields, forwardOption, ownedFields } from '../../identity/forward-fields.ts'
import { challengeOf, refuseGuess, refuseUnauthenticated } from '../../identity/refuse.ts'
import { createPasswordChecks, type Verdict } from './checks.ts'
import { readBasic, type UserPassword } from './credentials.ts'

const options = Fields({
  realm: Type.String({
    default: 'api',
    pattern: '^[ -~]*$',
    description: 'What the browser shows when it asks for the password.',
  }),
  keep: Type.Boolean({ default: false, description: 'Whether the upstream gets to see the password.' }),
  remember: Duration({
    default: '5m',
    description: 'How long a password that was right is not checked again. Of revoked users nothing is remembered.',
  }),
  remembered: Type.Integer({
    default: 10_000,
    minimum: 1,
    maximum: 1_000_000,
    description: 'How many right passwords each worker remembers.',
  }),
  checks: Type.Integer({
    default: 2,
    minimum: 1,
    maximum: 64,
    description: 'How many passwords each worker checks at once.',
  }),
  waiting: Type.Integer({
    default: 16,
    minimum: 0,
    maximum: 10_000,
    description: 'How many calls may wait for such a check in each worker; more are answered 503 at once.',
  }),
  forward: forwardOption,
})

export const basic = definePolicy({
  name: 'basic',
  summary: 'Lets calls pass that present a user name and its password.',
  options,
  gives: [principal],
  credentialFor: () => 'basic',
  owns: ownedFields,
  check: ({ forward }) => void compileForwardFields(forward),
  build({ realm, keep, remember, remembered, checks: atOnce, waiting, forward }, ports) {
    const { identities } = ports
    const limits = { atOnce, waiting, rememberedMax: remembered, rememberMs: remember }
    const checks = ports.keep(`basic ${JSON.stringify(limits)}`, () => createPasswordChecks(limits, ports.clock))
    const full = ports.meter.counter('turnpike_ceiling_hits', { ceiling: 'password-checks', name: 'all' })
    const challenge = challengeOf('Basic', { realm, charset: 'UTF-8' })
    const fields = compileForwardFields(forward)
    return next => {
      const judge = (call: Call, user: string, identity: Identity | null, verdict: Verdict): Promise<Reply> => {
        if (verdict === 'busy') {
          full.add(1)
          return Promise.resolve(refuseBusy(call))
        }
        if (identity === null || verdict === 'wrong') {
          const reason = identity === null ? `the user is ${identities.why('basic', user)}` : 'the password is wrong'
          return Promise.resolve(refuseGuess(call, challenge, reason))
        }
        const proven = principalOf('basic', identity)
        call.facts.set(principal, proven)
        identities.used(identity)
        if (!keep) call.headers.delete('authorization')
        fields.write(call, proven)
        return next(call)
      }
      const verify = (call: Call, { user, password }: UserPassword, identity: Identity | null): Promise<Reply> => {
        const verdict = checks.check(user, password, identity?.credential.verifier ?? null)
        return verdict instanceof Promise
          ? verdict.then(late => judge(call, user, identity, late))
          : judge(call, user, identity, verdict)
      }
      return function basic(call) {
        const given = call.headers.all('authorization')
        const pair = given.length === 1 ? readBasic(given[0] ?? '') : null
        if (pair === null) {
          const reason = given.length === 0 ? 'no password' : 'not one pair of user name and password'
          return Promise.resolve(refuseUnauthenticated(call, challenge, reason))
        }
        const found = identities.find('basic', pair.user)
        if (found instanceof Promise) return found.then(identity => verify(call, pair, identity))
        return verify(call, pair, found)
      }
    }
  },
})

function refuseBusy(call: Call): Reply {
  call.refusal = 'too many passwords are being checked'
  return refuseForNow('authentication-unavailable')
}
