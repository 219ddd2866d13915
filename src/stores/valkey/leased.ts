// Limits by blocks of permits: a call is decided from what was taken in advance, and the store is asked in the background.

import { LRUCache } from 'lru-cache'
import type { LimitOutcome, LimitRule, LimitStanding } from '../../core/limits.ts'
import type { Clock, Counter } from '../../core/ports.ts'
import { askUntilSure, type Counts } from './counts.ts'
import { type Block, type Grant, spend, usable } from './leases.ts'
import type { StoreLink } from './link.ts'

/** How much demand one block covers, milliseconds. */
const coverMs = 100
/** A refusal of the store is believed for so long at most, milliseconds: others may give back. */
const refusalMsMax = 100
const blockMax = 10_000
/** How often a call waits for a block that all share. */
const triesMax = 4
/** How often a key that is called back waits for blocks on their way. */
const turnsMax = 4

interface Lease {
  /** The key of the store. */
  readonly name: string
  readonly shape: string
  readonly rules: readonly LimitRule[]
  blocks: Block[]
  asking: Promise<number | null> | null
  /** The question that is on its way; null between two, while others are waited for. */
  flight: Promise<Grant> | null
  isCalledBack: boolean
  /** Whether the store has this worker down as one that may give back. */
  isHolder: boolean
  /** Units that calls wait for. */
  waiting: number
  /** Calls since `sinceMs`, and what they were per millisecond before. */
  used: number
  sinceMs: number
  rate: number
  standings: readonly LimitStanding[]
  standingsMs: number
  /** Before this nothing is asked in the background. */
  quietUntilMs: number
  refusedUntilMs: number
  refusedCost: number
}

export interface LeasedOptions {
  readonly counts: Counts
  readonly link: StoreLink
  readonly clock: Clock
  /** How many keys have permits here at once; what is pushed out is given back. */
  readonly callers: number
  /** Counts keys that were pushed out. */
  readonly full: Counter
  onClose(): void
}

/** Owns the permits that one worker holds of one limit. */
export class Leased {
  readonly #options: LeasedOptions
  readonly #leases: LRUCache<string, Lease>
  readonly #byName = new Map<string, Lease>()
  readonly #forget: () => void

