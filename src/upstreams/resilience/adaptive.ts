// The adaptive limit of an upstream: calls beyond what it can take are turned away at once, those that matter least first.

import type { Call } from '../../core/call.ts'
import type { Ports } from '../../core/ports.ts'
import { type Priority, priority } from '../../core/priority.ts'
import { refuseForNow } from '../../core/refuse-for-now.ts'
import type { Reply } from '../../core/reply.ts'
import type { SharedRow } from '../../core/shared-row.ts'
import { AdaptiveLimit, type AdaptiveRules } from './adaptive-limit.ts'
import { unmeasured } from './outcome.ts'

export interface AdaptiveOptions {
  /** Name of the upstream. */
  readonly name: string
  readonly rules: AdaptiveRules
  readonly row: SharedRow
  readonly ports: Pick<Ports, 'random' | 'meter' | 'shared'>
}

/** A call holds its place until the head of its reply came, so that event streams do not use the limit up. */
export interface Adaptive {
  /** Whether it is to be known when the next call begins. */
  readonly isCurious: boolean
  /** Takes a place; false where there is none for a call of this priority. */
  tryEnter(call: Call): boolean
  /** The reply to a call without a place. */
  refuse(call: Call): Reply
  /** Gives the place back. Where the time until now says something of the upstream it is a sample. Times are those of the row's clock. */
  left(call: Call, startedMs: number, nowMs: number, isSample: boolean): void
  /** Brings gauges up to date. */
  report(): void
  close(): void
}

/** How much of the limit calls of a priority may fill: what is left is kept free for those above. */
const shares: Readonly<Record<Priority, number>> = { high: 1, normal: 0.9, low: 0.6 }

export function createAdaptive({ name, rules, row, ports }: AdaptiveOptions): Adaptive {
  const { meter, random, shared } = ports
  const limit = new AdaptiveLimit(rules, row, random)
  const underWay = shared.counter(`adaptive ${name}`)
  const limitGauge = meter.gauge('turnpike_adaptive_limit', { upstream: name })
  const lowestGauge = meter.gauge('turnpike_adaptive_latency_seconds', { upstream: name })
  const shed = (rank: Priority) => meter.counter('turnpike_adaptive_shed', { upstream: name, priority: rank })
  const sheds = { high: shed('high'), normal: shed('normal'), low: shed('low') }
  return {
    get isCurious() {
      return limit.isCurious
    },
    tryEnter: call => underWay.tryTake(Math.max(1, Math.floor(limit.limit * shares[rankOf(call)]))),
    refuse(call) {
      sheds[rankOf(call)].add(1)
      call.upstream = name
      call.refusal = 'the adaptive limit of the upstream is full'
      return refuseForNow('upstream-overloaded')
    },
    left(call, startedMs, nowMs, isSample) {
      if (isSample && startedMs !== unmeasured) limit.sample(startedMs + call.sendingMs, nowMs, underWay.taken())
      underWay.give()
    },
    report() {
      limitGauge.set(Math.floor(limit.limit))
      lowestGauge.set(limit.lowestMs / 1000)
    },
    close() {
      limitGauge.set(0)
      lowestGauge.set(0)
    },
  }
}

function rankOf(call: Call): Priority {
  return call.facts.get(priority) ?? 'normal'
}
