// Who may call, in the main thread: the writing store, and the entries of the config in front of it.

import { createHash, randomBytes } from 'node:crypto'
import type { ExtraProblem } from '../config/resolve.ts'
import type { Blueprint } from '../core/blueprint.ts'
import type { ConsumerBlueprint, CredentialBlueprint } from '../core/consumer-schema.ts'
import { type Consumer, type ConsumerStore, type Credential, configIdPrefix } from '../core/consumers.ts'
import { hashPassword } from '../identity/password.ts'
import { algorithmOf } from '../identity/signing-key.ts'
import type { ConfigEntries } from '../stores/config/entries.ts'
import { type ConfigStore, createConfigStore } from '../stores/config/store.ts'
import { createSqliteStore } from '../stores/sqlite/store.ts'
import { consumersFile } from './consumers-file.ts'
import { signatureVerifier } from './signature-verifier.ts'

/** Owns the store's connection until `close`. */
export class GatewayConsumers {
  /** What the admin API works on. */
  readonly store: ConfigStore
  #behind: ConsumerStore | null = null
  /** Hashing is slow on purpose: a password is hashed once as long as the config has it. By the digest of user and password. */
  #hashes = new Map<string, string>()
  #hashesBefore: ReadonlyMap<string, string> = new Map()

  constructor() {
    this.store = createConfigStore(() => this.#behind)
  }

  /** Opens the store; does nothing where it is open. @throws DatabaseRefused */
  open(data: string | null): void {
    if (data === null || this.#behind !== null) return
    this.#behind = createSqliteStore({ path: consumersFile(data), wall: Date.now, bytes: randomBytes })
  }

  /** Names that stand in the config and in the store. */
  async collisions({ consumers }: Blueprint): Promise<ExtraProblem[]> {
    const problems: ExtraProblem[] = []
    for (const [index, { name }] of consumers.entries()) {
      const there = (await this.#behind?.consumer(name)) ?? null
      if (there === null) continue
      problems.push({
        path: ['consumers', index, 'name'],
        message: `there is a consumer \`${name}\` in the store already`,
        hint: `Choose another name, or remove that one: \`turnpike consumers remove ${name}\`.`,
      })
    }
    return problems
  }

  /** The entries of a config. Rejects for a key of signatures that cannot be used. */
  async entries({ consumers, plans }: Blueprint, files: Readonly<Record<string, string>>): Promise<ConfigEntries> {
    const credentials: Credential[] = []
    this.#hashesBefore = this.#hashes
    this.#hashes = new Map()
    for (const consumer of consumers) {
      for (const [index, credential] of consumer.credentials.entries()) {
        credentials.push(await this.#credentialOf(consumer, credential, index, files))
      }
    }
    return {
      consumers: consumers.map(consumerOf),
      credentials,
      plans: Object.entries(plans).map(([name, { limits }]) => ({ name, limits })),
    }
  }

  used(times: ReadonlyMap<string, number>): Promise<void> {
    return this.store.used(times)
  }

  close(): void {
    this.#behind?.close()
    this.#behind = null
  }

  async #credentialOf(
    consumer: ConsumerBlueprint,
    credential: CredentialBlueprint,
    index: number,
    files: Readonly<Record<string, string>>,
  ): Promise<Credential> {
    const { scopes, labels, expires } = credential
    return {
      id: `${configIdPrefix}${consumer.name}:${index}`,
      ...{ kind: credential.kind, consumer: `${configIdPrefix}${consumer.name}`, application: '', hint: '' },
      ...{ scopes: scopes.length > 0 ? scopes : consumer.scopes, labels, expiresMs: expires },
      ...{ revokedMs: null, createdMs: 0, usedMs: null },
      ...(await this.#proofOf(credential, files)),
    }
  }

  async #proofOf(
    credential: CredentialBlueprint,
    files: Readonly<Record<string, string>>,
  ): Promise<Pick<Credential, 'lookup' | 'verifier'> & Partial<Pick<Credential, 'hint'>>> {
    switch (credential.kind) {
      case 'basic':
        return { lookup: credential.with.user, verifier: await this.#hashOf(credential.with) }
      case 'signature': {
        const verifier = signatureVerifier(credential.with, path => files[path] ?? '')
        return { lookup: credential.with.keyId, verifier, hint: algorithmOf(verifier) }
      }
      default:
        return { lookup: credential.with, verifier: '' }
    }
  }

  async #hashOf({ user, password }: { readonly user: string; readonly password: string }): Promise<string> {
    if (password.startsWith('$argon2id$')) return password
    const digest = createHash('sha256')
      .update(JSON.stringify([user, password]))
      .digest('hex')
    const made = this.#hashes.get(digest) ?? this.#hashesBefore.get(digest) ?? (await hashPassword(password))
    this.#hashes.set(digest, made)
    return made
  }
}

function consumerOf({ name, groups, labels, plan, limits }: ConsumerBlueprint): Consumer {
  return { id: `${configIdPrefix}${name}`, name, groups, labels, plan, limits }
}
