// Limits that several gateways count together in a Valkey or Redis server, and what decides while it fails.

import type { LimitOutcome, LimitRule, LimitStore, LimitStoreOptions } from '../../core/limits.ts'
import type { Clock, Meter } from '../../core/ports.ts'
import { createCounts } from './counts.ts'
import { Leased } from './leased.ts'
import type { StoreLink } from './link.ts'

export interface ValkeyLimitsOptions {
  readonly link: StoreLink
  readonly clock: Clock
  readonly meter: Meter
  /** Counts in this gateway alone, for `onFailure: local-share`. */
  readonly local: (options: LimitStoreOptions) => LimitStore
}

/** No call waits longer than the timeout of the store; while the store is known to be dead, none waits at all. */
export function createValkeyLimits(options: LimitStoreOptions, ports: ValkeyLimitsOptions): LimitStore {
  const { link, clock } = ports
  const counts = createCounts(link, options.scope)
  const fallback = createFallback(options, ports)
  const leased = options.mode === 'leased' ? new Leased(counts, clock, () => link.isAlive) : null
  const ask = async (key: string, rules: readonly LimitRule[], cost: number): Promise<LimitOutcome> => {
    try {
      if (leased !== null) return await leased.fetch(key, rules, cost)
      const { granted, standings, atUs } = await counts.take(key, rules, cost, cost)
      return { isAllowed: granted >= 0, standings, fallback: null, atMs: atUs / 1000 }
    } catch {
      return fallback.take(key, rules, cost)
    }
  }
  return {
    take(key, rules, cost) {
      const outcome = leased?.fromBlocks(key, rules, cost) ?? null
      if (outcome !== null) return outcome
      return link.isAlive ? ask(key, rules, cost) : fallback.take(key, rules, cost)
    },
    correct(key, rules, amount, atMs) {
      // What a fallback took has a time below zero: the store never knew of it.
      if (amount === 0 || atMs < 0) return fallback.correct(key, rules, amount, atMs)
      if (leased !== null) leased.correct(key, rules, amount, atMs)
      else if (link.isAlive) counts.correct(key, rules, amount, atMs * 1000, false).catch(() => {})
    },
  }
}

function createFallback(options: LimitStoreOptions, { link, meter, local }: ValkeyLimitsOptions): LimitStore {
  const { onFailure, name } = options
  const counter = meter.counter('turnpike_limit_fallbacks', { name, store: link.name, fallback: onFailure })
  if (onFailure !== 'local-share') {
    const isAllowed = onFailure === 'open'
    return {
      take(_key, rules) {
        counter.add(1)
        const standings = rules.map(({ limit }) =>
          isAllowed
            ? { remaining: limit, resetMs: 0, retryMs: 0 }
            : { remaining: 0, resetMs: closedRetryMs, retryMs: closedRetryMs },
        )
        return { isAllowed, standings, fallback: onFailure, atMs: -1 }
      },
      correct() {},
    }
  }
  const store = local({ ...options, store: null, scope: `${options.scope}/share`, isDurable: false })
  return {
    async take(key, rules, cost) {
      counter.add(1)
      const outcome = await store.take(key, sharesOf(rules, link.gateways), cost)
      return { ...outcome, fallback: onFailure, atMs: -1 - outcome.atMs }
    },
    correct(key, rules, amount, atMs) {
      if (amount !== 0) store.correct(key, sharesOf(rules, link.gateways), amount, -1 - atMs)
    },
  }
}

/** What a client is told to wait while a store fails and its limit is closed. */
const closedRetryMs = 1_000

/** Rounded down: all shares together are never more than the limit. */
function sharesOf(rules: readonly LimitRule[], gateways: number): LimitRule[] {
  return rules.map(rule => ({
    ...rule,
    limit: Math.floor(rule.limit / gateways),
    burst: Math.floor(rule.burst / gateways),
  }))
}
