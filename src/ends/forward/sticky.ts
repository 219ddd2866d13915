// How a client stays on its side of a split: what tells it from others, and a cookie where nothing else does.

import type { Call } from '../../core/call.ts'
import { cookieOf } from '../../core/cookie.ts'
import { checkFieldName } from '../../core/field-name.ts'
import type { GivenCookie } from '../../core/given-cookie.ts'
import { isHttpName } from '../../core/http-name.ts'
import { OptionsError } from '../../core/policy.ts'
import { principal } from '../../core/principal.ts'
import { Choice, Duration, Fields, Maybe, type Static, Type } from '../../core/schema.ts'

export const stickyOption = Maybe(
  Type.Union(
    [
      Choice(['consumer', 'client']),
      Fields({ header: Type.String({ minLength: 1, description: 'The first value of this request header.' }) }),
      Fields({
        cookie: Type.String({ minLength: 1, description: 'The value of this cookie.' }),
        set: Maybe(
          Duration({
            minimum: 1000,
            description:
              'The gateway gives the cookie to clients that bring none, for so long; not where it is not written.',
          }),
        ),
      }),
    ],
    {
      description:
        'With `split`: what keeps a client on its side: `consumer`, `client` (the address), `{ header: NAME }` or `{ cookie: NAME, set: 30d }`. Calls without it are shared out one by one.',
    },
  ),
)

export type Sticky = NonNullable<Static<typeof stickyOption>>

/** @throws OptionsError */
export function checkSticky(sticky: Sticky): void {
  if (typeof sticky === 'string') return
  if ('header' in sticky) checkFieldName(sticky.header, ['sticky', 'header'])
  else if (!isHttpName(sticky.cookie)) {
    const hint = 'Write letters, digits, `-` and `_`.'
    throw new OptionsError(`\`${sticky.cookie}\` is not the name of a cookie`, ['sticky', 'cookie'], hint)
  }
}

/** What tells the client of a call from others; undefined where the call has none of it. */
export function compileStickyKey(sticky: Sticky): (call: Call) => string | undefined {
  if (sticky === 'client') return call => call.clientAddress
  if (sticky === 'consumer') return call => call.facts.get(principal)?.id
  if ('header' in sticky) {
    const key = sticky.header.toLowerCase()
    return call => call.headers.get(key)
  }
  return call => cookieOf(call.headers, sticky.cookie)
}

/** The cookie that clients without one are given. Null where they get none. */
export function givenCookie(sticky: Sticky): GivenCookie | null {
  if (typeof sticky === 'string' || !('cookie' in sticky) || sticky.set === null) return null
  return { name: sticky.cookie, lifeMs: sticky.set, path: '/', sameSite: 'lax', isSecure: null }
}
