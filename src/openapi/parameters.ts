// Parameters of an operation: taken out of a call by their style, and turned into values by their schema.

import { strictValue } from '../identity/strict-json.ts'
import { fieldsAt, type OpenApiDocument } from './document.ts'
import { DocumentError, type Fields, isFields, member, within } from './part.ts'
import type { Mistake } from './run.ts'
import type { Schemas, Validator } from './schema.ts'
import { anything, candidatesOf, shapeOf, type Shape } from './shape.ts'

export type Place = 'path' | 'query' | 'header' | 'cookie'

/** What parameters are read from. */
export interface Given {
  /** Raw texts by name. */
  readonly path: ReadonlyMap<string, string>
  /** Decoded names and raw values, in order. */
  readonly query: readonly (readonly [string, string])[]
  /** All values of a field, by lower-case name. */
  header(name: string): readonly string[]
  readonly cookies: readonly (readonly [string, string])[]
}

export interface Parameter {
  readonly in: Place
  readonly name: string
  /** Whether it takes any name of the query, or which. */
  takes(name: string): boolean
  check(given: Given): readonly Mistake[]
}

export const notJson = 'must be JSON, without a name twice and not nested too deeply'

type Raw = string | readonly string[] | readonly (readonly [string, string])[]

const styles: Readonly<Record<Place, readonly string[]>> = {
  path: ['simple'],
  query: ['form', 'spaceDelimited', 'pipeDelimited', 'deepObject'],
  header: ['simple'],
  cookie: ['form'],
}
const ignoredHeaders = ['accept', 'content-type', 'authorization']

/** Null for what OpenAPI says to ignore. @throws DocumentError */
export function compileParameter(
  document: OpenApiDocument,
  part: { readonly value: Fields; readonly pointer: string },
  schemas: Schemas,
  depthMax: number,
): Parameter | null {
  const { value, pointer } = part
  const name = member(value, 'name')
  const place = member(value, 'in')
  if (typeof name !== 'string' || name === '')
    throw new DocumentError('a parameter has no name', pointer, 'Add `name`.')
  if (!isPlace(place)) throw new DocumentError('`in` is none of path, query, header, cookie', pointer, 'Correct `in`.')
  if (place === 'header' && ignoredHeaders.includes(name.toLowerCase())) return null
  const isRequired = place === 'path' || member(value, 'required') === true
  const content = member(value, 'content')
  if (content !== undefined) {
    return contentParameter(document, { name, place, isRequired, pointer }, content, schemas, depthMax)
  }

  const style = member(value, 'style') ?? styles[place][0]
  if (typeof style !== 'string' || !styles[place].includes(style)) {
    const hint = `Write one of ${styles[place].join(', ')}.`
    throw new DocumentError(`this style is not supported in ${place}`, pointer, hint)
  }
  const schemaPart = { value: member(value, 'schema') ?? {}, pointer: within(pointer, 'schema') }
  const validate = schemas.validator(schemaPart)
  const shape = shapeOf(document, schemaPart)
  const explode = member(value, 'explode') ?? style === 'form'
  const form: Form = { name, place, style, isExploded: explode === true, shape }
  const mayBeEmpty = member(value, 'allowEmptyValue') === true
  return {
    in: place,
    name,
    takes: other => takesName(form, other),
    check(given) {
      const raw = rawOf(form, given)
      if (raw === null) return isRequired ? [{ pointer: '', message: 'is missing' }] : []
      if (raw === '' && mayBeEmpty) return []
      return raw === undefined
        ? [{ pointer: '', message: 'is not written as the document says' }]
        : judge(raw, shape, validate)
    },
  }
}

function isPlace(value: unknown): value is Place {
  return typeof value === 'string' && Object.hasOwn(styles, value)
}

/** Valid when any way to read the texts as values is. */
function judge(raw: Raw, shape: Shape, validate: Validator): readonly Mistake[] {
  let first: readonly Mistake[] | null = null
  for (const candidate of candidatesOf(raw, shape)) {
    const mistakes = validate(candidate)
    if (mistakes.length === 0) return mistakes
    first ??= mistakes
  }
  return first ?? [{ pointer: '', message: 'cannot be read' }]
}

function contentParameter(
  document: OpenApiDocument,
  { name, place, isRequired, pointer }: { name: string; place: Place; isRequired: boolean; pointer: string },
  content: unknown,
  schemas: Schemas,
  depthMax: number,
): Parameter {
  const at = within(pointer, 'content')
  const entries = isFields(content) ? Object.entries(content) : []
  const [type, written] = entries[0] ?? []
  if (entries.length !== 1 || type === undefined)
    throw new DocumentError('`content` must have one entry', at, 'Write one media type.')
  const media = fieldsAt(document, { value: written, pointer: within(at, type) })
  const isJson = /^[^/]+\/(?:.*\+)?json$/i.test(type)
  const validate = schemas.validator({
    value: member(media.value, 'schema') ?? true,
    pointer: within(media.pointer, 'schema'),
  })
  const form: Form = {
    name,
    place,
    style: '',
    isExploded: false,
    shape: { ...anything, types: ['string'] },
  }
  return {
    in: place,
    name,
    takes: other => other === name,
    check(given) {
      const raw = rawOf(form, given)
      if (raw === null) return isRequired ? [{ pointer: '', message: 'is missing' }] : []
      if (typeof raw !== 'string') return [{ pointer: '', message: 'is there more than once' }]
      if (!isJson) return []
      const json = strictValue(Buffer.from(raw), depthMax)
      return json === undefined ? [{ pointer: '', message: notJson }] : validate(json, raw.length)
    },
  }
}

