// Schemas of OpenAPI 3.0 and 3.1 rewritten as plain JSON Schema 2020-12 that the validator cannot misread.
//
// Only keywords that are known and well written go over. Every schema that is referred to becomes an entry of `$defs`.

import {
  DocumentError,
  type Fields,
  follow,
  isFields,
  member,
  type OpenApiDocument,
  type Part,
  refer,
  within,
} from './document.ts'
import { refinementsOf } from './refinements.ts'

export interface TranslationOptions {
  /** Calls may leave out what is `readOnly`; replies must not show what is `writeOnly`. */
  readonly direction: 'request' | 'reply'
  /** What happens to patterns that could take very long: an error, or they are not looked at. */
  readonly unsafePatterns: 'refuse' | 'ignore'
}

type Schema = Fields | boolean
/** Says that a keyword is malformed, with a hint. */
type Wrong = (keyword: string, hint: string) => DocumentError

interface Definition {
  readonly pointer: string
  schema: Schema
  /** Definitions that it refers to. */
  readonly refers: Set<string>
  /** Those of them that look at the same value: a circle of these would never end. */
  readonly inPlace: Set<string>
}

const inPlaceLists = ['allOf', 'anyOf', 'oneOf']
const inPlaceSchemas = ['not', 'if', 'then', 'else']
const innerSchemas = [
  'items',
  'additionalProperties',
  'contains',
  'propertyNames',
  'unevaluatedItems',
  'unevaluatedProperties',
]
const schemaMaps = ['properties', 'patternProperties', 'dependentSchemas']
const counts = [
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'minContains',
  'maxContains',
]
const numbers = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf']
const unsupported = [
  '$id',
  '$anchor',
  '$dynamicRef',
  '$dynamicAnchor',
  '$recursiveRef',
  '$recursiveAnchor',
  'dependencies',
  'additionalItems',
]
const types = ['null', 'boolean', 'object', 'array', 'number', 'integer', 'string']

export class Translation {
  readonly #document: OpenApiDocument
  readonly #options: TranslationOptions
  readonly #definitions = new Map<string, Definition>()
  readonly #keys = new Map<string, string>()

  constructor(document: OpenApiDocument, options: TranslationOptions) {
    this.#document = document
    this.#options = options
  }

  /** Translates a schema and all that it refers to. @returns Its key among the definitions. */
  root(part: Part): string {
    const key = this.#define(part)
    this.#refuseCircles(key, new Set(), new Set())
    return key
  }

