// How long a server asks to be left alone before the next try (Retry-After, RFC 9110 section 10.2.3).

import { parseHttpDate } from '../core/http-date.ts'
import type { Reply } from '../core/reply.ts'

/** In milliseconds; 0 where the reply says nothing of it, or nothing that can be read. `wallMs` is the time now. */
export function askedWaitMs({ headers }: Reply, wallMs: number): number {
  const retryAfter = headers.get('retry-after')
  if (retryAfter === undefined) return 0
  if (/^\d+$/.test(retryAfter)) return Number(retryAfter) * 1000
  const dueMs = parseHttpDate(retryAfter, wallMs)
  return dueMs === null ? 0 : Math.max(0, dueMs - wallMs)
}
