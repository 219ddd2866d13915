// What a schema cannot say about the policies and the end of a route: options that cannot work, facts out of order.

import type { CredentialKind } from '../core/consumers.ts'
import type { Fact } from '../core/facts.ts'
import { OptionsError, type PolicyDefinition } from '../core/policy.ts'
import { principal } from '../core/principal.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import type { Found } from './found.ts'
import { headSpan, partAt, partOf, partsOf } from './found-read.ts'
import type { Language } from './language.ts'
import type { Finding } from './problem.ts'
import { listOf, suggest } from './suggest.ts'

/** The text of a file that options name, by its path in the resolved options. */
export type FileText = (path: string) => string

/** Asks the definition of a policy whether its options can work. */
export function checkPolicy(use: Found, language: Language, file: FileText, findings: Finding[]): void {
  const definition = language.policies.find(({ name }) => name === partOf(use, 'policy')?.value)
  const options = partOf(use, 'options')
  for (const inner of options === null ? [] : innerUses(options)) checkPolicy(inner, language, file, findings)
  if (definition?.check === undefined || options === null || options.isBroken) return
  asked(options, findings, () => definition.check?.(options.value, file))
}

/** Reports a limit that must survive a restart where the config names no folder to keep it in. */
export function checkCounts(use: Found, language: Language, hasData: boolean, findings: Finding[]): void {
  const definition = language.policies.find(({ name }) => name === partOf(use, 'policy')?.value)
  const options = partOf(use, 'options')
  if (hasData || definition?.counts === undefined || options === null || options.isBroken) return
  const { store, isDurable } = definition.counts(options.value)
  if (store !== null || !isDurable) return
  findings.push({
    message: `\`${definition.name}\` survives a restart, but there is no folder to keep its counts in`,
    hint: 'Name one at the top of the config, such as `data: ./data`, or write `durable: false`.',
    span: partOf(use, 'policy')?.span ?? headSpan(options),
  })
}

/** Reports a policy that looks at lists which the config names no folder for. */
export function checkData(use: Found, language: Language, hasData: boolean, findings: Finding[]): void {
  const definition = language.policies.find(({ name }) => name === partOf(use, 'policy')?.value)
  if (hasData || definition?.needsData !== true) return
  findings.push({
    message: `\`${definition.name}\` looks at lists that change at run time, but there is no folder to keep them in`,
    hint: 'Name one at the top of the config, such as `data: ./data`.',
    span: partOf(use, 'policy')?.span ?? headSpan(use),
  })
}

/** Reports a policy that looks at client certificates where no listener asks for any. */
export function checkClientCa(use: Found, language: Language, blueprint: Found, findings: Finding[]): void {
  const definition = language.policies.find(({ name }) => name === partOf(use, 'policy')?.value)
  for (const inner of innerUses(partOf(use, 'options') ?? use)) checkClientCa(inner, language, blueprint, findings)
  if (definition?.needsClientCa !== true) return
  const listeners = partsOf(partOf(blueprint, 'listeners'))
  if (listeners.some(listener => listener.isBroken || (partAt(listener, ['tls', 'clientCa']).value ?? null) !== null))
    return
  findings.push({
    message: `\`${definition.name}\` lets nobody pass, for no listener asks clients for a certificate`,
    hint: 'Write `clientCa` under `tls` of a listener, such as `clientCa: partners-ca.pem`.',
    span: partOf(use, 'policy')?.span ?? headSpan(use),
  })
}

/** Reports a policy whose callers need a credential that no consumer has and none can get. */
export function checkCredentials(use: Found, language: Language, around: CredentialPlaces, findings: Finding[]): void {
  const options = partOf(use, 'options')
  for (const inner of options === null ? [] : innerUses(options)) checkCredentials(inner, language, around, findings)
  const definition = language.policies.find(({ name }) => name === partOf(use, 'policy')?.value)
  if (around.hasData || definition?.credentialFor === undefined || options === null || options.isBroken) return
  const kind = definition.credentialFor(options.value)
  if (kind === null || partsOf(around.consumers).some(consumer => mayHave(consumer, kind))) return
  const [what, example] = credentialTexts[kind]
  findings.push({
    message: `\`${definition.name}\` lets nobody pass: no consumer of the config has ${what}, and none can be made without \`data\``,
    hint: `Write \`consumers: [{ name: acme, credentials: [{ ${example} }] }]\`, or name a folder for those made at run time, such as \`data: ./data\`.`,
    span: partOf(use, 'policy')?.span ?? headSpan(use),
  })
}

