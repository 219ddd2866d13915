// A worker of a gateway that counts limits in a store, without the rest of the gateway.

import type { StoreBlueprint } from '../../src/core/blueprint.ts'
import type { LimitRule, LimitStore, LimitStoreOptions } from '../../src/core/limits.ts'
import type { PermitStore, PermitStoreOptions } from '../../src/core/permits.ts'
import { createCounts } from '../../src/stores/valkey/counts.ts'
import { Leased } from '../../src/stores/valkey/leased.ts'
import { StoreLink } from '../../src/stores/valkey/link.ts'
import { Permits } from '../../src/stores/valkey/permits.ts'
import { createValkeyLimits } from '../../src/stores/valkey/valkey-limits.ts'
import { fakePorts } from './call.ts'
import { localLimits } from './limits.ts'
import { until } from './until.ts'

const clock = { now: () => performance.now(), wall: () => Date.now() }
const none = () => {}
const hourMs = 3_600_000

export interface Said {
  readonly level: string
  readonly text: string
  readonly reason: string
}

/** Owns the connection to the store. */
export class Counting implements AsyncDisposable {
  readonly link: StoreLink
  /** What the log was told. */
  readonly said: Said[] = []
  /** Failures of the store by reason. */
  readonly failures = new Map<string, number>()
  readonly #meter
  readonly #leased = new Map<string, Leased>()
  readonly #shared = fakePorts().shared
  #permits: Permits | null = null
  readonly #local = localLimits({ time: clock })

  constructor(definition: Partial<StoreBlueprint>, id = 'a', files: Readonly<Record<string, string>> = {}) {
    const say = (level: string) => (details: object, text: string) =>
      void this.said.push({ level, text, reason: 'reason' in details ? String(details.reason) : '' })
    const log = { debug: none, info: say('info'), warn: say('warn'), error: say('error') }
    this.#meter = {
      counter: (_name: string, labels: { readonly reason?: string }) => ({
        add: (count: number) => {
          const { reason } = labels
          if (reason !== undefined) this.failures.set(reason, (this.failures.get(reason) ?? 0) + count)
        },
      }),
      gauge: () => ({ set: none }),
      histogram: () => ({ record: none }),
    }
    this.link = new StoreLink({
      ...{ name: 'shared', definition: { ...storeDefaults, ...definition }, files, gatewayId: id, clock, log },
      meter: this.#meter,
    })
  }

  store(options: Partial<LimitStoreOptions>): LimitStore {
    const given: LimitStoreOptions = {
      ...{ scope: 'test', store: 'shared', mode: 'exact', onFailure: 'closed', isDurable: false, callers: 1024 },
      name: 'test',
      ...options,
    }
    const { link } = this
    const leased = () => {
      const counts = createCounts(link, given.scope)
      const made =
        this.#leased.get(given.scope) ??
        new Leased({ counts, link, clock, callers: given.callers, full: { add: none }, onClose: none })
      this.#leased.set(given.scope, made)
      return made
    }
    return createValkeyLimits(given, { link, clock, meter: this.#meter, local: this.#local, leased })
  }

  permits(options: Partial<PermitStoreOptions> = {}): PermitStore {
    this.#permits ??= new Permits({ link: this.link, clock, shared: this.#shared, full: { add: none }, onClose: none })
    const given = {
      scope: 'test',
      store: 'shared',
      mode: 'exact',
      onFailure: 'closed',
      name: 'test',
      ...options,
    } as const
    return this.#permits.store(given, { add: none })
  }

  async ready(): Promise<this> {
    await until(
      () => this.link.isAlive,
      () => `the store to count: ${this.said.at(-1)?.reason ?? 'nothing was said'}`,
    )
    return this
  }

  /** Gives back what is held. */
  async settle(): Promise<void> {
    await Promise.all([...this.#leased.values()].map(leased => leased.settle()))
    await this.#permits?.settle()
  }

  close(): void {
    for (const leased of this.#leased.values()) leased.close()
    this.#permits?.close()
    this.link.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close()
    return Promise.resolve()
  }
}

export function ruleOf(algorithm: LimitRule['algorithm'], limit: number, windowMs = hourMs): LimitRule {
  const startMs = Math.floor(Date.now() / windowMs) * windowMs
  return { algorithm, limit, windowMs, burst: limit, startMs }
}

const storeDefaults: StoreBlueprint = {
  ...{ url: null, sentinels: [], master: null, sentinelUsername: null, sentinelPassword: null },
  ...{ username: null, password: null, tls: null, timeout: 200, replicas: 0, keyPrefix: 'test:' },
}
