// Which paths are safe to match and to forward: the rules against evading a route by another spelling of its path.

import type { PathsBlueprint } from '../core/blueprint.ts'
import { codeAt } from '../core/code-at.ts'
import type { FailureCode } from '../core/codes.ts'
import { decodePath } from '../core/percent.ts'

export interface SafePath {
  readonly isSafe: true
  /** What is matched: decoded once (see `decodePath`), in lower case where paths are case-insensitive. */
  readonly path: string
  /** What is forwarded: the target as received, unless something was normalised. */
  readonly target: string
  /** From `?` on, as received; empty without a query. */
  readonly query: string
}

export interface PathRefusal {
  readonly isSafe: false
  readonly code: FailureCode
  /** For the log. */
  readonly detail: string
}

/**
 * Reads an origin-form request target by the rules of `paths`.
 *
 * Hot path: an ordinary target is decided in one pass over its characters and costs one small object. What needs a second
 * look (`%`, `;`, `\`, `//`, `/.`) is left to `readUnusualPath`.
 */
export function readPath(target: string, rules: PathsBlueprint): SafePath | PathRefusal {
  if (codeAt(target, 0) !== 0x2f) return notOriginForm
  let isUnusual = false
  let previous = 0x2f
  const { length } = target
  let end = 1
  for (; end < length; end++) {
    const code = codeAt(target, end)
    if (code > 0x3f) {
      if (code === 0x5c) isUnusual = true
      else if (code > 0x7e) return strayCharacter
    } else if (code === 0x3f) {
      break
    } else if (code === 0x2f || code === 0x2e) {
      if (previous === 0x2f) isUnusual = true
    } else if (code === 0x25 || code === 0x3b) {
      isUnusual = true
    } else if (code < 0x21 || code === 0x23) {
      return strayCharacter
    }
    previous = code
  }
  for (let i = end; i < length; i++) {
    const code = codeAt(target, i)
    if (code < 0x21 || code > 0x7e || code === 0x23) return strayCharacter
  }
  if (isUnusual) return readUnusualPath(target, end, rules)
  const hasQuery = end < length
  const path = hasQuery ? target.slice(0, end) : target
  return {
    isSafe: true,
    path: rules.case === 'insensitive' ? path.toLowerCase() : path,
    target,
    query: hasQuery ? target.slice(end) : '',
  }
}

function refusal(code: FailureCode, detail: string): PathRefusal {
  return { isSafe: false, code, detail }
}

const notOriginForm = refusal('malformed-request', 'the request target does not start with a slash')
const strayCharacter = refusal('malformed-request', 'the request target holds a character that must be encoded')
const invalidEscape = refusal('malformed-request', 'the path holds an invalid percent-encoding or an encoded control')
const encodedSlash = refusal('unsafe-path', 'the path holds an encoded slash or a backslash')
const parameter = refusal('unsafe-path', 'the path holds a `;`')
const emptySegment = refusal('unsafe-path', 'the path holds an empty segment')
const dotSegment = refusal('unsafe-path', 'the path holds a dot-segment')

const plainDots = /^(?:\.|%2e){1,2}$/i
/** Some servers drop `;…` from a segment before they look at its dots, and take `\` and `%2F` for separators. */
const disguisedDots = /(?:^|\/|\\|%2f|%5c)(?:\.|%2e){1,2}(?=;|%3b|\/|\\|%2f|%5c|$)/i

/** `end` is where the query starts. */
function readUnusualPath(target: string, end: number, rules: PathsBlueprint): SafePath | PathRefusal {
  const received = target.slice(0, end)
  if (decodePath(received) === null) return invalidEscape
  let raw = received
  if (/\\|%2f|%5c/i.test(raw)) {
    if (rules.encodedSlashes === 'refuse') return encodedSlash
    if (rules.encodedSlashes === 'normalise') raw = raw.replace(/\\|%2f|%5c/gi, '/')
  }
  if (raw.includes(';') && rules.parameters === 'refuse') return parameter
  if (raw.includes('//')) {
    if (rules.emptySegments === 'refuse') return emptySegment
    if (rules.emptySegments === 'normalise') raw = raw.replace(/\/{2,}/g, '/')
  }
  if (disguisedDots.test(raw)) {
    if (rules.dotSegments === 'refuse') return dotSegment
    raw = removeDotSegments(raw)
    // What is left of dots stands behind a `;` or a kept encoded slash: readings differ, so none is chosen.
    if (disguisedDots.test(raw)) return dotSegment
  }
  const decoded = decodePath(raw) ?? raw
  return {
    isSafe: true,
    path: rules.case === 'insensitive' ? decoded.toLowerCase() : decoded,
    target: raw === received ? target : raw + target.slice(end),
    query: target.slice(end),
  }
}

/** RFC 3986 section 5.2.4, also for encoded dots. */
function removeDotSegments(raw: string): string {
  const kept: string[] = []
  const segments = raw.split('/').slice(1)
  segments.forEach((segment, index) => {
    if (!plainDots.test(segment)) {
      kept.push(segment)
      return
    }
    if (segment.length === 2 || segment.length > 3) kept.pop()
    if (index === segments.length - 1) kept.push('')
  })
  return `/${kept.join('/')}`
}
