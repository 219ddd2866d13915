// What is checked of strings and numbers by functions of our own: patterns and formats, which must never take long.

import { IsDate, IsDateTime, IsEmail, IsIPv4, IsIPv6, IsTime, IsUri, IsUuid } from 'typebox/format'
import { DocumentError, type Fields, isFields, member, within } from './document.ts'
import { patternBound } from './pattern-bound.ts'

export interface Refinement {
  readonly check: (value: unknown) => boolean
  readonly error: () => string
}

/** No format that is checked has longer texts. */
const formatCharactersMax = 4_000

const formats: Readonly<Record<string, (text: string) => boolean>> = {
  date: IsDate,
  'date-time': IsDateTime,
  email: IsEmail,
  ipv4: IsIPv4,
  ipv6: IsIPv6,
  time: IsTime,
  uri: IsUri,
  uuid: IsUuid,
}

const ranges: Readonly<Record<string, readonly [number, number]>> = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [-(2 ** 63), 2 ** 63],
}

export function refinementsOf(schema: Fields, pointer: string, unsafe: 'refuse' | 'ignore'): Refinement[] {
  const found: Refinement[] = []
  const pattern = member(schema, 'pattern')
  if (pattern !== undefined) {
    const at = within(pointer, 'pattern')
    if (typeof pattern !== 'string')
      throw new DocumentError('`pattern` is not a text', at, 'Write a regular expression.')
    const bounded = boundedPattern(pattern, at, unsafe)
    if (bounded !== null) {
      const { regExp, charactersMax } = bounded
      found.push({
        check: value => typeof value !== 'string' || (value.length <= charactersMax && regExp.test(value)),
        error: () => 'must match the pattern of the document',
      })
    }
  }
  const named = member(schema, 'patternProperties')
  for (const key of isFields(named) ? Object.keys(named) : [])
    boundedPattern(key, within(pointer, 'patternProperties', key), 'refuse')
  const format = member(schema, 'format')
  const test = typeof format === 'string' ? member(formats, format) : undefined
  if (typeof test === 'function') {
    const isRight = formats[String(format)] ?? (() => false)
    found.push({
      check: value => typeof value !== 'string' || (value.length <= formatCharactersMax && isRight(value)),
      error: () => `must be a ${String(format)}`,
    })
  }
  const range = typeof format === 'string' && Object.hasOwn(ranges, format) ? ranges[format] : undefined
  if (range !== undefined) {
    const [low, high] = range
    found.push({
      check: value => typeof value !== 'number' || (value >= low && value <= high),
      error: () => `must be an ${String(format)}`,
    })
  }
  return found
}

function boundedPattern(source: string, pointer: string, unsafe: 'refuse' | 'ignore') {
  let regExp: RegExp
  try {
    regExp = new RegExp(source, 'u')
  } catch {
    throw new DocumentError(
      'this is no regular expression of ECMAScript',
      pointer,
      'Correct it; escape only what needs it.',
    )
  }
  const charactersMax = patternBound(source)
  if (charactersMax > 0) return { regExp, charactersMax }
  if (unsafe === 'ignore') return null
  const hint =
    'Write it without repetitions inside repetitions, or set `unsafePatterns: ignore` to leave such patterns unchecked.'
  throw new DocumentError('this pattern could take very long with some texts', pointer, hint)
}
