// How texts are tried on patterns and formats, which must never take long.

import {
  IsDate,
  IsDateTime,
  IsDuration,
  IsEmail,
  IsHostname,
  IsIdnEmail,
  IsIdnHostname,
  IsIPv4,
  IsIPv6,
  IsIri,
  IsIriReference,
  IsJsonPointer,
  IsRelativeJsonPointer,
  IsTime,
  IsUri,
  IsUriReference,
  IsUriTemplate,
  IsUuid,
} from 'typebox/format'
import { DocumentError, type Fields, isFields, member, within } from './part.ts'
import { patternBound } from './pattern-bound.ts'

export interface TextTest {
  /** Longer texts are not tried, and do not fit. */
  readonly charactersMax: number
  /** How many steps a text of this length may take at most, a few nanoseconds each. */
  steps(characters: number): number
  isRight(text: string): boolean
  readonly message: string
}

/** No format that is checked has longer texts. */
const formatCharactersMax = 4_000
/** The slowest of them, `uri-template`, takes a microsecond per character of such a text. */
const formatStepsPerCharacter = 16

const formats: Readonly<Record<string, (text: string) => boolean>> = {
  date: IsDate,
  'date-time': IsDateTime,
  duration: IsDuration,
  email: IsEmail,
  hostname: IsHostname,
  'idn-email': IsIdnEmail,
  'idn-hostname': IsIdnHostname,
  ipv4: IsIPv4,
  ipv6: IsIPv6,
  iri: IsIri,
  'iri-reference': IsIriReference,
  'json-pointer': IsJsonPointer,
  'relative-json-pointer': IsRelativeJsonPointer,
  time: IsTime,
  uri: IsUri,
  'uri-reference': IsUriReference,
  'uri-template': IsUriTemplate,
  uuid: IsUuid,
}

/** Of `pattern` and `format`. @throws DocumentError */
export function textTestsOf(schema: Fields, pointer: string, unsafe: 'refuse' | 'ignore'): TextTest[] {
  const found: TextTest[] = []
  const pattern = member(schema, 'pattern')
  if (pattern !== undefined) {
    const at = within(pointer, 'pattern')
    if (typeof pattern !== 'string')
      throw new DocumentError('`pattern` is not a text', at, 'Write a regular expression.')
    const test = patternTest(pattern, at, unsafe)
    if (test !== null) found.push(test)
  }
  const format = member(schema, 'format')
  const isRight = typeof format === 'string' && Object.hasOwn(formats, format) ? formats[format] : undefined
  if (isRight !== undefined) {
    const message = `must be of the format ${String(format)}`
    found.push({
      charactersMax: formatCharactersMax,
      steps: characters => characters * formatStepsPerCharacter,
      isRight,
      message,
    })
  }
  return found
}

/** Of the names that `patternProperties` is about: none may be left unchecked. @throws DocumentError */
export function nameTestsOf(schema: Fields, pointer: string): { readonly test: TextTest; readonly name: string }[] {
  const named = member(schema, 'patternProperties')
  return Object.keys(isFields(named) ? named : {}).flatMap(name => {
    const test = patternTest(name, within(pointer, 'patternProperties', name), 'refuse')
    return test === null ? [] : [{ test, name }]
  })
}

/** Null where it is left unchecked. */
function patternTest(written: string, pointer: string, unsafe: 'refuse' | 'ignore'): TextTest | null {
  const source = withoutNeedlessEscapes(written)
  let regExp: RegExp
  try {
    regExp = new RegExp(source, 'u')
  } catch {
    const hint = 'Correct it; escape only what needs it.'
    throw new DocumentError('this is no regular expression of ECMAScript', pointer, hint)
  }
  const bound = patternBound(source)
  if (bound.charactersMax > 0) {
    return {
      ...bound,
      isRight: text => regExp.test(text),
      message: 'must match the pattern of the document',
    }
  }
  if (unsafe === 'ignore') return null
  const hint =
    'Write it without repetitions inside repetitions, or set `unsafePatterns: ignore` to leave such patterns unchecked.'
  throw new DocumentError('this pattern could take very long with some texts', pointer, hint)
}

/** Many documents escape what needs no escape, such as `\_`. With the flag `u` that would be a mistake; it means the character. */
function withoutNeedlessEscapes(source: string): string {
  let isInClass = false
  return source.replace(/\\(.)|[[\]]/gsu, (token, escaped: string | undefined) => {
    if (escaped === undefined) {
      isInClass = token === '['
      return token
    }
    return /[\w^$\\.*+?()[\]{}|/]/.test(escaped) && escaped !== '_'
      ? token
      : escaped === '-' && isInClass
        ? token
        : escaped
  })
}
