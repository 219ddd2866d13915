// The path patterns of the config: literal segments, `{name}` for one segment, a final `/**` for the rest.

import { codeAt } from './code-at.ts'
import { decodePath } from './percent.ts'
import { OptionsError } from './policy.ts'

export type Segment =
  /** Text in the decoded form of `Call.path`. Empty only as the last one of a pattern that ends in a slash. */
  | { readonly kind: 'literal'; readonly text: string }
  /** Any one segment that is not empty. */
  | { readonly kind: 'param'; readonly name: string }

export type PathCase = 'sensitive' | 'insensitive'

export interface PathPattern {
  /** As the user wrote it. */
  readonly text: string
  /** Without the final `/**`. */
  readonly segments: readonly Segment[]
  /** Whether the pattern ends in `/**`. */
  readonly isPrefix: boolean
  /** In the order of the path; `rest` last where the pattern ends in `/**`. */
  readonly paramNames: readonly string[]
  /** `path` is decoded, as `Call.path` is. */
  matches(path: string): boolean
  /** The parameter as it stands in a request target that matches: percent-encoded, `rest` without its leading slash. */
  param(target: string, name: string): string | undefined
}

/** Names that templates give another meaning, and so no parameter may have. */
export const reservedNames: ReadonlySet<string> = new Set(
  'rest host method path scheme route query header fact client call'.split(' '),
)

/**
 * Compiles a pattern such as `/users/{id}` or `/catalog/**`.
 *
 * Segments are matched whole. A trailing slash counts: `/a` does not match `/a/`; `/a/**` matches `/a`, `/a/` and `/a/b`.
 * With `pathCase` `insensitive`, `matches` must be given paths in lower case, as `Call.path` then is.
 * @throws OptionsError for a text that is no pattern, with a hint how to mend it.
 */
export function compilePattern(text: string, pathCase: PathCase = 'sensitive'): PathPattern {
  refuseCharacters(text)
  const parts = text.slice(1).split('/')
  const isPrefix = parts.at(-1) === '**'
  if (isPrefix) parts.pop()
  const segments = parts.map((part, index): Segment => {
    const isLast = index === parts.length - 1 && !isPrefix
    const segment = readSegment(text, part, isLast)
    return segment.kind === 'literal' && pathCase === 'insensitive'
      ? { kind: 'literal', text: segment.text.toLowerCase() }
      : segment
  })
  const paramNames = segments.flatMap(segment => (segment.kind === 'param' ? [segment.name] : []))
  const twice = paramNames.find((name, index) => paramNames.indexOf(name) !== index)
  if (twice !== undefined) refuse(text, `names \`{${twice}}\` twice`, 'Give each parameter its own name.')
  const places = new Map(segments.map((segment, index) => [segment.kind === 'param' ? segment.name : '', index]))
  if (isPrefix) paramNames.push('rest')
  return {
    text,
    segments,
    isPrefix,
    paramNames,
    matches: compileMatches(segments, isPrefix),
    param(target, name) {
      if (isPrefix && name === 'rest') return restOf(target, segments.length)
      const place = name === '' ? undefined : places.get(name)
      return place === undefined ? undefined : segmentOf(target, place)
    },
  }
}

function refuse(text: string, what: string, hint: string): never {
  throw new OptionsError(`the path pattern \`${text}\` ${what}`, [], hint)
}

function refuseCharacters(text: string): void {
  if (!text.startsWith('/')) refuse(text, 'does not start with a slash', `Write \`/${text}\`.`)
  if (text.includes('?')) {
    refuse(text, 'holds a query', 'Match parameters with `query:`; write `%3F` for a question mark in a path.')
  }
  if (text.includes('#')) refuse(text, 'holds a `#`', 'Write `%23` for this character.')
  if (text.includes('\\')) refuse(text, 'holds a backslash', 'Separate segments with `/`.')
  if (/[\p{Cc} ]/u.test(text)) {
    refuse(text, 'holds a space or control character', 'Write `%20` for a space.')
  }
  if (!text.isWellFormed()) refuse(text, 'is not valid Unicode', 'Write octets as `%XX`.')
}

