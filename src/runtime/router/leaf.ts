// The matches that have host and path shape in common, ordered by what is left of the precedence.

import type { PathPattern } from '../../core/pattern.ts'
import type { Condition, RouteQuery } from './conditions.ts'

/** One match of one route. Handed out as the result, so that routing a call makes no object. */
export interface Entry {
  readonly kind: 'found'
  /** Index of the route. */
  readonly route: number
  /** Index of the match in the route's list. */
  readonly match: number
  /** For `Call.pattern`. */
  readonly pattern: PathPattern
  /** Number of segments of a prefix, `exactRank` for an exact path: the higher goes first. */
  readonly rank: number
  readonly namesMethods: boolean
  readonly headerCount: number
  readonly queryCount: number
  readonly condition: Condition | null
}

export const exactRank = 1_000_000

export interface Leaf {
  readonly byMethod: Map<string, Entry[]>
  readonly anyMethod: Entry[]
}

export function addToLeaf(leaf: Leaf, entry: Entry, methods: readonly string[]): void {
  if (methods.length === 0) leaf.anyMethod.push(entry)
  for (const method of methods) {
    const entries = leaf.byMethod.get(method)
    if (entries === undefined) leaf.byMethod.set(method, [entry])
    else if (!entries.includes(entry)) entries.push(entry)
  }
}

/** Most header matches, then most query matches, then the first written: sorting is stable. */
export function sortLeaf(leaf: Leaf): void {
  for (const entries of [leaf.anyMethod, ...leaf.byMethod.values()]) {
    if (entries.length > 1) {
      entries.sort((a, b) => b.headerCount - a.headerCount || b.queryCount - a.queryCount)
    }
  }
}

/** The best match for this method: one that names it, then for HEAD one that names GET, then one that names none. */
export function pick(leaf: Leaf, call: RouteQuery, method: string): Entry | null {
  if (leaf.byMethod.size > 0) {
    const named = firstOf(leaf.byMethod.get(method), call)
    if (named !== null) return named
    if (method === 'HEAD') {
      const implied = firstOf(leaf.byMethod.get('GET'), call)
      if (implied !== null) return implied
    }
  }
  return firstOf(leaf.anyMethod, call)
}

/** Adds the methods by which this call would have matched. */
export function collectMethods(leaf: Leaf, call: RouteQuery, methods: Set<string>): void {
  for (const [method, entries] of leaf.byMethod) {
    if (firstOf(entries, call) === null) continue
    methods.add(method)
    if (method === 'GET') methods.add('HEAD')
  }
}

function firstOf(entries: readonly Entry[] | undefined, call: RouteQuery): Entry | null {
  if (entries === undefined) return null
  for (const entry of entries) if (entry.condition === null || entry.condition(call)) return entry
  return null
}
