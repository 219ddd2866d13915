// Which route answers a call: the precedence of the Kubernetes Gateway API's HTTPRoute, in constant time.

import type { RouteBlueprint } from '../../core/blueprint.ts'
import { codeAt } from '../../core/code-at.ts'
import { compilePattern, type PathCase, type PathPattern } from '../../core/pattern.ts'
import { compileConditions, type RouteQuery } from './conditions.ts'
import { addToLeaf, type Entry, exactRank, type Leaf, sortLeaf } from './leaf.ts'
import { createTrie, findInTrie, leafOf, methodsInTrie, type Trie } from './trie.ts'

/** The result of routing a call. Shared objects: never changed. */
export type Routing = Found | { readonly kind: 'not-found' } | MethodNotAllowed

export type Found = Pick<Entry, 'kind' | 'route' | 'match' | 'pattern'>

/** The path has routes, but none takes the method. */
export interface MethodNotAllowed {
  readonly kind: 'method-not-allowed'
  /** Value of the Allow field, sorted. */
  readonly allow: string
}

export interface Router {
  /**
   * The route for this call.
   *
   * Among all matches that fit, the first by: most specific host (exact, longest wildcard, any), exact path, longest
   * prefix (in segments), literal segment before `{name}` at the first difference, a named method, most header matches,
   * most query matches, first written.
   *
   * A match that names GET also takes HEAD unless one on the same path names HEAD; Allow says so. A CORS preflight goes to
   * the route that names OPTIONS, else to the route of the call it asks for, so that this route's `cors` can answer it.
   */
  match(call: RouteQuery): Routing
}

/** `pathCase` is how `Call.path` is given: with `insensitive`, in lower case. */
export function compileRouter(
  routes: readonly Pick<RouteBlueprint, 'match'>[],
  pathCase: PathCase = 'sensitive',
): Router {
  const hosts = compileHosts(routes, pathCase)
  return {
    match(call) {
      const { method } = call
      // `OPTIONS *` has no path.
      if (codeAt(call.path, 0) !== 0x2f) return notFound
      let entry = findByHost(hosts, call, method)
      if (method === 'OPTIONS' && (entry === null || !entry.namesMethods)) {
        const requested = preflightMethod(call)
        if (requested !== undefined) entry = findByHost(hosts, call, requested) ?? entry
      }
      return entry ?? explainMiss(hosts, call)
    },
  }
}

interface Hosts {
  readonly exact: Map<string, Trie>
  /** By the name behind `*.`. */
  readonly wildcard: Map<string, Trie>
  readonly any: Trie
}

const anyPath = '/**'
const notFound: Routing = { kind: 'not-found' }
/** The longest name in DNS; nothing longer is looked up. */
const hostLengthMax = 253

function compileHosts(routes: readonly Pick<RouteBlueprint, 'match'>[], pathCase: PathCase): Hosts {
  const hosts: Hosts = { exact: new Map(), wildcard: new Map(), any: createTrie() }
  const leaves: Leaf[] = []
  const patterns = new Map<string, PathPattern>()
  routes.forEach((route, routeIndex) => {
    route.match.forEach((match, matchIndex) => {
      const text = match.path ?? anyPath
      const pattern = patterns.get(text) ?? compilePattern(text, pathCase)
      patterns.set(text, pattern)
      const entry: Entry = {
        kind: 'found',
        route: routeIndex,
        match: matchIndex,
        pattern,
        rank: pattern.isPrefix ? pattern.segments.length : exactRank,
        namesMethods: match.methods.length > 0,
        headerCount: Object.keys(match.headers).length,
        queryCount: Object.keys(match.query).length,
        condition: compileConditions(match),
      }
      for (const trie of triesOf(hosts, match.hosts)) addToLeaf(leafOf(trie, pattern, leaves), entry, match.methods)
    })
  })
  for (const leaf of leaves) sortLeaf(leaf)
  return hosts
}

function triesOf(hosts: Hosts, names: readonly string[]): Trie[] {
  if (names.length === 0) return [hosts.any]
  return [...new Set(names.map(normaliseHost))].map(name => {
    if (name === '*') return hosts.any
    const table = name.startsWith('*.') ? hosts.wildcard : hosts.exact
    const key = name.startsWith('*.') ? name.slice(2) : name
    const trie = table.get(key) ?? createTrie()
    table.set(key, trie)
    return trie
  })
}

/** Lower case and without the final dot of a fully qualified name, which would otherwise be a way around a host's routes. */
export function normaliseHost(name: string): string {
  return (name.endsWith('.') ? name.slice(0, -1) : name).toLowerCase()
}

/** A less specific host is used where a more specific one has no match for the whole call. */
function findByHost(hosts: Hosts, call: RouteQuery, method: string): Entry | null {
  const host = hostOf(call)
  if (host.length <= hostLengthMax) {
    const exact = hosts.exact.size === 0 ? undefined : hosts.exact.get(host)
    const entry = exact === undefined ? null : findInTrie(exact, call, method)
    if (entry !== null) return entry
    if (hosts.wildcard.size > 0) {
      for (let dot = host.indexOf('.', 1); dot > 0; dot = host.indexOf('.', dot + 1)) {
        const wildcard = hosts.wildcard.get(host.slice(dot + 1))
        const other = wildcard === undefined ? null : findInTrie(wildcard, call, method)
        if (other !== null) return other
      }
    }
  }
  return findInTrie(hosts.any, call, method)
}

function hostOf(call: RouteQuery): string {
  const { host } = call
  return codeAt(host, host.length - 1) === 0x2e ? host.slice(0, -1) : host
}

function preflightMethod(call: RouteQuery): string | undefined {
  return call.headers.has('origin') ? call.headers.get('access-control-request-method') : undefined
}

function explainMiss(hosts: Hosts, call: RouteQuery): Routing {
  const methods = new Set<string>()
  const host = hostOf(call)
  if (host.length <= hostLengthMax) {
    const exact = hosts.exact.size === 0 ? undefined : hosts.exact.get(host)
    if (exact !== undefined) methodsInTrie(exact, call, methods)
    for (let dot = host.indexOf('.', 1); dot > 0; dot = host.indexOf('.', dot + 1)) {
      const wildcard = hosts.wildcard.get(host.slice(dot + 1))
      if (wildcard !== undefined) methodsInTrie(wildcard, call, methods)
    }
  }
  methodsInTrie(hosts.any, call, methods)
  return methods.size === 0 ? notFound : { kind: 'method-not-allowed', allow: [...methods].sort().join(', ') }
}
