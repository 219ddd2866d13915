// An OpenAPI document: its text read as YAML or JSON, and the way from a reference to what it names.

import { parse, YAMLParseError } from 'yaml'

export type Fields = Readonly<Record<string, unknown>>

/** What is wrong with a document, and where in it. */
export class DocumentError extends Error {
  /** JSON pointer, such as `/paths/~1users/get`; empty for the whole. */
  readonly pointer: string
  /** How to mend it, one sentence. */
  readonly hint: string

  constructor(message: string, pointer: string, hint: string) {
    super(pointer === '' ? message : `${message} (at ${pointer})`)
    this.name = 'DocumentError'
    this.pointer = pointer
    this.hint = hint
  }
}

/** A part of a document and the pointer that leads to it. */
export interface Part {
  readonly value: unknown
  readonly pointer: string
}

export interface OpenApiDocument {
  readonly version: '3.0' | '3.1'
  readonly root: Fields
}

/** @throws DocumentError for what is no OpenAPI 3.0 or 3.1. */
export function readDocument(text: string): OpenApiDocument {
  const root = readText(text)
  if (!isFields(root)) throw new DocumentError('the document is not an object', '', 'Give a whole OpenAPI document.')
  const version = /^3\.([01])\.\d+/.exec(String(root['openapi']))?.[1]
  if (version === undefined) {
    const found = root['swagger'] === undefined ? '`openapi` is neither 3.0 nor 3.1' : 'the document is of Swagger 2'
    throw new DocumentError(found, '/openapi', 'Convert the document to OpenAPI 3.0 or 3.1.')
  }
  if (!isFields(root['paths'] ?? {})) throw new DocumentError('`paths` is not an object', '/paths', fieldsHint)
  return { version: version === '0' ? '3.0' : '3.1', root }
}

const fieldsHint = 'Write an object here.'

function readText(text: string): unknown {
  // YAML takes JSON as well, but is much slower with it.
  if (/^\s*\{/.test(text)) {
    try {
      return JSON.parse(text)
    } catch {
      // It may still be YAML, whose reader says better what is wrong.
    }
  }
  try {
    return parse(text, { merge: true, maxAliasCount: 10_000 })
  } catch (error) {
    const at = error instanceof YAMLParseError ? error.linePos?.[0] : undefined
    const where = at === undefined ? '' : ` in line ${at.line}, column ${at.col}`
    const [what = ''] = (error instanceof Error ? error.message : String(error)).split('\n')
    throw new DocumentError(`the document cannot be read${where}: ${what}`, '', 'Write valid YAML or JSON.')
  }
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The member of an object that the document itself wrote, never one that all objects have. */
export function member(fields: Fields, name: string): unknown {
  return Object.hasOwn(fields, name) ? fields[name] : undefined
}

export function within(pointer: string, ...names: readonly (string | number)[]): string {
  return pointer + names.map(name => `/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

/** Must be an object; follows references until it is none. */
export function fieldsAt(root: Fields, part: Part): { readonly value: Fields; readonly pointer: string } {
  const found = follow(root, part)
  if (isFields(found.value)) return { value: found.value, pointer: found.pointer }
  throw new DocumentError('this is not an object', found.pointer, fieldsHint)
}

const chainMax = 64

/** What stands at the end of a chain of references. */
export function follow(root: Fields, part: Part): Part {
  let found = part
  for (let count = 0; isFields(found.value) && typeof member(found.value, '$ref') === 'string'; count++) {
    if (count === chainMax) {
      throw new DocumentError('this reference leads to itself', part.pointer, 'Let references end in something.')
    }
    found = refer(root, String(found.value['$ref']), found.pointer)
  }
  return found
}

/** What a reference names. `pointer` is where it stands. */
export function refer(root: Fields, ref: string, pointer: string): Part {
  if (!ref.startsWith('#')) {
    const hint = 'Put the document together into one file, with references that start with `#/`.'
    throw new DocumentError(`the reference \`${ref}\` leads out of the document`, pointer, hint)
  }
  const target = decodeFragment(ref.slice(1))
  if (target === null || (target !== '' && !target.startsWith('/'))) {
    throw new DocumentError(`\`${ref}\` is no JSON pointer`, pointer, 'Write `#/components/…`.')
  }
  let value: unknown = root
  for (const part of target === '' ? [] : target.slice(1).split('/')) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~')
    value =
      typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as Fields)[name] : undefined
    if (value === undefined) {
      throw new DocumentError(`the reference \`${ref}\` leads nowhere`, pointer, 'Correct it, or add what it names.')
    }
  }
  return { value, pointer: target }
}

function decodeFragment(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}
