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

/** Everything of one limit on one worker. */
export class Leased {
  readonly #leases = new LRUCache<string, Lease>({ max: keysMax })
  readonly #counts: Counts
  readonly #clock: Clock
  readonly #isAlive: () => boolean

  constructor(counts: Counts, clock: Clock, isAlive: () => boolean) {
    this.#counts = counts
    this.#clock = clock
    this.#isAlive = isAlive
  }

  /** Decides by what is there; null where the store must be asked. */
  fromBlocks(key: string, rules: readonly LimitRule[], cost: number): LimitOutcome | null {
    const lease = this.#leaseOf(key, rules)
    const nowMs = this.#clock.now()
    measure(lease, cost, nowMs)
    if (isRefused(lease, cost, nowMs) && leftOf(lease) < Math.max(cost, 1)) return outcome(lease, false, 0, nowMs)
    const block = this.#useBlock(lease, key, rules, cost, nowMs)
    if (block === null) return null
    // Half a block ahead, so that no call waits; near the limit the store gives little, and calls may.
    const isLow = leftOf(lease) < (lease.rate * coverMs) / 2
    if (lease.asking === null && nowMs >= lease.refusedUntilMs && isLow && this.#isAlive()) {
      this.#ask(lease, key, rules, 0).catch(ignore)
    }
    return outcome(lease, true, block.grantedUs / 1000, nowMs)
  }

  /** Asks the store, once for all who wait. @throws Error where it fails. */
  async fetch(key: string, rules: readonly LimitRule[], cost: number): Promise<LimitOutcome> {
    const lease = this.#leaseOf(key, rules)
    lease.waiting += cost
    try {
      for (let tries = 0; tries < triesMax; tries++) {
        const isOwn = lease.asking === null && cost > 0
        const atMs = await this.#ask(lease, key, rules, cost)
        const nowMs = this.#clock.now()
        if (isOwn && atMs !== null) return outcome(lease, true, atMs, nowMs)
        const block = this.#useBlock(lease, key, rules, cost, nowMs)
        if (block !== null) return outcome(lease, true, block.grantedUs / 1000, nowMs)
        if (isRefused(lease, cost, nowMs)) return outcome(lease, false, 0, nowMs)
      }
    } finally {
      lease.waiting -= cost
    }
    // Others were quicker each time: this one asks for itself alone.
    const { granted, standings, atUs } = await this.#counts.take(key, rules, cost, cost)
    return { isAllowed: granted >= 0, standings, fallback: null, atMs: atUs / 1000 }
  }

  correct(key: string, rules: readonly LimitRule[], amount: number, atMs: number): void {
    const block = this.#leases.get(key)?.blocks.find(({ grantedUs }) => grantedUs / 1000 === atMs)
    if (amount < 0 && block !== undefined) block.left -= amount
    else if (this.#isAlive()) this.#counts.correct(key, rules, amount, atMs * 1000, true).catch(ignore)
  }

  #leaseOf(key: string, rules: readonly LimitRule[]): Lease {
    const shape = shapeOf(rules)
    let lease = this.#leases.get(key)
    if (lease === undefined || lease.shape !== shape) {
      const nowMs = this.#clock.now()
      const none = { standings: [], standingsMs: nowMs, refusedUntilMs: 0, refusedCost: 0 }
      lease = { shape, blocks: [], asking: null, waiting: 0, used: 0, sinceMs: nowMs, rate: 0, ...none }
      this.#leases.set(key, lease)
    }
    return lease
  }

  /** Takes from the oldest block that has enough; forgets what is over, and gives back what only windows charged. */
  #useBlock(lease: Lease, key: string, rules: readonly LimitRule[], cost: number, nowMs: number): Block | null {
    for (let index = 0; index < lease.blocks.length; ) {
      const block = lease.blocks[index] as Block
      const before = block.left
      block.left = usable(block, rules, nowMs)
      if (block.left === 0) {
        lease.blocks.splice(index, 1)
        const isOnlyGcra = rules.every(({ algorithm }) => algorithm === 'gcra')
        if (before > 0 && !isOnlyGcra && this.#isAlive()) {
          this.#counts.correct(key, rules, -before, block.grantedUs, true).catch(ignore)
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

  /**
   * Asks for a block that covers the demand, once at a time. `need` is what a call waits for, 0 in the background; resolves with
   * the time of a grant.
   */
  #ask(lease: Lease, key: string, rules: readonly LimitRule[], need: number): Promise<number | null> {
    if (lease.asking !== null) return lease.asking
    const askedMs = this.#clock.now()
    const want = Math.min(blockMax, Math.max(need, lease.waiting, Math.ceil(lease.rate * coverMs)))
    const asked = this.#counts
      .take(key, rules, Math.max(need, 1), Math.max(want, 1))
      .then(({ granted, atUs, standings, endsUs }) => {
        lease.standings = standings
        lease.standingsMs = this.#clock.now()
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
}

function leftOf({ blocks }: Lease): number {
  return blocks.reduce((sum, { left }) => sum + left, 0)
}

/** Whether the store said no lately, to this cost or a smaller one. */
function isRefused({ refusedUntilMs, refusedCost }: Lease, cost: number, nowMs: number): boolean {
  return nowMs < refusedUntilMs && Math.max(cost, 1) >= refusedCost
}

function outcome(lease: Lease, isAllowed: boolean, atMs: number, nowMs: number): LimitOutcome {
  const left = leftOf(lease)
  const sinceMs = nowMs - lease.standingsMs
  const standings = lease.standings.map(standing => ({
    remaining: isAllowed ? standing.remaining + left : standing.remaining,
    resetMs: Math.max(0, standing.resetMs - sinceMs),
    retryMs: isAllowed ? 0 : Math.max(standing.retryMs > 0 ? 1 : 0, standing.retryMs - sinceMs),
  }))
  return { isAllowed, standings, fallback: null, atMs }
}

/** Follows how much is asked for per millisecond. */
function measure(lease: Lease, cost: number, nowMs: number): void {
  lease.used += cost
  const sinceMs = nowMs - lease.sinceMs
  if (sinceMs < coverMs / 2) return
  lease.rate = sinceMs > 20 * coverMs ? 0 : (lease.rate + lease.used / sinceMs) / 2
  lease.used = 0
  lease.sinceMs = nowMs
}

function ignore(): void {
  // The store counts a block as used that could not be given back.
}

function shapeOf(rules: readonly LimitRule[]): string {
  let shape = ''
  for (const { algorithm, limit, windowMs, burst, startMs } of rules) {
    shape += `${algorithm} ${limit} ${windowMs} ${burst} ${startMs},`
  }
  return shape
}
