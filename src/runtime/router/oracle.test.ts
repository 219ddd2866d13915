// The trie against the rule it stands for: sort all matches that fit, take the first.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { MatchBlueprint } from '../../core/blueprint.ts'
import { compilePattern } from '../../core/pattern.ts'
import type { RouteQuery } from './conditions.ts'
import { findConflicts } from './conflicts.ts'
import { type FakeRoute, makeMatch, makeQuery } from './fakes.ts'
import { compileRouter } from './router.ts'

interface Ranked {
  readonly route: number
  readonly match: number
  /** Compared place by place; the greater goes first. */
  readonly ranks: readonly number[]
}

/** Null when the match does not fit the call. */
function ranksOf(match: MatchBlueprint, call: RouteQuery, method: string): readonly number[] | null {
  const hostRanks = match.hosts.length === 0 ? [0] : match.hosts.map(host => hostRank(host, call.host))
  const host = Math.max(...hostRanks)
  const pattern = compilePattern(match.path ?? '/**')
  const isNamed = match.methods.includes(method)
  const isImplied = method === 'HEAD' && match.methods.includes('GET')
  const fits =
    host >= 0 &&
    pattern.matches(call.path) &&
    (match.methods.length === 0 || isNamed || isImplied) &&
    (match.listeners.length === 0 || match.listeners.includes(call.peer.listener)) &&
    Object.entries(match.headers).every(([name, value]) =>
      value === '*' ? call.headers.has(name) : call.headers.all(name).includes(value),
    ) &&
    Object.entries(match.query).every(([name, value]) => {
      const values = new URLSearchParams(call.query).getAll(name)
      return value === '*' ? values.length > 0 : values.includes(value)
    })
  if (!fits) return null
  const literals = Array.from({ length: 8 }, (_, i) => (pattern.segments[i]?.kind === 'literal' ? 1 : 0))
  return [
    host,
    pattern.isPrefix ? 0 : 1,
    pattern.segments.length,
    ...literals,
    isNamed ? 2 : isImplied ? 1 : 0,
    Object.keys(match.headers).length,
    Object.keys(match.query).length,
  ]
}

function hostRank(pattern: string, host: string): number {
  if (pattern === host) return 1000
  return pattern.startsWith('*.') && host.endsWith(pattern.slice(1)) ? pattern.length : -1
}

function bestByOracle(routes: readonly FakeRoute[], call: RouteQuery, method = call.method): Ranked | undefined {
  const fitting = routes.flatMap((route, routeIndex) =>
    route.match.flatMap((match, matchIndex): Ranked[] => {
      const ranks = ranksOf(match, call, method)
      return ranks === null ? [] : [{ route: routeIndex, match: matchIndex, ranks }]
    }),
  )
  return fitting.sort((a, b) => {
    const place = a.ranks.findIndex((rank, i) => rank !== b.ranks[i])
    return place < 0 ? 0 : (b.ranks[place] ?? 0) - (a.ranks[place] ?? 0)
  })[0]
}

/** Empty more often than not. */
function few(...items: string[]): fc.Arbitrary<string[]> {
  const some = fc.array(fc.constantFrom(...items), { maxLength: 2 })
  return fc.oneof({ weight: 3, arbitrary: fc.constant<string[]>([]) }, { weight: 2, arbitrary: some })
}

const methods = ['GET', 'HEAD', 'POST', 'OPTIONS']
const segment = fc.constantFrom('a', 'b', '{x}', '{y}')
const path = fc.tuple(fc.array(segment, { maxLength: 4 }), fc.constantFrom('', '', '/', '/**')).map(([parts, end]) => {
  const named = parts.map((part, i) => (part.startsWith('{') ? `{p${i}}` : part))
  return named.map(part => `/${part}`).join('') + (parts.length === 0 && end === '' ? '/' : end)
})
const values = fc.dictionary(fc.constantFrom('a', 'b'), fc.constantFrom('1', '2', '*'), { maxKeys: 2 })
const rarely = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Record<string, string>>({}) },
  { weight: 1, arbitrary: values },
)
const match = fc
  .record({
    hosts: few('a.test', 'b.a.test', '*.test', '*.a.test'),
    path: fc.option(path, { nil: null, freq: 10 }),
    methods: few(...methods),
    headers: rarely,
    query: rarely,
    listeners: few('l', 'm'),
  })
  .map(makeMatch)
const routes = fc
  .array(fc.array(match, { minLength: 1, maxLength: 3 }), { maxLength: 12 })
  .map(all => all.map((list, i): FakeRoute => ({ name: `route ${i}`, match: list })))
const call = fc
  .record({
    path: fc
      .array(fc.constantFrom('a', 'b', 'c', ''), { minLength: 1, maxLength: 5 })
      .map(parts => `/${parts.join('/')}`),
    method: fc.constantFrom(...methods),
    host: fc.constantFrom('a.test', 'b.a.test', 'c.a.test', 'c.b.a.test', 'test', 'other'),
    headers: fc.array(fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom('1', '2', '3')), { maxLength: 3 }),
    query: fc
      .array(fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom('1', '2', '3')), { maxLength: 3 })
      .map(pairs => `?${new URLSearchParams(pairs).toString()}`),
    listener: fc.constantFrom('l', 'm'),
  })
  .map(({ path: text, ...options }) => makeQuery(text, options))

test('finds what sorting all fitting matches finds, and the same Allow', () => {
  let found = 0
  fc.assert(
    fc.property(routes, fc.array(call, { minLength: 1, maxLength: 10 }), (given, calls) => {
      const router = compileRouter(given)
      for (const each of calls) {
        const expected = bestByOracle(given, each)
        const routing = router.match(each)
        if (expected !== undefined) {
          assert.ok(routing.kind === 'found')
          assert.deepEqual([routing.route, routing.match], [expected.route, expected.match])
          found++
          continue
        }
        const allowed = methods.filter(method => bestByOracle(given, each, method) !== undefined)
        assert.equal(routing.kind === 'method-not-allowed' ? routing.allow : '', allowed.sort().join(', '))
      }
    }),
    { numRuns: 1500 },
  )
  assert.ok(found > 1000, `only ${found} calls found a route, so little was compared`)
})

test('no call ever reaches a match that is reported as a conflict', () => {
  let reported = 0
  fc.assert(
    fc.property(routes, fc.array(call, { minLength: 5, maxLength: 20 }), (given, calls) => {
      const router = compileRouter(given)
      const dead = new Set(findConflicts(given).map(({ second }) => `${second.routeIndex}.${second.matchIndex}`))
      reported += dead.size
      for (const each of calls) {
        const routing = router.match(each)
        if (routing.kind === 'found') assert.ok(!dead.has(`${routing.route}.${routing.match}`))
      }
    }),
    { numRuns: 500 },
  )
  assert.ok(reported > 0)
})
