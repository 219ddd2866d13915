// Which store counts for a limit: the memory that all threads share, the file in the folder `data`, or a server.

import type { StoreBlueprint } from '../core/blueprint.ts'
import type { LimitStore, LimitStoreOptions } from '../core/limits.ts'
import type { PolicyPorts } from '../core/policy.ts'
import type { PermitStore, PermitStoreOptions } from '../core/permits.ts'
import type { Clock, Log, Meter, SharedCounters } from '../core/ports.ts'
import type { SharedRow } from '../core/shared-row.ts'
import { DurableLimits } from '../stores/durable-limits.ts'
import { bookedPrefix, type GivenTables, LimitTables } from '../stores/limit-tables.ts'
import { createLocalLimits, type LimitStores, type SharedTime } from '../stores/local-limits.ts'
import { TableRow } from '../stores/table-row.ts'
import { createCounts } from '../stores/valkey/counts.ts'
import { Leased } from '../stores/valkey/leased.ts'
import { StoreLink } from '../stores/valkey/link.ts'
import { Permits } from '../stores/valkey/permits.ts'
import { createValkeyLimits, fallbacksOf } from '../stores/valkey/valkey-limits.ts'
import type { Edition } from './messages.ts'

export interface WorkerLimitsOptions {
  /** Index of this thread in the tables that all threads share. */
  readonly worker: number
  readonly time: SharedTime
  readonly log: Log
  readonly clock: Clock
  readonly meter: Meter
  readonly shared: SharedCounters
  /** The same in all workers of this gateway, another in every other gateway. */
  readonly gatewayId: string
}

/** Owns the files that are open; one per worker. */
export class WorkerLimits {
  /** What counts in memory: a config that is compiled asks for tables, and comes into force with them. */
  readonly tables: LimitTables
  readonly #options: WorkerLimitsOptions
  readonly #table = (scope: string, keys: number) => this.tables.of(scope, keys)
  readonly #local: LimitStores
  readonly #files = new Map<string, DurableLimits>()
  /** Whatever holds something of a store. */
  readonly #owners = new Set<{ settle(): Promise<void> }>()

  constructor(options: WorkerLimitsOptions) {
    this.#options = options
    this.tables = new LimitTables(options.worker)
    this.#local = createLocalLimits({ ...options, table: this.#table })
  }

  /** `keep` holds connections over reloads. */
  of(options: LimitStoreOptions, { blueprint, files }: Edition, keep: PolicyPorts['keep']): LimitStore {
    const { data } = blueprint
    if (options.store !== null)
      return this.#remote(options, this.#link(options.store, { blueprint, files }, keep), keep)
    if (!options.isDurable) return this.#local(options)
    if (data === null) throw new Error('a limit that survives a restart needs the folder `data`')
    let file = this.#files.get(data)
    if (file === undefined) {
      file = new DurableLimits({ ...this.#options, table: this.#table, folder: data })
      this.#files.set(data, file)
    }
    return file.store(options)
  }

  /** Numbers that all workers share, under a name. */
  row(name: string): SharedRow {
    return new TableRow(this.tables.of(name, 1), this.#options.time)
  }

  /** Calls under way, counted in a store. */
  permits(options: PermitStoreOptions, edition: Edition, keep: PolicyPorts['keep']): PermitStore {
    const { clock, meter, shared } = this.#options
    const { key, link } = this.#link(options.store, edition, keep)
    const permits = keep(JSON.stringify(['permits', key]), () => {
      const full = meter.counter('turnpike_ceiling_hits', { ceiling: 'permits', name: link.name })
      const made = new Permits({ link, clock, shared, full, onClose: () => this.#owners.delete(made) })
      this.#owners.add(made)
      return made
    })
    return permits.store(options, fallbacksOf(options, link, meter))
  }

  /** The way to a store, and what names it with all that it depends on. */
  #link(name: string, { blueprint, files }: Pick<Edition, 'blueprint' | 'files'>, keep: PolicyPorts['keep']): Linked {
    const definition = blueprint.stores[name]
    if (definition === undefined) throw new Error(`there is no store named ${name}`)
    const { log, gatewayId, clock, meter } = this.#options
    const texts = filesOf(definition, files)
    const key = JSON.stringify(['store', name, definition, texts])
    return {
      key,
      link: keep(key, () => new StoreLink({ name, definition, files: texts, gatewayId, clock, log, meter })),
    }
  }

  #remote(options: LimitStoreOptions, { key, link }: Linked, keep: PolicyPorts['keep']): LimitStore {
    const { clock, meter } = this.#options
    const leased = () =>
      keep(JSON.stringify(['leased', options.scope, options.callers, key]), () => this.#lease(options, link))
    return createValkeyLimits(options, { link, clock, meter, local: this.#local, leased })
  }

  /** Permits that are held are given back, however the worker ends. */
  #lease({ scope, callers }: LimitStoreOptions, link: StoreLink): Leased {
    const { clock, meter } = this.#options
    const counts = createCounts(link, scope)
    const full = meter.counter('turnpike_ceiling_hits', { ceiling: 'leases', name: link.name })
    const leased = new Leased({ counts, link, clock, callers, full, onClose: () => this.#owners.delete(leased) })
    this.#owners.add(leased)
    return leased
  }

  /** The config that was compiled comes into force, with these memories. */
  adopt(given: GivenTables): void {
    this.tables.adopt(given)
    for (const file of this.#files.values()) file.keep(scope => given.has(bookedPrefix + scope))
  }

  /** Gives permits back to the stores. To be called when the last call is over, while the thread can still wait. */
  async settle(): Promise<void> {
    await Promise.all([...this.#owners].map(owner => owner.settle()))
  }

  /** Gives back what was booked in advance. To be called when the last call is over. */
  close(): void {
    for (const file of this.#files.values()) file.close()
    this.#files.clear()
  }
}

interface Linked {
  readonly key: string
  readonly link: StoreLink
}

/** Of all files of a config, those of this store: it is another one when one of them changes. */
function filesOf({ tls }: StoreBlueprint, files: Edition['files']): Record<string, string> {
  const paths = [tls?.ca, tls?.cert, tls?.key].filter(path => typeof path === 'string')
  return Object.fromEntries(paths.map(path => [path, files[path] ?? '']))
}
