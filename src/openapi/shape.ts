// What texts may stand for, by a schema: numbers, booleans, lists and objects of these.

import { follow, type OpenApiDocument } from './document.ts'
import { type Fields, isFields, member, type Part, within } from './part.ts'

export interface Shape {
  readonly kind: 'array' | 'object' | 'any'
  /** Types that one text may be of; empty for any. */
  readonly types: readonly string[]
  readonly items: Shape | null
  readonly properties: ReadonlyMap<string, Shape>
  /** Of other members; null where there may be none. */
  readonly more: Shape | null
}

const depthMax = 6

export const anything: Shape = { kind: 'any', types: [], items: null, properties: new Map(), more: null }

/** Looks through `allOf`, `anyOf` and `oneOf` as well. */
export function shapeOf(document: OpenApiDocument, part: Part, depth = 0): Shape {
  const types = new Set<string>()
  const properties = new Map<string, Shape>()
  let items: Shape | null = null
  let more: Shape | null = null
  const inner = (value: unknown, pointer: string) => shapeOf(document, { value, pointer }, depth + 1)
  const look = (at: Part, level: number): void => {
    const { value, pointer } = follow(document, at)
    if (!isFields(value) || level > depthMax) return
    for (const type of typesOf(value, document.version)) types.add(type)
    if (depth < depthMax) {
      const item = member(value, 'items')
      if (item !== undefined) items = either(items, inner(item, within(pointer, 'items')))
      const named = member(value, 'properties')
      for (const [name, property] of Object.entries(isFields(named) ? named : {})) {
        const shape = inner(property, within(pointer, 'properties', name))
        properties.set(name, either(properties.get(name) ?? null, shape))
      }
      const other = member(value, 'additionalProperties')
      if (isFields(other)) more = either(more, inner(other, within(pointer, 'additionalProperties')))
      else if (other === true) more = anything
    }
    for (const keyword of ['allOf', 'anyOf', 'oneOf']) {
      const list = member(value, keyword)
      if (Array.isArray(list))
        list.forEach((item: unknown, index) =>
          look({ value: item, pointer: within(pointer, keyword, index) }, level + 1),
        )
    }
  }
  look(part, 0)
  return { kind: kindOf(types), types: [...types], items, properties, more }
}

/** What stands in several alternatives may be read as any of them says. */
function either(a: Shape | null, b: Shape): Shape {
  if (a === null) return b
  const types = new Set(a.types.length === 0 || b.types.length === 0 ? [] : [...a.types, ...b.types])
  const properties = new Map(a.properties)
  for (const [name, shape] of b.properties) properties.set(name, either(properties.get(name) ?? null, shape))
  return {
    kind: a.kind === b.kind ? a.kind : a.kind === 'any' ? b.kind : b.kind === 'any' ? a.kind : 'array',
    types: [...types],
    items: b.items === null ? a.items : either(a.items, b.items),
    properties,
    more: b.more === null ? a.more : either(a.more, b.more),
  }
}

function kindOf(types: ReadonlySet<string>): Shape['kind'] {
  return types.has('array') ? 'array' : types.has('object') ? 'object' : 'any'
}

function typesOf(schema: Fields, version: '3.0' | '3.1'): readonly string[] {
  const type = member(schema, 'type')
  const found: string[] = Array.isArray(type) ? type.map(String) : typeof type === 'string' ? [type] : []
  if (version === '3.0' && member(schema, 'nullable') === true && found.length > 0) found.push('null')
  if (found.length > 0) return found
  const list = member(schema, 'enum')
  const values: unknown[] = Array.isArray(list) ? list : Object.hasOwn(schema, 'const') ? [schema['const']] : []
  if (values.length > 0) return values.map(value => (value === null ? 'null' : typeof value))
  if (isFields(member(schema, 'properties'))) return ['object']
  return member(schema, 'items') === undefined ? [] : ['array']
}

type Raw = string | readonly string[] | readonly (readonly [string, string])[]

/** Ways to read texts: as numbers and the like where that is possible, and as texts where these are allowed too. */
export function candidatesOf(raw: Raw, shape: Shape): unknown[] {
  return [read(raw, shape, true), read(raw, shape, false)]
}

function read(raw: Raw, shape: Shape, prefersValues: boolean): unknown {
  if (typeof raw === 'string') return readText(raw, shape, prefersValues)
  if (shape.kind === 'object') {
    return Object.fromEntries(
      (raw as readonly (readonly [string, string])[]).map(([name, text]) => {
        const inner = shape.properties.get(name) ?? shape.more
        return [name, readText(text, inner ?? anything, prefersValues)]
      }),
    )
  }
  return raw.map(text => readText(String(text), shape.items ?? anything, prefersValues))
}

function readText(text: string, { types }: Shape, prefersValues: boolean): unknown {
  if (!prefersValues && (types.length === 0 || types.includes('string'))) return text
  const isAny = types.length === 0
  if (
    (isAny || types.includes('number') || types.includes('integer')) &&
    /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text)
  ) {
    const number = Number(text)
    if (Number.isFinite(number)) return number
  }
  if ((isAny || types.includes('boolean')) && (text === 'true' || text === 'false')) return text === 'true'
  if (text === '' && types.includes('null') && !types.includes('string')) return null
  return text
}

/** A form as an object; values that stand several times become lists where the schema has one. */
export function formCandidatesOf(pairs: readonly (readonly [string, string])[], shape: Shape): unknown[] {
  return [true, false].map(prefersValues => {
    const grouped = new Map<string, string[]>()
    for (const [name, text] of pairs) {
      const texts = grouped.get(name)
      if (texts === undefined) grouped.set(name, [text])
      else texts.push(text)
    }
    const entries = [...grouped].map(([name, texts]): [string, unknown] => {
      const inner = shape.properties.get(name) ?? shape.more ?? anything
      const [text = ''] = texts
      const isList = inner.kind === 'array' || texts.length > 1
      return [
        name,
        isList
          ? texts.map(item => readText(item, inner.items ?? anything, prefersValues))
          : readText(text, inner, prefersValues),
      ]
    })
    return Object.fromEntries(entries)
  })
}