interface CredentialPlaces {
  readonly hasData: boolean
  /** Those of the config; null where there are none. */
  readonly consumers: Found | null
}

const credentialTexts: Readonly<Record<CredentialKind, readonly [what: string, example: string]>> = {
  key: ['a key', `key: "\${env:ACME_KEY}"`],
  basic: ['a user name with a password', `basic: { user: acme, password: "\${env:ACME_PASSWORD}" }`],
  signature: ['a key of signatures', 'signature: { keyId: acme, publicKey: acme.pem }'],
  certificate: ['a certificate', 'certificate: "dns:client.acme.test"'],
}

/** What is broken is reported elsewhere, and may be meant as one. */
function mayHave(consumer: Found, kind: CredentialKind): boolean {
  const credentials = partOf(consumer, 'credentials')
  if (consumer.isBroken || credentials?.isBroken === true) return true
  return partsOf(credentials).some(credential => partOf(credential, 'kind')?.value === kind)
}

/** The policies that stand inside the options of another one. */
function innerUses(found: Found): Found[] {
  return partsOf(found).flatMap(part =>
    part.children?.size === 2 && part.children.has('policy') && part.children.has('options') ? [part] : innerUses(part),
  )
}

/**
 * Asks the definition of an end whether its options can work, for upstreams that do not exist, and for facts that no policy
 * gives. `given` are the names of those that policies leave.
 */
export function checkEnd(
  end: Found,
  language: Language,
  upstreams: ReadonlyMap<string, Found>,
  given: ReadonlySet<string>,
  findings: Finding[],
): void {
  const definition = language.ends.find(({ name }) => name === partOf(end, 'end')?.value)
  const options = partOf(end, 'options')
  if (definition === undefined || options === null || options.isBroken) return
  const blueprintOf = (name: string) => {
    const found = upstreams.get(name)
    // The border: what is not broken was walked along the schema of upstreams.
    return found === undefined || found.isBroken ? undefined : (found.value as UpstreamBlueprint)
  }
  asked(options, findings, () => definition.check?.(options.value, blueprintOf))
  asked(options, findings, () => {
    for (const name of definition.upstreams?.(options.value) ?? []) {
      if (upstreams.has(name)) continue
      const hint =
        upstreams.size === 0
          ? `Define it: \`upstreams: { ${name}: { targets: ["http://…"] } }\`.`
          : suggest(name, [...upstreams.keys()], 'Known upstreams')
      const place = textWithin(options, name) ?? options
      findings.push({ message: `there is no upstream \`${name}\``, hint, span: place.span })
    }
  })
  for (const fact of definition.needsFor?.(options.value) ?? []) {
    if (given.has(fact.name)) continue
    const names = giversOf(fact, language)
    const message = `\`${definition.name}\` needs the fact \`${fact.name}\`, which no policy of the route gives`
    const hint = names.length > 0 ? `Add ${listOf(names, 'or')} to its policies.` : 'No policy gives it.'
    findings.push({ message, hint, span: headSpan(options) })
  }
}

/** Reports policies that need a fact which none before them gives. `given` grows by what they give. */
export function checkFacts(uses: readonly Found[], language: Language, given: Set<string>, findings: Finding[]): void {
  const definitions = new Map(language.policies.map(definition => [definition.name, definition]))
  uses.forEach((use, index) => {
    const part = partOf(use, 'policy')
    const definition = definitions.get(String(part?.value))
    if (part === null || definition === undefined) return
    for (const fact of needsOf(definition, partOf(use, 'options'))) {
      if (given.has(fact.name)) continue
      const names = giversOf(fact, language)
      const late = uses.slice(index + 1).find(({ value }) => names.includes(policyOf(value)))
      const hint =
        late !== undefined
          ? `\`${policyOf(late.value)}\` gives it: move it before \`${definition.name}\`.`
          : names.length > 0
            ? `Put ${listOf(names, 'or')} before it.`
            : 'No policy gives it.'
      const message = `\`${definition.name}\` needs the fact \`${fact.name}\`, which no policy before it gives`
      findings.push({ message, hint, span: part.span })
    }
    for (const fact of definition.gives ?? []) given.add(fact.name)
  })
}

