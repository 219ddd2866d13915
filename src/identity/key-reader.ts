// Where a call carries its key: found in headers, query and cookies, and taken away from exactly there.

import type { Call } from '../core/call.ts'
import { bare } from '../core/cookie.ts'
import { decodeForm } from '../core/query.ts'
import { OneOrMany, Type } from '../core/schema.ts'

const token = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"

export const keyPlaceOptions = {
  header: OneOrMany(Type.String({ pattern: token }), {
    default: ['x-api-key'],
    description: 'Header fields that may carry the key. In `authorization` it stands behind `Bearer` or `ApiKey`.',
  }),
  query: OneOrMany(Type.String({ minLength: 1 }), {
    default: [],
    description: 'Query parameters that may carry it.',
  }),
  cookie: OneOrMany(Type.String({ pattern: token }), { default: [], description: 'Cookies that may carry it.' }),
}

export interface KeyPlaces {
  readonly header: readonly string[]
  readonly query: readonly string[]
  readonly cookie: readonly string[]
}

export interface Presented {
  /** How many keys the call carries, also the same one twice. */
  count: number
  /** The last one found. */
  text: string
}

export interface KeyReader {
  read(call: Call): Presented
  /** Takes the keys away; every other byte of the target and of the fields stays. */
  remove(call: Call): void
}

export function createKeyReader(places: KeyPlaces): KeyReader {
  const headers = places.header.map(name => name.toLowerCase())
  const query = new Set(places.query)
  const cookies = new Set(places.cookie)
  return {
    read(call) {
      const presented = { count: 0, text: '' }
      readHeaders(call, headers, presented)
      if (query.size > 0 && call.query !== '') readParts(call.query.slice(1), '&', query, nameInQuery, presented)
      if (cookies.size > 0) {
        for (const field of call.headers.all('cookie')) readParts(field, ';', cookies, nameInCookie, presented)
      }
      return presented
    },
    remove(call) {
      for (const key of headers) call.headers.delete(key)
      if (query.size > 0) removeFromTarget(call, query)
      if (cookies.size > 0) removeCookies(call, cookies)
    },
  }
}

/** Hot path: most keys stand in a header of their own. */
function readHeaders({ headers: { list } }: Call, keys: readonly string[], presented: Presented): void {
  for (let i = 1; i < list.length; i += 3) {
    const key = list[i] as string
    if (!keys.includes(key)) continue
    const value = list[i + 1] as string
    presented.count++
    presented.text = key === 'authorization' ? afterScheme(value) : value
  }
}

/** A JWT: its header is JSON in base64url. It is no guess at a key. */
export function isJwtText(text: string): boolean {
  return text.startsWith('eyJ') && text.includes('.')
}

/** `Authorization` holds a scheme before the key (RFC 9110 §11.4). One of another scheme is a key that leads nowhere. */
function afterScheme(value: string): string {
  return /^(?:bearer|apikey) +([^ ]+)$/i.exec(value)?.[1] ?? ''
}

type NameOf = (part: string) => string

function readParts(
  text: string,
  separator: string,
  names: ReadonlySet<string>,
  nameOf: NameOf,
  presented: Presented,
): void {
  for (const part of text.split(separator)) {
    if (!names.has(nameOf(part))) continue
    const at = part.indexOf('=')
    const value = at < 0 ? '' : part.slice(at + 1)
    presented.count++
    presented.text = separator === '&' ? decodeForm(value) : bare(value)
  }
}

function nameInQuery(part: string): string {
  const at = part.indexOf('=')
  return decodeForm(at < 0 ? part : part.slice(0, at))
}

function nameInCookie(part: string): string {
  const at = part.indexOf('=')
  return bare(at < 0 ? part : part.slice(0, at))
}

function removeFromTarget(call: Call, names: ReadonlySet<string>): void {
  const at = call.target.indexOf('?')
  if (at < 0) return
  const parts = call.target.slice(at + 1).split('&')
  const kept = parts.filter(part => !names.has(nameInQuery(part)))
  if (kept.length === parts.length) return
  const path = call.target.slice(0, at)
  call.target = kept.length === 0 ? path : `${path}?${kept.join('&')}`
}

function removeCookies({ headers: { list } }: Call, names: ReadonlySet<string>): void {
  for (let i = list.length - 2; i > 0; i -= 3) {
    if (list[i] !== 'cookie') continue
    const parts = (list[i + 1] as string).split(';')
    const kept = parts.filter(part => !names.has(nameInCookie(part)))
    if (kept.length === parts.length) continue
    const text = bare(kept.join(';'))
    if (text === '') list.splice(i - 1, 3)
    else list[i + 1] = text
  }
}
