// Cookies of a call: take some away, write one.

import { bare, setCookieText } from '../core/cookie.ts'
import type { Headers } from '../core/headers.ts'

/** Names of all cookies that `isWanted` takes. */
export function cookieNames(headers: Headers, isWanted: (name: string) => boolean): string[] {
  const names = headers.all('cookie').flatMap(field => field.split(';').map(pair => nameOf(pair)))
  return [...new Set(names.filter(isWanted))]
}

/** Takes away the cookies whose names `isUnwanted` takes; the field goes with its last cookie. */
export function removeCookies(headers: Headers, isUnwanted: (name: string) => boolean): void {
  const { list } = headers
  for (let i = list.length - 2; i > 0; i -= 3) {
    if (list[i] !== 'cookie') continue
    const pairs = (list[i + 1] as string).split(';')
    const kept = pairs.filter(pair => !isUnwanted(nameOf(pair)))
    if (kept.length === pairs.length) continue
    const text = bare(kept.join(';'))
    if (text === '') list.splice(i - 1, 3)
    else list[i + 1] = text
  }
}

function nameOf(pair: string): string {
  const at = pair.indexOf('=')
  return bare(at < 0 ? pair : pair.slice(0, at))
}

export interface CookieOptions {
  readonly isSecure: boolean
  /** Seconds; 0 removes the cookie. */
  readonly maxAge: number
}

/** A cookie that scripts cannot read and other sites cannot send but by a link. */
export function sealedCookie(name: string, value: string, { isSecure, maxAge }: CookieOptions): string {
  return setCookieText(name, value, { maxAge, path: '/', sameSite: 'lax', isSecure })
}
