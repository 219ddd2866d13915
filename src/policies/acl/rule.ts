// One rule of an access list as a chain of cheap checks.

import type { Principal } from '../../core/principal.ts'
import { Fields, Named, OneOrMany, type Static, Type } from '../../core/schema.ts'

const words = (description: string) => OneOrMany(Type.String({ minLength: 1 }), { default: [], description })

export const ruleOptions = Fields({
  consumers: words('Names or ids of consumers.'),
  groups: words('Groups of consumers; one of them is enough.'),
  labels: Named(Type.String(), { default: {}, description: 'Labels of the consumer, each with this value.' }),
  plans: words('What the consumer buys.'),
  applications: words('Applications by id, or as `CONSUMER/NAME`.'),
  scopes: words('Scopes of the credential or token; one of them is enough.'),
  allScopes: words('Scopes of the credential or token; each of them is needed.'),
  methods: words('The policies that proved who calls, such as `jwt`.'),
})

export type Rule = Static<typeof ruleOptions>

type Check = (principal: Principal) => boolean

export interface CompiledRule {
  readonly fits: Check
  /** Whether it would fit if the scopes did, which they do not. False for a rule without scopes. */
  readonly fitsButScopes: Check
  /** The scopes that the rule speaks of. */
  readonly scopes: readonly string[]
}

/** Null for a rule that says nothing. */
export function compileRule(rule: Rule): CompiledRule | null {
  const who = whoChecks(rule)
  const scopes = scopeChecks(rule)
  if (who.length + scopes.length === 0) return null
  const fitsWho = every(who)
  return {
    fits: every([...who, ...scopes]),
    fitsButScopes: scopes.length === 0 ? () => false : fitsWho,
    scopes: [...new Set([...rule.scopes, ...rule.allScopes])],
  }
}

function whoChecks({ consumers, groups, labels, plans, applications, methods }: Rule): Check[] {
  const checks: Check[] = []
  if (methods.length > 0) {
    const isIn = memberOf(methods)
    checks.push(({ method }) => isIn(method))
  }
  if (consumers.length > 0) {
    const isIn = memberOf(consumers)
    checks.push(({ consumer }) => consumer !== null && (isIn(consumer.name) || isIn(consumer.id)))
  }
  if (groups.length > 0) {
    const isIn = memberOf(groups)
    checks.push(({ consumer }) => consumer !== null && consumer.groups.some(isIn))
  }
  for (const [name, value] of Object.entries(labels)) {
    checks.push(
      ({ consumer }) => consumer !== null && Object.hasOwn(consumer.labels, name) && consumer.labels[name] === value,
    )
  }
  if (plans.length > 0) {
    const isIn = memberOf(plans)
    checks.push(({ consumer }) => consumer !== null && isIn(consumer.plan))
  }
  if (applications.length > 0) checks.push(applicationCheck(applications))
  return checks
}

/** A name alone would not do: two consumers may have applications of the same name. */
function applicationCheck(applications: readonly string[]): Check {
  const isId = memberOf(applications.filter(text => !text.includes('/')))
  const named = applications.flatMap(text => {
    const slash = text.indexOf('/')
    return slash < 0 ? [] : [{ owner: text.slice(0, slash), name: text.slice(slash + 1) }]
  })
  return ({ application, consumer }) =>
    application !== null &&
    (isId(application.id) ||
      named.some(
        ({ owner, name }) => application.name === name && (consumer?.name === owner || consumer?.id === owner),
      ))
}

function scopeChecks({ scopes, allScopes }: Rule): Check[] {
  const checks: Check[] = []
  if (scopes.length > 0) {
    const isIn = memberOf(scopes)
    checks.push(principal => principal.scopes.some(isIn))
  }
  for (const scope of new Set(allScopes)) checks.push(principal => principal.scopes.includes(scope))
  return checks
}

/** A short list is read faster than a set is asked. */
function memberOf(words: readonly string[]): (word: string) => boolean {
  if (words.length <= 8) return word => words.includes(word)
  const set = new Set(words)
  return word => set.has(word)
}

function every(checks: readonly Check[]): Check {
  const [first, ...others] = checks
  if (first === undefined) return () => true
  if (others.length === 0) return first
  return principal => checks.every(check => check(principal))
}
