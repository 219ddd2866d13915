// The breaker of an upstream: while too many calls fail or are slow, further ones are refused at once.

import type { Call } from '../../core/call.ts'
import type { Counter, Ports } from '../../core/ports.ts'
import { refuseForNow } from '../../core/refuse-for-now.ts'
import type { Reply } from '../../core/reply.ts'
import type { SharedRow } from '../../core/shared-row.ts'
import { BreakerMode, type BreakerModeNumber, type BreakerRules, BreakerState } from './breaker-state.ts'
import type { Verdict } from './outcome.ts'

export interface BreakerOptions {
  /** Name of the upstream. */
  readonly name: string
  readonly rules: BreakerRules
  readonly row: SharedRow
  readonly ports: Pick<Ports, 'log' | 'meter'>
}

/** Calls are counted whole, all their tries together: what a further try made good is no failure of the upstream. */
export interface Breaker {
  /** Whether it must be known when a call began. */
  readonly isTimed: boolean
  /** Whether a call is let through: see `BreakerState.admit`. Of one that is, `ended` or `release` tells the end. */
  admit(): number
  /** The reply to a call that is not. */
  refuse(call: Call): Reply
  /** How a call ended that was let through. Times are those of the row's clock. */
  ended(call: Call, ticket: number, startedMs: number, nowMs: number, verdict: Verdict): void
  /** It never reached the upstream. */
  release(ticket: number): void
  /** Brings the gauge up to date. */
  report(): void
  close(): void
}

export function createBreaker({ name, rules, row, ports }: BreakerOptions): Breaker {
  const { meter } = ports
  const refusals = meter.counter('turnpike_breaker_refusals', { upstream: name })
  const gauge = meter.gauge('turnpike_breaker_state', { upstream: name })
  const state = new BreakerState(rules, row, createTeller(name, rules, ports))
  const slowMs = rules.slow?.over ?? Infinity
  return {
    isTimed: slowMs !== Infinity,
    admit: () => state.admit(),
    refuse: call => refuse(call, name, state, refusals),
    ended(call, ticket, startedMs, nowMs, verdict) {
      if (verdict === 'none') return state.release(ticket)
      const isSlow = slowMs !== Infinity && nowMs - startedMs - call.sendingMs > slowMs
      state.record(ticket, verdict === 'bad', isSlow, nowMs)
    },
    release: ticket => state.release(ticket),
    report: () => gauge.set(state.mode),
    close: () => gauge.set(0),
  }
}

function refuse(call: Call, name: string, state: BreakerState, refusals: Counter): Reply {
  refusals.add(1)
  call.upstream = name
  call.refusal = 'the breaker of the upstream is open'
  return refuseForNow('breaker-open', state.waitMs())
}

/** Counts changes and writes them to the log. The thread whose call brought the change tells it, once for all. */
function createTeller(name: string, rules: BreakerRules, { log, meter }: BreakerOptions['ports']) {
  const changes = (state: string) => meter.counter('turnpike_breaker_changes', { upstream: name, state })
  const counters = {
    [BreakerMode.closed]: changes('closed'),
    [BreakerMode.halfOpen]: changes('half-open'),
    [BreakerMode.open]: changes('open'),
  }
  return (mode: BreakerModeNumber, share: { readonly failures: number; readonly slow: number }): void => {
    counters[mode].add(1)
    const fields = { upstream: name }
    if (mode === BreakerMode.closed) log.info(fields, `upstream ${name}: the breaker is closed, calls pass again`)
    else if (mode === BreakerMode.halfOpen) {
      log.info(fields, `upstream ${name}: the breaker is half open and lets ${rules.probes} calls through`)
    } else {
      const what = `${percent(share.failures)} of the calls failed, ${percent(share.slow)} were slow`
      log.warn(fields, `upstream ${name}: the breaker is open for ${rules.open} ms: ${what}`)
    }
  }
}

function percent(share: number): string {
  return `${Math.round(share * 100)}%`
}
