// Keeps the calls of a client with one target: a random cookie for clients that bring none, and the target by its hash.

import type { AffinityBlueprint } from '../core/affinity-schema.ts'
import type { Call } from '../core/call.ts'
import { cookieOf } from '../core/cookie.ts'
import { defineFact, type Fact } from '../core/facts.ts'
import { type GivenCookie, introduce } from '../core/given-cookie.ts'
import type { Layer } from '../core/step.ts'

/** What the cookie says that a client is being given with the reply to this call. */
const given: Fact<string> = defineFact<string>('affinity')

/** What a call is hashed by: the cookie that it brings, or else the one that it is given. */
export function affinityKey({ cookie }: AffinityBlueprint): (call: Call) => string {
  return call => cookieOf(call.headers, cookie) || (call.facts.get(given) ?? '')
}

/** `random` gives numbers from 0 to 1. Stands around all tries: whichever target answered, the next call is hashed alike. */
export function createAffinity(rules: AffinityBlueprint, random: () => number): Layer {
  const { cookie: name, ttl: lifeMs, path, sameSite, secure: isSecure } = rules
  const cookie: GivenCookie = { name, lifeMs, path, sameSite, isSecure }
  return next =>
    function affinity(call) {
      // An empty cookie keeps nobody anywhere.
      if ((cookieOf(call.headers, name) ?? '') !== '') return next(call)
      return introduce(call, cookie, random, value => {
        call.facts.set(given, value)
        return next(call)
      })
    }
}
