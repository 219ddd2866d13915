// Where a token stands in a call, and how a call without a good one is answered (RFC 6750).

import type { Call } from '../core/call.ts'
import type { Principal } from '../core/principal.ts'
import { Reply } from '../core/reply.ts'
import { Fields, Maybe, Size, type Static, Type } from '../core/schema.ts'
import { cookieOf } from '../core/cookie.ts'
import { removeCookies } from './cookies.ts'
import { challengeOf, refuseUnauthenticated } from './refuse.ts'

export const tokenOptions = {
  from: Fields(
    {
      header: Type.String({
        default: 'authorization',
        description: 'Header field; in `authorization` the token stands behind `Bearer`.',
      }),
      cookie: Maybe(Type.String({ description: 'Name of a cookie that is looked at where the field is not there.' })),
    },
    { default: {}, description: 'Where the token stands.' },
  ),
  realm: Type.String({
    default: 'api',
    pattern: '^[ -~]*$',
    description: 'What `WWW-Authenticate` calls the protected space.',
  }),
  tokenSize: Size({ default: '8kB', description: 'The longest token; a longer one is refused unread.' }),
}

type From = Static<typeof tokenOptions.from>

export interface TokenPlace {
  /** The token; empty without one, null where it is too long or there more than once. Its characters are not looked at. */
  read(call: Call): string | null
  remove(call: Call): void
}

export function compileTokenPlace(from: From, bytesMax: number): TokenPlace {
  const key = from.header.toLowerCase()
  return {
    read({ headers }) {
      const { list } = headers
      let text: string | undefined
      for (let i = 1; i < list.length; i += 3) {
        if (list[i] !== key) continue
        if (text !== undefined) return null
        text = list[i + 1]
      }
      if (text === undefined) {
        const cookie = from.cookie === null ? undefined : cookieOf(headers, from.cookie)
        return cookie === undefined ? '' : cookie.length <= bytesMax ? cookie : null
      }
      const at = afterScheme(text)
      // Another scheme is none of ours: no token.
      if (at === 0 && key === 'authorization') return ''
      return at === text.length || text.length - at > bytesMax ? null : text.slice(at)
    },
    remove({ headers }) {
      headers.delete(key)
      if (from.cookie !== null) removeCookies(headers, name => name === from.cookie)
    },
  }
}

/** Where the token begins behind `Bearer`; 0 without that. Hot path: a pattern over a long token costs more than a microsecond. */
function afterScheme(text: string): number {
  const length = 'bearer'.length
  if (text.slice(0, length).toLowerCase() !== 'bearer') return 0
  if (text.length === length) return length
  let at = length
  while (text.charCodeAt(at) === 0x20) at++
  return at === length ? 0 : at
}

/** RFC 6750 §2.1: whether it may be a token. */
export function isTokenText(text: string): boolean {
  return /^[\w~+/.-]+=*$/.test(text)
}

/** How a call is refused (RFC 6750 §3.1). Each challenge has a realm: one without any parameter is none. */
export interface BearerRefusals {
  /** 401 without a token: then the challenge says of no error. */
  missing(call: Call): Reply
  /** 401 for a token that is not good, whatever is wrong with it. */
  token(call: Call, reason: string): Reply
  /** 403 where a scope is missing, else null. */
  scopes(call: Call, principal: Principal): Reply | null
}

export function compileBearerRefusals(realm: string, wanted: readonly string[]): BearerRefusals {
  const missing = challengeOf('Bearer', { realm })
  const invalid = challengeOf('Bearer', { realm, error: 'invalid_token' })
  const insufficient = challengeOf('Bearer', { realm, error: 'insufficient_scope', scope: wanted.join(' ') })
  return {
    missing: call => refuseUnauthenticated(call, missing, 'no token'),
    token: (call, reason) => refuseUnauthenticated(call, invalid, reason),
    scopes(call, { scopes }) {
      const lacking = wanted.find(scope => !scopes.includes(scope))
      if (lacking === undefined) return null
      call.refusal = `the token lacks the scope ${lacking}`
      const reply = Reply.problem('insufficient-scope')
      reply.headers.add('www-authenticate', insufficient)
      return reply
    },
  }
}

/** Scopes of `scope` (a text with spaces) or `scp` (that, or a list, in which a text with spaces is no scope: RFC 6749 §3.3). */
export function scopesOf(claims: Readonly<Record<string, unknown>>): readonly string[] {
  const value = claims.scope ?? claims.scp
  if (typeof value === 'string') return value.split(' ').filter(Boolean)
  if (!Array.isArray(value)) return []
  return value.filter(item => typeof item === 'string').filter(text => !/\s/.test(text))
}
