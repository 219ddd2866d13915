// Walks a written tree along its schema: checks every value, fills defaults in, writes short forms out.

import { broken, type Found, leaf, mismatch, type Place, shown, type Walk } from './found.ts'
import { acceptsNothing, type Keywords, type Variants } from './keywords.ts'
import { type Finding, headOf, type Span } from './problem.ts'
import { listOf, nearest, suggest } from './suggest.ts'
import { type Entry, type MapTree, plainOf, type Tree, treeOf } from './tree.ts'
import { walkScalar } from './walk-scalar.ts'

export function walk(tree: Tree, schema: Keywords, place: Place, along: Walk): Found {
  if (tree.kind === 'scalar' && tree.value === null && schema.default === null) return leaf(null, tree.span, place)
  if (tree.kind === 'scalar' && tree.isFaulty) return { ...leaf(undefined, tree.span, place), isBroken: true }
  if (schema.anyOf !== undefined) return walkAny(tree, schema.anyOf, place, along)
  if (schema.type === 'object' || schema.variants !== undefined) return walkObject(tree, schema, place, along)
  if (schema.type === 'array') return walkList(tree, schema, place, along)
  if (schema.type === undefined && schema.enum === undefined && !('const' in schema)) {
    return leaf(plainOf(tree), tree.span, place)
  }
  return walkScalar(tree, schema, place, along)
}

function walkAny(tree: Tree, alternatives: readonly Keywords[], place: Place, along: Walk): Found {
  let fitting: { found: Found; findings: Finding[] } | null = null
  let fittingCount = 0
  for (const alternative of alternatives) {
    const findings: Finding[] = []
    const found = walk(tree, alternative, place, { ...along, findings })
    if (findings.length === 0) return found
    if (kindOf(alternative) !== tree.kind) continue
    fitting = { found, findings }
    fittingCount++
  }
  if (fitting !== null && fittingCount === 1) {
    along.findings.push(...fitting.findings)
    return fitting.found
  }
  const texts = alternatives.map(nounOf)
  const message = `\`${place.name}\` cannot be ${shown(tree)}`
  return broken(tree, place, along, message, `It must be ${texts.join(' or ')}.`)
}