function giversOf(fact: Fact<unknown>, language: Language): string[] {
  const givers = language.policies.filter(({ gives = [] }) => gives.some(({ name }) => name === fact.name))
  return givers.map(({ name }) => name)
}

function createLookup({ policies }: Language) {
  const definitions = new Map(policies.map(definition => [definition.name, definition]))
  return (use: Found) => definitions.get(policyOf(use.value))
}

/** Reports policies that decide who may pass, behind others that answer from memory. `outer` stand further out than `uses`. */
export function checkGates(
  outer: readonly Found[],
  uses: readonly Found[],
  language: Language,
  findings: Finding[],
): void {
  const definitionOf = createLookup(language)
  uses.forEach((use, index) => {
    if (!isGate(definitionOf(use))) return
    const early = [...outer, ...uses.slice(0, index)].find(other => definitionOf(other)?.isShortcut === true)
    if (early === undefined) return
    const [name, other] = [policyOf(use.value), policyOf(early.value)]
    findings.push({
      message: `\`${name}\` stands behind \`${other}\`, which answers calls that it never sees`,
      hint: `Put \`${other}\` behind \`${name}\`.`,
      span: partOf(use, 'policy')?.span ?? headSpan(use),
    })
  })
}

/**
 * Reports policies that watch those which prove who calls, but stand behind all of them. `outer` stand further out than `uses`, and
 * `inner` further in.
 */
export function checkWatches(
  outer: readonly Found[],
  uses: readonly Found[],
  inner: readonly Found[],
  language: Language,
  findings: Finding[],
): void {
  const definitionOf = createLookup(language)
  uses.forEach((use, index) => {
    if (definitionOf(use)?.isWatch !== true) return
    const early = [...outer, ...uses.slice(0, index)].find(other => givesPrincipal(definitionOf(other)))
    if (early === undefined) return
    if ([...uses.slice(index + 1), ...inner].some(other => givesPrincipal(definitionOf(other)))) return
    const [name, other] = [policyOf(use.value), policyOf(early.value)]
    findings.push({
      message: `\`${name}\` stands behind \`${other}\`, whose refusals it never sees`,
      hint: `Put \`${name}\` before \`${other}\`.`,
      span: partOf(use, 'policy')?.span ?? headSpan(use),
    })
  })
}

function givesPrincipal(definition: PolicyDefinition | undefined): boolean {
  return definition?.gives?.some(({ name }) => name === principal.name) === true
}

function isGate(definition: PolicyDefinition | undefined): boolean {
  return definition?.admits === true || givesPrincipal(definition)
}

function needsOf(definition: PolicyDefinition, options: Found | null): Fact<unknown>[] {
  const more = options === null || options.isBroken ? [] : needsFor(definition, options.value)
  return [...new Set([...(definition.needs ?? []), ...more])]
}

/** None for options that cannot work: `checkPolicy` has said what is wrong with them. */
function needsFor(definition: PolicyDefinition, options: unknown): readonly Fact<unknown>[] {
  try {
    return definition.needsFor?.(options) ?? []
  } catch (error) {
    if (error instanceof OptionsError) return []
    throw error
  }
}

/** Turns an `OptionsError` into a finding at its place inside the options. */
function asked(options: Found, findings: Finding[], question: () => void): void {
  try {
    question()
  } catch (error) {
    const place = error instanceof OptionsError ? partAt(options, error.path) : options
    const { message } = error instanceof Error ? error : { message: String(error) }
    findings.push({ message, hint: error instanceof OptionsError ? error.hint : '', span: headSpan(place) })
  }
}

function textWithin(found: Found, text: string): Found | null {
  if (found.value === text) return found
  for (const part of found.children?.values() ?? []) {
    const within = textWithin(part, text)
    if (within !== null) return within
  }
  return null
}

function policyOf(value: unknown): string {
  return typeof value === 'object' && value !== null && 'policy' in value ? String(value.policy) : ''
}
