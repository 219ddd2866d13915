// What a component identifier stands for in a call: its value in the signature base (RFC 9421 §2), as the client sent it.

import type { Call } from '../../core/call.ts'
import {
  type Item,
  readDictionary,
  readItem,
  readList,
  writeDictionary,
  writeItem,
  writeList,
  writeMember,
} from '../../identity/structured-fields.ts'

/** The type of a structured field, without which `sf` says nothing (RFC 9421 §2.1.1). */
export type FieldType = 'item' | 'list' | 'dictionary'

/** One covered component, compiled. */
export interface Component {
  readonly name: string
  /** The identifier as the signature base has it. */
  readonly identifier: string
  /** Stands once for all spellings of the same identifier. */
  readonly identity: string
  /** The value stands for all of its field, and not for one member of it. */
  readonly isWhole: boolean
  /** Null where the call has no such component, or it cannot be told without doubt. */
  value(call: Call): string | null
}

const derived: Readonly<Record<string, (call: Call) => string | null>> = {
  '@method': ({ method }) => method,
  '@target-uri': call => {
    const [scheme, authority] = [schemeOf(call), authorityOf(call)]
    return authority === null || !call.received.startsWith('/') ? null : `${scheme}://${authority}${call.received}`
  },
  '@authority': authorityOf,
  '@scheme': schemeOf,
  '@request-target': ({ received }) => received,
  '@path': ({ received }) => (received.startsWith('/') ? received.split('?', 1)[0] || '/' : null),
  // RFC 9421 §2.2.7: without a query the value is the `?` alone.
  '@query': ({ query }) => query || '?',
}

/** Fields whose type RFCs say. */
const knownTypes: Readonly<Record<string, FieldType>> = {
  ...{ 'accept-signature': 'dictionary', 'cache-status': 'list', 'client-cert': 'item', 'client-cert-chain': 'list' },
  ...{ 'content-digest': 'dictionary', priority: 'dictionary', 'proxy-status': 'list', 'repr-digest': 'dictionary' },
  ...{ signature: 'dictionary', 'signature-input': 'dictionary' },
}

export interface ComponentRules {
  /** Types of further structured fields, by name in lower case. */
  readonly types: Readonly<Record<string, FieldType>>
  /** The longest field that is parsed for `sf` and `key`, characters. */
  readonly parsedMax: number
}

/** The component, or why it cannot be covered here. */
export function compileComponent(item: Item, rules: ComponentRules): Component | string {
  const { bare, parameters } = item
  if (bare.type !== 'string') return 'a component is no string'
  const name = bare.value
  const identifier = writeItem(item)
  const identity = [`"${name}"`, ...[...parameters.keys()].sort().map(key => writeParameter(item, key))].join(';')
  const given = [...parameters.keys()]
  const frame = { name, identifier, identity, isWhole: !parameters.has('key') }
  if (name.startsWith('@')) {
    if (name === '@query-param') return compileQueryParam(item, frame)
    const value = Object.hasOwn(derived, name) ? derived[name] : undefined
    if (value === undefined) return `the component ${name.slice(0, 40)} is not known`
    return given.length === 0 ? { ...frame, value } : `the component ${name} takes no parameter`
  }
  if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) return 'a component is no field name in lower case'
  const value = compileField(item, name, rules)
  return typeof value === 'string' ? value : { ...frame, value }
}

function writeParameter({ parameters }: Item, key: string): string {
  const bare = parameters.get(key)
  return bare === undefined ? key : `${key}=${writeItem({ bare, parameters: new Map() })}`
}

type Value = Component['value']

