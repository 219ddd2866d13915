// The refusal of a call that may come again: its Retry-After (RFC 9110 §10.2.3) says when.

import type { FailureCode } from './codes.ts'
import { Reply } from './reply.ts'

/** For what may be over at any moment. */
const soonMs = 1_000
/** What fits everywhere; a recipient that reads a larger number may take it for any other (RFC 9111 §1.2.2). */
const secondsMax = 2_147_483_647
/** What differences of clock readings are off by must not make a second more. */
const roundingS = 1e-6

/** Tells of `waitMs` in whole seconds, rounded up, from 1 on; of `Infinity` nothing, as waiting does not help there. */
export function refuseForNow(code: FailureCode, waitMs: number = soonMs): Reply {
  const reply = Reply.problem(code)
  if (waitMs === Infinity) return reply
  const seconds = Math.ceil(waitMs / 1000 - roundingS)
  reply.headers.add('retry-after', String(Math.max(1, Math.min(secondsMax, seconds))))
  return reply
}
