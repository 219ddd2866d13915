// What a schema cannot say about routes: names, matches, and the parameters that templates need.

import { isHttpName } from '../core/http-name.ts'
import { compilePattern } from '../core/pattern.ts'
import { compileTemplate } from '../core/template.ts'
import { listenerNames } from './check-listeners.ts'
import {
  checkClientCa,
  checkCounts,
  checkCredentials,
  checkData,
  checkEnd,
  checkFacts,
  checkGates,
  checkPolicy,
  checkWatches,
  type FileText,
} from './check-uses.ts'
import type { Found } from './found.ts'
import { partOf, partsOf, textOf } from './found-read.ts'
import type { Language } from './language.ts'
import type { Finding } from './problem.ts'
import { listOf, suggest } from './suggest.ts'

/** `config` is as the user arranged it, `blueprint` the same in its final arrangement; both may be broken in parts. */
export function checkRoutes(
  config: Found,
  blueprint: Found,
  language: Language,
  file: FileText,
  findings: Finding[],
): void {
  const globalPolicies = partsOf(partOf(config, 'policies'))
  const listeners = listenerNames(blueprint)
  const upstreams = new Map(
    [...(partOf(blueprint, 'upstreams')?.children ?? [])].map(([name, upstream]) => [String(name), upstream]),
  )
  const given = new Set<string>()
  checkFacts(globalPolicies, language, given, findings)
  checkGates([], globalPolicies, language, findings)
  const ownPolicies = partsOf(partOf(config, 'routes')).flatMap(route => partsOf(partOf(route, 'policies')))
  checkWatches([], globalPolicies, ownPolicies, language, findings)
  const around: Around = { hasData: (partOf(config, 'data')?.value ?? null) !== null, blueprint, language, file }
  const checkUse = (policy: Found) => {
    for (const match of partsOf(partOf(policy, 'when'))) checkMatch(match, listeners, findings)
    checkPart(policy, around, findings)
  }
  for (const policy of globalPolicies) checkUse(policy)
  checkNames(partOf(blueprint, 'routes'), findings)

  const globalTemplates = globalPolicies.flatMap(templatesOf)
  for (const route of partsOf(partOf(config, 'routes'))) {
    const policies = partsOf(partOf(route, 'policies'))
    const matches = partsOf(partOf(route, 'match'))
    for (const match of matches) checkMatch(match, listeners, findings)
    for (const policy of policies) checkUse(policy)
    const left = new Set(given)
    checkFacts(policies, language, left, findings)
    checkGates(globalPolicies, policies, language, findings)
    checkWatches(globalPolicies, policies, [], language, findings)
    checkEnd(route, language, upstreams, left, findings)
    const own = [...policies.flatMap(templatesOf), ...templatesOf(partOf(route, 'options'))]
    checkParams([...own, ...globalTemplates], matches, findings)
  }
}

interface Around {
  readonly hasData: boolean
  readonly blueprint: Found
  readonly language: Language
  readonly file: FileText
}

/** What a policy needs besides other policies: options that can work, and what stands at the top of the config. */
function checkPart(policy: Found, { hasData, blueprint, language, file }: Around, findings: Finding[]): void {
  checkPolicy(policy, language, file, findings)
  checkCounts(policy, language, hasData, findings)
  checkData(policy, language, hasData, findings)
  checkClientCa(policy, language, blueprint, findings)
  checkCredentials(policy, language, { hasData, consumers: partOf(blueprint, 'consumers') }, findings)
}

function checkNames(routes: Found | null, findings: Finding[]): void {
  const seen = new Set<unknown>()
  for (const route of partsOf(routes)) {
    const name = partOf(route, 'name')
    if (name === null || name.isBroken) continue
    if (seen.has(name.value)) {
      const message = `two routes are named \`${String(name.value)}\``
      findings.push({ message, hint: 'Give one of them another `name`, or leave it out.', span: name.span })
    }
    seen.add(name.value)
  }
}

function checkMatch(match: Found, listeners: readonly string[], findings: Finding[]): void {
  for (const { value, span, isBroken } of partsOf(partOf(match, 'listeners'))) {
    if (isBroken || listeners.includes(String(value))) continue
    const hint = suggest(String(value), listeners, 'Known listeners')
    findings.push({ message: `there is no listener \`${String(value)}\``, hint, span })
  }
  for (const { value, span, isBroken } of partsOf(partOf(match, 'methods'))) {
    if (isBroken || typeof value !== 'string') continue
    if (!isHttpName(value)) {
      findings.push({ message: `\`${value}\` is not a method`, hint: 'Write methods such as `GET` or `POST`.', span })
    } else if (standardMethods.includes(value.toUpperCase()) && !standardMethods.includes(value)) {
      const message = `\`${value}\` matches no call: methods are case-sensitive`
      findings.push({ message, hint: `Write \`${value.toUpperCase()}\`.`, span })
    }
  }
  const names = new Set<string>()
  for (const [key, { keySpan, span }] of partOf(match, 'headers')?.children ?? []) {
    const name = String(key)
    const isField = isHttpName(name)
    if (isField && !names.has(name.toLowerCase())) {
      names.add(name.toLowerCase())
      continue
    }
    const message = isField ? `the header \`${name}\` is written twice` : `\`${name}\` is not the name of a header`
    findings.push({
      message,
      hint: isField ? 'Names of headers do not tell case apart.' : 'Write letters, digits and `-`.',
      span: keySpan ?? span,
    })
  }
}

const standardMethods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE']

/** Every path of the route must bind what the templates around it use. */
function checkParams(templates: readonly Found[], matches: readonly Found[], findings: Finding[]): void {
  for (const { value, span } of templates) {
    for (const param of compileTemplate(String(value)).paramNames) {
      const match = matches.find(({ isBroken, children }) => {
        const path = children?.get('path')
        return !isBroken && path !== undefined && !paramsOf(path.value).includes(param)
      })
      const path = match?.children?.get('path')
      if (path === undefined) continue
      const bound = paramsOf(path.value)
      const pathText = textOf(path)
      const where = pathText === null ? 'a match without `path`' : `the path \`${pathText}\``
      const hint =
        param === 'rest'
          ? 'Let the path end in `/**`, which binds `{rest}`.'
          : bound.length === 0
            ? `Name it in the path, such as \`/users/{${param}}\`.`
            : `That path binds ${listOf(bound.map(name => `{${name}}`))}.`
      const message = `\`{${param}}\` is not bound by ${where}`
      findings.push({ message, hint, span: placeOf(param, span) })
    }
  }
}

function placeOf(param: string, span: Found['span']): Found['span'] {
  const at = span.source.text.slice(span.start, span.end).indexOf(`{${param}}`)
  return at === -1 ? span : { ...span, start: span.start + at, end: span.start + at + param.length + 2 }
}

function paramsOf(path: unknown): readonly string[] {
  return typeof path === 'string' ? compilePattern(path).paramNames : []
}

function templatesOf(found: Found | null): Found[] {
  if (found === null) return []
  if (found.format === 'template' && typeof found.value === 'string') return [found]
  return partsOf(found).flatMap(templatesOf)
}
