// The store as people manage it: entries of the config file stand in front and are read-only; behind them the store, if there is one.

import {
  type Consumer,
  type ConsumerStore,
  configIdPrefix,
  type Credential,
  type Page,
  type PageRequest,
  StoreRefusal,
} from '../../core/consumers.ts'
import { type ConfigEntries, type EntryIndex, indexEntries, noEntries } from './entries.ts'

export interface ConfigStore extends ConsumerStore {
  adopt(entries: ConfigEntries): void
}

/** `behind` is null where the config names no folder for data: then nothing can be changed. */
export function createConfigStore(behind: () => ConsumerStore | null): ConfigStore {
  let entries = noEntries
  let index = indexEntries(entries)
  const store = (): ConsumerStore => {
    const found = behind()
    if (found !== null) return found
    throw new StoreRefusal(
      'no-store',
      'nothing can be changed, because the config names no folder for data',
      '',
      'Set `data: PATH` in the config and start anew.',
    )
  }
  const own = ownership(() => index)
  return {
    adopt(next) {
      entries = next
      index = indexEntries(next)
    },
    ...consumerPart(
      () => index,
      () => entries,
      store,
      behind,
      own,
    ),
    ...credentialPart(
      () => index,
      () => entries,
      store,
      behind,
      own,
    ),
    async plans() {
      return [
        ...entries.plans,
        ...((await behind()?.plans()) ?? []).filter(({ name }) => index.plan(name) === undefined),
      ]
    },
    async createPlan(plan) {
      own.refusePlan(plan.name)
      return store().createPlan(plan)
    },
    async updatePlan(plan) {
      own.refusePlan(plan.name)
      return store().updatePlan(plan)
    },
    async removePlan(name) {
      own.refusePlan(name)
      return store().removePlan(name)
    },
    denialLists: async () => (await behind()?.denialLists()) ?? [],
    denials: async (list, page) => (await behind()?.denials(list, page)) ?? { items: [], next: null },
    deny: async (list, value, note) => store().deny(list, value, note),
    allow: async (list, value) => store().allow(list, value),
    used: async times => behind()?.used(times),
    close: () => behind()?.close(),
  }
}

interface Ownership {
  refuseConsumer(nameOrId: string): void
  refuseCredential(id: string): void
  refusePlan(name: string): void
}

/** Refuses changes of what the config file says. */
function ownership(index: () => EntryIndex): Ownership {
  const refuse = (what: string): never => {
    throw new StoreRefusal('read-only', `${what} stands in the config file`, '', 'Change it there.')
  }
  return {
    refuseConsumer: nameOrId =>
      void (index().consumer(nameOrId) !== undefined && refuse(`the consumer \`${nameOrId}\``)),
    refuseCredential: id => void (index().credentialById(id) !== undefined && refuse(`the credential \`${id}\``)),
    refusePlan: name => void (index().plan(name) !== undefined && refuse(`the plan \`${name}\``)),
  }
}

type Behind = () => ConsumerStore | null
type Index = () => EntryIndex

function consumerPart(
  index: Index,
  entries: () => ConfigEntries,
  store: () => ConsumerStore,
  behind: Behind,
  own: Ownership,
) {
  const refuseTaken = (name: string | undefined) => {
    if (name === undefined || index().consumer(name) === undefined) return
    throw new StoreRefusal(
      'exists',
      `there is a consumer \`${name}\` in the config file`,
      'name',
      'Choose another name.',
    )
  }
  const refusePlanless = async (plan: string | undefined) => {
    if (plan === undefined || plan === '' || index().plan(plan) !== undefined) return
    const plans = (await behind()?.plans()) ?? []
    if (plans.some(({ name }) => name === plan)) return
    throw new StoreRefusal('unknown', `there is no plan \`${plan}\``, 'plan', 'Create it first.')
  }
  return {
    async createConsumer(draft) {
      refuseTaken(draft.name)
      const target = store()
      await refusePlanless(draft.plan)
      return target.createConsumer(draft)
    },
    consumer: async nameOrId => index().consumer(nameOrId) ?? (await behind()?.consumer(nameOrId)) ?? null,
    consumers: page => joined<Consumer>(entries().consumers, page, rest => behind()?.consumers(rest)),
    async updateConsumer(nameOrId, patch) {
      own.refuseConsumer(nameOrId)
      const target = store()
      refuseTaken(patch.name)
      await refusePlanless(patch.plan)
      return target.updateConsumer(nameOrId, patch)
    },
    async removeConsumer(nameOrId) {
      own.refuseConsumer(nameOrId)
      return store().removeConsumer(nameOrId)
    },
    async createApplication(draft) {
      own.refuseConsumer(draft.consumer)
      return store().createApplication(draft)
    },
    application: async id => (await behind()?.application(id)) ?? null,
    async applications(consumer, page) {
      const target = behind()
      if (target === null || (consumer !== '' && index().consumer(consumer) !== undefined))
        return { items: [], next: null }
      return target.applications(consumer, page)
    },
    updateApplication: async (id, patch) => store().updateApplication(id, patch),
    removeApplication: async id => store().removeApplication(id),
  } satisfies Partial<ConsumerStore>
}

function credentialPart(
  index: Index,
  entries: () => ConfigEntries,
  store: () => ConsumerStore,
  behind: Behind,
  own: Ownership,
) {
  return {
    async createCredentials(drafts) {
      for (const { consumer, kind, lookup } of drafts) {
        own.refuseConsumer(consumer)
        if (index().credential(kind, lookup) === undefined) continue
        throw new StoreRefusal('exists', 'that credential stands in the config file already', kind)
      }
      return store().createCredentials(drafts)
    },
    credential: async id => index().credentialById(id) ?? (await behind()?.credential(id)) ?? null,
    async credentials(filter, page) {
      const owner = filter.consumer === undefined ? undefined : index().consumer(filter.consumer)
      const listed = entries().credentials.filter(
        ({ kind, consumer, application }) =>
          (filter.kind ?? kind) === kind &&
          (filter.consumer === undefined || consumer === owner?.id) &&
          (filter.application ?? application) === application,
      )
      return joined<Credential>(listed, page, rest =>
        owner === undefined ? behind()?.credentials(filter, rest) : undefined,
      )
    },
    async updateCredential(id, patch) {
      own.refuseCredential(id)
      return store().updateCredential(id, patch)
    },
    async rotateCredential(id, successor, untilMs) {
      own.refuseCredential(id)
      return store().rotateCredential(id, successor, untilMs)
    },
    async revokeCredential(id) {
      own.refuseCredential(id)
      return store().revokeCredential(id)
    },
    async removeCredential(id) {
      own.refuseCredential(id)
      return store().removeCredential(id)
    },
  } satisfies Partial<ConsumerStore>
}

/** What stands in the config comes first; `after` says how far into it, such as `config:20`. */
async function joined<T>(
  first: readonly T[],
  { limit, after }: PageRequest,
  more: (page: PageRequest) => Promise<Page<T>> | undefined,
): Promise<Page<T>> {
  const isWithin = after === '' || after.startsWith(configIdPrefix)
  const start = isWithin ? Number(after.slice(configIdPrefix.length)) || 0 : first.length
  const items = first.slice(start, start + limit)
  if (start + limit < first.length) return { items, next: `${configIdPrefix}${start + limit}` }
  const left = limit - items.length
  // A page that is just full says where to go on; whether anything follows is seen then.
  if (left === 0) return { items, next: `${configIdPrefix}${first.length}` }
  const rest = await more({ limit: left, after: isWithin ? '' : after })
  return { items: [...items, ...(rest?.items ?? [])], next: rest?.next ?? null }
}
