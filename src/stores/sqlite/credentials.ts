// Credentials in the SQLite store.

import type { SQLInputValue } from 'node:sqlite'
import {
  type Credential,
  type CredentialDraft,
  type CredentialFilter,
  type ConsumerStore,
  StoreRefusal,
} from '../../core/consumers.ts'
import type { Connection } from './connection.ts'
import { credentialOf, type Row, text } from './rows.ts'
import type { StoreParts } from './store.ts'

type CredentialPart = Pick<
  ConsumerStore,
  | 'createCredentials'
  | 'credential'
  | 'credentials'
  | 'updateCredential'
  | 'rotateCredential'
  | 'revokeCredential'
  | 'removeCredential'
>

const select = `SELECT k.*, c.id AS consumer_id, a.id AS application_id, u.used_ms FROM credentials k
  JOIN consumers c ON c.seq = k.consumer
  LEFT JOIN applications a ON a.seq = k.application
  LEFT JOIN uses u ON u.credential = k.id`

const insert = `INSERT INTO credentials
  (id, kind, lookup, consumer, application, verifier, hint, scopes, labels, expires_ms, created_ms)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

type Reading = Pick<CredentialPart, 'credential' | 'credentials'>
type Ending = Pick<CredentialPart, 'revokeCredential' | 'removeCredential'>

export function createCredentials(parts: StoreParts): CredentialPart {
  return { ...reading(parts), ...writing(parts), ...ending(parts) }
}

function reading(parts: StoreParts): Reading {
  const { connection } = parts
  return {
    async credential(id) {
      const row = connection.get(`${select} WHERE k.id = ?`, id)
      return row === undefined ? null : credentialOf(row)
    },
    async credentials(filter, page) {
      const [conditions, values] = conditionsOf(filter, parts)
      return connection.page(`SELECT * FROM (${select} WHERE ${conditions}) WHERE true`, values, page, credentialOf)
    },
  }
}

function ending({ connection, wall }: StoreParts): Ending {
  return {
    async revokeCredential(id) {
      return connection.transaction(() => {
        const row = known(connection, id)
        const old = credentialOf(row)
        if (old.revokedMs !== null) return old
        const revokedMs = wall()
        connection.run('UPDATE credentials SET revoked_ms = ? WHERE id = ?', revokedMs, id)
        connection.changedCredentials([row])
        return { ...old, revokedMs }
      })
    },
    async removeCredential(id) {
      connection.transaction(() => {
        connection.changedCredentials([known(connection, id)])
        connection.run('DELETE FROM uses WHERE credential = ?', id)
        connection.run('DELETE FROM credentials WHERE id = ?', id)
      })
    },
  }
}

function known(connection: Connection, id: string): Row {
  const row = connection.get(`${select} WHERE k.id = ?`, id)
  if (row !== undefined) return row
  throw new StoreRefusal('unknown', `there is no credential \`${id}\``, 'id')
}

function writing(parts: StoreParts): Omit<CredentialPart, keyof Reading | keyof Ending> {
  const { connection, wall } = parts
  const add = adder(parts)
  return {
    async createCredentials(drafts) {
      return connection.transaction(() => {
        const rowOf = remember(parts.consumerRow)
        const created = drafts.map(draft => add(draft, rowOf(draft.consumer)))
        connection.changedCredentials(created.map(({ kind, lookup }) => ({ kind, lookup })))
        return created
      })
    },
    async updateCredential(id, patch) {
      return connection.transaction(() => {
        const row = known(connection, id)
        const credential = { ...credentialOf(row), ...patch }
        connection.run(
          'UPDATE credentials SET scopes = ?, labels = ?, expires_ms = ? WHERE id = ?',
          JSON.stringify(credential.scopes),
          JSON.stringify(credential.labels),
          credential.expiresMs,
          id,
        )
        connection.changedCredentials([row])
        return credential
      })
    },
    async rotateCredential(id, successor, untilMs) {
      return connection.transaction(() => {
        const row = known(connection, id)
        const old = credentialOf(row)
        refuseDead(old, wall())
        const expiresMs = Math.min(untilMs, old.expiresMs ?? untilMs)
        connection.run('UPDATE credentials SET expires_ms = ? WHERE id = ?', expiresMs, id)
        const created = add({ ...old, ...successor }, parts.consumerRow(old.consumer))
        connection.changedCredentials([row, { kind: created.kind, lookup: created.lookup }])
        return created
      })
    },
  }
}

function adder({ connection, wall, makeId }: StoreParts): (draft: CredentialDraft, owner: Row) => Credential {
  return (draft, owner) => {
    const { kind, lookup, application, verifier, hint, scopes, labels, expiresMs } = draft
    const ownerSeq = owner['seq'] ?? null
    const id = makeId('cre')
    const createdMs = wall()
    const app = application === '' ? null : applicationSeq(application, ownerSeq)
    if (connection.get('SELECT 1 FROM credentials WHERE kind = ? AND lookup = ?', kind, lookup) !== undefined) {
      throw new StoreRefusal(
        'exists',
        `there is a credential of this kind with that ${lookupNames[kind]} already`,
        kind,
      )
    }
    connection.run(
      insert,
      ...[id, kind, lookup, ownerSeq, app, verifier, hint, JSON.stringify(scopes), JSON.stringify(labels)],
      ...[expiresMs, createdMs],
    )
    const consumer = text(owner['id'])
    const given = { id, kind, consumer, application, lookup, verifier, hint, scopes, labels, expiresMs }
    return { ...given, revokedMs: null, createdMs, usedMs: null }
  }

  function applicationSeq(id: string, consumer: SQLInputValue): SQLInputValue {
    const row = connection.get('SELECT seq, consumer FROM applications WHERE id = ?', id)
    if (row === undefined) throw new StoreRefusal('unknown', `there is no application \`${id}\``, 'app')
    if (row['consumer'] === consumer) return row['seq'] ?? null
    throw new StoreRefusal('conflict', `the application \`${id}\` belongs to another consumer`, 'app')
  }
}

const lookupNames = { key: 'text', basic: 'user name', signature: 'key id', certificate: 'name' } as const

function refuseDead({ revokedMs, expiresMs }: Credential, nowMs: number): void {
  if (revokedMs === null && (expiresMs ?? Number.POSITIVE_INFINITY) > nowMs) return
  const what = revokedMs === null ? 'expired' : 'was revoked'
  throw new StoreRefusal('conflict', `the credential ${what}, so it cannot be rotated`, 'id', 'Create another one.')
}

function conditionsOf({ kind, consumer, application }: CredentialFilter, parts: StoreParts): [string, SQLInputValue[]] {
  const conditions = ['true']
  const values: SQLInputValue[] = []
  const add = (condition: string, value: SQLInputValue) => {
    conditions.push(condition)
    values.push(value)
  }
  if (kind !== undefined) add('k.kind = ?', kind)
  if (consumer !== undefined) add('k.consumer = ?', parts.consumerRow(consumer)['seq'] ?? null)
  if (application !== undefined) add('a.id = ?', application)
  return [conditions.join(' AND '), values]
}

/** Within one transaction: many credentials are often those of few consumers. */
function remember(find: (key: string) => Row): (key: string) => Row {
  const found = new Map<string, Row>()
  return key => {
    const row = found.get(key) ?? find(key)
    found.set(key, row)
    return row
  }
}
