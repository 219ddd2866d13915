// Limits that several gateways count together in a Valkey or Redis server, and what decides while it fails.

import type { LimitOutcome, LimitRule, LimitStore, LimitStoreOptions } from '../../core/limits.ts'
import type { Clock, Counter, Meter } from '../../core/ports.ts'
import { askUntilSure, createCounts } from './counts.ts'
import type { Leased } from './leased.ts'
import type { StoreLink } from './link.ts'
import { slidingParts } from './count-script.ts'

export interface ValkeyLimitsOptions {
  readonly link: StoreLink
  readonly clock: Clock
  readonly meter: Meter
  /** Counts in this gateway alone, for `onFailure: local-share`. */
  readonly local: (options: LimitStoreOptions) => LimitStore
  /** What holds the permits of this scope, for `mode: leased`. */
  readonly leased: () => Leased
}

/** No call waits much longer than the timeout of the store; while the store is known to be dead, none waits at all. */
export function createValkeyLimits(options: LimitStoreOptions, ports: ValkeyLimitsOptions): LimitStore {
  const { link, clock } = ports
  const counts = createCounts(link, options.scope)
  const fallback = createFallback(options, ports)
  const leased = options.mode === 'leased' ? ports.leased() : null
  const ask = async (key: string, rules: readonly LimitRule[], cost: number): Promise<LimitOutcome> => {
    try {
      if (leased !== null) return await leased.fetch(key, rules, cost)
      const name = counts.nameOf(key, rules)
      const grant = await askUntilSure(() => counts.ask(name, rules, cost, cost), link.timeoutMs, clock)
      const { granted, standings, atUs } = grant
      return { isAllowed: granted >= 0, standings, fallback: null, atMs: atUs / 1000 }
    } catch {
      return fallback.take(key, rules, cost)
    }
  }
  const isStrict = options.onFailure === 'closed'
  return {
    take(key, rules, cost) {
      const outcome = leased?.fromBlocks(key, rules, cost) ?? null
      if (outcome !== null) return outcome
      const isForgotten = isStrict && link.lossMs !== -Infinity && waitAfterLoss(rules, link.lossMs, clock) > 0
      return link.isAlive && !isForgotten ? ask(key, rules, cost) : fallback.take(key, rules, cost)
    },
    correct(key, rules, amount, atMs) {
      // What a fallback took has a time below zero: the store never knew of it.
      if (amount === 0 || atMs < 0) return fallback.correct(key, rules, amount, atMs)
      if (leased !== null) leased.correct(key, rules, amount, atMs)
      else if (link.isAlive) {
        counts.correct(counts.nameOf(key, rules), rules, amount, atMs * 1000, false).catch(() => {})
      }
    },
  }
}

/** Counts what `onFailure` decided. */
export function fallbacksOf(
  { name, onFailure }: Pick<LimitStoreOptions, 'name' | 'onFailure'>,
  link: StoreLink,
  meter: Meter,
): Counter {
  return meter.counter('turnpike_limit_fallbacks', { name, store: link.name, fallback: onFailure })
}

function createFallback(options: LimitStoreOptions, { link, clock, meter, local }: ValkeyLimitsOptions): LimitStore {
  const { onFailure } = options
  const counter = fallbacksOf(options, link, meter)
  if (onFailure !== 'local-share') {
    const isAllowed = onFailure === 'open'
    return {
      take(_key, rules) {
        counter.add(1)
        const waitMs = Math.max(closedRetryMs, waitAfterLoss(rules, link.lossMs, clock))
        const standings = rules.map(({ limit }) =>
          isAllowed ? { remaining: limit, resetMs: 0, retryMs: 0 } : { remaining: 0, resetMs: waitMs, retryMs: waitMs },
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

/**
 * How long after counts were lost their windows still run: until then nobody knows what has passed in them. Below zero when they
 * are over.
 */
function waitAfterLoss(rules: readonly LimitRule[], lossMs: number, clock: Clock): number {
  const sinceMs = clock.now() - lossMs
  return rules.reduce((most, rule) => Math.max(most, spanOf(rule, clock.wall() - sinceMs) - sinceMs), -Infinity)
}

/** How long after this moment a call before it still counts, milliseconds. */
function spanOf({ algorithm, limit, windowMs, burst, startMs }: LimitRule, wallMs: number): number {
  if (algorithm === 'gcra') return limit > 0 ? (burst * windowMs) / limit : 0
  if (algorithm === 'sliding-window') return windowMs + Math.ceil(windowMs / slidingParts)
  return wallMs < startMs ? 0 : startMs + windowMs - wallMs
}

/** Rounded down: all shares together are never more than the limit. */
function sharesOf(rules: readonly LimitRule[], gateways: number): LimitRule[] {
  return rules.map(rule => ({
    ...rule,
    limit: Math.floor(rule.limit / gateways),
    burst: Math.floor(rule.burst / gateways),
  }))
}
