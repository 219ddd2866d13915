// Calls that the config keeps from the cache.

import type { Call } from '../../core/call.ts'
import { queryHas } from '../../core/query.ts'
import { cookieOf } from '../../core/cookie.ts'
import type { Options } from './options.ts'

/** Makes the test of a call; one that never holds where the config names nothing. */
export function compileBypass({ headers, cookies, query }: Options['bypass']): (call: Call) => boolean {
  const keys = headers.map(name => name.toLowerCase())
  if (keys.length === 0 && cookies.length === 0 && query.length === 0) return never
  return call =>
    keys.some(key => call.headers.has(key)) ||
    cookies.some(name => cookieOf(call.headers, name) !== undefined) ||
    query.some(name => queryHas(call.query, name, '*'))
}

function never(): boolean {
  return false
}
