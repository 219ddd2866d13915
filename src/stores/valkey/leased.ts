// Limits by blocks of permits: a call is decided from what was taken in advance, and the store is asked in the background.

import { LRUCache } from 'lru-cache'
import type { LimitOutcome, LimitRule, LimitStanding } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import type { Counts } from './counts.ts'
import { type Block, usable } from './leases.ts'

/** How much demand one block covers, milliseconds. */
const coverMs = 100
/** A refusal of the store is believed for so long at most, milliseconds: others may give back. */
const refusalMsMax = 100
const blockMax = 10_000
/** How often a call waits for a block that all share. */
const triesMax = 4
/** Keys whose permits one limit of one worker holds at once. What an evicted one held is lost until its window is over. */
const keysMax = 20_000

interface Lease {
  shape: string
  blocks: Block[]
  asking: Promise<number | null> | null
  /** Units that calls wait for. */
  waiting: number
  /** Calls since `sinceMs`, and what they were per millisecond before. */
  used: number
  sinceMs: number
  rate: number
  standings: readonly LimitStanding[]
  standingsMs: number
  refusedUntilMs: number
  refusedCost: number
}

export interface Leased {
  /** Decides by what is there; null where the store must be asked. */
  fromBlocks(key: string, rules: readonly LimitRule[], cost: number): LimitOutcome | null
  /** Asks the store, once for all who wait. @throws Error where it fails. */
  fetch(key: string, rules: readonly LimitRule[], cost: number): Promise<LimitOutcome>
  correct(key: string, rules: readonly LimitRule[], amount: number, atMs: number): void
}