  constructor(options: LeasedOptions) {
    this.#options = options
    this.#leases = new LRUCache({
      max: options.callers,
      dispose: (lease, _key, reason) => {
        if (reason === 'evict') options.full.add(1)
        if (this.#byName.get(lease.name) === lease) this.#byName.delete(lease.name)
        void this.#giveBack(lease)
      },
    })
    this.#forget = options.link.onRecall(name => {
      const lease = this.#byName.get(name)
      if (lease !== undefined && !lease.isCalledBack) void this.#callBack(lease)
    })
  }

  /** Decides by what is there; null where the store must be asked. */
  fromBlocks(key: string, rules: readonly LimitRule[], cost: number): LimitOutcome | null {
    const lease = this.#leaseOf(key, rules)
    const nowMs = this.#options.clock.now()
    measure(lease, cost, nowMs)
    if (isRefused(lease, cost, nowMs) && leftOf(lease, rules, nowMs) < Math.max(cost, 1))
      return outcome(lease, false, 0, 0, nowMs)
    const block = this.#useBlock(lease, rules, cost, nowMs)
    if (block === null) return null
    // Half a block ahead, so that no call waits; near the limit the store gives little, and calls may.
    const left = leftOf(lease, rules, nowMs)
    const isQuiet = lease.asking !== null || nowMs < lease.quietUntilMs || nowMs < lease.refusedUntilMs
    if (!isQuiet && this.#options.link.isAlive && left < (lease.rate * coverMs) / 2) {
      this.#ask(lease, rules, 0).catch(ignore)
    }
    return outcome(lease, true, left, block.grantedUs / 1000, nowMs)
  }

  /** Asks the store, once for all who wait. @throws Error where it fails or takes too long. */
  async fetch(key: string, rules: readonly LimitRule[], cost: number): Promise<LimitOutcome> {
    const { clock, link, counts } = this.#options
    const lease = this.#leaseOf(key, rules)
    const untilMs = clock.now() + link.timeoutMs
    lease.waiting += cost
    try {
      for (let tries = cost > 0 ? 0 : triesMax; tries < triesMax; tries++) {
        const isOwn = lease.asking === null
        const atMs = await this.#ask(lease, rules, cost)
        const nowMs = clock.now()
        if (isOwn && atMs !== null) return outcome(lease, true, leftOf(lease, rules, nowMs), atMs, nowMs)
        const block = this.#useBlock(lease, rules, cost, nowMs)
        if (block !== null) {
          return outcome(lease, true, leftOf(lease, rules, nowMs), block.grantedUs / 1000, nowMs)
        }
        if (isRefused(lease, cost, nowMs)) {
          if (lease.blocks.length === 0) return outcome(lease, false, 0, 0, nowMs)
          // Too little here and too little there may be enough together.
          void this.#giveBack(lease)
        }
        if (nowMs > untilMs) throw new Error('the store took longer than its timeout')
      }
    } finally {
      lease.waiting -= cost
    }
    // Others were quicker each time: this one asks for itself alone.
    const { granted, standings, atUs } = await counts.ask(lease.name, rules, cost, cost)
    return { isAllowed: granted >= 0, standings, fallback: null, atMs: atUs / 1000 }
  }

  correct(key: string, rules: readonly LimitRule[], amount: number, atMs: number): void {
    const { counts, link } = this.#options
    const lease = this.#leaseOf(key, rules)
    const block = lease.blocks.find(({ grantedUs }) => grantedUs / 1000 === atMs)
    if (amount < 0 && block !== undefined) spend(block, amount)
    else if (link.isAlive) counts.correct(lease.name, rules, amount, atMs * 1000, true).catch(ignore)
  }

  /** Gives back what was not used. Resolves when the store has it, or has failed. */
  async settle(): Promise<void> {
    await Promise.all([...this.#leases.values()].map(lease => this.#giveBack(lease)))
  }

  close(): void {
    this.#forget()
    this.#leases.clear()
    this.#options.onClose()
  }

  #leaseOf(key: string, rules: readonly LimitRule[]): Lease {
    const shape = shapeOf(rules)
    let lease = this.#leases.get(key)
    if (lease === undefined || lease.shape !== shape) {
      const nowMs = this.#options.clock.now()
      const name = this.#options.counts.nameOf(key, rules)
      lease = newLease(name, shape, rules, nowMs)
      this.#leases.set(key, lease)
      this.#byName.set(name, lease)
    }
    return lease
  }

  /** Takes from the oldest block that has enough; gives back what is left of those that are over. */
  #useBlock(lease: Lease, rules: readonly LimitRule[], cost: number, nowMs: number): Block | null {
    for (let index = 0; index < lease.blocks.length; ) {
      const block = lease.blocks[index] as Block
      const left = usable(block, rules, nowMs)
      if (left === 0) {
        lease.blocks.splice(index, 1)
        if (block.left.some(amount => amount > 0)) void this.#return(lease, block, false)
        continue
      }
      if (left >= cost) {
        spend(block, cost)
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
  #ask(lease: Lease, rules: readonly LimitRule[], need: number): Promise<number | null> {
    if (lease.asking !== null) return lease.asking
    const { clock, counts, link } = this.#options
    const askedMs = clock.now()
    const want = Math.min(blockMax, Math.max(need, lease.waiting, Math.ceil(lease.rate * coverMs)))
    const ask = () => (lease.flight = counts.ask(lease.name, rules, need, want).finally(() => (lease.flight = null)))
    const asked = askUntilSure(ask, link.timeoutMs, clock).then(({ granted, atUs, standings, endsUs }) => {
      lease.standings = standings
      lease.standingsMs = clock.now()
      // What a call waits for is used at the time of the grant, before any of it could decay.
      if (granted > need) {
        lease.blocks.push({ left: rules.map(() => granted - need), grantedUs: atUs, askedMs, endsUs })
        lease.isHolder = true
      }
      if (granted > 0) {
        lease.refusedUntilMs = 0
        return atUs / 1000
      }
      lease.quietUntilMs = lease.standingsMs + coverMs / 2
      if (granted === 0) return null
      const retryMs = standings.reduce((most, standing) => Math.max(most, standing.retryMs), 1)
      lease.refusedUntilMs = lease.standingsMs + Math.min(retryMs, refusalMsMax)
      lease.refusedCost = Math.max(need, 1)
      return null
    })
    lease.asking = asked.finally(() => (lease.asking = null))
    return lease.asking
  }

  /** Others lack permits of this key. Calls that wait for a block on its way are served first. */
  async #callBack(lease: Lease): Promise<void> {
    lease.isCalledBack = true
    for (let turns = 0; turns < turnsMax && lease.flight !== null; turns++) {
      await lease.flight.catch(ignore)
      await new Promise(resolve => setImmediate(resolve))
    }
    lease.isCalledBack = false
    await this.#giveBack(lease)
  }

  async #giveBack(lease: Lease): Promise<void> {
    if (!lease.isHolder) return
    const { blocks, rules } = lease
    const nowMs = this.#options.clock.now()
    for (const block of blocks) usable(block, rules, nowMs)
    const returned = blocks.filter(({ left }) => left.some(amount => amount > 0))
    if (returned.length === 0) returned.push({ left: rules.map(() => 0), grantedUs: 0, askedMs: 0, endsUs: [] })
    // A block on its way makes this worker a holder again.
    lease.isHolder = lease.flight !== null
    lease.blocks = []
    const last = lease.isHolder ? -1 : returned.length - 1
    await Promise.all(returned.map((block, index) => this.#return(lease, block, index === last)))
  }

  async #return(lease: Lease, block: Block, isLast: boolean): Promise<void> {
    const { counts, link } = this.#options
    // What cannot be given back counts as used.
    if (link.isAlive) await counts.giveBack(lease.name, lease.rules, block, isLast).catch(ignore)
  }
}

function newLease(name: string, shape: string, rules: readonly LimitRule[], nowMs: number): Lease {
  return {
    name,
    shape,
    rules,
    blocks: [],
    asking: null,
    flight: null,
    isCalledBack: false,
    isHolder: false,
    waiting: 0,
    used: 0,
    sinceMs: nowMs,
    rate: 0,
    standings: [],
    standingsMs: nowMs,
    quietUntilMs: 0,
    refusedUntilMs: 0,
    refusedCost: 0,
  }
}

function leftOf({ blocks }: Lease, rules: readonly LimitRule[], nowMs: number): number {
  let sum = 0
  for (const block of blocks) sum += usable(block, rules, nowMs)
  return sum
}

/** Whether the store said no lately, to this cost or a smaller one. */
function isRefused({ refusedUntilMs, refusedCost }: Lease, cost: number, nowMs: number): boolean {
  return nowMs < refusedUntilMs && Math.max(cost, 1) >= refusedCost
}

function outcome(lease: Lease, isAllowed: boolean, left: number, atMs: number, nowMs: number): LimitOutcome {
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
  // The store counts as used what it was not told of.
}

function shapeOf(rules: readonly LimitRule[]): string {
  let shape = ''
  for (const { algorithm, limit, windowMs, burst, startMs } of rules) {
    shape += `${algorithm} ${limit} ${windowMs} ${burst} ${startMs},`
  }
  return shape
}
