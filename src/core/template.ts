// Texts with `{placeholders}` that are filled in from a call, safe for the place where they are used.

import type { Call } from './call.ts'
import { Failure } from './failure.ts'
import { OptionsError } from './policy.ts'
import { encodePercent } from './percent.ts'
import { type Placeholder, readPlaceholder } from './placeholder.ts'

/**
 * A compiled template.
 *
 * Placeholders: `{id}` and `{rest}` (parameters of the route's path, as they stand in the target), `{query.NAME}`,
 * `{header.NAME}`, `{cookie.NAME}`, `{host}`, `{method}`, `{path}` (as received, still percent-encoded), `{scheme}`,
 * `{client.address}`, `{call.id}`, `{route}`, `{fact.NAME}` with dots into objects. `{{` and `}}` stand for braces. What is missing is empty.
 */
export interface Template {
  readonly text: string
  /** Path parameters that it needs, `rest` included. */
  readonly paramNames: readonly string[]
  /** True without placeholders: every call renders the same. */
  readonly isConstant: boolean
  /**
   * For header values: octets as a Latin-1 string, other text as UTF-8. A control character in a value becomes a space, so
   * that no value can end its header field.
   */
  render(call: Call): string
  /**
   * For a request target or a Location. Values stay inside the component they stand in: they are percent-encoded, except
   * for what the target already holds encoded.
   * @throws Failure `unsafe-path` for a value that would become a dot-segment or change the host.
   */
  renderTarget(call: Call): string
}

type Part = string | Placeholder
type Zone = 'authority' | 'path' | 'query'

/** @throws OptionsError for unknown placeholders, stray braces, control characters and client values that end a host. */
export function compileTemplate(text: string): Template {
  if (/[^\P{Cc}\t]/u.test(text)) {
    throw new OptionsError(
      `the template ${JSON.stringify(text)} holds a line break or control character`,
      [],
      'Write it on one line.',
    )
  }
  const parts = readParts(text)
  const placeholders = parts.filter(part => typeof part !== 'string')
  const paramNames = placeholders.flatMap(part => (part.source === 'param' ? [part.name] : []))
  return {
    text,
    paramNames: [...new Set(paramNames)],
    isConstant: placeholders.length === 0,
    render: joinParts(parts.map(part => (typeof part === 'string' ? octets(part) : headerValue(part)))),
    renderTarget: compileTarget(parts),
  }
}

type Piece = string | ((call: Call) => string)

function joinParts(pieces: readonly Piece[]): (call: Call) => string {
  const [first = '', second = ''] = pieces
  if (pieces.length < 2) return typeof first === 'string' ? () => first : first
  if (pieces.length === 2 && typeof first === 'string' && typeof second !== 'string') {
    return call => first + second(call)
  }
  return call => {
    let text = ''
    for (const piece of pieces) text += typeof piece === 'string' ? piece : piece(call)
    return text
  }
}

/** Literal texts and placeholders in turn. */
function readParts(text: string): Part[] {
  const parts: Part[] = []
  let literal = ''
  for (const [token] of text.matchAll(/\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+/g)) {
    if (token === '{' || token === '}') {
      throw new OptionsError(`the template \`${text}\` has a stray \`${token}\``, [], 'Write `{{` or `}}` for a brace.')
    }
    if (token === '{{' || token === '}}') literal += token[0]
    else if (token.startsWith('{')) {
      if (literal !== '') parts.push(literal)
      literal = ''
      parts.push(readPlaceholder(text, token.slice(1, -1)))
    } else literal += token
  }
  if (literal !== '') parts.push(literal)
  return parts
}

/** Unicode text as its UTF-8 octets, each a Latin-1 character: how header values stand in `Headers`. */
function octets(text: string): string {
  return /^[^\u0080-\uffff]*$/.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1')
}