interface Form {
  readonly name: string
  readonly place: Place
  readonly style: string
  readonly isExploded: boolean
  readonly shape: Shape
}

function takesName({ name, place, style, isExploded, shape }: Form, other: string): boolean {
  if (style === 'deepObject') return other === name || other.startsWith(`${name}[`)
  if (place === 'query' && shape.kind === 'object' && isExploded) {
    return shape.properties.has(other) || shape.more !== null
  }
  return other === name
}

/** Null where it is not there, undefined where it is written in a way that its style does not know. */
function rawOf(form: Form, given: Given): Raw | null | undefined {
  const { name, place, shape } = form
  if (place === 'path') {
    const text = given.path.get(name)
    return text === undefined ? null : split(form, text, ',', decodePlain)
  }
  if (place === 'header') {
    const values = given.header(name.toLowerCase())
    if (values.length === 0) return null
    if (values.length > 1 && shape.kind !== 'array') return undefined
    return split(form, values.join(','), ',', text => text.trim())
  }
  const pairs = place === 'query' ? given.query : given.cookies
  const decode = place === 'query' ? decodeForm : decodePlain
  if (form.style === 'deepObject') return deepObject(name, pairs, decode)
  if (shape.kind === 'object' && form.isExploded) {
    const own = pairs.filter(([key]) => shape.properties.has(key) || (shape.more !== null && place === 'query'))
    return own.length === 0 ? null : decodePairs(own.map(([key, text]) => [key, decode(text)]))
  }
  const texts = pairs.filter(([key]) => key === name).map(([, text]) => text)
  const [text] = texts
  if (text === undefined) return null
  if (shape.kind === 'array' && form.isExploded) return allTexts(texts.map(decode))
  if (texts.length > 1) return undefined
  return split(form, text, delimiters[form.style] ?? ',', decode)
}

const delimiters: Readonly<Record<string, string | RegExp>> = {
  form: ',',
  spaceDelimited: /%20|\+| /,
  pipeDelimited: /\||%7c/i,
}

/** One text to what its shape makes of it. Delimiters that are encoded belong to the values. */
function split(
  form: Form,
  text: string,
  delimiter: string | RegExp,
  decode: (text: string) => string | null,
): Raw | undefined {
  const { kind } = form.shape
  if (kind !== 'array' && kind !== 'object') return decode(text) ?? undefined
  if (text === '') return kind === 'array' ? [] : undefined
  const parts = text.split(delimiter)
  if (kind === 'array') return allTexts(parts.map(decode))
  if (form.isExploded) {
    const pairs = parts.map(part => part.split('='))
    return pairs.every(pair => pair.length === 2)
      ? decodePairs(pairs.map(([key = '', value = '']) => [decode(key) ?? '', decode(value)]))
      : undefined
  }
  if (parts.length % 2 !== 0) return undefined
  const pairs = Array.from({ length: parts.length / 2 }, (_, index): [string, string | null] => [
    decode(parts[index * 2] ?? '') ?? '',
    decode(parts[index * 2 + 1] ?? ''),
  ])
  return decodePairs(pairs)
}

function deepObject(
  name: string,
  pairs: readonly (readonly [string, string])[],
  decode: (text: string) => string | null,
) {
  const own: [string, string | null][] = []
  for (const [key, text] of pairs) {
    if (key === name) return undefined
    if (!key.startsWith(`${name}[`)) continue
    const inner = key.slice(name.length + 1, -1)
    if (!key.endsWith(']') || /[[\]]/.test(inner)) return undefined
    own.push([inner, decode(text)])
  }
  return own.length === 0 ? null : decodePairs(own)
}

function allTexts(texts: readonly (string | null)[]): readonly string[] | undefined {
  const good = texts.filter(text => text !== null)
  return good.length === texts.length ? good : undefined
}

/** No name may stand twice: who reads it could take either. */
function decodePairs(pairs: readonly (readonly [string, string | null])[]): (readonly [string, string])[] | undefined {
  const good = pairs.flatMap(([key, text]): [string, string][] => (text === null ? [] : [[key, text]]))
  return good.length === pairs.length && new Set(good.map(([key]) => key)).size === good.length ? good : undefined
}

function decodePlain(text: string): string | null {
  try {
    return text.includes('%') ? decodeURIComponent(text) : text
  } catch {
    return null
  }
}

export function decodeForm(text: string): string | null {
  return decodePlain(text.replaceAll('+', ' '))
}
