// Schemas that have a URI: whole files, and what `$id` names in them. The way from a reference to what it means.
//
// JSON Schema 2020-12, section 8.2: `$id` gives a schema a URI, against which references inside it are resolved; `$anchor` and
// `$dynamicAnchor` give names to places in it. Nothing is ever fetched: a URI that no file has leads nowhere.

import { ignoredKeywords } from './dialect.ts'
import metaSchemas from './meta-schemas.json' with { type: 'json' }
import { DocumentError, type Fields, isFields, member, type Part, within } from './part.ts'
import { listKeywords, mapKeywords, singleKeywords } from './schema-form.ts'

export interface File {
  /** How pointers name it; empty for the document itself. */
  readonly name: string
  /** Absolute, without fragment. References in the file are resolved against the first. */
  readonly uris: readonly string[]
  readonly root: unknown
}

export interface Resource {
  readonly uri: string
  readonly root: Part
  /** By the names that `$anchor` and `$dynamicAnchor` give. */
  readonly anchors: Map<string, Part>
  readonly dynamicAnchors: Map<string, Part>
  /** The URI of its meta-schema; null for what OpenAPI 3.1 and JSON Schema 2020-12 define. */
  readonly dialect: string | null
}

export interface Target {
  readonly part: Part
  readonly resource: Resource
  /** The name by which a `$dynamicRef` may mean another place as well (section 8.2.3.2). */
  readonly dynamicName: string | null
}

export class Resources {
  readonly #byUri = new Map<string, Resource>()
  readonly #byPointer = new Map<string, Resource>()
  readonly #ignored = new Map<string, ReadonlySet<string>>()
  readonly #hasIds: boolean

  /** The first file is the document. In OpenAPI 3.0 only files have URIs. @throws DocumentError */
  constructor(files: readonly File[], version: '3.0' | '3.1') {
    this.#hasIds = version === '3.1'
    const [document] = files
    const dialect = document === undefined ? null : dialectOf(document.root, null)
    for (const file of files) this.#addFile(file, dialect)
  }

  /** The one that a place belongs to. */
  of(pointer: string): Resource {
    const [only] = this.#byPointer.values()
    if (this.#byPointer.size === 1 && only !== undefined) return only
    for (let at = pointer; ; at = at.slice(0, at.lastIndexOf('/'))) {
      const found = this.#byPointer.get(at)
      if (found !== undefined) return found
      if (!at.includes('/')) throw new Error(`there is no file of ${pointer}`)
    }
  }

  /** The one that starts at a place. */
  at(pointer: string): Resource | undefined {
    // Most documents have no `$id`, and looking up long pointers takes time.
    return this.#byPointer.size === 1 ? undefined : this.#byPointer.get(pointer)
  }

  /** Keywords that the dialect of a resource does not have. @throws DocumentError for a dialect that is not known. */
  ignored({ dialect, root }: Resource): ReadonlySet<string> {
    const known = this.#ignored.get(dialect ?? '')
    if (known !== undefined) return known
    const ignored = ignoredKeywords(dialect, uri => this.#byUri.get(uri)?.root.value, root.pointer)
    this.#ignored.set(dialect ?? '', ignored)
    return ignored
  }

  /** What a reference means. `pointer` is where it stands, in the resource `from`. @throws DocumentError */
  resolve(ref: string, from: Resource, pointer: string): Target {
    const hash = ref.indexOf('#')
    const fragment = hash < 0 ? '' : decodeFragment(ref.slice(hash + 1))
    if (fragment === null) throw new DocumentError(`\`${ref}\` is malformed`, pointer, 'Correct its escapes.')
    const base = hash === 0 ? from : this.#find(ref, hash < 0 ? ref : ref.slice(0, hash), from, pointer)
    if (fragment === '' || fragment.startsWith('/')) {
      const part = partAt(base.root, fragment)
      if (part === null) throw new DocumentError(`the reference \`${ref}\` leads nowhere`, pointer, nowhereHint(base))
      return { part, resource: this.of(part.pointer), dynamicName: null }
    }
    const part = base.anchors.get(fragment)
    if (part === undefined) {
      const hint = 'Write `#/components/…`, or add an `$anchor` of this name.'
      throw new DocumentError(`the reference \`${ref}\` leads nowhere`, pointer, hint)
    }
    return { part, resource: base, dynamicName: base.dynamicAnchors.get(fragment) === part ? fragment : null }
  }

  #find(ref: string, text: string, from: Resource, pointer: string): Resource {
    const uri = absolute(text, from.uri)
    if (uri === null) throw new DocumentError(`\`${ref}\` is no URI`, pointer, 'Write `#/components/…`.')
    if (Object.hasOwn(metaSchemas, uri) && !this.#byUri.has(uri)) {
      this.#addFile({ name: uri, uris: [uri], root: member(metaSchemas, uri) }, null)
    }
    const found = this.#byUri.get(uri)
    if (found !== undefined) return found
    const hint = 'Name its file in `references`, or put the document together into one file with references to `#/…`.'
    throw new DocumentError(`the reference \`${ref}\` leads out of the document`, pointer, hint)
  }

  #addFile({ name, uris, root }: File, dialect: string | null): void {
    const pointer = name === '' ? '' : `${name}#`
    const [uri = ''] = uris
    this.#add({
      uri,
      root: { value: root, pointer },
      anchors: new Map(),
      dynamicAnchors: new Map(),
      dialect: dialectOf(root, dialect),
    })
    if (this.#hasIds) this.#collect(root, pointer)
    const resource = this.of(pointer)
    for (const other of uris) this.#byUri.set(other, resource)
  }

  #add(resource: Resource): void {
    this.#byUri.set(resource.uri, resource)
    this.#byPointer.set(resource.root.pointer, resource)
  }

  /** Looks through what is not known to be a schema. */
  #collect(value: unknown, pointer: string): void {
    if (Array.isArray(value)) value.forEach((item, index) => this.#collect(item, within(pointer, index)))
    if (!isFields(value)) return
    if (isNamed(value) || (pointer.endsWith('#') && isSchema(value))) {
      return this.#collectSchema(value, pointer, this.of(pointer))
    }
    for (const [name, inner] of Object.entries(value)) {
      if (name.startsWith('x-') || notSchemas.includes(name)) continue
      const at = within(pointer, name)
      if (name === 'schema') this.#collectSchema(inner, at, this.of(pointer))
      else this.#collect(inner, at)
    }
  }

  #collectSchema(value: unknown, pointer: string, outer: Resource): void {
    if (!isFields(value)) return
    const resource = this.#identified(value, pointer, outer)
    for (const keyword of ['$anchor', '$dynamicAnchor']) {
      const name = member(value, keyword)
      if (typeof name === 'string') addAnchor(resource, name, { value, pointer }, keyword)
    }
    for (const keyword of singleKeywords)
      this.#collectSchema(member(value, keyword), within(pointer, keyword), resource)
    for (const keyword of listKeywords) {
      const list = member(value, keyword)
      if (!Array.isArray(list)) continue
      list.forEach((item: unknown, index) => this.#collectSchema(item, within(pointer, keyword, index), resource))
    }
    for (const keyword of [...mapKeywords, '$defs', 'definitions']) {
      const map = member(value, keyword)
      for (const [name, item] of Object.entries(isFields(map) ? map : {})) {
        this.#collectSchema(item, within(pointer, keyword, name), resource)
      }
    }
  }

  #identified(value: Fields, pointer: string, outer: Resource): Resource {
    const id = member(value, '$id')
    if (typeof id !== 'string') return outer
    const uri = absolute(id.replace(/#$/, ''), outer.uri)
    if (uri === null || uri.includes('#')) {
      throw new DocumentError(
        `the \`$id\` \`${id}\` is no URI without fragment`,
        pointer,
        'Write `https://…` or `urn:…`.',
      )
    }
    const known = this.#byUri.get(uri)
    if (known !== undefined && known.root.pointer !== pointer) {
      throw new DocumentError(`the \`$id\` \`${id}\` stands twice`, pointer, 'Give each schema its own.')
    }
    const resource: Resource = {
      uri,
      root: { value, pointer },
      anchors: new Map(),
      dynamicAnchors: new Map(),
      dialect: dialectOf(value, outer.dialect),
    }
    this.#add(resource)
    return resource
  }
}

