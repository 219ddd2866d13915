// Whether a try that ended badly is followed by another one, and after which wait.

import type { Call } from '../core/call.ts'
import type { Failure } from '../core/failure.ts'
import type { Counter, Ports } from '../core/ports.ts'
import { Reply } from '../core/reply.ts'
import { isGrpcReason, type RetryReason, type RouteRetry } from '../core/retry-schema.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import { pushbackMs, retryAfterMs } from './asked-wait.ts'
import type { Budget } from './budget.ts'
import { createConditions } from './conditions.ts'
import type { Endpoint } from './endpoint.ts'

const backoffMsMax = 1000

export interface AllowanceOptions {
  /** Name of the upstream, for metrics. */
  readonly name: string
  /**
   * Null for the default: a call that found no connection is tried once on each other endpoint, without a wait, since
   * no upstream saw it.
   */
  readonly retry: UpstreamBlueprint['retry']
  /** What further tries are taken from, and first ones counted in; null where nothing is. */
  readonly budget: Budget | null
  /** The endpoint for a call; one of `tried` only when there is no other. */
  readonly pick: (call: Call, tried: readonly Endpoint[]) => Endpoint | null
  readonly ports: Pick<Ports, 'clock' | 'random' | 'meter'>
}

export interface Allowance {
  /** Says how long to wait before a further try, in milliseconds; null for no further try. Takes it out of the budget. */
  readonly allow: (call: Call, outcome: Reply | Failure, tried: readonly Endpoint[]) => number | null
  /** Whether a further try might follow this reply, so that it is worth asking. */
  readonly mightFollow: (call: Call, reply: Reply) => boolean
  /** Whether it might follow any reply. */
  readonly isAnyReplyRetried: boolean
}

/** The allowance of each call: that of the upstream, or what its route has made of it. */
export function createAllowances(options: AllowanceOptions): (call: Call) => Allowance {
  const { retry } = options
  const own = retry === null ? createFailover(options) : createRetries(options, retry)
  // Upstreams outlive the routes of a config.
  const ofRoutes = new WeakMap<RouteRetry, Allowance>()
  const allowanceOf = (rule: RouteRetry): Allowance => {
    const { attempts, on } = rule
    const known = ofRoutes.get(rule)
    if (known !== undefined) return known
    const other = retry && { ...retry, attempts: attempts ?? retry.attempts, on: [...(on ?? retry.on)] }
    const made = attempts === 0 ? noAllowance : other === null ? own : createRetries(options, other)
    ofRoutes.set(rule, made)
    return made
  }
  return call => (call.retry === null ? own : allowanceOf(call.retry))
}

const noAllowance: Allowance = {
  allow: () => null,
  mightFollow: () => false,
  isAnyReplyRetried: false,
}

function createFailover(options: AllowanceOptions): Allowance {
  const { reasonOf } = createConditions(['connect-failure'])
  const counters = createCounters(options, ['connect-failure'])
  return {
    isAnyReplyRetried: false,
    mightFollow: () => false,
    allow(call, outcome, tried) {
      const reason = reasonOf(call, outcome)
      if (reason === null || options.ports.clock.now() >= call.deadlineMs) return null
      const next = options.pick(call, tried)
      if (next === null || tried.includes(next)) return null
      counters.get(reason)?.add(1)
      return 0
    },
  }
}

function createRetries(options: AllowanceOptions, retry: NonNullable<UpstreamBlueprint['retry']>): Allowance {
  const { name, budget, ports } = options
  const { clock, random, meter } = ports
  const { attempts, on, backoff, retryAfterMax } = retry
  const { reasonOf, isAnyReplyRetried } = createConditions(on)
  const counters = createCounters(options, on)
  const exhausted = meter.counter('turnpike_upstream_retry_budget_exhausted', { upstream: name })

  /** Null where the server asks for a longer wait than calls may take. */
  function waitMsBefore(reason: RetryReason, outcome: Reply | Failure, triedCount: number): number | null {
    // Full jitter: anywhere from nothing to the doubled pause, so that calls which failed together part.
    const pauseMs = random() * Math.min(backoffMsMax, backoff * 2 ** (triedCount - 1))
    if (!(outcome instanceof Reply)) return pauseMs
    const pushback = isGrpcReason(reason) ? pushbackMs(outcome) : null
    const askedMs = pushback ?? retryAfterMs(outcome, clock.wall())
    if (askedMs > retryAfterMax) return null
    return pushback ?? Math.max(pauseMs, askedMs)
  }

  return {
    isAnyReplyRetried: attempts > 0 && isAnyReplyRetried,
    mightFollow: (call, reply) => reasonOf(call, reply) !== null,
    allow(call, outcome, tried) {
      const reason = reasonOf(call, outcome)
      if (reason === null || tried.length > attempts) return null
      const now = clock.now()
      const waitMs = waitMsBefore(reason, outcome, tried.length)
      if (waitMs === null || now + waitMs >= call.deadlineMs) return null
      if (budget !== null && !budget.tryRetry(now)) {
        exhausted.add(1)
        return null
      }
      counters.get(reason)?.add(1)
      return waitMs
    },
  }
}

function createCounters({ name, ports }: AllowanceOptions, reasons: readonly RetryReason[]) {
  return new Map<RetryReason, Counter>(
    reasons.map(reason => [reason, ports.meter.counter('turnpike_upstream_retries', { upstream: name, reason })]),
  )
}