/** RFC 9421 §2.1. `tr` and `req` are for trailers and responses, which are not looked at here. */
function compileField({ parameters }: Item, name: string, rules: ComponentRules): Value | string {
  for (const [key, bare] of parameters) {
    const isRight = key === 'key' ? bare.type === 'string' : bare.type === 'boolean' && bare.value
    if (!['sf', 'key', 'bs'].includes(key) || !isRight) return `a parameter of the component ${name} is not supported`
  }
  if (parameters.size > 1) return `parameters of the component ${name} contradict each other`
  if (parameters.has('bs'))
    return call => joined(call, name, value => `:${Buffer.from(value, 'latin1').toString('base64')}:`)
  const key = parameters.get('key')
  const bounded = (call: Call): string | null => {
    const text = joined(call, name)
    return text === null || text.length > rules.parsedMax ? null : text
  }
  if (key?.type === 'string') {
    return call => {
      const member = readDictionary(bounded(call) ?? '')?.get(key.value)
      return member === undefined ? null : writeMember(member)
    }
  }
  if (!parameters.has('sf')) return call => joined(call, name)
  const types = Object.hasOwn(rules.types, name) ? rules.types : knownTypes
  const type = Object.hasOwn(types, name) ? types[name] : undefined
  if (type === undefined) return `the type of the structured field ${name} is not known`
  return call => {
    const text = bounded(call)
    return text === null ? null : canonical(text, type)
  }
}

function canonical(text: string, type: FieldType): string | null {
  if (type === 'dictionary') {
    const dictionary = readDictionary(text)
    return dictionary === null ? null : writeDictionary(dictionary)
  }
  if (type === 'list') {
    const list = readList(text)
    return list === null ? null : writeList(list)
  }
  const item = readItem(text)
  return item === null ? null : writeItem(item)
}

/** All values of a field in their order. The codec takes Content-Length out of the fields; what it said is the body's length. */
function joined(
  { headers, body }: Call,
  name: string,
  write: (value: string) => string = value => value,
): string | null {
  const values = headers.all(name)
  if (name === 'content-length' && body.length >= 0) values.push(String(body.length))
  return values.length === 0 ? null : values.map(value => write(value.replace(/^[ \t]+|[ \t]+$/g, ''))).join(', ')
}

/** RFC 9421 §2.2.8: one parameter of the query, which must stand there once. */
function compileQueryParam(item: Item, frame: Omit<Component, 'value'>): Component | string {
  const name = item.parameters.get('name')
  if (item.parameters.size !== 1 || name?.type !== 'string') return 'the component @query-param needs `name` alone'
  const wanted = name.value
  return {
    ...frame,
    value({ query }) {
      let found: string | null = null
      for (const part of query.slice(1).split('&')) {
        const equals = part.indexOf('=')
        const key = recode(equals < 0 ? part : part.slice(0, equals))
        if (part === '' || key !== wanted) continue
        if (found !== null) return null
        found = recode(equals < 0 ? '' : part.slice(equals + 1))
      }
      return found
    },
  }
}

/** Decoded as forms are and encoded anew, a space as `%20` (RFC 9421 §2.2.8, URL Standard §5.1). */
function recode(text: string): string {
  const [[, decoded] = ['', '']] = [...new URLSearchParams(`a=${text}`)]
  return encodeURIComponent(decoded.toWellFormed()).replace(/[!'()~]/g, character => {
    return `%${character.charCodeAt(0).toString(16).toUpperCase()}`
  })
}

/** What the client used, also behind a trusted proxy that ends TLS. */
function schemeOf({ peer, headers }: Call): string {
  const forwarded = peer.isTrusted ? headers.all('x-forwarded-proto') : []
  const [only = ''] = forwarded
  return forwarded.length === 1 && /^https?$/.test(only) ? only : peer.scheme
}

/** RFC 9421 §2.2.3: in lower case, without the port that the scheme has anyway. Null without one. */
function authorityOf(call: Call): string | null {
  const forwarded = call.peer.isTrusted ? call.headers.all('x-forwarded-host') : []
  const [only = ''] = forwarded
  const host = forwarded.length === 1 && /^[A-Za-z0-9._~:[\]-]+$/.test(only) ? only : call.headers.get('host')
  if (host === undefined || host === '') return null
  return host.toLowerCase().replace(schemeOf(call) === 'https' ? /:(?:443)?$/ : /:(?:80)?$/, '')
}
