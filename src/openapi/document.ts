// An OpenAPI document: its text and those of the files it refers to, read as YAML or JSON.

import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { parse, YAMLParseError } from 'yaml'
import { DocumentError, type Fields, isFields, member, type Part } from './part.ts'
import { type File, Resources } from './resources.ts'

export interface OpenApiDocument {
  readonly version: '3.0' | '3.1'
  readonly root: Fields
  readonly resources: Resources
}

/** A file as it was read. */
export interface Written {
  /** Absolute. */
  readonly path: string
  readonly text: string
  /** By what references name it, besides its path from the document. */
  readonly uri?: string | null
}

/** `others` are the files that references may lead to. @throws DocumentError for what is no OpenAPI 3.0 or 3.1. */
export function readDocument(document: Written, others: readonly Written[] = []): OpenApiDocument {
  const root = readText(document.text, '')
  if (!isFields(root)) throw new DocumentError('the document is not an object', '', 'Give a whole OpenAPI document.')
  const version = versionOf(root)
  if (!isFields(root['paths'] ?? {})) throw new DocumentError('`paths` is not an object', '/paths', fieldsHint)
  const files = [fileOf('', document, root)]
  for (const other of others) {
    const name = path.posix.relative(path.posix.dirname(document.path), other.path).replaceAll('#', '%23')
    files.push(fileOf(name, other, readText(other.text, `${name}#`)))
  }
  return { version, root, resources: new Resources(files, version) }
}

function fileOf(name: string, { path: where, uri }: Written, root: unknown): File {
  const own = pathToFileURL(where).href
  if (uri === undefined || uri === null) return { name, uris: [own], root }
  if (!URL.canParse(uri)) throw new DocumentError(`\`${uri}\` is no absolute URI`, '', 'Write `https://…` or `urn:…`.')
  return { name, uris: [new URL(uri).href.replace(/#$/, ''), own], root }
}

function versionOf(root: Fields): '3.0' | '3.1' {
  const version = /^3\.([01])\.\d+/.exec(String(root['openapi']))?.[1]
  if (version !== undefined) return version === '0' ? '3.0' : '3.1'
  const found = root['swagger'] === undefined ? '`openapi` is neither 3.0 nor 3.1' : 'the document is of Swagger 2'
  throw new DocumentError(found, '/openapi', 'Convert the document to OpenAPI 3.0 or 3.1.')
}

const fieldsHint = 'Write an object here.'

function readText(text: string, pointer: string): unknown {
  // YAML takes JSON as well, but is much slower with it.
  if (/^\s*[{[]/.test(text)) {
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
    const reason = what.replace(/ at line \d+, column \d+:$/, '')
    throw new DocumentError(`the document cannot be read${where}: ${reason}`, pointer, 'Write valid YAML or JSON.')
  }
}

/** Must be an object; follows references until it is none. */
export function fieldsAt(document: OpenApiDocument, part: Part): { readonly value: Fields; readonly pointer: string } {
  const found = follow(document, part)
  if (isFields(found.value)) return { value: found.value, pointer: found.pointer }
  throw new DocumentError('this is not an object', found.pointer, fieldsHint)
}

const chainMax = 64

/** What stands at the end of a chain of references. */
export function follow({ resources }: OpenApiDocument, part: Part): Part {
  let found = part
  for (let count = 0; isFields(found.value) && typeof member(found.value, '$ref') === 'string'; count++) {
    if (count === chainMax) {
      throw new DocumentError('this reference leads to itself', part.pointer, 'Let references end in something.')
    }
    found = resources.resolve(String(found.value['$ref']), resources.of(found.pointer), found.pointer).part
  }
  return found
}