function readSegment(text: string, part: string, isLast: boolean): Segment {
  if (part === '' && !isLast) refuse(text, 'holds an empty segment', 'Write one slash between segments.')
  if (part === '**') refuse(text, 'goes on after `**`', '`**` can only be the last segment.')
  if (part === '*') refuse(text, 'holds `*`', 'Write `{name}` for one segment, or a final `/**` for any number.')
  if (part.includes('*')) {
    refuse(text, `has \`*\` inside the segment \`${part}\``, 'Wildcards are whole segments; write `%2A` for a star.')
  }
  if (/[{}]/.test(part)) return readParam(text, part)
  const decoded = decodePath(part)
  if (decoded === null) {
    refuse(text, `has an invalid percent-encoding in \`${part}\``, 'Write `%25` for a percent sign.')
  }
  if (decoded === '.' || decoded === '..') {
    refuse(text, `holds the dot-segment \`${part}\``, 'Write the path without `.` and `..`.')
  }
  return { kind: 'literal', text: decoded }
}

function readParam(text: string, part: string): Segment {
  const name = /^\{([^{}]*)\}$/.exec(part)?.[1]
  if (name === undefined) {
    refuse(
      text,
      `has a parameter that is only part of the segment \`${part}\``,
      'A parameter takes a whole segment, as in `/users/{id}`; write `%7B` and `%7D` for braces.',
    )
  }
  if (!/^[A-Za-z_][A-Za-z0-9_-]*$/.test(name)) {
    refuse(text, `has the invalid parameter name \`${name}\``, 'Use letters, digits, `_` and `-`, a letter first.')
  }
  if (reservedNames.has(name)) {
    const reason = name === 'rest' ? 'It is what a final `/**` binds' : 'Templates give this name another meaning'
    refuse(text, `uses the reserved parameter name \`${name}\``, `${reason}; choose another.`)
  }
  return { kind: 'param', name }
}

function compileMatches(segments: readonly Segment[], isPrefix: boolean): (path: string) => boolean {
  const texts = segments.map(segment => (segment.kind === 'literal' ? segment.text : null))
  if (!texts.includes(null)) {
    const literal = texts.map(text => `/${text}`).join('')
    if (!isPrefix) return path => path === literal
    return path => path.startsWith(literal) && (path.length === literal.length || codeAt(path, literal.length) === 0x2f)
  }
  return path => matchesTexts(path, texts, isPrefix)
}

/** `null` in `texts` stands for a parameter. */
function matchesTexts(path: string, texts: readonly (string | null)[], isPrefix: boolean): boolean {
  let from = 1
  for (const text of texts) {
    if (from > path.length) return false
    const slash = path.indexOf('/', from)
    const end = slash < 0 ? path.length : slash
    if (text === null ? end === from : end - from !== text.length || !path.startsWith(text, from)) return false
    from = end + 1
  }
  return isPrefix || from > path.length
}

/** The segment with this index, or undefined when the path is shorter. */
function segmentOf(target: string, index: number): string | undefined {
  const from = startOf(target, index)
  if (from < 0) return undefined
  const { length } = target
  let end = from
  while (end < length && !isSlashOrQuestion(codeAt(target, end))) end++
  return target.slice(from, end)
}

/** What follows the first `count` segments and a slash; empty where nothing does. */
function restOf(target: string, count: number): string | undefined {
  const from = startOf(target, count)
  if (from < 0) return count === 0 || startOf(target, count - 1) >= 0 ? '' : undefined
  const question = target.indexOf('?', from)
  return target.slice(from, question < 0 ? target.length : question)
}

/** Where the segment with this index starts, or -1 when the path has fewer. */
function startOf(target: string, index: number): number {
  const { length } = target
  let left = index
  for (let i = 0; i < length; i++) {
    const code = codeAt(target, i)
    if (code === 0x3f) return -1
    if (code === 0x2f && left-- === 0) return i + 1
  }
  return -1
}

function isSlashOrQuestion(code: number): boolean {
  return code === 0x2f || code === 0x3f
}
