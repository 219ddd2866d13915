// The cookies that a call brings, and those that a reply sets (RFC 6265bis).

import type { Headers } from './headers.ts'

/** The value of the first cookie of this name; undefined without one. */
export function cookieOf(headers: Headers, name: string): string | undefined {
  for (const field of headers.all('cookie')) {
    for (const pair of field.split(';')) {
      const at = pair.indexOf('=')
      if (at > 0 && bare(pair.slice(0, at)) === name) return bare(pair.slice(at + 1))
    }
  }
  return undefined
}

/** Every cookie of this name, each as `=value`, in their order: services differ in which of several they take. */
export function cookiesOf(headers: Headers, name: string): string {
  let found = ''
  for (const field of headers.all('cookie')) {
    for (const pair of field.split(';')) {
      const at = pair.indexOf('=')
      if (at > 0 && bare(pair.slice(0, at)) === name) found += `${found === '' ? '' : ';'}=${bare(pair.slice(at + 1))}`
    }
  }
  return found
}

export interface SetCookie {
  /** Seconds; 0 removes the cookie. Null: it ends with the browser. */
  readonly maxAge: number | null
  readonly path: string
  readonly sameSite: 'lax' | 'strict' | 'none'
  readonly isSecure: boolean
}

const sameSites = { lax: 'Lax', strict: 'Strict', none: 'None' } as const

/** A `Set-Cookie` for a cookie that scripts cannot read. */
export function setCookieText(name: string, value: string, { maxAge, path, sameSite, isSecure }: SetCookie): string {
  const age = maxAge === null ? '' : `; Max-Age=${maxAge}`
  return `${name}=${value}; Path=${path}${age}; HttpOnly; SameSite=${sameSites[sameSite]}${isSecure ? '; Secure' : ''}`
}

/**
 * Without spaces and tabs around it, which are all that RFC 6265 §5.2 takes away. `trim` knows more, such as U+00A0: a name that
 * begins with one is no `__Host-…` to a browser, so that any neighbouring host may set it.
 */
export function bare(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}
