// Whose key this is: what was asked lately is kept, also that nobody has it, and forgotten when the store says so.

import type { MemoryBlueprint } from '../core/blueprint.ts'
import type {
  Absence,
  Consumer,
  ConsumerChanges,
  ConsumerReader,
  CredentialKind,
  Identities,
  Identity,
  Soon,
} from '../core/consumers.ts'
import type { Clock, Meter } from '../core/ports.ts'
import { defaultKeyPrefix, digestOf, isKeyText, keyCharactersMax, keyPattern } from './key.ts'
import { Known } from './known.ts'
import type { StoreGuard } from './store-guard.ts'

export type KnownMax = Pick<MemoryBlueprint, 'credentials' | 'unknownCredentials'>

export interface LookupsOptions {
  readonly reader: ConsumerReader
  readonly guard: StoreGuard
  readonly clock: Clock
  readonly meter: Meter
  readonly seed: readonly [number, number]
  readonly memory: KnownMax
}

const tags = { key: 1, basic: 2, signature: 3, certificate: 4, digest: 5, consumer: 6 } as const

export class Lookups implements Omit<Identities, 'used'> {
  readonly #reader: ConsumerReader
  readonly #guard: StoreGuard
  readonly #clock: Clock
  readonly #known: <T>(name: string, entriesMax: number) => Known<T>
  #memory: KnownMax
  #hot: Known<Identity>
  #consumers: Known<Consumer>
  #unknown: Known<Absence>
  /** Counts what was heard of changes: an answer that was asked for before one may be older than it. */
  #heard = 0

  constructor({ reader, guard, clock, meter, seed, memory }: LookupsOptions) {
    this.#reader = reader
    this.#guard = guard
    this.#clock = clock
    this.#known = (name, entriesMax) => {
      const hits = meter.counter('turnpike_ceiling_hits', { ceiling: 'identities', name })
      return new Known({ entriesMax, seed, onFull: () => hits.add(1) })
    }
    this.#memory = memory
    this.#hot = this.#known('credentials', memory.credentials)
    this.#consumers = this.#known('consumers', memory.credentials)
    this.#unknown = this.#known('unknown', memory.unknownCredentials)
  }

  /** Takes other bounds; a table whose bound changes starts empty. */
  resize(memory: KnownMax): void {
    const before = this.#memory
    this.#memory = memory
    if (memory.credentials !== before.credentials) {
      this.#hot = this.#known('credentials', memory.credentials)
      this.#consumers = this.#known('consumers', memory.credentials)
    }
    if (memory.unknownCredentials !== before.unknownCredentials) {
      this.#unknown = this.#known('unknown', memory.unknownCredentials)
    }
  }

  key(text: string): Soon<Identity | null> {
    if (text.length === 0 || text.length > keyCharactersMax) return null
    return this.#find(tags.key, text, 'key')
  }

  find(kind: CredentialKind, lookup: string): Soon<Identity | null> {
    if (lookup.length > keyCharactersMax) return null
    return this.#find(kind === 'key' ? tags.digest : tags[kind], lookup, kind)
  }

  why(kind: CredentialKind, text: string): Absence {
    const identity = this.#hot.get(tags[kind], text)
    return identity === undefined ? (this.#unknown.get(tags[kind], text) ?? 'unknown') : absenceOf(identity)
  }

  consumer(nameOrId: string): Soon<Consumer | null> {
    const known = this.#consumers.get(tags.consumer, nameOrId)
    if (known !== undefined) return known
    const asked = this.#heard
    return this.#guard(
      () => this.#reader.consumer(nameOrId),
      found => {
        if (found !== null && this.#heard === asked) this.#consumers.set(tags.consumer, nameOrId, nameOrId, found)
        return found
      },
    )
  }

  forget({ isAll, credentials, consumers }: ConsumerChanges): void {
    if (isAll) for (const table of [this.#hot, this.#consumers, this.#unknown]) table.clear()
    else {
      for (const name of credentials) forgetCredential(name, this.#hot, this.#unknown)
      for (const name of consumers) this.#consumers.forget(name)
    }
    if (isAll || credentials.length + consumers.length > 0) this.#heard++
  }

  #find(tag: number, text: string, kind: CredentialKind): Soon<Identity | null> {
    const identity = this.#hot.get(tag, text)
    if (identity !== undefined) return isLive(identity, this.#clock) ? identity : null
    if (this.#unknown.get(tag, text) !== undefined) return null
    if (tag !== tags.key) return this.#ask(tag, text, kind, text)
    // Last, because the checksum costs more than both look-ups.
    return isMisprint(text) ? null : this.#ask(tag, text, kind, digestOf(text))
  }

  #ask(tag: number, text: string, kind: CredentialKind, lookup: string): Soon<Identity | null> {
    const asked = this.#heard
    const name = nameOf(tag, kind, lookup)
    return this.#guard(
      () => this.#reader.find(kind, lookup),
      found => {
        const live = found !== null && isLive(found, this.#clock) ? found : null
        if (this.#heard !== asked) return live
        if (live === null) this.#unknown.set(tag, text, name, absenceOf(found))
        else this.#hot.set(tag, text, name, live)
        return live
      },
    )
  }
}

/** Judged at each use: nothing has to happen for a credential to expire. */
function isLive({ credential: { revokedMs, expiresMs } }: Identity, clock: Clock): boolean {
  return revokedMs === null && (expiresMs === null || expiresMs > clock.wall())
}

/** Of one that is not live. */
function absenceOf(found: Identity | null): Absence {
  if (found === null) return 'unknown'
  return found.credential.revokedMs === null ? 'expired' : 'revoked'
}

/** A text in the form of our own keys whose checksum does not fit was never one. */
function isMisprint(text: string): boolean {
  return text.startsWith(`${defaultKeyPrefix}_`) && keyPattern.test(text) && !isKeyText(text)
}

/** A key is found by its text or by its digest; as two entries, these have two names. */
function nameOf(tag: number, kind: CredentialKind, lookup: string): string {
  return tag === tags.digest ? `digest:${lookup}` : `${kind}:${lookup}`
}

function forgetCredential(name: string, ...tables: readonly Known<unknown>[]): void {
  for (const table of tables) {
    table.forget(name)
    if (name.startsWith('key:')) table.forget(`digest:${name.slice('key:'.length)}`)
  }
}
