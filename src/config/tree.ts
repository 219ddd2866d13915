// The config as it is written, with the place of every value: what is left of YAML and JSON after parsing.

import type { Span } from './problem.ts'

export type Tree = ScalarTree | ListTree | MapTree

export interface ScalarTree {
  readonly kind: 'scalar'
  readonly value: string | number | boolean | null
  /** As written, for messages; a substituted value stays hidden behind its `${env:…}`. */
  readonly written: string
  /** The whole value came from the outside as text, so that it may stand for a number or a truth value too. */
  readonly isSubstituted: boolean
  /** Already reported: whatever is wrong with the value is an echo. */
  readonly isFaulty: boolean
  readonly span: Span
}

export interface ListTree {
  readonly kind: 'list'
  readonly items: readonly Tree[]
  readonly span: Span
}

export interface MapTree {
  readonly kind: 'map'
  readonly entries: readonly Entry[]
  readonly span: Span
}

export interface Entry {
  readonly key: string
  readonly keySpan: Span
  readonly value: Tree
}

/** A value of the gateway's own, such as a default, as if it were written at `span`. */
export function treeOf(value: unknown, span: Span): Tree {
  if (Array.isArray(value)) return { kind: 'list', items: value.map(item => treeOf(item, span)), span }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([key, item]) => ({ key, keySpan: span, value: treeOf(item, span) }))
    return { kind: 'map', entries, span }
  }
  const isPlain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
  return {
    kind: 'scalar',
    value: isPlain ? value : null,
    written: String(value),
    isSubstituted: false,
    isFaulty: false,
    span,
  }
}

/** The value of a tree as plain JSON. */
export function plainOf(tree: Tree): unknown {
  if (tree.kind === 'scalar') return tree.value
  if (tree.kind === 'list') return tree.items.map(plainOf)
  return Object.fromEntries(tree.entries.map(entry => [entry.key, plainOf(entry.value)]))
}
