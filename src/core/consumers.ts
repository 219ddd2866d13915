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
  /** What it is checked with: the password hash; or the algorithm of signatures and the public key, or a secret of the config. */
  readonly verifier: string
  /** What people may see of it: the first letters of a key, the algorithm of signatures. */
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
  /** When this worker last wrote down that the credential was used, whole seconds by `Clock.now`; `neverNoted` before. */
  notedS: number
}

/** Longer ago than any time that a clock tells, and small enough to stand in the field itself, not beside it. */
export const neverNoted = -(2 ** 30)

/** Something now or later: what is cached comes at once, so that a hot path need not wait. */
export type Soon<T> = T | Promise<T>

/** What a worker reads a store with. The main thread alone writes. */
export interface ConsumerReader {
  /**
   * The credential as it stands, also one that is revoked or expired: who asks judges. Null for an unknown one, which must cost
   * as much as one that is there.
   */
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

/** Why a credential proves nothing. */
export type Absence = 'unknown' | 'revoked' | 'expired'

/** What a policy may ask about who calls. Cached in each worker; never older than a second. */
export interface Identities {
  /**
   * Whose key this is; null for one that is unknown, revoked, expired or no key at all, which look alike in answer and in time
   * (bench/micro/directory.ts).
   */
  key(text: string): Soon<Identity | null>
  /** The credential of another kind by its `lookup`; null for one that is unknown, revoked or expired. */
  find(kind: CredentialKind, lookup: string): Soon<Identity | null>
  /**
   * For logs alone: why a text that was just looked up leads nowhere, the text of a key or the `lookup` of another kind. Takes as
   * long whatever the answer.
   */
  why(kind: CredentialKind, text: string): Absence
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

/** What consumers of a plan may do, unless they have limits of their own. */
export interface Plan {
  readonly name: string
  /** Limits by name, such as `{ calls: '1000/minute' }`. */
  readonly limits: Readonly<Record<string, string>>
}

/** A value that is turned away. */
export interface Denial {
  readonly list: string
  readonly value: string
  /** Why, for people. */
  readonly note: string
  readonly createdMs: number
}

/** One stretch of a list. */
export interface Page<T> {
  readonly items: readonly T[]
  /** To be given as `after` for what follows; null at the end. */
  readonly next: string | null
}

export interface PageRequest {
  readonly limit: number
  /** Empty for the beginning. */
  readonly after: string
}

export type ConsumerDraft = Omit<Consumer, 'id'>
export type ApplicationDraft = Omit<Application, 'id'>
export type CredentialDraft = Omit<Credential, 'id' | 'revokedMs' | 'createdMs' | 'usedMs'>
export type CredentialPatch = Partial<Pick<Credential, 'scopes' | 'labels' | 'expiresMs'>>
/** What takes the place of a credential that is rotated; the rest stays as it was. */
export type Successor = Pick<Credential, 'lookup' | 'verifier' | 'hint' | 'expiresMs'>

export interface CredentialFilter {
  readonly kind?: CredentialKind
  /** Name or id. */
  readonly consumer?: string
  readonly application?: string
}

/**
 * Holds who may call. Used by the main thread alone; workers follow with a `ConsumerReader`. A consumer comes with its own limits,
 * without those of its plan. Every method rejects with a `StoreRefusal` for what cannot be.
 */
export interface ConsumerStore {
  createConsumer(draft: ConsumerDraft): Promise<Consumer>
  consumer(nameOrId: string): Promise<Consumer | null>
  /** In the order of their creation, as all lists. */
  consumers(page: PageRequest): Promise<Page<Consumer>>
  updateConsumer(nameOrId: string, patch: Partial<ConsumerDraft>): Promise<Consumer>
  /** With its applications and credentials. */
  removeConsumer(nameOrId: string): Promise<void>

  /** `consumer` of the draft may be a name. */
  createApplication(draft: ApplicationDraft): Promise<Application>
  application(id: string): Promise<Application | null>
  /** Those of one consumer, or of all where it is empty. */
  applications(consumer: string, page: PageRequest): Promise<Page<Application>>
  updateApplication(id: string, patch: Partial<Pick<Application, 'name' | 'labels'>>): Promise<Application>
  /** With its credentials. */
  removeApplication(id: string): Promise<void>

  /** All of them, or none. `consumer` of a draft may be a name. */
  createCredentials(drafts: readonly CredentialDraft[]): Promise<Credential[]>
  credential(id: string): Promise<Credential | null>
  credentials(filter: CredentialFilter, page: PageRequest): Promise<Page<Credential>>
  updateCredential(id: string, patch: CredentialPatch): Promise<Credential>
  /** Creates another one in its place; the old one is valid until `untilMs`, or until it would have expired before. */
  rotateCredential(id: string, successor: Successor, untilMs: number): Promise<Credential>
  /** For good; harmless where it is revoked already. */
  revokeCredential(id: string): Promise<Credential>
  removeCredential(id: string): Promise<void>

  plans(): Promise<readonly Plan[]>
  createPlan(plan: Plan): Promise<Plan>
  updatePlan(plan: Plan): Promise<Plan>
  /** Refused while a consumer has it. */
  removePlan(name: string): Promise<void>

  /** Names of the lists that are not empty, and how long they are. */
  denialLists(): Promise<readonly { readonly list: string; readonly count: number }[]>
  denials(list: string, page: PageRequest): Promise<Page<Denial>>
  /** Puts a value on a list; harmless where it is there. At most `denialsMax` over all lists. */
  deny(list: string, value: string, note: string): Promise<void>
  allow(list: string, value: string): Promise<void>

  /** Notes when credentials were last used, by id. Changes nothing that a worker would have to learn. */
  used(times: ReadonlyMap<string, number>): Promise<void>
  close(): void
}

/** Every worker holds all of them. */
export const denialsMax = 100_000

/** What ids of consumers, applications and credentials of the config file begin with; no name has a colon. */
export const configIdPrefix = 'config:'

/** Something that cannot be. `member` is the one at fault, as the draft calls it; empty for the whole. */
export class StoreRefusal extends Error {
  readonly reason: 'unknown' | 'exists' | 'conflict' | 'read-only' | 'full' | 'no-store'
  readonly member: string
  /** How to mend it, one sentence. */
  readonly hint: string

  constructor(reason: StoreRefusal['reason'], message: string, member = '', hint = '') {
    super(message)
    this.name = 'StoreRefusal'
    this.reason = reason
    this.member = member
    this.hint = hint
  }
}