  /** One schema that holds all it refers to. */
  whole(key: string): Schema {
    const schema = this.#at(key).schema
    if (typeof schema === 'boolean') return schema
    const reached = new Set<string>()
    const reach = (from: string): void => {
      for (const to of this.#at(from).refers) {
        if (reached.has(to)) continue
        reached.add(to)
        reach(to)
      }
    }
    reach(key)
    return { ...schema, $defs: Object.fromEntries([...reached].map(to => [to, this.#at(to).schema])) }
  }

  /** The schema as written, behind references. */
  behind(part: Part): Fields {
    const { value } = follow(this.#document.root, part)
    return isFields(value) ? value : {}
  }

  #at(key: string): Definition {
    const definition = this.#definitions.get(key)
    if (definition === undefined) throw new Error(`there is no definition ${key}`)
    return definition
  }

  #define(part: Part): string {
    const known = this.#keys.get(part.pointer)
    if (known !== undefined) return known
    const key = `d${this.#keys.size}`
    this.#keys.set(part.pointer, key)
    const definition: Definition = { pointer: part.pointer, schema: true, refers: new Set(), inPlace: new Set() }
    this.#definitions.set(key, definition)
    definition.schema = this.#schema(part, definition, true)
    return key
  }

  #schema({ value, pointer }: Part, into: Definition, isInPlace: boolean): Schema {
    if (typeof value === 'boolean') return value
    if (!isFields(value)) throw new DocumentError('this is no schema', pointer, 'Write an object.')
    const ref = member(value, '$ref')
    const translated: Record<string, unknown> = {}
    if (ref !== undefined) {
      if (typeof ref !== 'string')
        throw new DocumentError('`$ref` is not a text', pointer, 'Write `#/components/schemas/…`.')
      const key = this.#define(refer(this.#document.root, ref, pointer))
      into.refers.add(key)
      if (isInPlace) into.inPlace.add(key)
      translated['$ref'] = `#/$defs/${key}`
      // OpenAPI 3.0: what stands beside a reference is ignored.
      if (this.#document.version === '3.0') return translated
    }
    for (const keyword of unsupported) {
      if (member(value, keyword) === undefined) continue
      throw new DocumentError(
        `\`${keyword}\` is not supported`,
        pointer,
        'Refer to schemas by `$ref: "#/components/schemas/…"`.',
      )
    }
    this.#values(value, pointer, translated)
    this.#parts(value, pointer, translated, into, isInPlace)
    const refinements = refinementsOf(value, pointer, this.#options.unsafePatterns)
    if (refinements.length > 0) translated['~refine'] = refinements
    return translated
  }

  /** Keywords whose values are no schemas. */
  #values(value: Fields, pointer: string, into: Record<string, unknown>): void {
    const wrong = (keyword: string, hint: string) =>
      new DocumentError(`\`${keyword}\` is malformed`, within(pointer, keyword), hint)
    for (const keyword of counts) {
      const count = member(value, keyword)
      if (count === undefined) continue
      if (typeof count !== 'number' || !Number.isInteger(count) || count < 0)
        throw wrong(keyword, 'Write a whole number from 0.')
      into[keyword] = count
    }
    for (const keyword of numbers) {
      const number = member(value, keyword)
      if (number === undefined) continue
      if (typeof number === 'boolean' && keyword.startsWith('exclusive') && this.#document.version === '3.0') continue
      if (typeof number !== 'number' || !Number.isFinite(number) || (keyword === 'multipleOf' && number <= 0)) {
        throw wrong(keyword, 'Write a number.')
      }
      into[keyword] = number
    }
    this.#exclusive(value, into)
    this.#kinds(value, wrong, into)
    this.#names(value, pointer, wrong, into)
  }

  #kinds(value: Fields, wrong: Wrong, into: Record<string, unknown>): void {
    const unique = member(value, 'uniqueItems')
    if (unique !== undefined && typeof unique !== 'boolean') throw wrong('uniqueItems', 'Write `true` or `false`.')
    if (unique === true) into['uniqueItems'] = true
    if (member(value, 'const') !== undefined) into['const'] = value['const']
    const allowed = member(value, 'enum')
    if (allowed !== undefined && !Array.isArray(allowed)) throw wrong('enum', 'Write a list.')
    if (allowed !== undefined) into['enum'] = allowed
    const type = member(value, 'type')
    if (type !== undefined) {
      const list: unknown[] = Array.isArray(type) ? type : [type]
      if (list.length === 0 || !list.every(name => types.includes(String(name)))) {
        throw wrong('type', `Write one of ${types.join(', ')}.`)
      }
      const isNullable =
        this.#document.version === '3.0' && member(value, 'nullable') === true && !list.includes('null')
      into['type'] = isNullable ? [...list, 'null'] : type
    }
  }

  #names(value: Fields, pointer: string, wrong: Wrong, into: Record<string, unknown>): void {
    const required = member(value, 'required')
    if (required !== undefined) {
      if (!isTexts(required)) throw wrong('required', 'Write a list of names.')
      into['required'] = required.filter(name => !this.#mayMiss(value, name, pointer))
    }
    const dependent = member(value, 'dependentRequired')
    if (dependent !== undefined) {
      if (!isFields(dependent) || !Object.values(dependent).every(isTexts))
        throw wrong('dependentRequired', 'Write lists of names.')
      into['dependentRequired'] = dependent
    }
  }

  /** OpenAPI 3.0 says by a boolean that the bound itself is not allowed. */
  #exclusive(value: Fields, into: Record<string, unknown>): void {
    for (const [bound, exclusive] of [
      ['minimum', 'exclusiveMinimum'],
      ['maximum', 'exclusiveMaximum'],
    ] as const) {
      if (member(value, exclusive) !== true || typeof into[bound] !== 'number') continue
      into[exclusive] = into[bound]
      delete into[bound]
    }
  }

  /** A required member that messages of this direction may leave out. */
  #mayMiss(value: Fields, name: string, pointer: string): boolean {
    const properties = member(value, 'properties')
    const property = isFields(properties) ? member(properties, name) : undefined
    return property !== undefined && this.#isOnlyOther(property, within(pointer, 'properties', name))
  }

  #isOnlyOther(property: unknown, pointer: string): boolean {
    const flag = this.#options.direction === 'request' ? 'readOnly' : 'writeOnly'
    if (isFields(property) && member(property, flag) === true) return true
    const { value } = follow(this.#document.root, { value: property, pointer })
    return isFields(value) && member(value, flag) === true
  }

  /** Keywords whose values are schemas. */
  #parts(
    value: Fields,
    pointer: string,
    into: Record<string, unknown>,
    definition: Definition,
    isInPlace: boolean,
  ): void {
    for (const keyword of [...innerSchemas, ...inPlaceSchemas]) {
      const inner = member(value, keyword)
      if (inner === undefined) continue
      const stays = isInPlace && inPlaceSchemas.includes(keyword)
      into[keyword] = this.#schema({ value: inner, pointer: within(pointer, keyword) }, definition, stays)
    }
    for (const keyword of [...inPlaceLists, 'prefixItems']) {
      const list = member(value, keyword)
      if (list === undefined) continue
      const at = within(pointer, keyword)
      if (!Array.isArray(list) || list.length === 0)
        throw new DocumentError(`\`${keyword}\` is malformed`, at, 'Write a list of schemas.')
      const stays = isInPlace && keyword !== 'prefixItems'
      into[keyword] = list.map((item: unknown, index) =>
        this.#schema({ value: item, pointer: within(at, index) }, definition, stays),
      )
    }
    for (const keyword of schemaMaps) {
      const map = member(value, keyword)
      if (map === undefined) continue
      const at = within(pointer, keyword)
      if (!isFields(map)) throw new DocumentError(`\`${keyword}\` is malformed`, at, 'Write an object of schemas.')
      const stays = isInPlace && keyword === 'dependentSchemas'
      into[keyword] = Object.fromEntries(
        Object.entries(map).map(([name, item]): [string, Schema] => {
          const part = { value: item, pointer: within(at, name) }
          const isHidden =
            keyword === 'properties' && this.#options.direction === 'reply' && this.#isOnlyOther(item, part.pointer)
          return [name, isHidden ? false : this.#schema(part, definition, stays)]
        }),
      )
    }
  }

  #refuseCircles(key: string, path: Set<string>, done: Set<string>): void {
    if (done.has(key)) return
    const { pointer, inPlace, refers } = this.#at(key)
    if (path.has(key))
      throw new DocumentError(
        'this schema refers to itself without end',
        pointer,
        'Let it refer to itself only inside properties or items.',
      )
    path.add(key)
    for (const to of inPlace) this.#refuseCircles(to, path, done)
    path.delete(key)
    done.add(key)
    for (const to of refers) if (!path.has(to)) this.#refuseCircles(to, new Set(), done)
  }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(item => typeof item === 'string')
}