function headerValue(part: Placeholder): Piece {
  const { value, isOctets } = part
  return call => {
    const text = value(call)
    // A character above U+00FF would lose its high byte when the head is written, and could so become a line feed.
    if (/^[ -~]*$/.test(text)) return text
    const isLatin = isOctets && /^[^\u0100-\uffff]*$/.test(text)
    return (isLatin ? text : octets(text)).replace(/[^\t -~\u0080-\u00ff]/g, ' ')
  }
}

function compileTarget(parts: readonly Part[]): (call: Call) => string {
  const pieces: Piece[] = []
  let zone: Zone = startsWithAuthority(parts) ? 'authority' : 'path'
  let isPastScheme = false
  parts.forEach((part, index) => {
    if (typeof part !== 'string') {
      if (part.source === 'path' && zone === 'authority') zone = 'path'
      if (zone === 'authority') refuseHostEnd(part, parts[index + 1])
      pieces.push(targetValue(part, zone))
      return
    }
    pieces.push(part.replace(/[^!-~]+/gu, encodePercent))
    let rest = part
    if (zone === 'authority' && !isPastScheme) {
      const slashes = rest.indexOf('//')
      if (slashes >= 0) isPastScheme = true
      rest = slashes < 0 ? '' : rest.slice(slashes + 2)
    }
    if (zone === 'authority' && /[/?#]/.test(rest)) zone = 'path'
    if (zone === 'path' && /[?#]/.test(rest)) zone = 'query'
  })
  const render = joinParts(pieces)
  const [first] = parts
  if (pieces.every(piece => typeof piece === 'string') || (typeof first === 'string' && !/^\/$/.test(first))) {
    return render
  }
  // An empty first segment would make the rest a host for whoever reads it as a Location.
  return call => render(call).replace(/^[/\\]{2,}/, '/')
}

/** Whether the template gives a host: `https://…`, `{scheme}://…` or `//…`. */
function startsWithAuthority(parts: readonly Part[]): boolean {
  const shape = parts.map(part => (typeof part === 'string' ? part : 'x')).join('')
  return /^(?:[A-Za-z][A-Za-z0-9+.-]*:)?\/\//.test(shape)
}

function refuseHostEnd(part: Placeholder, next: Part | undefined): void {
  const isChosenByClient = ['param', 'query', 'header', 'cookie'].includes(part.source)
  const isLast = next === undefined || (typeof next === 'string' ? /^[/?#]/.test(next) : next.source === 'path')
  if (!isChosenByClient || !isLast) return
  throw new OptionsError(
    `\`{${part.text}}\` ends the host of the URL, so any client could choose the host`,
    [],
    'Put a `/` before the placeholder, or end the host with a fixed domain.',
  )
}

function targetValue(part: Placeholder, zone: Zone): Piece {
  const { value, source, isOctets } = part
  if (zone === 'authority') {
    const allowed = source === 'host' ? /^[\w.~:[\]-]*$/ : /^[\w.~-]*$/
    return call => {
      const text = value(call)
      if (allowed.test(text)) return text
      throw new Failure('unsafe-path', { detail: `the value of {${part.text}} cannot be part of a host` })
    }
  }
  if (source === 'param' || source === 'path') {
    if (zone === 'path') return value
    return call => value(call).replace(/[&=+;]/g, encodePercent)
  }
  return call => {
    const text = value(call)
    if (zone === 'path' && (text === '.' || text === '..')) {
      throw new Failure('unsafe-path', { detail: `the value of {${part.text}} is a dot-segment` })
    }
    return isOctets ? encodeOctets(text) : encodePercent(text)
  }
}

/** Percent-encodes a Latin-1 string octet by octet. */
function encodeOctets(text: string): string {
  return text.replace(/[^\w.~!'()*-]/g, char => {
    const code = char.charCodeAt(0)
    return code < 0x80 || code > 0xff ? encodePercent(char) : `%${code.toString(16).toUpperCase()}`
  })
}
