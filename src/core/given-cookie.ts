// A cookie that the gateway gives to clients that bring none, so that their further calls go where the first one went.

import type { Call } from './call.ts'
import { setCookieText } from './cookie.ts'
import type { Reply } from './reply.ts'
import { schemeOf } from './scheme-of.ts'

export interface GivenCookie {
  readonly name: string
  /** Milliseconds; null until the browser is closed. */
  readonly lifeMs: number | null
  readonly path: string
  readonly sameSite: 'lax' | 'strict' | 'none'
  /** Null: for clients that called over TLS. */
  readonly isSecure: boolean | null
}

/** Sends a call by the value that the client's next calls will bring. `random` gives numbers from 0 to 1. */
export async function introduce(
  call: Call,
  cookie: GivenCookie,
  random: () => number,
  sendBy: (value: string) => Promise<Reply>,
): Promise<Reply> {
  const value = randomValue(random)
  const reply = await sendBy(value)
  // What the gateway says by itself came from no target. A 304 renews what caches keep, and a cookie is not for them.
  if (reply.code === null && reply.status !== 304) give(reply, call, cookie, value)
  return reply
}

/** Ten letters and digits: hardly two clients share a value. */
function randomValue(random: () => number): string {
  return random().toString(36).slice(2, 12).padEnd(10, '0')
}

/** No cache may hand the cookie to others. Where the service sets one too, nobody says that the rest of the reply is for all. */
function give({ headers }: Reply, call: Call, cookie: GivenCookie, value: string): void {
  const { name, lifeMs, path, sameSite } = cookie
  headers.add('cache-control', headers.has('set-cookie') ? 'private' : 'no-cache="set-cookie"')
  const maxAge = lifeMs === null ? null : Math.floor(lifeMs / 1000)
  const isSecure = cookie.isSecure ?? schemeOf(call) === 'https'
  headers.add('set-cookie', setCookieText(name, value, { maxAge, path, sameSite, isSecure }))
}
