// The adaptive limit of an upstream: calls beyond what it can take are turned away at once, those that matter least first.

import type { Call } from '../../core/call.ts'
import type { Ports } from '../../core/ports.ts'
import { type Priority, priority } from '../../core/priority.ts'
import { refuseForNow } from '../../core/refuse-for-now.ts'
import type { Reply } from '../../core/reply.ts'
import type { SharedRow } from '../../core/shared-row.ts'
import type { Layer } from '../../core/step.ts'
import { AdaptiveLimit, type AdaptiveRules } from './adaptive-limit.ts'
import { isTimeout, verdictOfReply } from './outcome.ts'

export interface AdaptiveOptions {
  /** Name of the upstream. */
  readonly name: string
  readonly rules: AdaptiveRules
  readonly row: SharedRow
  /** See `patienceOf`. */
  readonly patienceMs: number
  readonly ports: Pick<Ports, 'random' | 'meter' | 'shared'>
}

export interface Adaptive {
  readonly layer: Layer
  /** Brings gauges up to date. */
  report(): void
  close(): void
}

/** How much of the limit calls of a priority may fill: what is left is kept free for those above. */
const shares: Readonly<Record<Priority, number>> = { high: 1, normal: 0.9, low: 0.6 }

const unmeasured = -1

/** A call holds its place until the head of its reply came, so that event streams do not use the limit up. */
export function createAdaptive({ name, rules, row, patienceMs, ports }: AdaptiveOptions): Adaptive {
  const { meter, random, shared } = ports
  const limit = new AdaptiveLimit(rules, row, random)
  const underWay = shared.counter(`adaptive ${name}`)
  const limitGauge = meter.gauge('turnpike_adaptive_limit', { upstream: name })
  const lowestGauge = meter.gauge('turnpike_adaptive_latency_seconds', { upstream: name })
  const shed = (rank: Priority) => meter.counter('turnpike_adaptive_shed', { upstream: name, priority: rank })
  const sheds = { high: shed('high'), normal: shed('normal'), low: shed('low') }

  function end(call: Call, startedMs: number, isSample: boolean): void {
    if (isSample && startedMs !== unmeasured) limit.sample(startedMs + call.sendingMs, row.now(), underWay.taken())
    underWay.give()
  }

  const layer: Layer = next =>
    function adaptive(call) {
      const rank = call.facts.get(priority) ?? 'normal'
      if (!underWay.tryTake(Math.max(1, Math.floor(limit.limit * shares[rank])))) {
        sheds[rank].add(1)
        return Promise.resolve(refuse(call, name))
      }
      const startedMs = limit.isCurious ? row.now() : unmeasured
      return next(call).then(
        reply => {
          end(call, startedMs, verdictOfReply(reply) === 'good')
          return reply
        },
        (thrown: unknown) => {
          end(call, startedMs, isTimeout(call, thrown, patienceMs))
          throw thrown
        },
      )
    }
  return {
    layer,
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

function refuse(call: Call, name: string): Reply {
  call.upstream = name
  call.refusal = 'the adaptive limit of the upstream is full'
  return refuseForNow('upstream-overloaded')
}
