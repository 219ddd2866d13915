// Limits that count in the memory of this thread, for tests of what asks them.

import { tallyFields } from '../../src/limits/tally.ts'
import { createLimitMemory, type LimitMemory } from '../../src/stores/limit-memory.ts'
import { LimitTable } from '../../src/stores/limit-tables.ts'
import { createLocalLimits, type LimitStores, type SharedTime } from '../../src/stores/local-limits.ts'
import { fakePorts } from './call.ts'

export const limitSeed = [0x1234567, -0x7654321] as const

/** A memory for so many keys; 64 where it is not said. */
export function limitMemory(keys = 64, workers = 2): LimitMemory {
  return createLimitMemory({ workers, keys, fields: tallyFields, seed: limitSeed })
}

export interface LocalLimitsWorld {
  readonly time: SharedTime
  /** Shared by all scopes where it is given; else each scope has one of its own, with room for as many callers as it asks for. */
  readonly memory?: LimitMemory
  readonly worker?: number
  /** Told each time a key found no room. */
  readonly onFull?: () => void
}

export function localLimits({ time, memory, worker = 0, onFull = () => {} }: LocalLimitsWorld): LimitStores {
  const tables = new Map<string, LimitTable>()
  const table = (scope: string, keys: number) => {
    const known = tables.get(scope) ?? LimitTable.of(memory ?? limitMemory(keys), worker)
    tables.set(scope, known)
    return known
  }
  return createLocalLimits({ table, time, meter: { ...fakePorts().meter, counter: () => ({ add: onFull }) } })
}