function walkList(tree: Tree, schema: Keywords, place: Place, along: Walk): Found {
  const isOne = schema.oneOrMany === true && tree.kind !== 'list' && !(tree.kind === 'scalar' && tree.value === null)
  if (tree.kind !== 'list' && !isOne) {
    return broken(tree, place, along, ...mismatch(place, 'a list', tree, listHint(tree, place)))
  }
  const items = tree.kind === 'list' ? tree.items : [tree]
  const itemSchema = schema.items ?? {}
  const found = items.map((item, index) => {
    const name = isOne ? place.name : `${place.name}[${index}]`
    return walk(item, itemSchema, { name, keySpan: null }, along)
  })
  const { minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema
  if (items.length < minItems || items.length > maxItems) {
    const bound = items.length < minItems ? `at least ${minItems}` : `at most ${maxItems}`
    const message = `\`${place.name}\` must have ${bound} ${bound.endsWith(' 1') ? 'item' : 'items'}, but has ${items.length}`
    return broken(tree, place, along, message, '')
  }
  return {
    ...leaf(
      found.map(item => item.value),
      tree.span,
      place,
    ),
    isBroken: found.some(item => item.isBroken),
    children: new Map(found.entries()),
  }
}

function walkObject(tree: Tree, schema: Keywords, place: Place, along: Walk): Found {
  const map = asMap(tree, schema)
  if (map === null) {
    const hint = nounHint(schema, place, tree)
    const { variants } = schema
    if (variants !== undefined && tree.kind === 'scalar' && typeof tree.value === 'string') {
      return broken(tree, place, along, `${shown(tree)} is not ${variants.noun}`, hint)
    }
    return broken(tree, place, along, ...mismatch(place, 'a map of keys', tree, hint))
  }
  const variant = schema.variants === undefined ? null : chooseVariant(map, schema.variants, schema, place, along)
  const properties = schema.properties ?? {}
  const declared = new Map<string, Found>()
  const others: [string, Found][] = []
  const unknown: string[] = []
  for (const entry of map.entries) {
    if (variant?.keys.has(entry.key)) continue
    const property = propertyOf(schema, entry.key)
    if (property === null) {
      along.findings.push(unknownKey(entry, schema, place))
      unknown.push(entry.key)
    } else if (Object.hasOwn(properties, entry.key)) declared.set(entry.key, walkEntry(entry, property, place, along))
    else others.push([entry.key, walkEntry(entry, property, place, along)])
  }
  // Declared keys come in the schema's order whatever order was written, so that equal meaning gives equal JSON.
  const values: [string, Found][] = []
  let isBroken = unknown.length > 0 || variant?.isBroken === true
  for (const [key, property] of Object.entries(properties)) {
    const found = declared.get(key) ?? defaultOf(key, property, map.span, along)
    if (found !== null) values.push([key, found])
    else if (schema.required?.includes(key)) {
      isBroken = true
      const isMisspelt = unknown.some(word => word === mergeKey || nearest(word, Object.keys(properties)) === key)
      if (!isMisspelt) along.findings.push(missingKey(key, property, map, place))
    }
  }
  values.push(...(variant?.values ?? []), ...others)
  const value = Object.fromEntries(values.map(([key, found]) => [key, found.value]))
  isBroken ||= values.some(([, found]) => found.isBroken)
  return { ...leaf(value, tree.span, place), isBroken, children: new Map(values) }
}

function defaultOf(key: string, property: Keywords, span: Span, along: Walk): Found | null {
  if (!('default' in property)) return null
  return walk(treeOf(property.default, span), property, { name: key, keySpan: null }, along)
}

/** The tree as a map, its short forms written out. */
function asMap(tree: Tree, schema: Keywords): MapTree | null {
  if (tree.kind === 'map') return tree
  const isNull = tree.kind === 'scalar' && tree.value === null
  if (schema.shorthand !== undefined && !isNull) {
    return { kind: 'map', entries: [{ key: schema.shorthand, keySpan: tree.span, value: tree }], span: tree.span }
  }
  // `- cors` is short for `- cors: {}`.
  if (tree.kind !== 'scalar' || typeof tree.value !== 'string' || schema.variants === undefined) return null
  if (ownOf(schema.variants.of, tree.value) === null) return null
  const entry = { key: tree.value, keySpan: tree.span, value: treeOf(null, tree.span) }
  return { kind: 'map', entries: [entry], span: tree.span }
}

interface ChosenVariant {
  /** The keys that are spoken for. */
  readonly keys: ReadonlySet<string>
  readonly values: readonly [string, Found][]
  readonly isBroken: boolean
}

function chooseVariant(map: MapTree, variants: Variants, schema: Keywords, place: Place, along: Walk): ChosenVariant {
  const { noun, of, into } = variants
  const chosen = map.entries.filter(entry => ownOf(of, entry.key) !== null)
  const keys = new Set(chosen.map(entry => entry.key))
  const [entry, second] = chosen
  if (entry === undefined) {
    const hasUnknown = map.entries.some(other => propertyOf(schema, other.key) === null)
    const hint = `${upperFirst(noun)} is one of ${listOf(Object.keys(of), 'or')}.`
    // A misspelt key is reported as such; it is most likely the one that is missing.
    if (!hasUnknown) {
      along.findings.push({
        message: `\`${place.name}\` ${variants.lack}`,
        hint,
        span: place.keySpan ?? headOf(map.span),
      })
    }
    return { keys, values: [], isBroken: true }
  }
  if (second !== undefined) {
    const message = `\`${place.name}\` has both \`${entry.key}\` and \`${second.key}\``
    along.findings.push({ message, hint: `Keep one: there is exactly one of these keys.`, span: second.keySpan })
  }
  const variant = ownOf(of, entry.key) ?? {}
  const isEmpty = entry.value.kind === 'scalar' && entry.value.value === null && acceptsNothing(variant)
  const written = isEmpty ? { ...entry, value: treeOf({}, entry.keySpan) } : entry
  const name = { ...leaf(entry.key, entry.keySpan, place), keySpan: entry.keySpan }
  const values: [string, Found][] = [
    [into[0], name],
    [into[1], walkEntry(written, variant, place, along)],
  ]
  return { keys, values, isBroken: second !== undefined }
}

function walkEntry(entry: Entry, schema: Keywords, parent: Place, along: Walk): Found {
  const { key, keySpan, value } = entry
  // Two levels say enough: the frame shows the rest.
  const last = parent.name.replace(/^.*\./, '')
  const name = last === '' || last.endsWith(']') ? key : `${last}.${key}`
  return walk(value, schema, { name, keySpan }, along)
}

function propertyOf(schema: Keywords, key: string): Keywords | null {
  const own = ownOf(schema.properties ?? {}, key)
  if (own !== null) return own
  for (const [pattern, property] of Object.entries(schema.patternProperties ?? {})) {
    if (new RegExp(pattern).test(key)) return property
  }
  if (typeof schema.additionalProperties === 'object') return schema.additionalProperties
  return schema.additionalProperties === true ? {} : null
}

function ownOf(table: Readonly<Record<string, Keywords>>, key: string): Keywords | null {
  return Object.hasOwn(table, key) ? (table[key] ?? null) : null
}

function unknownKey(entry: Entry, schema: Keywords, place: Place): Finding {
  const known = [...Object.keys(schema.variants?.of ?? {}), ...Object.keys(schema.properties ?? {})]
  const where = place.name === '' ? 'at the top of the config' : `in \`${place.name}\``
  const hint =
    entry.key === mergeKey ? mergeHint : known.length === 0 ? 'No keys belong here.' : suggest(entry.key, known)
  return { message: `the key \`${entry.key}\` is not known ${where}`, hint, span: entry.keySpan }
}

const mergeKey = '<<'
const mergeHint =
  'Merge keys are not part of this language: write the keys out, or let `*name` stand for a whole value.'

function missingKey(key: string, property: Keywords, map: MapTree, place: Place): Finding {
  const about = property.description === undefined ? '' : ` – ${property.description}`
  const message = place.name === '' ? `the key \`${key}\` is missing` : `\`${place.name}\` lacks the key \`${key}\``
  return { message, hint: `Add \`${key}: …\`${about}`, span: place.keySpan ?? headOf(map.span) }
}

function listHint(tree: Tree, place: Place): string {
  if (tree.kind === 'scalar' && tree.value !== null) {
    return `Put it in brackets: \`${place.name.replace(/.*\./, '')}: [${tree.written.slice(0, 60)}]\`.`
  }
  if (tree.kind === 'map') return 'Begin each item with `- `.'
  return ''
}

function nounHint(schema: Keywords, place: Place, tree: Tree): string {
  if (schema.variants !== undefined) {
    const names = Object.keys(schema.variants.of)
    const word = tree.kind === 'scalar' && typeof tree.value === 'string' ? tree.value : ''
    return suggest(word, names, `Write ${schema.variants.noun} with its options`)
  }
  const keys = Object.keys(schema.properties ?? {})
  const own = place.name.replace(/.*\./, '')
  if (tree.kind === 'scalar' && isYes(tree.value) && acceptsNothing(schema)) {
    const others = keys.length === 0 ? '' : `, or some of its keys: ${listOf(keys)}`
    return `Write \`${own}: {}\`${keys.length === 0 ? '' : ' for the defaults'}${others}.`
  }
  if (tree.kind === 'scalar' && isNo(tree.value)) {
    if (keys.includes('enabled')) return `Write \`${own}: { enabled: false }\`.`
    if (schema.default === null) return 'Leave it out to have none.'
  }
  if (keys.length === 1) return `The key of \`${place.name}\` is ${listOf(keys)}.`
  if (keys.length === 0)
    return schema.examples === undefined ? '' : `Write it such as \`${own}: ${flowOf(schema.examples[0])}\`.`
  return `The keys of \`${place.name}\` are ${listOf(keys)}.`
}

function isYes(value: unknown): boolean {
  return value === true || value === 'on' || value === 'yes'
}

function isNo(value: unknown): boolean {
  return value === false || value === 'off' || value === 'no'
}

/** A map of texts as it is written on one line. */
function flowOf(example: unknown): string {
  const entries = Object.entries(example as Record<string, unknown>)
  return `{ ${entries.map(([key, value]) => `"${key}": ${String(value)}`).join(', ')} }`
}

function kindOf(schema: Keywords): Tree['kind'] {
  if (schema.type === 'object' || schema.variants !== undefined) return 'map'
  return schema.type === 'array' ? 'list' : 'scalar'
}

function nounOf(schema: Keywords): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.enum !== undefined) return schema.enum.map(word => `\`${String(word)}\``).join(' or ')
  const [key] = schema.required ?? []
  if (kindOf(schema) === 'map' && key !== undefined) return `a map with \`${key}\``
  const nouns: Readonly<Record<string, string>> = { map: 'a map', list: 'a list', scalar: 'a single value' }
  return schema.format === undefined ? (nouns[kindOf(schema)] ?? '') : `a ${schema.format}`
}

function upperFirst(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
