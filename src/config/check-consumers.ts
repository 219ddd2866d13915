// What a schema cannot say about consumers: names and credentials that stand there twice, plans that do not exist.

import type { Found } from './found.ts'
import { headSpan, partOf, partsOf, textOf } from './found-read.ts'
import type { Finding } from './problem.ts'
import { suggest } from './suggest.ts'

/** `blueprint` may be broken in parts. */
export function checkConsumers(blueprint: Found, findings: Finding[]): void {
  const plans = [...(partOf(blueprint, 'plans')?.children?.keys() ?? [])].map(String)
  const names = new Set<string>()
  const lookups = new Set<string>()
  const refuse = (at: Found, message: string, hint: string) => findings.push({ message, hint, span: headSpan(at) })
  for (const consumer of partsOf(partOf(blueprint, 'consumers'))) {
    const name = partOf(consumer, 'name')
    const text = textOf(name)
    if (name !== null && text !== null) {
      if (names.has(text)) refuse(name, `two consumers are named \`${text}\``, 'Give one of them another `name`.')
      names.add(text)
    }
    const plan = partOf(consumer, 'plan')
    const planName = textOf(plan) ?? ''
    if (plan !== null && planName !== '' && !plans.includes(planName)) {
      const hint =
        plans.length === 0
          ? `Define it: \`plans: { ${planName}: { limits: {} } }\`.`
          : suggest(planName, plans, 'Known plans')
      refuse(plan, `there is no plan \`${planName}\``, hint)
    }
    for (const credential of partsOf(partOf(consumer, 'credentials'))) {
      checkSignature(credential, refuse)
      const lookup = lookupOf(credential)
      if (lookup === null) continue
      if (lookups.has(lookup))
        refuse(credential, 'this credential stands in the config twice', 'Remove one of the two.')
      lookups.add(lookup)
    }
  }
}

function checkSignature(credential: Found, refuse: (at: Found, message: string, hint: string) => void): void {
  const part = partOf(credential, 'with')
  if (partOf(credential, 'kind')?.value !== 'signature' || part === null || part.isBroken) return
  const given = ['secret', 'publicKey'].filter(key => partOf(part, key)?.value !== null)
  if (given.length === 1) return
  const message =
    given.length === 0
      ? '`signature` has neither `secret` nor `publicKey`'
      : '`signature` has both `secret` and `publicKey`'
  refuse(part, message, 'Give exactly one of them: a `secret` for `hmac-sha256`, a `publicKey` for the others.')
}

/** What it is found by, with its kind. */
function lookupOf(credential: Found): string | null {
  const part = partOf(credential, 'with')
  const lookup = textOf(part) ?? textOf(partOf(part, 'user')) ?? textOf(partOf(part, 'keyId'))
  return lookup === null ? null : `${String(partOf(credential, 'kind')?.value)}:${lookup}`
}
