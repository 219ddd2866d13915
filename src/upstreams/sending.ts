// How a call is sent to an upstream: the one list of what stands around its tries.

import type { Ports } from '../core/ports.ts'
import type { SharedRows } from '../core/shared-row.ts'
import type { Layer, Step } from '../core/step.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import { createAdaptive } from './resilience/adaptive.ts'
import { createBreaker } from './resilience/breaker.ts'
import { createBudget } from './budget.ts'
import { createDeadlineTeller } from './resilience/deadline.ts'
import { createGuard } from './resilience/guard.ts'
import { createHedge, rival } from './resilience/hedge.ts'
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
  // A route may have its calls tried again also where the upstream has `attempts: 0`.
  const budget = retry !== null || hedge !== null ? createBudget(retry?.budget ?? budgetDefault) : null
  const teller = blueprint.deadlineHeader === null ? null : createDeadlineTeller(blueprint.deadlineHeader, ports.clock)
  const pick = tellBefore(parts.pick, teller?.tell)
  const tellsUnseen = blueprint.protocol !== 'http1'
  const sender: SenderOptions = {
    ...parts,
    ...{ name, retry, budget, callMs: timeouts.call, tellsUnseen, ports, pick },
  }
  const guard = createOwnGuard(name, blueprint, ports, parts.rows)
  // Outermost first. A call that is sent twice takes one place.
  const layers: (Layer | undefined)[] = [
    teller?.layer,
    guard?.layer,
    hedge !== null && budget !== null
      ? createHedge({
          ...{ name, rules: hedge, budget, ports, startTimer: parts.startTimer },
          again: createSender({ ...sender, pick: pickBeside(pick), retry: null, budget: null, callMs: null }),
        })
      : undefined,
  ]
  return {
    send: layers.reduceRight<Step>((step, layer) => layer?.(step) ?? step, createSender(sender)),
    report: () => guard?.report(),
    close: () => guard?.close(),
  }
}

interface Guard extends Pick<Sending, 'report' | 'close'> {
  readonly layer: Layer
}

function createOwnGuard(name: string, blueprint: UpstreamBlueprint, ports: Ports, rows: SharedRows): Guard | null {
  const { timeouts } = blueprint
  if (blueprint.breaker === null && blueprint.adaptive === null) return null
  const breaker =
    blueprint.breaker && createBreaker({ name, rules: blueprint.breaker, row: rows(rowNames.breaker(name)), ports })
  const adaptive =
    blueprint.adaptive && createAdaptive({ name, rules: blueprint.adaptive, row: rows(rowNames.adaptive(name)), ports })
  // All rows go by one clock.
  const clock = rows((breaker === null ? rowNames.adaptive : rowNames.breaker)(name))
  return {
    layer: createGuard({ breaker, adaptive, patienceMs: patienceOf(timeouts), now: () => clock.now() }),
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

/** The second try of a late call goes to another endpoint than the first. */
function pickBeside(pick: Picking): Picking {
  return (call, tried) => {
    const first = call.facts.get(rival)
    // Where the first try waits for one still, there is none to avoid.
    return pick(call, first === undefined ? tried : [first, ...tried])
  }
}
