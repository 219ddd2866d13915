// What may stand between the braces of a template, and where each value comes from.

import type { Call } from './call.ts'
import { cookieOf } from './cookie.ts'
import { isHttpName } from './http-name.ts'
import { reservedNames } from './pattern.ts'
import { OptionsError } from './policy.ts'
import { queryValue } from './query.ts'

export interface Placeholder {
  /** As written between the braces. */
  readonly text: string
  readonly source: 'param' | 'path' | 'host' | 'query' | 'header' | 'cookie' | 'fact' | 'other'
  /** What follows the first dot, or the name of the path parameter. */
  readonly name: string
  /** Whether the value is a string of octets (as header values are) rather than Unicode text. */
  readonly isOctets: boolean
  readonly value: (call: Call) => string
}

const known =
  '`{NAME}` for a path parameter, `{rest}`, `{query.NAME}`, `{header.NAME}`, `{cookie.NAME}`, `{fact.NAME}`, `{host}`, `{method}`, `{path}`, `{scheme}`, `{client.address}`, `{call.id}` and `{route}`'

const fixed: Readonly<Record<string, (call: Call) => string>> = {
  host: call => call.host,
  method: call => call.method,
  path: rawPath,
  scheme: call => call.peer.scheme,
  route: call => call.route,
  'client.address': call => call.clientAddress,
  'call.id': call => call.id,
}

/** `template` is for the message only. @throws OptionsError for a placeholder that does not exist. */
export function readPlaceholder(template: string, text: string): Placeholder {
  const value = Object.hasOwn(fixed, text) ? fixed[text] : undefined
  if (value !== undefined) {
    const source = text === 'path' || text === 'host' ? text : 'other'
    return { text, source, name: text, isOctets: false, value }
  }
  const dot = text.indexOf('.')
  const name = text.slice(dot + 1)
  if (dot > 0 && name !== '') {
    const space = text.slice(0, dot)
    if (space === 'query') {
      return { text, source: 'query', name, isOctets: false, value: call => queryValue(call.query, name) ?? '' }
    }
    if (space === 'header') {
      const key = name.toLowerCase()
      if (!isHttpName(key)) refuse(template, text, 'Header names are letters, digits and `-`.')
      return { text, source: 'header', name: key, isOctets: true, value: call => call.headers.get(key) ?? '' }
    }
    if (space === 'cookie') {
      if (!isHttpName(name)) refuse(template, text, 'Cookie names are letters, digits, `-` and `_`.')
      return { text, source: 'cookie', name, isOctets: true, value: call => cookieOf(call.headers, name) ?? '' }
    }
    if (space === 'fact') {
      const path = name.split('.')
      if (!path.includes(''))
        return { text, source: 'fact', name, isOctets: false, value: call => factText(call, path) }
    }
  }
  const isParam = /^[A-Za-z_][A-Za-z0-9_-]*$/.test(text) && (text === 'rest' || !reservedNames.has(text))
  if (!isParam) refuse(template, text, `There are ${known}; write \`{{\` for a brace.`)
  return { text, source: 'param', name: text, isOctets: false, value: call => call.param(text) ?? '' }
}

function refuse(template: string, text: string, hint: string): never {
  throw new OptionsError(`the template \`${template}\` has the unknown placeholder \`{${text}}\``, [], hint)
}

function rawPath(call: Call): string {
  const question = call.received.indexOf('?')
  return question < 0 ? call.received : call.received.slice(0, question)
}

/** Scalars only: an object or list has no text of its own. */
function factText(call: Call, path: readonly string[]): string {
  let value = call.facts.named(path[0] ?? '')
  for (let i = 1; i < path.length; i++) {
    const key = path[i] as string
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return ''
    value = (value as Record<string, unknown>)[key]
  }
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'bigint':
      return String(value)
    default:
      return ''
  }
}
