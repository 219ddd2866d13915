// Which outcomes of a try may be tried again, by RFC 9110 section 9.2.2 and by what the config lists.

import type { Call } from '../core/call.ts'
import type { FailureCode } from '../core/codes.ts'
import type { Failure } from '../core/failure.ts'
import { isGrpc } from '../core/grpc.ts'
import { Reply } from '../core/reply.ts'
import { type GrpcRetryReason, isGrpcReason, retriedGrpcStatuses, type RetryReason } from '../core/retry-schema.ts'

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

const furtherIdempotent: ReadonlySet<string> = new Set(['HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/** RFC 9110 §9.2.2. Hot path: asked up to four times a call, and most calls are a GET. */
export function isIdempotent(method: string): boolean {
  return method === 'GET' || furtherIdempotent.has(method)
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

  const grpcReasons = new Map<string, GrpcRetryReason>(
    on.filter(isGrpcReason).map(reason => [String(retriedGrpcStatuses[reason]), reason]),
  )
  const isGrpcRetried = grpcReasons.size > 0

  function reasonOfReply(call: Call, reply: Reply): RetryReason | null {
    const { status } = reply
    if (status >= 400) return statuses.has(status) && isIdempotent(call.method) ? `${status}` : null
    return isGrpcRetried && status === 200 ? reasonOfGrpc(call, reply) : null
  }

  /**
   * Only a reply of nothing but a head (Trailers-Only) is not on its way to the client. Every call of gRPC is a POST: that it may be
   * repeated is what the config says by listing the status.
   */
  function reasonOfGrpc(call: Call, { headers, body }: Reply): RetryReason | null {
    if (!body.isEmpty || !isGrpc(call.headers)) return null
    return grpcReasons.get(headers.get('grpc-status') ?? '') ?? null
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
    isAnyReplyRetried: statuses.size > 0 || isGrpcRetried,
  }
}

/** A kept connection was found closed: nothing of a reply came, so that the same endpoint may be asked once more. */
export function isStaleAndSafe(call: Call, outcome: Reply | Failure): boolean {
  if (outcome instanceof Reply || outcome.code !== 'upstream-stale') return false
  return outcome.retryable === 'yes' || isIdempotent(call.method)
}
