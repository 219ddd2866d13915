// How a call is sent to an upstream: the one list of what stands around its tries.

import type { Ports } from '../core/ports.ts'
import type { SharedRows } from '../core/shared-row.ts'
import type { Layer, Step } from '../core/step.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import { type Adaptive, createAdaptive } from './resilience/adaptive.ts'
import { type Breaker, createBreaker } from './resilience/breaker.ts'
import { createBudget } from './budget.ts'
import { createDeadlineTeller } from './resilience/deadline.ts'
import { createHedge, rivals } from './resilience/hedge.ts'
import { patienceOf } from './resilience/outcome.ts'
import { createSender, type SenderOptions } from './retry.ts'

export interface SendingParts extends Pick<SenderOptions, 'pick' | 'noEndpoint' | 'observe' | 'startTimer'> {
  /** Numbers that all workers share. */
  readonly rows: SharedRows
}

export interface Sending {
  readonly send: Step
  /** Brings gauges up to date. */
  report(): void
  close(): void
}

/** What hedges may take where `retry` names no budget. */
const budgetDefault = 0.2

export function composeSending(name: string, blueprint: UpstreamBlueprint, ports: Ports, parts: SendingParts): Sending {
  const { retry, timeouts, hedge } = blueprint
  const isRetried = retry !== null && retry.attempts > 0
  const budget = isRetried || hedge !== null ? createBudget(retry?.budget ?? budgetDefault) : null
  const teller = blueprint.deadlineHeader === null ? null : createDeadlineTeller(blueprint.deadlineHeader, ports.clock)
  const sender: SenderOptions = {
    ...parts,
    ...{ name, retry, budget, callMs: timeouts.call, ports },
    pick: pickBeside(tellBefore(parts.pick, teller?.tell), hedge !== null),
  }
  const breaker = createOwnBreaker(name, blueprint, ports, parts.rows)
  const adaptive = createOwnAdaptive(name, blueprint, ports, parts.rows)
  // Outermost first. An open breaker refuses before a place of the limit is taken; a call that is sent twice takes one place.
  const layers: (Layer | undefined)[] = [
    teller?.layer,
    breaker?.layer,
    adaptive?.layer,
    hedge !== null && budget !== null
      ? createHedge({
          ...{ name, rules: hedge, budget, ports, startTimer: parts.startTimer },
          again: createSender({ ...sender, retry: null, budget: null, callMs: null }),
        })
      : undefined,
  ]
  return {
    send: layers.reduceRight<Step>((step, layer) => layer?.(step) ?? step, createSender(sender)),
    report() {
      breaker?.report()
      adaptive?.report()
    },
    close() {
      breaker?.close()
      adaptive?.close()
    },
  }
}

function createOwnBreaker(name: string, blueprint: UpstreamBlueprint, ports: Ports, rows: SharedRows): Breaker | null {
  const { breaker, timeouts } = blueprint
  if (breaker === null) return null
  return createBreaker({
    name,
    rules: breaker,
    row: rows(rowNames.breaker(name)),
    patienceMs: patienceOf(timeouts),
    ports,
  })
}

function createOwnAdaptive(
  name: string,
  blueprint: UpstreamBlueprint,
  ports: Ports,
  rows: SharedRows,
): Adaptive | null {
  const { adaptive, timeouts } = blueprint
  if (adaptive === null) return null
  const row = rows(rowNames.adaptive(name))
  return createAdaptive({ name, rules: adaptive, row, patienceMs: patienceOf(timeouts), ports })
}

const rowNames = {
  breaker: (name: string) => `breaker ${name}`,
  adaptive: (name: string) => `adaptive ${name}`,
}

/** The shared rows that an upstream uses. Each config must ask for them anew, also where the upstream stays. */
export function sharedRowsOf(name: string, { breaker, adaptive }: UpstreamBlueprint): string[] {
  return [
    ...(breaker === null ? [] : [rowNames.breaker(name)]),
    ...(adaptive === null ? [] : [rowNames.adaptive(name)]),
  ]
}

type Picking = SenderOptions['pick']

/** An endpoint is picked right before each try. */
function tellBefore(pick: Picking, tell: ((call: Parameters<Picking>[0]) => void) | undefined): Picking {
  if (tell === undefined) return pick
  return (call, tried) => {
    tell(call)
    return pick(call, tried)
  }
}

/** The tries of one late call go to different endpoints. */
function pickBeside(pick: Picking, isHedged: boolean): Picking {
  if (!isHedged) return pick
  return (call, tried) => {
    const known = call.facts.get(rivals)
    if (known === undefined) return pick(call, tried)
    const first = known.firstEndpoint
    if (first !== null) return pick(call, tried.includes(first) ? tried : [first, ...tried])
    const endpoint = pick(call, tried)
    known.firstEndpoint = endpoint
    return endpoint
  }
}
