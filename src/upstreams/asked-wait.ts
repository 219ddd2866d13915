// How long a server asks to be left alone before the next try.

import { parseHttpDate } from '../core/http-date.ts'
import type { Reply } from '../core/reply.ts'

/** `Retry-After` (RFC 9110 section 10.2.3) in milliseconds; 0 for none, or one that cannot be read. `wallMs` is the time now. */
export function retryAfterMs({ headers }: Reply, wallMs: number): number {
  const retryAfter = headers.get('retry-after')
  if (retryAfter === undefined) return 0
  if (/^\d+$/.test(retryAfter)) return Number(retryAfter) * 1000
  const dueMs = parseHttpDate(retryAfter, wallMs)
  return dueMs === null ? 0 : Math.max(0, dueMs - wallMs)
}

/**
 * The pushback of a gRPC server (gRFC A6): the next try is to come after exactly so long. Infinity where it wants none, which it
 * says by a negative number or by anything else that is no number; null where it does not say.
 */
export function pushbackMs({ headers }: Reply): number | null {
  const pushback = headers.get('grpc-retry-pushback-ms')
  if (pushback === undefined) return null
  return /^\d{1,10}$/.test(pushback) ? Number(pushback) : Infinity
}