export function createLeased(counts: Counts, clock: Clock, isAlive: () => boolean): Leased {
  const leases = new LRUCache<string, Lease>({ max: keysMax })
  const ignore = () => {}

  const leaseOf = (key: string, rules: readonly LimitRule[]): Lease => {
    const shape = shapeOf(rules)
    let lease = leases.get(key)
    if (lease === undefined || lease.shape !== shape) {
      const nowMs = clock.now()
      const none = { standings: [], standingsMs: nowMs, refusedUntilMs: 0, refusedCost: 0 }
      lease = { shape, blocks: [], asking: null, waiting: 0, used: 0, sinceMs: nowMs, rate: 0, ...none }
      leases.set(key, lease)
    }
    return lease
  }

  /** Takes from the oldest block that has enough; forgets what is over, and gives back what only windows charged. */
  const useBlock = (
    lease: Lease,
    key: string,
    rules: readonly LimitRule[],
    cost: number,
    nowMs: number,
  ): Block | null => {
    for (let index = 0; index < lease.blocks.length; ) {
      const block = lease.blocks[index] as Block
      const before = block.left
      block.left = usable(block, rules, nowMs)
      if (block.left === 0) {
        lease.blocks.splice(index, 1)
        const isOnlyGcra = rules.every(({ algorithm }) => algorithm === 'gcra')
        if (before > 0 && !isOnlyGcra && isAlive()) {
          counts.correct(key, rules, -before, block.grantedUs, true).catch(ignore)
        }
        continue
      }
      if (block.left >= cost) {
        block.left -= cost
        return block
      }
      index++
    }
    return null
  }

  const leftOf = (lease: Lease) => lease.blocks.reduce((sum, { left }) => sum + left, 0)

  const outcome = (lease: Lease, isAllowed: boolean, atMs: number, nowMs: number): LimitOutcome => {
    const left = leftOf(lease)
    const sinceMs = nowMs - lease.standingsMs
    const standings = lease.standings.map(standing => ({
      remaining: isAllowed ? standing.remaining + left : standing.remaining,
      resetMs: Math.max(0, standing.resetMs - sinceMs),
      retryMs: isAllowed ? 0 : Math.max(standing.retryMs > 0 ? 1 : 0, standing.retryMs - sinceMs),
    }))
    return { isAllowed, standings, fallback: null, atMs }
  }

  /** Asks for a block that covers the demand, once at a time. `need` is what a call waits for, 0 in the background; resolves with the time of a grant. */
  const ask = (lease: Lease, key: string, rules: readonly LimitRule[], need: number): Promise<number | null> => {
    if (lease.asking !== null) return lease.asking
    const askedMs = clock.now()
    const want = Math.min(blockMax, Math.max(need, lease.waiting, Math.ceil(lease.rate * coverMs)))
    const asked = counts
      .take(key, rules, Math.max(need, 1), Math.max(want, 1))
      .then(({ granted, atUs, standings, endsUs }) => {
        lease.standings = standings
        lease.standingsMs = clock.now()
        // What a call waits for is used at the time of the grant, before any of it could decay.
        if (granted > need) lease.blocks.push({ left: granted - need, grantedUs: atUs, askedMs, endsUs })
        if (granted > 0) return atUs / 1000
        const retryMs = standings.reduce((most, standing) => Math.max(most, standing.retryMs), 1)
        lease.refusedUntilMs = lease.standingsMs + Math.min(retryMs, refusalMsMax)
        lease.refusedCost = Math.max(need, 1)
        return null
      })
    lease.asking = asked.finally(() => (lease.asking = null))
    return lease.asking
  }

  const measure = (lease: Lease, cost: number, nowMs: number) => {
    lease.used += cost
    const sinceMs = nowMs - lease.sinceMs
    if (sinceMs < coverMs / 2) return
    lease.rate = sinceMs > 20 * coverMs ? 0 : (lease.rate + lease.used / sinceMs) / 2
    lease.used = 0
    lease.sinceMs = nowMs
  }

  const fromBlocks: Leased['fromBlocks'] = (key, rules, cost) => {
    const lease = leaseOf(key, rules)
    const nowMs = clock.now()
    measure(lease, cost, nowMs)
    if (nowMs < lease.refusedUntilMs && Math.max(cost, 1) >= lease.refusedCost && leftOf(lease) < Math.max(cost, 1)) {
      return outcome(lease, false, 0, nowMs)
    }
    const block = useBlock(lease, key, rules, cost, nowMs)
    if (block === null) return null
    // Half a block ahead, so that no call waits; near the limit the store gives little, and calls may.
    if (
      lease.asking === null &&
      nowMs >= lease.refusedUntilMs &&
      leftOf(lease) < (lease.rate * coverMs) / 2 &&
      isAlive()
    ) {
      ask(lease, key, rules, 0).catch(ignore)
    }
    return outcome(lease, true, block.grantedUs / 1000, nowMs)
  }

  return {
    fromBlocks,
    async fetch(key, rules, cost) {
      const lease = leaseOf(key, rules)
      lease.waiting += cost
      try {
        for (let tries = 0; tries < triesMax; tries++) {
          const isOwn = lease.asking === null && cost > 0
          const atMs = await ask(lease, key, rules, cost)
          const nowMs = clock.now()
          if (isOwn && atMs !== null) return outcome(lease, true, atMs, nowMs)
          const block = useBlock(lease, key, rules, cost, nowMs)
          if (block !== null) return outcome(lease, true, block.grantedUs / 1000, nowMs)
          if (nowMs < lease.refusedUntilMs && Math.max(cost, 1) >= lease.refusedCost)
            return outcome(lease, false, 0, nowMs)
        }
      } finally {
        lease.waiting -= cost
      }
      // Others were quicker each time: this one asks for itself alone.
      const { granted, standings, atUs } = await counts.take(key, rules, cost, cost)
      return { isAllowed: granted >= 0, standings, fallback: null, atMs: atUs / 1000 }
    },
    correct(key, rules, amount, atMs) {
      const lease = leases.get(key)
      const block = lease?.blocks.find(({ grantedUs }) => grantedUs / 1000 === atMs)
      if (amount < 0 && block !== undefined) block.left -= amount
      else if (isAlive()) counts.correct(key, rules, amount, atMs * 1000, true).catch(ignore)
    },
  }
}

function shapeOf(rules: readonly LimitRule[]): string {
  let shape = ''
  for (const { algorithm, limit, windowMs, burst, startMs } of rules) {
    shape += `${algorithm} ${limit} ${windowMs} ${burst} ${startMs},`
  }
  return shape
}
