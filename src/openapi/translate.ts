// Schemas of OpenAPI 3.0 and 3.1 brought into one form that can be checked, with all mistakes in them found.
//
// Every schema that is referred to becomes a definition. What a `$dynamicRef` means depends on the way that led to it; so there
// is one definition for each place and each set of dynamic anchors that ways to it have passed.

import { follow, type OpenApiDocument } from './document.ts'
import { readValues } from './keyword-values.ts'
import { DocumentError, type Fields, isFields, member, type Part, within } from './part.ts'
import type { Resource, Target } from './resources.ts'
import {
  inPlaceKeywords,
  listKeywords,
  mapKeywords,
  type Schema,
  type SchemaFields,
  singleKeywords,
} from './schema-form.ts'
import { nameTestsOf } from './text-tests.ts'

export interface TranslationOptions {
  /** Calls may leave out what is `readOnly`; replies must not show what is `writeOnly`. */
  readonly direction: 'request' | 'reply'
  /** What happens to patterns that could take very long: an error, or they are not looked at. */
  readonly unsafePatterns: 'refuse' | 'ignore'
}

interface Definition {
  readonly pointer: string
  schema: Schema
  /** Definitions that it refers to. */
  readonly refers: Set<string>
  /** Those of them that look at the same value: a circle of these would never end. */
  readonly inPlace: Set<string>
}

/** The way that led to a schema (2020-12, section 7.1). */
interface Scope {
  readonly resource: Resource
  /** What each dynamic anchor means: its place in the outermost resource that has it. */
  readonly anchors: ReadonlyMap<string, Part>
  /** The same as a text; empty where there are none. */
  readonly key: string
}

/** Where a schema stands while it is translated. */
interface Setting {
  readonly scope: Scope
  readonly definition: Definition
  /** Whether it looks at the same value as the definition. */
  readonly isInPlace: boolean
}

/** More can only come of dynamic anchors that multiply each other. */
const definitionsMax = 100_000

export class Translation {
  readonly #document: OpenApiDocument
  readonly #options: TranslationOptions
  readonly #definitions: Definition[] = []
  readonly #keys = new Map<string, string>()
  readonly #checked = new Set<string>()

  constructor(document: OpenApiDocument, options: TranslationOptions) {
    this.#document = document
    this.#options = options
  }

  /** Translates a schema and all that it refers to. @returns Its key among the definitions. @throws DocumentError */
  root(part: Part): string {
    const key = this.#define(part, enter(null, this.#document.resources.of(part.pointer)))
    this.#refuseCircles(key, new Set())
    return key
  }

  schema(key: string): Schema {
    return this.#at(key).schema
  }

