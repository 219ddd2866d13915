// Text to tree: the only file that knows the YAML library. JSON is read as the YAML that it is.

import { type Alias, isAlias, isMap, isScalar, isSeq, type Node, type Pair, parseDocument } from 'yaml'
import type { Finding, Source, Span } from './problem.ts'
import { type Surroundings, substitute } from './substitute.ts'
import { syntaxFinding } from './syntax.ts'
import type { Entry, ScalarTree, Tree } from './tree.ts'

/** Aliases may add this many values before the file counts as a bomb. */
const aliasedValuesMax = 100_000
const depthMax = 64

interface Parsing {
  readonly source: Source
  readonly surroundings: Surroundings
  readonly findings: Finding[]
  /** Trees of anchors with the number of values in them; null while the anchor is still open. */
  readonly anchors: Map<string, { tree: Tree; size: number } | null>
  size: number
  aliasedSize: number
}

/** The tree of one source; null for an empty file or one with syntax errors, which are then among the findings. */
export function parse(source: Source, surroundings: Surroundings, findings: Finding[]): Tree | null {
  const options = { prettyErrors: false, uniqueKeys: false, version: '1.2', schema: 'core', merge: false } as const
  try {
    const document = parseDocument(source.text, options)
    const fault = syntaxFinding(document, source)
    if (fault !== null) findings.push(fault)
    if (fault !== null || document.contents === null) return null
    const parsing = { source, surroundings, findings, anchors: new Map(), size: 0, aliasedSize: 0 }
    const tree = treeOfNode(document.contents, parsing, 0)
    return parsing.aliasedSize > aliasedValuesMax ? null : tree
  } catch (error) {
    // The library descends recursively: thousands of nested brackets end its stack.
    const message =
      error instanceof RangeError ? 'the file is nested too deeply' : `the file cannot be read: ${String(error)}`
    findings.push({ message, hint: '', span: { source, start: 0, end: 1 } })
    return null
  }
}

function treeOfNode(node: Node, parsing: Parsing, depth: number): Tree {
  const span = spanOf(node, parsing)
  const nothing: ScalarTree = { kind: 'scalar', value: null, written: '', isSubstituted: false, isFaulty: false, span }
  parsing.size++
  if (depth > depthMax) return report(parsing, nothing, 'this is nested too deeply', `At most ${depthMax} levels.`)
  if (isAlias(node)) return treeOfAlias(node, parsing, nothing)
  const anchor = 'anchor' in node && typeof node.anchor === 'string' ? node.anchor : null
  const sizeBefore = parsing.size
  if (anchor !== null) parsing.anchors.set(anchor, null)
  const tree = treeOfContent(node, parsing, depth, nothing)
  if (anchor !== null) parsing.anchors.set(anchor, { tree, size: parsing.size - sizeBefore + 1 })
  return tree
}

function treeOfContent(node: Node, parsing: Parsing, depth: number, nothing: ScalarTree): Tree {
  const { span } = nothing
  if (isSeq<Node>(node))
    return { kind: 'list', items: node.items.map(item => treeOfNode(item, parsing, depth + 1)), span }
  if (isMap<Node, Node | null>(node)) return { kind: 'map', entries: entriesOf(node.items, parsing, depth, span), span }
  if (!isScalar(node)) return nothing
  const { value } = node
  if (typeof value === 'string') {
    return substitute(value, span, parsing.surroundings, parsing.findings)
  }
  if (typeof value !== 'number' && typeof value !== 'boolean') return nothing
  return { ...nothing, value, written: node.source ?? String(value) }
}

function entriesOf(pairs: Pair<Node, Node | null>[], parsing: Parsing, depth: number, span: Span): Entry[] {
  const places = new Map<string, Span>()
  const entries: Entry[] = []
  for (const { key, value } of pairs) {
    const keySpan = key === null ? span : spanOf(key, parsing)
    if (!isScalar(key) || key.value === null || typeof key.value === 'object') {
      parsing.findings.push({ message: 'a key must be a plain word', hint: 'Put it in quotes.', span: keySpan })
      continue
    }
    const name = typeof key.value === 'string' ? key.value : (key.source ?? '')
    const first = places.get(name)
    if (first !== undefined || name === '__proto__') {
      const line = first === undefined ? 0 : parsing.source.text.slice(0, first.start).split('\n').length
      const message = first === undefined ? `\`${name}\` may not be used as a key` : `\`${name}\` is written twice`
      const hint = first === undefined ? '' : `The first one stands on line ${line}; keep one of them.`
      parsing.findings.push({ message, hint, span: keySpan })
      continue
    }
    places.set(name, keySpan)
    const written = value ?? null
    const end = { source: parsing.source, start: keySpan.end, end: keySpan.end }
    const nothing: ScalarTree = {
      kind: 'scalar',
      value: null,
      written: '',
      isSubstituted: false,
      isFaulty: false,
      span: end,
    }
    entries.push({ key: name, keySpan, value: written === null ? nothing : treeOfNode(written, parsing, depth + 1) })
  }
  return entries
}

function treeOfAlias(node: Alias, parsing: Parsing, nothing: ScalarTree): Tree {
  const anchor = parsing.anchors.get(node.source)
  if (anchor === null) return report(parsing, nothing, `\`*${node.source}\` stands inside what it names`, '')
  if (anchor === undefined) {
    const hint = `If it is a text, put it in quotes: \`"*${node.source}"\`.`
    return report(parsing, nothing, `\`*${node.source}\` refers to an anchor that is not defined before it`, hint)
  }
  if (parsing.aliasedSize > aliasedValuesMax) return nothing
  parsing.aliasedSize += anchor.size
  parsing.size += anchor.size
  if (parsing.aliasedSize <= aliasedValuesMax) return anchor.tree
  return report(
    parsing,
    nothing,
    `aliases make more than ${aliasedValuesMax} values of this file`,
    'Write fewer of them.',
  )
}

function report(parsing: Parsing, tree: ScalarTree, message: string, hint: string): ScalarTree {
  parsing.findings.push({ message, hint, span: tree.span })
  return { ...tree, isFaulty: true }
}

function spanOf(node: Node, parsing: Parsing): Span {
  const [start, end] = node.range ?? [0, 0]
  return { source: parsing.source, start, end }
}
