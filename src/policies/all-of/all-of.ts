// The policy `all-of`: authentication by several policies, each of which must succeed.

import { defineFact } from '../../core/facts.ts'
import { definePolicy } from '../../core/policy.ts'
import { principal, type Principal } from '../../core/principal.ts'
import { Fields, Policies, Shorthand } from '../../core/schema.ts'
import type { Step } from '../../core/step.ts'
import { refuseForbidden } from '../../identity/refuse.ts'

export const allOf = definePolicy({
  name: 'all-of',
  summary: 'Lets calls pass that each of several authentication policies lets pass.',
  gives: [principal],
  options: Shorthand(
    'policies',
    Fields({
      policies: Policies({
        giving: 'principal',
        minItems: 2,
        description:
          'Asked in this order. The first says who calls; where others name a consumer, it must be the same.',
      }),
    }),
  ),
  build({ policies }, ports, place) {
    const layers = policies.map((part, index) => ports.policy(part, index, place))
    const proven = defineFact<Principal[]>(`all-of ${place.key}`)
    return next => {
      const finish: Step = call => {
        const united = unite(call.facts.get(proven) ?? [])
        if (united === null) {
          return Promise.resolve(refuseForbidden(call, 'all-of: the credentials are of different consumers'))
        }
        call.facts.set(principal, united)
        return next(call)
      }
      const step = layers.reduceRight<Step>(
        (inner, layer) =>
          layer(call => {
            const one = call.facts.get(principal)
            if (one === undefined) throw new Error('a policy of all-of let a call pass without a principal')
            call.facts.get(proven)?.push(one)
            return inner(call)
          }),
        finish,
      )
      return function allOf(call) {
        call.facts.set(proven, [])
        return step(call)
      }
    }
  },
})

/**
 * The first, with a consumer where it has none but another has, and with the claims of the others below the names of their
 * methods. Null where they name different consumers.
 */
function unite(principals: readonly Principal[]): Principal | null {
  const [first, ...others] = principals
  if (first === undefined) return null
  let { consumer, application } = first
  const claims: Record<string, unknown> = { ...first.claims }
  for (const other of others) {
    if (other.consumer !== null && consumer !== null && other.consumer.id !== consumer.id) return null
    if (consumer === null) application = other.application
    consumer ??= other.consumer
    // No claim of the first can pass for one of the others.
    claims[other.method] = other.claims
  }
  return { ...first, id: consumer?.id ?? first.id, consumer, application, claims }
}
