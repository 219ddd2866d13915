// What makes two calls the same to a cache.

import type { Call } from '../../core/call.ts'
import { principal } from '../../core/principal.ts'
import { cookiesOf } from '../../core/cookie.ts'
import { plainName } from '../../core/drop-fields.ts'
import type { Headers } from '../../core/headers.ts'
import type { Asked } from './asked.ts'
import { compileQuery, type QueryOptions } from './query.ts'

export interface KeyOptions {
  readonly headers: readonly string[]
  readonly cookies: readonly string[]
  readonly consumer: boolean
  readonly query: QueryOptions
}

export interface Keys {
  /** The key of a call, for this use of the policy alone. */
  keyOf(call: Call, asked: Asked): string
  /** The target as it is part of the key, and as it is sent on to fill the cache: what has no part in the key reaches nobody. */
  readonly targetOf: (received: string) => string
}

/**
 * `scope` tells uses of the policy apart, and the same use with other options; one around every route (`isGlobal`) has keys of
 * each for itself.
 */
export function compileKeys(scope: string, isGlobal: boolean, { headers, cookies, consumer, query }: KeyOptions): Keys {
  const normal = compileQuery(query)
  const names = headers.map(name => plainName(name.toLowerCase()))
  const isPlain = names.length === 0 && cookies.length === 0 && !consumer
  const targetOf = (received: string): string => {
    if (normal === null) return received
    const question = received.indexOf('?')
    return question < 0 ? received : received.slice(0, question) + normal(received.slice(question))
  }
  return {
    targetOf,
    keyOf(call, { scheme, host, forwardedHost }) {
      // No field of a head holds a line end, so that no value can pass for another part.
      const asked = forwardedHost === host ? '' : `\n${forwardedHost}`
      const use = isGlobal ? `${scope}\n${call.route}` : scope
      const base = `${use}\n${scheme}\n${host}${asked}\n${targetOf(call.received)}`
      if (isPlain) return base
      const parts = names.map(name => valuesOf(call.headers, name))
      for (const name of cookies) parts.push(cookiesOf(call.headers, name))
      if (consumer) parts.push(whoIs(call))
      return `${base}\n${parts.join('\n')}`
    },
  }
}

/** With those of other spellings of `-` and `_`, which services may take for the same field. */
function valuesOf({ list }: Headers, name: string): string {
  const values: string[] = []
  for (let i = 1; i < list.length; i += 3) if (plainName(list[i] as string) === name) values.push(list[i + 1] as string)
  return values.join('\t')
}

/** What an answer may depend on: who it is, by which credential, and what that may be used for. */
function whoIs({ facts }: Call): string {
  const who = facts.get(principal)
  if (who === undefined) return ''
  return JSON.stringify([who.method, who.id, who.credential, who.application?.id ?? '', [...who.scopes].sort()])
}
