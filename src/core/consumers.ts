// Who may call, as data: consumers, their applications, the credentials those present, and the store that holds them.

/** A customer: a company or a person. */
export interface Consumer {
  readonly id: string
  /** Unique; letters, digits, `-`, `_`, `.` and `@`. */
  readonly name: string
  readonly groups: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  /** Name of what the consumer buys; empty for none. */
  readonly plan: string
  /**
   * Limits that are the consumer's own or its plan's, by the name of the limit: `{ calls: '1000/minute' }`. The consumer's go
   * before those of its plan. A limit policy of that name takes them in place of its own.
   */
  readonly limits: Readonly<Record<string, string>>
}

/** A program that a consumer registered. */
export interface Application {
  readonly id: string
  readonly consumer: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

/** What is presented: a key, a user name with a password, a key of signatures, a client certificate. */
export type CredentialKind = 'key' | 'basic' | 'signature' | 'certificate'

export interface Credential {
  readonly id: string
  readonly kind: CredentialKind
  /** Id of the consumer it belongs to. */
  readonly consumer: string
  /** Id of the application; empty where it belongs to the consumer alone. */
  readonly application: string
  /**
   * What it is found by, unique for its kind: of a key the SHA-256 of its text as hex, of `basic` the user name, of a
   * `signature` the key id, of a `certificate` the SHA-256 fingerprint as hex or a name such as `dns:client.acme.test`.
   */
  readonly lookup: string
  /** What it is checked with: the password hash, or the public key as PEM, or a shared secret of the config. Empty for others. */
  readonly verifier: string
  /** What people may see of it, such as the first letters of a key. */
  readonly hint: string
  readonly scopes: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  /** Milliseconds since the Unix epoch; null for never. */
  readonly expiresMs: number | null
  readonly revokedMs: number | null
  readonly createdMs: number
  /** When it was last used, to the minute; null for never. */
  readonly usedMs: number | null
}

/** A credential with those it belongs to. */
export interface Identity {
  readonly consumer: Consumer
  readonly application: Application | null
  readonly credential: Credential
}

/** Something now or later: what is cached comes at once, so that a hot path need not wait. */
export type Soon<T> = T | Promise<T>

/** What a worker reads a store with. The main thread alone writes. */
export interface ConsumerReader {
  /** The credential as it stands, also one that is revoked or expired: who asks judges. Null for an unknown one. */
  find(kind: CredentialKind, lookup: string): Soon<Identity | null>
  consumer(nameOrId: string): Soon<Consumer | null>
  /** Members of the lists of denials, by list. */
  denials(): Soon<Readonly<Record<string, readonly string[]>>>
  /** What changed since this was last asked. Cheap where nothing did: asked on every beat, ten times a second. */
  changes(): Soon<ConsumerChanges>
  /** Notes when credentials were last used, by id; milliseconds since the Unix epoch. */
  used(times: ReadonlyMap<string, number>): void
  close(): void
}

/** What to forget. */
export interface ConsumerChanges {
  /** Too much changed to say what: forget everything. */
  readonly isAll: boolean
  /** `kind:lookup` of credentials that came, changed or went, with those of changed consumers and applications. */
  readonly credentials: readonly string[]
  /** Names and ids of changed consumers. */
  readonly consumers: readonly string[]
  readonly areDenialsChanged: boolean
}

/** What a policy may ask about who calls. Cached in each worker; never older than a second. */
export interface Identities {
  /**
   * Whose key this is; null for one that is unknown, revoked, expired or no key at all, which look alike in answer and in time.
   */
  key(text: string): Soon<Identity | null>
  /** The credential of another kind by its `lookup`; null for one that is unknown, revoked or expired. */
  find(kind: CredentialKind, lookup: string): Soon<Identity | null>
  /** The consumer of this name or id; null for none. */
  consumer(nameOrId: string): Soon<Consumer | null>
  /** Notes that a credential was used now. Cheap; written down at most once a minute. */
  used(identity: Identity): void
}

/** Addresses and the like that are turned away, changed at run time through the admin API. */
export interface Denials {
  /** Whether a value stands on a list of this name. For `address`, CIDRs are looked through. Cheap enough for every call. */
  isDenied(list: string, value: string): boolean
}
