// The policy `acl`: who of those that are known may call.

import { definePolicy, OptionsError } from '../../core/policy.ts'
import { principal } from '../../core/principal.ts'
import { Fields, OneOrMany } from '../../core/schema.ts'
import { challengeOf, refuseForbidden } from '../../identity/refuse.ts'
import { compileRule, ruleOptions } from './rule.ts'

export const acl = definePolicy({
  name: 'acl',
  summary: 'Allows and denies callers by consumer, group, label, plan, application, scope and method.',
  admits: true,
  needs: [principal],
  options: Fields({
    allow: OneOrMany(ruleOptions, {
      default: [],
      description:
        'Who may call: those that fit any of these rules; all where it is not written. All keys of a rule must fit.',
    }),
    deny: OneOrMany(ruleOptions, { default: [], description: 'Who may not, whatever `allow` says.' }),
  }),
  check({ allow, deny }) {
    if (allow.length === 0 && deny.length === 0) {
      throw new OptionsError('this `acl` allows and denies nobody', [], 'Write `allow`, `deny` or both.')
    }
    for (const [key, rules] of [
      ['allow', allow],
      ['deny', deny],
    ] as const) {
      const index = rules.findIndex(one => compileRule(one) === null)
      if (index < 0) continue
      throw new OptionsError(
        `a rule of \`${key}\` says nothing, so that it would fit everybody`,
        [key, index],
        'Name consumers, groups, labels, plans, applications, scopes or methods.',
      )
    }
  },
  build(options) {
    const allow = options.allow.flatMap(one => compileRule(one) ?? [])
    const deny = options.deny.flatMap(one => compileRule(one) ?? [])
    return next =>
      function acl(call) {
        const who = call.facts.get(principal)
        if (who === undefined) return Promise.resolve(refuseForbidden(call, 'acl: nothing proved who calls'))
        for (const { fits } of deny) {
          if (fits(who)) return Promise.resolve(refuseForbidden(call, 'acl: a rule of deny fits'))
        }
        if (allow.length === 0) return next(call)
        for (const { fits } of allow) if (fits(who)) return next(call)
        const lacking = allow.find(({ fitsButScopes }) => fitsButScopes(who))
        if (lacking === undefined) return Promise.resolve(refuseForbidden(call, 'acl: no rule of allow fits'))
        const reply = refuseForbidden(call, 'acl: a scope is missing')
        // RFC 6750 §3.1.
        const parameters = { error: 'insufficient_scope', scope: lacking.scopes.join(' ') }
        reply.headers.add('www-authenticate', challengeOf('Bearer', parameters))
        return Promise.resolve(reply)
      }
  },
})
