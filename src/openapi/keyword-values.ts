// The keywords of a schema whose values are no schemas, read strictly.

import { DocumentError, type Fields, isFields, member, within } from './part.ts'
import { countKeywords, numberKeywords, type SchemaFields } from './schema-form.ts'
import { textTestsOf } from './text-tests.ts'

const types = ['null', 'boolean', 'object', 'array', 'number', 'integer', 'string']

/** Formats of numbers. */
const ranges: Readonly<Record<string, { readonly low: number; readonly high: number }>> = {
  int32: { low: -(2 ** 31), high: 2 ** 31 - 1 },
  // The largest int64 is read as 2 to the power of 63, as numbers of this size are.
  int64: { low: -(2 ** 63), high: 2 ** 63 },
}

/** Says that a keyword is malformed, with a hint. */
type Wrong = (keyword: string, hint: string) => DocumentError

/** @throws DocumentError */
export function readValues(
  value: Fields,
  pointer: string,
  version: '3.0' | '3.1',
  unsafePatterns: 'refuse' | 'ignore',
): SchemaFields {
  const schema: SchemaFields = {}
  const wrong: Wrong = (keyword, hint) =>
    new DocumentError(`\`${keyword}\` is malformed`, within(pointer, keyword), hint)
  readCounts(value, wrong, schema)
  readNumbers(value, version, wrong, schema)
  readKinds(value, version, wrong, schema)
  readNames(value, wrong, schema)
  const texts = textTestsOf(value, pointer, unsafePatterns)
  if (texts.length > 0) schema.texts = texts
  const format = member(value, 'format')
  const range = typeof format === 'string' && Object.hasOwn(ranges, format) ? ranges[format] : undefined
  if (range !== undefined) schema.range = { ...range, name: String(format) }
  return schema
}

function readCounts(value: Fields, wrong: Wrong, into: SchemaFields): void {
  for (const keyword of countKeywords) {
    const count = member(value, keyword)
    if (count === undefined) continue
    if (typeof count !== 'number' || !Number.isInteger(count) || count < 0)
      throw wrong(keyword, 'Write a whole number from 0.')
    into[keyword] = count
  }
}

function readNumbers(value: Fields, version: '3.0' | '3.1', wrong: Wrong, into: SchemaFields): void {
  for (const keyword of numberKeywords) {
    const number = member(value, keyword)
    if (number === undefined) continue
    if (typeof number === 'boolean' && keyword.startsWith('exclusive') && version === '3.0') continue
    if (typeof number !== 'number' || !Number.isFinite(number) || (keyword === 'multipleOf' && number <= 0)) {
      throw wrong(keyword, keyword === 'multipleOf' ? 'Write a number above 0.' : 'Write a number.')
    }
    into[keyword] = number
  }
  if (version === '3.1') return
  // OpenAPI 3.0 says by a boolean that the bound itself is not allowed.
  for (const [bound, exclusive] of [
    ['minimum', 'exclusiveMinimum'],
    ['maximum', 'exclusiveMaximum'],
  ] as const) {
    const limit = into[bound]
    if (member(value, exclusive) !== true || limit === undefined) continue
    into[exclusive] = limit
    delete into[bound]
  }
}

function readKinds(value: Fields, version: '3.0' | '3.1', wrong: Wrong, into: SchemaFields): void {
  const unique = member(value, 'uniqueItems')
  if (unique !== undefined && typeof unique !== 'boolean') throw wrong('uniqueItems', 'Write `true` or `false`.')
  if (unique === true) into.uniqueItems = true
  if (Object.hasOwn(value, 'const')) into.const = { value: value['const'] }
  const allowed = member(value, 'enum')
  if (allowed !== undefined && !Array.isArray(allowed)) throw wrong('enum', 'Write a list.')
  if (allowed !== undefined) into.enum = allowed
  const type = member(value, 'type')
  if (type === undefined) return
  const list: unknown[] = Array.isArray(type) ? type : [type]
  if (!isTexts(list) || list.length === 0 || !list.every(name => types.includes(name))) {
    throw wrong('type', `Write one of ${types.join(', ')}.`)
  }
  const isNullable = version === '3.0' && member(value, 'nullable') === true && !list.includes('null')
  into.type = isNullable ? [...list, 'null'] : list
}

function readNames(value: Fields, wrong: Wrong, into: SchemaFields): void {
  const required = member(value, 'required')
  if (required !== undefined) {
    if (!isTexts(required)) throw wrong('required', 'Write a list of names.')
    into.required = required
  }
  const dependent = member(value, 'dependentRequired')
  if (dependent === undefined) return
  const hint = 'Write lists of names.'
  if (!isFields(dependent)) throw wrong('dependentRequired', hint)
  into.dependentRequired = new Map(
    Object.entries(dependent).map(([name, names]): [string, readonly string[]] => {
      if (!isTexts(names)) throw wrong('dependentRequired', hint)
      return [name, names]
    }),
  )
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(item => typeof item === 'string')
}
