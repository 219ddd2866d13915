// Keeps the calls of a client with one target: a random cookie for clients that bring none, and the target by its hash.

import type { AffinityBlueprint } from '../core/affinity-schema.ts'
import type { Call } from '../core/call.ts'
import { cookieOf, randomValue, setCookieText } from '../core/cookie.ts'
import { defineFact, type Fact } from '../core/facts.ts'
import type { Reply } from '../core/reply.ts'
import { schemeOf } from '../core/scheme-of.ts'
import type { Layer, Step } from '../core/step.ts'

/** What the cookie says that a client is being given with the reply to this call. */
const given: Fact<string> = defineFact<string>('affinity')

/** What a call is hashed by: the cookie that it brings, or else the one that it is given. */
export function affinityKey({ cookie }: AffinityBlueprint): (call: Call) => string {
  return call => cookieOf(call.headers, cookie) || (call.facts.get(given) ?? '')
}

/** `random` gives numbers from 0 to 1. Stands around all tries: whichever target answered, the next call is hashed alike. */
export function createAffinity(rules: AffinityBlueprint, random: () => number): Layer {
  return next =>
    function affinity(call) {
      // An empty cookie keeps nobody anywhere.
      return (cookieOf(call.headers, rules.cookie) ?? '') === '' ? introduce(call, rules, random, next) : next(call)
    }
}

async function introduce(call: Call, rules: AffinityBlueprint, random: () => number, next: Step): Promise<Reply> {
  const value = randomValue(random)
  call.facts.set(given, value)
  const reply = await next(call)
  // What the gateway says by itself came from no target. A 304 renews what caches keep, and a cookie is not for them.
  if (reply.code === null && reply.status !== 304) give(reply, call, rules, value)
  return reply
}

/** No cache may hand the cookie to others. Where the service sets one too, nobody says that the rest of the reply is for all. */
function give({ headers }: Reply, call: Call, rules: AffinityBlueprint, value: string): void {
  const { cookie: name, ttl, path, sameSite, secure } = rules
  headers.add('cache-control', headers.has('set-cookie') ? 'private' : 'no-cache="set-cookie"')
  const maxAge = ttl === null ? null : Math.floor(ttl / 1000)
  const isSecure = secure ?? schemeOf(call) === 'https'
  headers.add('set-cookie', setCookieText(name, value, { maxAge, path, sameSite, isSecure }))
}
