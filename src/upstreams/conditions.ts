// Which outcomes of a try may be tried again, by RFC 9110 section 9.2.2 and by what the config lists.

import type { Call } from '../core/call.ts'
import type { FailureCode } from '../core/codes.ts'
import type { Failure } from '../core/failure.ts'
import { Reply } from '../core/reply.ts'
import type { RetryReason } from '../core/retry-schema.ts'

/** What the config calls by one word. A failed TLS handshake is one with a connection that could not be made. */
const reasonsByCode: Partial<Record<FailureCode, RetryReason>> = {
  'upstream-connect-failed': 'connect-failure',
  'upstream-connect-timeout': 'connect-failure',
  'upstream-tls-failed': 'connect-failure',
  'upstream-reset': 'reset',
  'upstream-stale': 'reset',
  'upstream-malformed-reply': 'reset',
  'upstream-timeout': 'timeout',
}

const idempotentMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

export function isIdempotent(method: string): boolean {
  return idempotentMethods.has(method)
}

export interface Conditions {
  /** Why an outcome is to be tried again; null where it must stand. */
  readonly reasonOf: (call: Call, outcome: Reply | Failure) => RetryReason | null
  /** Whether any reply is. */
  readonly isAnyReplyRetried: boolean
}

export function createConditions(on: readonly RetryReason[]): Conditions {
  const wanted = new Set(on)
  const statuses = new Set(on.map(Number).filter(status => !Number.isNaN(status)))

  function reasonOfReply(call: Call, { status }: Reply): RetryReason | null {
    return status >= 400 && statuses.has(status) && isIdempotent(call.method) ? `${status}` : null
  }

  function reasonOfFailure(call: Call, failure: Failure): RetryReason | null {
    const reason = reasonsByCode[failure.code]
    if (reason === undefined || !wanted.has(reason)) return null
    // Where there was no connection, nobody can have seen the call.
    if (reason === 'connect-failure' || failure.retryable === 'yes') return reason
    // A try fails before the head of its reply was passed on: what was no HTTP went nowhere.
    const isUnseen = failure.retryable === 'if-idempotent' || failure.code === 'upstream-malformed-reply'
    return isUnseen && isIdempotent(call.method) ? reason : null
  }

  return {
    reasonOf: (call, outcome) =>
      outcome instanceof Reply ? reasonOfReply(call, outcome) : reasonOfFailure(call, outcome),
    isAnyReplyRetried: statuses.size > 0,
  }
}

/** A kept connection was found closed: nothing of a reply came, so that the same endpoint may be asked once more. */
export function isStaleAndSafe(call: Call, outcome: Reply | Failure): boolean {
  if (outcome instanceof Reply || outcome.code !== 'upstream-stale') return false
  return outcome.retryable === 'yes' || isIdempotent(call.method)
}