  #at(key: string): Definition {
    const definition = this.#definitions[Number(key)]
    if (definition === undefined) throw new Error(`there is no definition ${key}`)
    return definition
  }

  #define(part: Part, scope: Scope): string {
    const name = scope.key === '' ? part.pointer : `${part.pointer} ${scope.key}`
    const known = this.#keys.get(name)
    if (known !== undefined) return known
    if (this.#definitions.length >= definitionsMax) {
      throw new DocumentError('the schemas have too many dynamic anchors', part.pointer, 'Use fewer `$dynamicAnchor`.')
    }
    const key = String(this.#definitions.length)
    this.#keys.set(name, key)
    const definition: Definition = { pointer: part.pointer, schema: true, refers: new Set(), inPlace: new Set() }
    this.#definitions.push(definition)
    definition.schema = this.#schema(part, { scope, definition, isInPlace: true })
    return key
  }

  #schema({ value: written, pointer }: Part, outer: Setting): Schema {
    if (typeof written === 'boolean') return written
    if (!isFields(written)) throw new DocumentError('this is no schema', pointer, 'Write an object.')
    const { resources, version } = this.#document
    const own = resources.at(pointer)
    const setting = own === undefined ? outer : { ...outer, scope: enter(outer.scope, own) }
    const refs = this.#refs(written, pointer, setting)
    // OpenAPI 3.0: what stands beside a reference is ignored.
    if (refs.length > 0 && version === '3.0') return { refs }
    refuseUnsupported(written, pointer, version)
    const value = without(written, resources.ignored(setting.scope.resource))
    const schema: SchemaFields = readValues(value, pointer, version, this.#options.unsafePatterns)
    if (refs.length > 0) schema.refs = refs
    if (schema.required !== undefined) {
      schema.required = schema.required.filter(name => !this.#mayMiss(value, name, pointer))
    }
    this.#parts(value, pointer, setting, schema)
    this.#maps(value, pointer, setting, schema)
    return schema
  }

  /** Keys of what `$ref` and `$dynamicRef` mean. */
  #refs(value: Fields, pointer: string, { scope, definition, isInPlace }: Setting): string[] {
    return ['$ref', '$dynamicRef'].flatMap(keyword => {
      const ref = member(value, keyword)
      if (ref === undefined || (keyword === '$dynamicRef' && this.#document.version === '3.0')) return []
      if (typeof ref !== 'string')
        throw new DocumentError(`\`${keyword}\` is not a text`, pointer, 'Write `#/components/schemas/…`.')
      const { resources } = this.#document
      const target = resources.resolve(ref, scope.resource, pointer)
      const part = keyword === '$ref' ? target.part : dynamicPart(target, scope)
      const key = this.#define(part, enter(scope, resources.of(part.pointer)))
      definition.refers.add(key)
      if (isInPlace) definition.inPlace.add(key)
      return [key]
    })
  }

  /** Keywords with one schema or a list of them. */
  #parts(value: Fields, pointer: string, setting: Setting, into: SchemaFields): void {
    for (const keyword of singleKeywords) {
      const inner = member(value, keyword)
      if (inner !== undefined)
        into[keyword] = this.#schema({ value: inner, pointer: within(pointer, keyword) }, below(setting, keyword))
    }
    for (const keyword of listKeywords) {
      const list = member(value, keyword)
      if (list === undefined) continue
      const at = within(pointer, keyword)
      if (!Array.isArray(list) || list.length === 0)
        throw new DocumentError(`\`${keyword}\` is malformed`, at, 'Write a list of schemas.')
      into[keyword] = list.map((item: unknown, index) =>
        this.#schema({ value: item, pointer: within(at, index) }, below(setting, keyword)),
      )
    }
  }

  /** Keywords with schemas by name. */
  #maps(value: Fields, pointer: string, setting: Setting, into: SchemaFields): void {
    for (const keyword of mapKeywords) {
      const map = member(value, keyword)
      if (map === undefined) continue
      const at = within(pointer, keyword)
      if (!isFields(map)) throw new DocumentError(`\`${keyword}\` is malformed`, at, 'Write an object of schemas.')
      const schemas = new Map(
        Object.entries(map).map(([name, item]): [string, Schema] => {
          const part = { value: item, pointer: within(at, name) }
          const isHidden =
            keyword === 'properties' && this.#options.direction === 'reply' && this.#isOnlyOther(item, part.pointer)
          return [name, isHidden ? false : this.#schema(part, below(setting, keyword))]
        }),
      )
      if (keyword === 'patternProperties') {
        const tests = nameTestsOf(value, pointer)
        into.patternProperties = tests.map(({ test, name }) => ({ test, schema: schemas.get(name) ?? true }))
      } else into[keyword] = schemas
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
    const { value } = follow(this.#document, { value: property, pointer })
    return isFields(value) && member(value, flag) === true
  }

  #refuseCircles(key: string, path: Set<string>): void {
    if (this.#checked.has(key)) return
    const { pointer, inPlace, refers } = this.#at(key)
    if (path.has(key))
      throw new DocumentError(
        'this schema refers to itself without end',
        pointer,
        'Let it refer to itself only inside properties or items.',
      )
    path.add(key)
    for (const to of inPlace) this.#refuseCircles(to, path)
    path.delete(key)
    this.#checked.add(key)
    for (const to of refers) if (!path.has(to)) this.#refuseCircles(to, new Set())
  }
}

function enter(scope: Scope | null, resource: Resource): Scope {
  if (scope?.resource === resource) return scope
  const anchors = new Map(scope?.anchors)
  for (const [name, part] of resource.dynamicAnchors) if (!anchors.has(name)) anchors.set(name, part)
  if (scope !== null && anchors.size === scope.anchors.size) return { ...scope, resource }
  const key = [...anchors].map(([name, { pointer }]) => `${name}=${pointer}`).sort()
  return { resource, anchors, key: key.join(' ') }
}

/** Section 8.2.3.2: where the reference leads to a dynamic anchor, the outermost one of its name is meant. */
function dynamicPart({ part, dynamicName }: Target, { anchors }: Scope): Part {
  return dynamicName === null ? part : (anchors.get(dynamicName) ?? part)
}

function below(setting: Setting, keyword: string): Setting {
  return setting.isInPlace && !inPlaceKeywords.includes(keyword) ? { ...setting, isInPlace: false } : setting
}

const unsupported: Readonly<Record<string, string>> = {
  $recursiveRef: 'Write `$dynamicRef`.',
  $recursiveAnchor: 'Write `$dynamicAnchor`.',
  dependencies: 'Write `dependentRequired` or `dependentSchemas`.',
  additionalItems: 'Write the first items as `prefixItems`, and the others as `items`.',
}
const unknownIn30 = ['$id', '$anchor', '$dynamicRef', '$dynamicAnchor']

/** What would be left unchecked in silence, though the author means it to be checked. */
function refuseUnsupported(value: Fields, pointer: string, version: '3.0' | '3.1'): void {
  for (const [keyword, hint] of Object.entries(unsupported)) {
    if (member(value, keyword) === undefined) continue
    throw new DocumentError(`\`${keyword}\` is of an older JSON Schema`, pointer, hint)
  }
  if (version === '3.1') return
  for (const keyword of unknownIn30) {
    if (member(value, keyword) === undefined) continue
    const hint = 'Refer to schemas by `$ref: "#/components/schemas/…"`, or convert the document to OpenAPI 3.1.'
    throw new DocumentError(`OpenAPI 3.0 has no \`${keyword}\``, pointer, hint)
  }
}

function without(value: Fields, ignored: ReadonlySet<string>): Fields {
  if (ignored.size === 0) return value
  return Object.fromEntries(Object.entries(value).filter(([keyword]) => !ignored.has(keyword)))
}
