// Reads the consumers of the config file first, then those of a store behind it.

import type { ConsumerReader } from '../../core/consumers.ts'
import { type ConfigEntries, indexEntries, noEntries } from './entries.ts'

export interface ConfigReader extends ConsumerReader {
  /** Takes the entries of another config. Whoever caches learns with the next `changes()`. */
  adopt(entries: ConfigEntries): void
  planLimits(name: string): Readonly<Record<string, string>> | undefined
}

/** `behind` is made with the limits of the plans at hand; null without a store. It is closed with this. */
export function createConfigReader(
  open: (planLimits: ConfigReader['planLimits']) => ConsumerReader | null,
): ConfigReader {
  let index = indexEntries(noEntries)
  let adopted = JSON.stringify(noEntries)
  let isAdopted = false
  const planLimits = (name: string) => index.plan(name)?.limits
  const behind = open(planLimits)
  const none = { isAll: false, credentials: [], consumers: [], areDenialsChanged: false }
  return {
    planLimits,
    adopt(entries) {
      const text = JSON.stringify(entries)
      if (text === adopted) return
      adopted = text
      index = indexEntries(entries)
      isAdopted = true
    },
    find(kind, lookup) {
      const own = index.identity(kind, lookup)
      if (own === undefined) return behind?.find(kind, lookup) ?? null
      // Asked all the same: no time tells whether a credential that has expired stands in the config. What comes of it is nothing.
      callQuietly(() => behind?.find(kind, lookup))
      return own
    },
    consumer(nameOrId) {
      const own = index.consumer(nameOrId)
      return own === undefined ? (behind?.consumer(nameOrId) ?? null) : index.withPlan(own)
    },
    denials: () => behind?.denials() ?? {},
    changes() {
      const changes = behind?.changes() ?? none
      if (!isAdopted) return changes
      isAdopted = false
      return { ...none, isAll: true, areDenialsChanged: true }
    },
    used: times => behind?.used(times),
    close: () => behind?.close(),
  }
}

function callQuietly(ask: () => unknown): void {
  try {
    const answer = ask()
    if (answer instanceof Promise) answer.catch(() => {})
  } catch {
    // What stands in the config does not depend on the store.
  }
}
