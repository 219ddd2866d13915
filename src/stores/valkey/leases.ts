// Permits that were taken from the store in blocks and not used yet, so that a call need not wait for the store.
//
// Of `gcra` a block is a stretch of virtual time: a permit used later than granted is charged as if it were taken then, and the
// permits whose time has passed are worth nothing, as they have come back in the store meanwhile. Of a window or a period a block
// ends with the part of the window that it was charged to.

import type { LimitRule, LimitStanding } from '../../core/limits.ts'
import { repliesForAll, repliesPerRule } from './count-script.ts'

/** A block of permits. Times are those of this gateway's monotonic clock, milliseconds. */
export interface Block {
  /** Permits not used; one per rule, for those of a fast `gcra` fade earlier than those of a slow one. */
  readonly left: number[]
  /** Time of the store when it was granted, µs: names the block. */
  readonly grantedUs: number
  /** When the store was asked. It granted no earlier: measured from here, every block ends too early rather than too late. */
  readonly askedMs: number
  /** Ends of the stretches of `gcra` and ends of windows, µs after the grant; one per rule. */
  readonly endsUs: readonly number[]
}

/** What of a block may be used now. Forgets what has come back in the store meanwhile. */
export function usable({ left, endsUs, askedMs }: Block, rules: readonly LimitRule[], nowMs: number): number {
  const sinceUs = Math.max(0, nowMs - askedMs) * 1000
  let least = Infinity
  for (let index = 0; index < rules.length; index++) {
    const rule = rules[index] as LimitRule
    const restUs = (endsUs[index] as number) - sinceUs
    if (rule.algorithm === 'gcra') {
      const most = Math.max(0, Math.floor((restUs * rule.limit) / (rule.windowMs * 1000)))
      if (most < (left[index] as number)) left[index] = most
    }
    // What a window that is over was charged can still be given back, but no longer be used.
    least = Math.min(least, rule.algorithm === 'gcra' || restUs > 0 ? (left[index] as number) : 0)
  }
  return least
}

export function spend({ left }: Block, cost: number): void {
  for (let index = 0; index < left.length; index++) left[index] = (left[index] as number) - cost
}

/** What the store said, read. */
export interface Grant {
  /** Units granted; -1 for a refusal. */
  readonly granted: number
  /** Of a refusal: others who hold permits and were asked to give back what they have not used. */
  readonly holders: number
  readonly atUs: number
  readonly standings: readonly LimitStanding[]
  readonly endsUs: readonly number[]
}

/** @throws Error for a reply that the script cannot have made. */
export function readGrant(reply: unknown, rules: readonly LimitRule[]): Grant {
  if (
    !Array.isArray(reply) ||
    reply.length !== repliesForAll + rules.length * repliesPerRule ||
    !reply.every(Number.isFinite)
  ) {
    throw new Error('the store answered with something else than counts')
  }
  const numbers = reply as number[]
  const standings: LimitStanding[] = []
  const endsUs: number[] = []
  for (let at = repliesForAll; at < numbers.length; at += repliesPerRule) {
    const retryMs = numbers[at + 2] as number
    standings.push({
      remaining: numbers[at] as number,
      resetMs: numbers[at + 1] as number,
      retryMs: retryMs < 0 ? Infinity : retryMs,
    })
    endsUs.push(numbers[at + 3] as number)
  }
  const [granted, atUs, holders] = numbers as [number, number, number]
  return { granted, atUs, holders, standings, endsUs }
}
