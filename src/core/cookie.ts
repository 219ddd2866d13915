// The cookies that a call brings.

import type { Headers } from './headers.ts'

/** The value of the first cookie of this name; undefined without one. */
export function cookieOf(headers: Headers, name: string): string | undefined {
  for (const field of headers.all('cookie')) {
    for (const pair of field.split(';')) {
      const at = pair.indexOf('=')
      if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim()
    }
  }
  return undefined
}
