// Whether a worker has enough of itself left to take another call.

import type { Priority } from './priority.ts'
import type { Reply } from './reply.ts'

/** Hot path: a call costs one read of `level`, which changes between calls. */
export interface Overload {
  /** Calls whose rank is below it are refused; 0 refuses none. */
  readonly level: number
  /** The reply to a call of this rank. */
  refuse(rank: number): Reply
}

/** What is refused first comes first. */
export const ranked: readonly Priority[] = ['low', 'normal', 'high']

export function rankOf(priority: Priority): number {
  return ranked.indexOf(priority)
}