/** Keys of OpenAPI below which no schema stands. */
const notSchemas = ['example', 'examples', 'default', 'enum', 'const', 'value']

/** Only schemas have these. */
function isNamed(value: Fields): boolean {
  return ['$id', '$anchor', '$dynamicAnchor'].some(keyword => typeof member(value, keyword) === 'string')
}

/** A file that is one schema, and neither a description nor a map of schemas. */
function isSchema(value: Fields): boolean {
  return Object.keys(value).some(name => name.startsWith('$') || keywords.has(name))
}

const keywords = new Set<string>(['type', 'enum', 'const', ...singleKeywords, ...listKeywords, ...mapKeywords])

function addAnchor(resource: Resource, name: string, part: Part, keyword: string): void {
  if (!/^[A-Za-z_][-A-Za-z0-9._]*$/.test(name)) {
    throw new DocumentError(
      `\`${keyword}\` is malformed`,
      part.pointer,
      'Write a name of letters, digits, `-`, `_`, `.`.',
    )
  }
  const known = resource.anchors.get(name)
  if (known !== undefined && known.pointer !== part.pointer) {
    throw new DocumentError(`the anchor \`${name}\` stands twice`, part.pointer, 'Give each anchor its own name.')
  }
  const named = known ?? part
  resource.anchors.set(name, named)
  if (keyword === '$dynamicAnchor') resource.dynamicAnchors.set(name, named)
}

/** What a file or a schema says of its meta-schema, or what is said around it. */
function dialectOf(value: unknown, outer: string | null): string | null {
  if (!isFields(value)) return outer
  const written = member(value, member(value, 'openapi') === undefined ? '$schema' : 'jsonSchemaDialect')
  return typeof written === 'string' ? written.replace(/#$/, '') : outer
}

function nowhereHint({ root }: Resource): string {
  return root.pointer === ''
    ? 'Correct it, or add what it names.'
    : `Correct it, or add what it names; here it starts from ${root.pointer}.`
}

function partAt(root: Part, fragment: string): Part | null {
  let { value } = root
  for (const piece of fragment === '' ? [] : fragment.slice(1).split('/')) {
    const name = piece.replaceAll('~1', '/').replaceAll('~0', '~')
    value =
      typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as Fields)[name] : undefined
    if (value === undefined) return null
  }
  return { value, pointer: root.pointer + fragment }
}

function absolute(text: string, base: string): string | null {
  return URL.canParse(text, base) ? new URL(text, base).href : null
}

function decodeFragment(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}
