// How a call is sent to an upstream: what stands around its tries, put together in one place.

import type { Ports } from '../core/ports.ts'
import type { SharedRows } from '../core/shared-row.ts'
import type { Step } from '../core/step.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import { createAdaptive } from './resilience/adaptive.ts'
import { createBreaker } from './resilience/breaker.ts'
import { createBudget } from './budget.ts'
import { createDeadlineTeller } from './resilience/deadline.ts'
import { createGuard, type Guard } from './resilience/guard.ts'
import { createHedge, type Hedge, rival } from './resilience/hedge.ts'
import { patienceOf, unmeasured } from './resilience/outcome.ts'
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
  const teller = blueprint.deadlineHeader === null ? null : createDeadlineTeller(blueprint.deadlineHeader)
  const tellsUnseen = blueprint.protocol !== 'http1'
  const sender: Omit<SenderOptions, 'guard'> = {
    ...parts,
    ...{ name, retry, budget, callMs: timeouts.call, tellsUnseen, ports, tell: teller?.tell ?? null },
  }
  const hedging =
    hedge === null || budget === null
      ? null
      : createHedge({
          ...{ name, rules: hedge, budget, ports, startTimer: parts.startTimer },
          again: createSender({
            ...{ ...sender, pick: pickBeside(parts.pick), retry: null },
            ...{ budget: null, callMs: null, guard: null },
          }),
        })
  const guard = createOwnGuard(name, blueprint, ports, parts.rows, hedging)
  const tries = createSender({ ...sender, guard: guard?.guard ?? null })
  return {
    send: teller === null ? tries : teller.layer(tries),
    report: () => guard?.report(),
    close: () => guard?.close(),
  }
}

interface OwnGuard extends Pick<Sending, 'report' | 'close'> {
  readonly guard: Guard
}

function createOwnGuard(
  name: string,
  blueprint: UpstreamBlueprint,
  ports: Ports,
  rows: SharedRows,
  hedge: Hedge | null,
): OwnGuard | null {
  const { timeouts, breaker: breakerRules, adaptive: adaptiveRules } = blueprint
  if (breakerRules === null && adaptiveRules === null && hedge === null) return null
  const breaker = breakerRules && createBreaker({ name, rules: breakerRules, row: rows(rowNames.breaker(name)), ports })
  const adaptive =
    adaptiveRules && createAdaptive({ name, rules: adaptiveRules, row: rows(rowNames.adaptive(name)), ports })
  // All rows go by one clock. Hedging alone has none, and measures by that of the worker.
  const [first] = sharedRowsOf(name, blueprint)
  const clock = first === undefined ? null : rows(first)
  const now = () => (clock === null ? unmeasured : clock.now())
  return {
    guard: createGuard({ breaker, adaptive, hedge, patienceMs: patienceOf(timeouts), now }),
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

/** The second try of a late call goes to another endpoint than the first. */
function pickBeside(pick: Picking): Picking {
  return (call, tried) => {
    const first = call.facts.get(rival)
    // Where the first try waits for one still, there is none to avoid.
    return pick(call, first === undefined ? tried : [first, ...tried])
  }
}
