// Whether a call fits any of several matches: the `when:` of a policy.

import type { MatchBlueprint } from '../core/blueprint.ts'
import { compilePattern, type PathCase } from '../core/pattern.ts'
import { allOf, type Condition, compileConditions } from './router/conditions.ts'
import { normaliseHost } from './router/router.ts'

/**
 * Compiles a list of matches of which any one must fit; what a match does not name costs nothing.
 *
 * The words mean what they mean in a route's match: `GET` includes HEAD, `*.acme.test` any name below, and a repeated field
 * or parameter fits when any of its values does. An empty list fits no call.
 * @throws OptionsError for a bad path pattern.
 */
export function compileMatch(matches: readonly MatchBlueprint[], pathCase: PathCase = 'sensitive'): Condition {
  const alternatives = matches.map(match => compileOne(match, pathCase))
  const [first] = alternatives
  if (first === undefined) return () => false
  if (alternatives.length === 1) return first
  return call => {
    for (const fits of alternatives) if (fits(call)) return true
    return false
  }
}

/** The cheapest and most telling conditions stand first. */
function compileOne(match: MatchBlueprint, pathCase: PathCase): Condition {
  const conditions: Condition[] = []
  if (match.methods.length > 0) conditions.push(methodIs(match.methods))
  if (match.path !== null) {
    const pattern = compilePattern(match.path, pathCase)
    conditions.push(call => pattern.matches(call.path))
  }
  if (match.hosts.length > 0) conditions.push(hostIs(match.hosts))
  const others = compileConditions(match)
  if (others !== null) conditions.push(others)
  return allOf(conditions) ?? (() => true)
}

function methodIs(methods: readonly string[]): Condition {
  const all = methods.includes('GET') ? [...methods, 'HEAD'] : methods
  const [only] = all
  return all.length === 1 ? call => call.method === only : call => all.includes(call.method)
}

function hostIs(names: readonly string[]): Condition {
  const hosts = names.map(normaliseHost)
  const exact = new Set(hosts.filter(host => !host.startsWith('*')))
  const suffixes = hosts.filter(host => host.startsWith('*.')).map(host => host.slice(1))
  if (hosts.includes('*')) return () => true
  return call => {
    const host = call.host.endsWith('.') ? call.host.slice(0, -1) : call.host
    return exact.has(host) || suffixes.some(suffix => host.length > suffix.length && host.endsWith(suffix))
  }
}
