// How authentication policies turn a call away.

import type { Call } from '../core/call.ts'
import { defineFact, type Fact } from '../core/facts.ts'
import { Reply } from '../core/reply.ts'

/**
 * 401 with the challenge in `WWW-Authenticate` (RFC 9110 §11.6.1). The reason goes to the access log alone: a caller learns
 * nothing about which part of a credential was wrong.
 */
export function refuseUnauthenticated(call: Call, challenge: string, reason: string): Reply {
  call.refusal = call.refusal === '' ? reason : `${call.refusal}; ${reason}`
  const reply = Reply.problem('unauthenticated')
  reply.headers.add('www-authenticate', challenge)
  return reply
}

/** The call brought a key or password that was wrong, whatever else let it pass: a guess. */
export const wrongSecret: Fact<true> = defineFact<true>('wrong secret')

/** Told of such a guess when it is refused: what answers the call in the end may take its time. */
export const onGuess: Fact<() => void> = defineFact<() => void>('told of guesses')

/** As `refuseUnauthenticated`, for a key or password that was looked at. */
export function refuseGuess(call: Call, challenge: string, reason: string): Reply {
  call.facts.set(wrongSecret, true)
  call.facts.get(onGuess)?.()
  return refuseUnauthenticated(call, challenge, reason)
}

/** 403 for a caller who is known but may not; the reason goes to the access log alone. */
export function refuseForbidden(call: Call, reason: string): Reply {
  call.refusal = call.refusal === '' ? reason : `${call.refusal}; ${reason}`
  return Reply.problem('forbidden')
}

/** A challenge such as `Bearer realm="api", error="invalid_token"`; parameters that are undefined are left out. */
export function challengeOf(scheme: string, parameters: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined)
  const texts = given.map(([name, value = '']) => `${name}="${value.replace(/[\\"]/g, '\\$&')}"`)
  return texts.length === 0 ? scheme : `${scheme} ${texts.join(', ')}`
}
