// What is asked of the store: the names of its keys, and the arguments of its script.

import { createHash } from 'node:crypto'
import type { LimitRule } from '../../core/limits.ts'
import { type Grant, readGrant } from './leases.ts'
import type { StoreLink } from './link.ts'
import { countScript } from './script.ts'

export interface Counts {
  /** Takes `need`, and up to `want` where there is plenty. */
  take(key: string, rules: readonly LimitRule[], need: number, want: number): Promise<Grant>
  /** Takes or gives back without asking. `keepsDebt`: what `gcra` charged stays charged. */
  correct(key: string, rules: readonly LimitRule[], amount: number, atUs: number, keepsDebt: boolean): Promise<void>
}

export function createCounts(link: StoreLink, scope: string): Counts {
  // All rules of a key stand in one key of the store: one hash slot, one script, all or none.
  const nameOf = (key: string, rules: readonly LimitRule[]) => {
    const shape = rules.map(({ algorithm, windowMs }) => `${algorithm} ${windowMs}`).join()
    // Hashed, because keys may hold what the store need not know, and may be long.
    return link.prefix + createHash('sha256').update(`${shape}\n${scope}\n${key}`).digest('base64url')
  }
  return {
    async take(key, rules, need, want) {
      const values: (string | number)[] = ['take', need, want]
      for (const rule of rules) pushRule(values, rule)
      return readGrant(await link.run(countScript, nameOf(key, rules), values), rules)
    },
    async correct(key, rules, amount, atUs, keepsDebt) {
      const values: (string | number)[] = ['correct', amount, Math.floor(atUs), keepsDebt ? 1 : 0]
      for (const rule of rules) pushRule(values, rule)
      await link.run(countScript, nameOf(key, rules), values)
    },
  }
}

function pushRule(values: (string | number)[], { algorithm, limit, windowMs, burst, startMs }: LimitRule): void {
  const letter = algorithm === 'gcra' ? 'g' : algorithm === 'period' ? 'p' : 's'
  values.push(letter, Math.floor(limit), Math.round(windowMs * 1000), Math.floor(burst), Math.round(startMs))
}
