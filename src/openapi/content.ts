// What bodies a document describes, by media type, and how the bytes of one are checked.

import { strictValue } from '../identity/strict-json.ts'
import { fieldsAt, type OpenApiDocument } from './document.ts'
import { decodeForm, notJson } from './parameters.ts'
import { DocumentError, type Fields, isFields, member, within } from './part.ts'
import type { Mistake } from './run.ts'
import type { Schemas } from './schema.ts'
import { formCandidatesOf, shapeOf } from './shape.ts'

export interface Media {
  /** Checks a whole body; null where only the type is looked at. */
  readonly check: ((bytes: Buffer) => readonly Mistake[]) | null
}

export interface Content {
  /** By media type in lower case without parameters; null for one that is not described. */
  find(type: string): Media | null
}

/** @throws DocumentError */
export function compileContent(
  document: OpenApiDocument,
  part: { readonly value: unknown; readonly pointer: string },
  schemas: Schemas,
  depthMax: number,
): Content {
  if (!isFields(part.value))
    throw new DocumentError('`content` is not an object', part.pointer, 'Write media types here.')
  const byType = new Map<string, Media>()
  for (const [written, value] of Object.entries(part.value)) {
    const type = written.split(';')[0]?.trim().toLowerCase() ?? ''
    if (!/^[^/\s]+\/[^/\s]+$/.test(type))
      throw new DocumentError(`\`${written}\` is no media type`, part.pointer, 'Correct it.')
    if (byType.has(type)) continue
    byType.set(
      type,
      compileMedia(
        document,
        type,
        fieldsAt(document, { value, pointer: within(part.pointer, written) }),
        schemas,
        depthMax,
      ),
    )
  }
  return {
    find: type => byType.get(type) ?? byType.get(`${type.slice(0, type.indexOf('/'))}/*`) ?? byType.get('*/*') ?? null,
  }
}

export function isJson(type: string): boolean {
  return /^[^/]+\/(?:.*\+)?json$/.test(type)
}

function compileMedia(
  document: OpenApiDocument,
  type: string,
  { value, pointer }: { value: Fields; pointer: string },
  schemas: Schemas,
  depthMax: number,
): Media {
  const schema = member(value, 'schema')
  const part = { value: schema ?? {}, pointer: within(pointer, 'schema') }
  if (isJson(type)) {
    const validate = schemas.validator(part)
    return {
      check(bytes) {
        const json = strictValue(bytes, depthMax)
        return json === undefined ? [{ pointer: '', message: notJson }] : validate(json, bytes.length)
      },
    }
  }
  if (type !== 'application/x-www-form-urlencoded' || schema === undefined) return { check: null }
  const validate = schemas.validator(part)
  const shape = shapeOf(document, part)
  return {
    check(bytes) {
      const pairs = formPairs(bytes.toString('latin1'))
      if (pairs === null) return [{ pointer: '', message: 'must be a form' }]
      let first: readonly Mistake[] = []
      for (const candidate of formCandidatesOf(pairs, shape)) {
        const mistakes = validate(candidate, bytes.length)
        if (mistakes.length === 0) return mistakes
        if (first.length === 0) first = mistakes
      }
      return first
    },
  }
}

/** Decoded names and values of a form or a query; null where an escape is malformed. */
function formPairs(text: string): [string, string][] | null {
  const pairs: [string, string][] = []
  for (const piece of text.split('&')) {
    if (piece === '') continue
    const at = piece.indexOf('=')
    const name = decodeForm(at < 0 ? piece : piece.slice(0, at))
    const value = decodeForm(at < 0 ? '' : piece.slice(at + 1))
    if (name === null || value === null) return null
    pairs.push([name, value])
  }
  return pairs
}
