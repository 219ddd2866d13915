// The paths of one host: literal paths in one table, everything else in a tree of segments.

import type { PathPattern } from '../../core/pattern.ts'
import type { RouteQuery } from './conditions.ts'
import { collectMethods, type Entry, exactRank, type Leaf, pick } from './leaf.ts'
import { createTextTable, type TextTable } from './text-table.ts'

interface Node {
  literals: TextTable<Node> | null
  param: Node | null
  /** Patterns that end here. */
  exact: Leaf | null
  /** Patterns that go on with `/**` from here. */
  prefix: Leaf | null
}

export interface Trie {
  /** Exact patterns without parameters, by their whole path: the most specific there are, found in one step. */
  readonly literals: TextTable<Leaf>
  readonly root: Node
}

export function createTrie(): Trie {
  return { literals: createTextTable(), root: createNode() }
}

function createNode(): Node {
  return { literals: null, param: null, exact: null, prefix: null }
}

/** The leaf of this pattern's shape, made where it is missing. */
export function leafOf(trie: Trie, pattern: PathPattern, made: Leaf[]): Leaf {
  const create = () => {
    const leaf: Leaf = { byMethod: new Map(), anyMethod: [] }
    made.push(leaf)
    return leaf
  }
  const literal = pattern.isPrefix ? null : literalPath(pattern)
  if (literal !== null) {
    const leaf = trie.literals.get(literal) ?? create()
    trie.literals.set(literal, leaf)
    return leaf
  }
  let node = trie.root
  for (const segment of pattern.segments) {
    if (segment.kind === 'param') {
      node.param ??= createNode()
      node = node.param
    } else {
      node.literals ??= createTextTable()
      const next = node.literals.get(segment.text) ?? createNode()
      node.literals.set(segment.text, next)
      node = next
    }
  }
  if (pattern.isPrefix) {
    node.prefix ??= create()
    return node.prefix
  }
  node.exact ??= create()
  return node.exact
}

function literalPath(pattern: PathPattern): string | null {
  let path = ''
  for (const segment of pattern.segments) {
    if (segment.kind === 'param') return null
    path += `/${segment.text}`
  }
  return path
}

/** The best match: an exact path before a prefix, the longer prefix, and where they differ first a literal segment. */
export function findInTrie(trie: Trie, call: RouteQuery, method: string): Entry | null {
  const literal = trie.literals.find(call.path, 0, call.path.length)
  if (literal !== undefined) {
    const entry = pick(literal, call, method)
    if (entry !== null) return entry
  }
  return findBelow(trie.root, 1, call, method)
}

/**
 * `from` is where the next segment starts, past the end when the path is used up.
 *
 * A node is visited once at most, as the tree has one way to it; so the tree's size bounds the work, whatever the path.
 */
function findBelow(node: Node, from: number, call: RouteQuery, method: string): Entry | null {
  const path = call.path
  let best: Entry | null = null
  if (from > path.length) {
    if (node.exact !== null) best = pick(node.exact, call, method)
  } else if (node.literals !== null || node.param !== null) {
    const slash = path.indexOf('/', from)
    const end = slash < 0 ? path.length : slash
    const literal = node.literals?.find(path, from, end)
    if (literal !== undefined) {
      best = findBelow(literal, end + 1, call, method)
      if (best !== null && best.rank === exactRank) return best
    }
    if (node.param !== null && end > from) {
      const other = findBelow(node.param, end + 1, call, method)
      if (other !== null && (best === null || other.rank > best.rank)) best = other
    }
  }
  if (best === null && node.prefix !== null) best = pick(node.prefix, call, method)
  return best
}

/** Adds every method by which this call would have found a match. */
export function methodsInTrie(trie: Trie, call: RouteQuery, methods: Set<string>): void {
  const literal = trie.literals.find(call.path, 0, call.path.length)
  if (literal !== undefined) collectMethods(literal, call, methods)
  methodsBelow(trie.root, 1, call, methods)
}

function methodsBelow(node: Node, from: number, call: RouteQuery, methods: Set<string>): void {
  const path = call.path
  if (node.prefix !== null) collectMethods(node.prefix, call, methods)
  if (from > path.length) {
    if (node.exact !== null) collectMethods(node.exact, call, methods)
    return
  }
  const slash = path.indexOf('/', from)
  const end = slash < 0 ? path.length : slash
  const literal = node.literals?.find(path, from, end)
  if (literal !== undefined) methodsBelow(literal, end + 1, call, methods)
  if (node.param !== null && end > from) methodsBelow(node.param, end + 1, call, methods)
}
