// The consumers that the config file names, ready to be looked up.

import { neverNoted, type Consumer, type Credential, type Identity, type Plan } from '../../core/consumers.ts'

/** Sent to the workers as it is: plain data. */
export interface ConfigEntries {
  readonly consumers: readonly Consumer[]
  readonly credentials: readonly Credential[]
  readonly plans: readonly Plan[]
}

export const noEntries: ConfigEntries = { consumers: [], credentials: [], plans: [] }

/** The entries by what they are asked for. */
export interface EntryIndex {
  consumer(nameOrId: string): Consumer | undefined
  credential(kind: string, lookup: string): Credential | undefined
  credentialById(id: string): Credential | undefined
  plan(name: string): Plan | undefined
  /** With the limits of its plan. */
  identity(kind: string, lookup: string): Identity | undefined
  withPlan(consumer: Consumer): Consumer
}

export function indexEntries({ consumers, credentials, plans }: ConfigEntries): EntryIndex {
  const byName = new Map(
    consumers.flatMap(consumer => [[consumer.name, consumer] as const, [consumer.id, consumer] as const]),
  )
  const byLookup = new Map(credentials.map(credential => [`${credential.kind}:${credential.lookup}`, credential]))
  const byId = new Map(credentials.map(credential => [credential.id, credential]))
  const planByName = new Map(plans.map(plan => [plan.name, plan]))
  const withPlan = (consumer: Consumer): Consumer => {
    const plan = planByName.get(consumer.plan)
    return plan === undefined ? consumer : { ...consumer, limits: { ...plan.limits, ...consumer.limits } }
  }
  const credential = (kind: string, lookup: string) => byLookup.get(`${kind}:${lookup}`)
  return {
    consumer: nameOrId => byName.get(nameOrId),
    credential,
    credentialById: id => byId.get(id),
    plan: name => planByName.get(name),
    identity(kind, lookup) {
      const found = credential(kind, lookup)
      const owner = found === undefined ? undefined : byName.get(found.consumer)
      if (found === undefined || owner === undefined) return undefined
      return { consumer: withPlan(owner), application: null, credential: found, notedS: neverNoted }
    },
    withPlan,
  }
}
