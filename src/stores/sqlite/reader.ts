// What a worker reads the store of consumers with: a connection of its own, prepared statements, and the log of changes.

import {
  neverNoted,
  type Consumer,
  type ConsumerChanges,
  type ConsumerReader,
  type CredentialKind,
  type Identity,
} from '../../core/consumers.ts'
import { openForReading } from './database.ts'
import { createSharedColumns, readCredential, type Row, text } from './rows.ts'

export interface SqliteReaderOptions {
  readonly path: string
  /** Limits of plans of the config, which go before those of the store. */
  planLimits(name: string): Readonly<Record<string, string>> | undefined
  /** Takes the times of use to whoever writes. */
  used(times: ReadonlyMap<string, number>): void
}

/** More than this and forgetting everything is cheaper. */
const changesMax = 5_000

const nothing: ConsumerChanges = { isAll: false, credentials: [], consumers: [], areDenialsChanged: false }
const everything: ConsumerChanges = { isAll: true, credentials: [], consumers: [], areDenialsChanged: true }

/** Owns the connection. All answers come at once: a lookup is a few pages of the file, mostly in the memory of the system. */
export class SqliteReader implements ConsumerReader {
  readonly #options: SqliteReaderOptions
  readonly #database
  readonly #find
  readonly #consumer
  readonly #denials
  readonly #dataVersion
  readonly #newest
  readonly #changes
  readonly #json = createSharedColumns()
  #version: number
  #seen: number

  /** @throws DatabaseRefused */
  constructor(options: SqliteReaderOptions) {
    this.#options = options
    const database = openForReading(options.path)
    this.#database = database
    this.#find = database.prepare(findSql)
    this.#consumer = database.prepare(consumerSql)
    this.#denials = database.prepare('SELECT list, value FROM denials ORDER BY seq')
    this.#dataVersion = database.prepare('PRAGMA data_version')
    this.#newest = database.prepare(
      'SELECT coalesce(max(seq), 0) AS newest, coalesce(min(seq), 0) AS oldest FROM changes',
    )
    this.#changes = database.prepare('SELECT topic, subject FROM changes WHERE seq > ? ORDER BY seq')
    this.#version = this.#readVersion()
    this.#seen = Number(this.#newest.get()?.['newest'])
  }

  find(kind: CredentialKind, lookup: string): Identity | null {
    const row = this.#find.get(kind, lookup, kind)
    if (row === undefined) return null
    // Made in any case: an unknown credential costs what its neighbour does, and no time tells that it is not there.
    const identity = this.#identityOf(row)
    return row['lookup'] === lookup ? identity : null
  }

  consumer(nameOrId: string): Consumer | null {
    const row = this.#consumer.get(nameOrId, nameOrId)
    return row === undefined ? null : this.#consumerOf(row)
  }

  denials(): Readonly<Record<string, readonly string[]>> {
    const lists = new Map<string, string[]>()
    for (const row of this.#denials.iterate()) {
      const name = text(row['list'])
      const values = lists.get(name)
      if (values === undefined) lists.set(name, [text(row['value'])])
      else values.push(text(row['value']))
    }
    return Object.fromEntries(lists)
  }

  /** Asks first whether anything was written at all, which is one read of shared memory. */
  changes(): ConsumerChanges {
    const version = this.#readVersion()
    if (version === this.#version) return nothing
    this.#version = version
    const row = this.#newest.get()
    const newest = Number(row?.['newest'])
    const seen = this.#seen
    this.#seen = newest
    if (newest === seen) return nothing
    // A gap: what was between is no longer in the log. Or another file was put in place, whose log is shorter.
    if (newest < seen || Number(row?.['oldest']) > seen + 1 || newest - seen > changesMax) return everything
    return gather(this.#changes.all(seen))
  }

  used(times: ReadonlyMap<string, number>): void {
    this.#options.used(times)
  }

  close(): void {
    this.#database.close()
  }

  #readVersion(): number {
    return Number(this.#dataVersion.get()?.['data_version'])
  }

  #consumerOf(row: Row): Consumer {
    const plan = text(row['c_plan'])
    const ofPlan = plan === '' ? undefined : (this.#options.planLimits(plan) ?? this.#json.table(row['plan_limits']))
    const own = this.#json.table(row['c_limits'])
    return {
      id: text(row['c_id']),
      name: text(row['c_name']),
      groups: this.#json.list(row['c_groups']),
      labels: this.#json.table(row['c_labels']),
      plan,
      limits: ofPlan === undefined ? own : { ...ofPlan, ...own },
    }
  }

  #identityOf(row: Row): Identity {
    const consumer = this.#consumerOf(row)
    const application = row['a_id']
    return {
      consumer,
      application:
        typeof application === 'string'
          ? {
              id: application,
              consumer: consumer.id,
              name: text(row['a_name']),
              labels: this.#json.table(row['a_labels']),
            }
          : null,
      credential: readCredential({ ...row, consumer_id: consumer.id, application_id: application ?? '' }, this.#json),
      notedS: neverNoted,
    }
  }
}

function gather(rows: readonly Row[]): ConsumerChanges {
  const credentials: string[] = []
  const consumers: string[] = []
  let areDenialsChanged = false
  for (const row of rows) {
    const subject = text(row['subject'])
    switch (row['topic']) {
      case 'credential':
        credentials.push(subject)
        break
      case 'consumer':
        consumers.push(subject)
        break
      case 'denials':
        areDenialsChanged = true
        break
      default:
        // `all`, and whatever a later version may write.
        return everything
    }
  }
  return { isAll: false, credentials, consumers, areDenialsChanged }
}

const consumerPart = `c.id AS c_id, c.name AS c_name, c.groups AS c_groups, c.labels AS c_labels, c.plan AS c_plan,
  c.limits AS c_limits, p.limits AS plan_limits`

const consumerSql = `SELECT ${consumerPart} FROM consumers c LEFT JOIN plans p ON p.name = c.plan
  WHERE c.id = ? OR c.name = ?`

/** The credential, or where there is none its neighbour in the index: for digests of keys as good as one drawn by lot. */
const findSql = `SELECT k.id, k.kind, k.lookup, k.verifier, k.hint, k.scopes, k.labels, k.expires_ms, k.revoked_ms, k.created_ms,
  u.used_ms, a.id AS a_id, a.name AS a_name, a.labels AS a_labels, ${consumerPart}
  FROM credentials k
  JOIN consumers c ON c.seq = k.consumer
  LEFT JOIN applications a ON a.seq = k.application
  LEFT JOIN plans p ON p.name = c.plan
  LEFT JOIN uses u ON u.credential = k.id
  WHERE k.seq = coalesce(
    (SELECT seq FROM credentials WHERE kind = ? AND lookup >= ? ORDER BY lookup LIMIT 1),
    (SELECT seq FROM credentials WHERE kind = ? ORDER BY lookup LIMIT 1)
  )`
