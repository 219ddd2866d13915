// What is asked of the store: the names of its keys, and the arguments of its script.

import type { LimitRule } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import { type Block, type Grant, readGrant } from './leases.ts'
import type { StoreLink } from './link.ts'
import { countScript } from './count-script.ts'
import { nextRecallWaitMs, recallWaitMs } from './recall.ts'

export interface Counts {
  /** The key of the store that counts this key by these rules. */
  nameOf(key: string, rules: readonly LimitRule[]): string
  /** Takes `need`, and up to `want` where there is plenty. */
  ask(name: string, rules: readonly LimitRule[], need: number, want: number): Promise<Grant>
  /** Takes or gives back without asking. `keepsDebt`: what `gcra` charged stays charged. */
  correct(name: string, rules: readonly LimitRule[], amount: number, atUs: number, keepsDebt: boolean): Promise<void>
  /** Gives back what is left of a block. `isLast`: this holder has no other of this name. */
  giveBack(name: string, rules: readonly LimitRule[], block: Block, isLast: boolean): Promise<void>
}

export function createCounts(link: StoreLink, scope: string): Counts {
  const run = (name: string, values: (string | number)[], rules: readonly LimitRule[]) => {
    for (const rule of rules) pushRule(values, rule)
    return link.run(countScript, name, values)
  }
  return {
    // All rules of a key stand in one key of the store: one script, all or none.
    nameOf(key, rules) {
      const shape = rules.map(({ algorithm, windowMs }) => `${algorithm} ${windowMs}`).join()
      return link.keyOf(`${shape}\n${scope}\n${key}`)
    },
    async ask(name, rules, need, want) {
      return readGrant(await run(name, ['take', need, want, link.holder], rules), rules)
    },
    async correct(name, rules, amount, atUs, keepsDebt) {
      await run(name, ['correct', amount, Math.floor(atUs), keepsDebt ? 1 : 0], rules)
    },
    async giveBack(name, rules, { left, grantedUs }, isLast) {
      await run(name, ['return', link.holder, grantedUs, isLast ? 1 : 0, ...left], rules)
    },
  }
}

/** Asks again as long as others may give back what they hold and have not used; within the store's timeout, more or less. */
export async function askUntilSure(ask: () => Promise<Grant>, timeoutMs: number, clock: Clock): Promise<Grant> {
  const untilMs = clock.now() + timeoutMs
  for (let waitMs = recallWaitMs; ; waitMs = nextRecallWaitMs(waitMs)) {
    const grant = await ask()
    if (grant.granted >= 0 || grant.holders === 0 || clock.now() + waitMs > untilMs) return grant
    await new Promise(resolve => setTimeout(resolve, waitMs))
  }
}

function pushRule(values: (string | number)[], { algorithm, limit, windowMs, burst, startMs }: LimitRule): void {
  const letter = algorithm === 'gcra' ? 'g' : algorithm === 'period' ? 'p' : 's'
  values.push(letter, Math.floor(limit), Math.round(windowMs * 1000), Math.floor(burst), Math.round(startMs))
}
