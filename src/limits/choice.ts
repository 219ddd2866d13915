// Which of several values holds for a caller: its own, that of its plan, that of a group it is in, or the one for all.

import type { Call } from '../core/call.ts'
import type { Log } from '../core/ports.ts'
import { principal as principalFact } from '../core/principal.ts'

export interface ChoiceOptions<T> {
  /** For callers that nothing else is said about; null for no limit. */
  readonly base: T | null
  /** By group, the first written goes before. */
  readonly groups: Readonly<Record<string, T>>
  readonly plans: Readonly<Record<string, T>>
  /** Under which consumers have values of their own; empty for none. */
  readonly name: string
  /** Reads a consumer's own value; null for one that cannot be read. */
  readonly parse: (text: string) => T | null
  readonly log: Log
}

/** Texts of consumers are read once; past so many different ones, all are forgotten and read again. */
const textsMax = 4096

export function compileChoice<T>(options: ChoiceOptions<T>): (call: Call) => T | null {
  const { base, name, log, parse } = options
  const groups = Object.entries(options.groups)
  const plans = new Map(Object.entries(options.plans))
  if (groups.length === 0 && plans.size === 0 && name === '') return () => base
  const texts = new Map<string, T | null>()

  const own = (text: string): T | null => {
    const known = texts.get(text)
    if (known !== undefined) return known
    const value = parse(text)
    if (value === null)
      log.warn({ limit: name, value: text }, 'a limit of a consumer or plan cannot be read and is ignored')
    if (texts.size >= textsMax) texts.clear()
    texts.set(text, value)
    return value
  }

  return call => {
    const consumer = call.facts.get(principalFact)?.consumer
    if (consumer === undefined || consumer === null) return base
    if (name !== '' && Object.hasOwn(consumer.limits, name)) {
      const value = own(consumer.limits[name] ?? '')
      if (value !== null) return value
    }
    if (plans.size > 0 && consumer.plan !== '') {
      const value = plans.get(consumer.plan)
      if (value !== undefined) return value
    }
    for (const [group, value] of groups) if (consumer.groups.includes(group)) return value
    return base
  }
}
