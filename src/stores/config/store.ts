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
  const parts = new Parts(behind)
  return {
    adopt: entries => parts.adopt(entries),
    ...consumerPart(parts),
    ...applicationPart(parts),
    ...credentialPart(parts),
    ...planPart(parts),
    ...denialPart(parts),
    used: async times => parts.behind?.used(times),
    close: () => parts.behind?.close(),
  }
}

/** What the parts of the store have in common: the entries of the config, and what stands behind them. */
class Parts {
  entries: ConfigEntries = noEntries
  index: EntryIndex = indexEntries(noEntries)
  readonly #behind: () => ConsumerStore | null

  constructor(behind: () => ConsumerStore | null) {
    this.#behind = behind
  }

  adopt(entries: ConfigEntries): void {
    this.entries = entries
    this.index = indexEntries(entries)
  }

  get behind(): ConsumerStore | null {
    return this.#behind()
  }

  /** The store to change. @throws StoreRefusal where there is none. */
  get store(): ConsumerStore {
    const found = this.#behind()
    if (found !== null) return found
    const message = 'nothing can be changed, because the config names no folder for data'
    throw new StoreRefusal('no-store', message, '', 'Set `data: PATH` in the config and start anew.')
  }

  refuseOwnConsumer(nameOrId: string): void {
    if (this.index.consumer(nameOrId) !== undefined) refuseOwn(`the consumer \`${nameOrId}\``)
  }

  refuseOwnCredential(id: string): void {
    if (this.index.credentialById(id) !== undefined) refuseOwn(`the credential \`${id}\``)
  }

  refuseOwnPlan(name: string): void {
    if (this.index.plan(name) !== undefined) refuseOwn(`the plan \`${name}\``)
  }

  refuseTaken(name: string | undefined): void {
    if (name === undefined || this.index.consumer(name) === undefined) return
    const message = `there is a consumer \`${name}\` in the config file`
    throw new StoreRefusal('exists', message, 'name', 'Choose another name.')
  }

  async refusePlanless(plan: string | undefined): Promise<void> {
    if (plan === undefined || plan === '' || this.index.plan(plan) !== undefined) return
    const plans = (await this.behind?.plans()) ?? []
    if (plans.some(({ name }) => name === plan)) return
    throw new StoreRefusal('unknown', `there is no plan \`${plan}\``, 'plan', 'Create it first.')
  }
}

/** The config file is changed by hand alone. */
function refuseOwn(what: string): never {
  throw new StoreRefusal('read-only', `${what} stands in the config file`, '', 'Change it there.')
}

function consumerPart(parts: Parts) {
  return {
    async createConsumer(draft) {
      parts.refuseTaken(draft.name)
      const target = parts.store
      await parts.refusePlanless(draft.plan)
      return target.createConsumer(draft)
    },
    consumer: async nameOrId => parts.index.consumer(nameOrId) ?? (await parts.behind?.consumer(nameOrId)) ?? null,
    consumers: page => joined<Consumer>(parts.entries.consumers, page, rest => parts.behind?.consumers(rest)),
    async updateConsumer(nameOrId, patch) {
      parts.refuseOwnConsumer(nameOrId)
      const target = parts.store
      parts.refuseTaken(patch.name)
      await parts.refusePlanless(patch.plan)
      return target.updateConsumer(nameOrId, patch)
    },
    async removeConsumer(nameOrId) {
      parts.refuseOwnConsumer(nameOrId)
      return parts.store.removeConsumer(nameOrId)
    },
  } satisfies Partial<ConsumerStore>
}

function applicationPart(parts: Parts) {
  return {
    async createApplication(draft) {
      parts.refuseOwnConsumer(draft.consumer)
      return parts.store.createApplication(draft)
    },
    application: async id => (await parts.behind?.application(id)) ?? null,
    async applications(consumer, page) {
      const isOwn = consumer !== '' && parts.index.consumer(consumer) !== undefined
      return (isOwn ? null : await parts.behind?.applications(consumer, page)) ?? { items: [], next: null }
    },
    updateApplication: async (id, patch) => parts.store.updateApplication(id, patch),
    removeApplication: async id => parts.store.removeApplication(id),
  } satisfies Partial<ConsumerStore>
}

function planPart(parts: Parts) {
  return {
    async plans() {
      const behind = (await parts.behind?.plans()) ?? []
      return [...parts.entries.plans, ...behind.filter(({ name }) => parts.index.plan(name) === undefined)]
    },
    async createPlan(plan) {
      parts.refuseOwnPlan(plan.name)
      return parts.store.createPlan(plan)
    },
    async updatePlan(plan) {
      parts.refuseOwnPlan(plan.name)
      return parts.store.updatePlan(plan)
    },
    async removePlan(name) {
      parts.refuseOwnPlan(name)
      return parts.store.removePlan(name)
    },
  } satisfies Partial<ConsumerStore>
}

function denialPart(parts: Parts) {
  return {
    denialLists: async () => (await parts.behind?.denialLists()) ?? [],
    denials: async (list, page) => (await parts.behind?.denials(list, page)) ?? { items: [], next: null },
    deny: async (list, value, note) => parts.store.deny(list, value, note),
    allow: async (list, value) => parts.store.allow(list, value),
  } satisfies Partial<ConsumerStore>
}

function credentialPart(parts: Parts) {
  return {
    async createCredentials(drafts) {
      for (const { consumer, kind, lookup } of drafts) {
        parts.refuseOwnConsumer(consumer)
        if (parts.index.credential(kind, lookup) === undefined) continue
        throw new StoreRefusal('exists', 'that credential stands in the config file already', kind)
      }
      return parts.store.createCredentials(drafts)
    },
    credential: async id => parts.index.credentialById(id) ?? (await parts.behind?.credential(id)) ?? null,
    async credentials(filter, page) {
      const owner = filter.consumer === undefined ? undefined : parts.index.consumer(filter.consumer)
      const listed = parts.entries.credentials.filter(
        ({ kind, consumer, application }) =>
          (filter.kind ?? kind) === kind &&
          (filter.consumer === undefined || consumer === owner?.id) &&
          (filter.application ?? application) === application,
      )
      return joined<Credential>(listed, page, rest =>
        owner === undefined ? parts.behind?.credentials(filter, rest) : undefined,
      )
    },
    async updateCredential(id, patch) {
      parts.refuseOwnCredential(id)
      return parts.store.updateCredential(id, patch)
    },
    async rotateCredential(id, successor, untilMs) {
      parts.refuseOwnCredential(id)
      return parts.store.rotateCredential(id, successor, untilMs)
    },
    async revokeCredential(id) {
      parts.refuseOwnCredential(id)
      return parts.store.revokeCredential(id)
    },
    async removeCredential(id) {
      parts.refuseOwnCredential(id)
      return parts.store.removeCredential(id)
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
