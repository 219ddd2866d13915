// Makes one config of the files of a folder.

import { type Finding, headOf, type Span } from './problem.ts'
import { listOf } from './suggest.ts'
import type { Entry, ListTree, MapTree, Tree } from './tree.ts'

const lists = ['routes', 'policies', 'listeners', 'consumers']
const maps = ['upstreams', 'plans']

/** Lists are appended in the order of the files, upstreams and plans united; anything else stands in one file only. */
export function merge(trees: readonly Tree[], findings: Finding[]): MapTree | null {
  const merged = new Map<string, Entry>()
  let first: MapTree | null = null
  for (const tree of trees) {
    if (tree.kind !== 'map') {
      const hint = 'Begin with keys such as `listeners:`, `upstreams:` and `routes:`.'
      findings.push({ message: 'a config is a map of keys and values', hint, span: headOf(tree.span) })
      continue
    }
    first ??= tree
    for (const entry of tree.entries) {
      const before = merged.get(entry.key)
      merged.set(entry.key, before === undefined ? entry : united(before, entry, findings))
    }
  }
  return first === null ? null : { ...first, entries: [...merged.values()] }
}

function united(before: Entry, entry: Entry, findings: Finding[]): Entry {
  const [a, b] = [before.value, entry.value]
  if (lists.includes(entry.key)) {
    if (isNothing(a)) return entry
    if (a.kind === 'list' && b.kind === 'list') {
      const list: ListTree = { ...a, items: [...a.items, ...b.items] }
      return { ...before, value: list }
    }
    if (b.kind !== 'list' && !isNothing(b)) {
      findings.push({
        message: `\`${entry.key}\` must be a list`,
        hint: 'Begin each item with `- `.',
        span: entry.keySpan,
      })
    }
    return before
  }
  if (maps.includes(entry.key) && a.kind === 'map' && b.kind === 'map') return unitedMaps(before, a, b, findings)
  const hint = `It stands in ${placeOf(before.keySpan)} too; of several files, only ${listOf([...lists, ...maps])} add up.`
  findings.push({ message: `\`${entry.key}\` is set in two files`, hint, span: entry.keySpan })
  return before
}

function unitedMaps(before: Entry, a: MapTree, b: MapTree, findings: Finding[]): Entry {
  const places = new Map(a.entries.map(entry => [entry.key, entry.keySpan]))
  const entries = [...a.entries]
  for (const entry of b.entries) {
    const first = places.get(entry.key)
    if (first === undefined) {
      entries.push(entry)
      continue
    }
    const noun = before.key === 'plans' ? 'plan' : 'upstream'
    const message = `the ${noun} \`${entry.key}\` is defined twice`
    findings.push({ message, hint: `The first one stands in ${placeOf(first)}.`, span: entry.keySpan })
  }
  return { ...before, value: { ...a, entries } }
}

function placeOf(span: Span): string {
  const before = span.source.text.slice(0, span.start)
  return `${span.source.label}:${before.split('\n').length}`
}

function isNothing(tree: Tree): boolean {
  return tree.kind === 'scalar' && tree.value === null
}
