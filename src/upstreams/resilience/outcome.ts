// What the end of a call says about the upstream.

import type { FailureCode } from '../../core/codes.ts'
import type { Reply } from '../../core/reply.ts'
import { Failure } from '../../core/failure.ts'

/** `none`: it was the client or the gateway itself, and the upstream is not to blame. */
export type Verdict = 'good' | 'bad' | 'none'

/** Refusals of the gateway that cost the upstream nothing. */
const ownRefusals: ReadonlySet<FailureCode> = new Set<FailureCode>([
  'upstream-busy',
  'upstream-unhealthy',
  'breaker-open',
  'upstream-overloaded',
])

export function verdictOfReply({ code, status }: Reply): Verdict {
  if (code !== null) return 'none'
  return status >= 500 ? 'bad' : 'good'
}

/** A call whose time ran out while the upstream had it counts against the upstream. */
export function verdictOfFailure(thrown: unknown): Verdict {
  if (!(thrown instanceof Failure)) return 'none'
  if (thrown.code === 'call-timeout') return 'bad'
  return thrown.source === 'upstream' && !ownRefusals.has(thrown.code) ? 'bad' : 'none'
}

/** The upstream took all the time there was. */
export function isTimeout(thrown: unknown): boolean {
  return thrown instanceof Failure && (thrown.code === 'call-timeout' || thrown.code === 'upstream-timeout')
}
