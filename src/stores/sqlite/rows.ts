// Rows of the tables as consumers, applications and credentials. The border where what SQLite hands out gets its types.

import type { SQLOutputValue } from 'node:sqlite'
import type { Application, Consumer, Credential, CredentialKind, Denial, Plan } from '../../core/consumers.ts'

export type Row = Record<string, SQLOutputValue>

export function consumerOf(row: Row): Consumer {
  return {
    id: text(row['id']),
    name: text(row['name']),
    groups: list(row['groups']),
    labels: table(row['labels']),
    plan: text(row['plan']),
    limits: table(row['limits']),
  }
}

export function applicationOf(row: Row): Application {
  return {
    id: text(row['id']),
    consumer: text(row['consumer_id']),
    name: text(row['name']),
    labels: table(row['labels']),
  }
}

export function credentialOf(row: Row): Credential {
  return readCredential(row, unshared)
}

export function readCredential(row: Row, json: JsonColumns): Credential {
  return {
    id: text(row['id']),
    kind: text(row['kind']) as CredentialKind,
    consumer: text(row['consumer_id']),
    application: text(row['application_id']),
    lookup: text(row['lookup']),
    verifier: text(row['verifier']),
    hint: text(row['hint']),
    scopes: json.list(row['scopes']),
    labels: json.table(row['labels']),
    expiresMs: time(row['expires_ms']),
    revokedMs: time(row['revoked_ms']),
    createdMs: Number(row['created_ms']),
    usedMs: time(row['used_ms']),
  }
}

export function planOf(row: Row): Plan {
  return { name: text(row['name']), limits: table(row['limits']) }
}

export function denialOf(row: Row): Denial {
  return {
    list: text(row['list']),
    value: text(row['value']),
    note: text(row['note']),
    createdMs: Number(row['created_ms']),
  }
}

/** How columns of JSON are read. */
export interface JsonColumns {
  list(value: SQLOutputValue | undefined): readonly string[]
  table(value: SQLOutputValue | undefined): Readonly<Record<string, string>>
}

/** Shared by all who have none: most credentials have no labels and no scopes. */
const noList: readonly string[] = []
const noTable: Readonly<Record<string, string>> = {}

export function list(value: SQLOutputValue | undefined): readonly string[] {
  return value === '[]' ? noList : (JSON.parse(text(value)) as string[])
}

export function table(value: SQLOutputValue | undefined): Readonly<Record<string, string>> {
  return value === '{}' || value === null || value === undefined
    ? noTable
    : (JSON.parse(text(value)) as Record<string, string>)
}

const unshared: JsonColumns = { list, table }

/** Of each kind; past so many different texts, all are forgotten and read anew. Longer texts are hardly those of many. */
const sharedMax = 4096
const sharedLengthMax = 256

/**
 * Reads columns of the same text as one value: consumers are in one of a few groups, and what many share stays in the processor's
 * caches, where as many copies would crowd each other out.
 */
export function createSharedColumns(): JsonColumns {
  return { list: shared(list), table: shared(table) }
}

function shared<T extends object>(read: (value: SQLOutputValue | undefined) => T) {
  const known = new Map<string, T>()
  return (value: SQLOutputValue | undefined): T => {
    if (typeof value !== 'string' || value.length > sharedLengthMax) return read(value)
    const before = known.get(value)
    if (before !== undefined) return before
    if (known.size >= sharedMax) known.clear()
    const made = Object.freeze(read(value))
    known.set(value, made)
    return made
  }
}

export function text(value: SQLOutputValue | undefined): string {
  return typeof value === 'string' ? value : ''
}

function time(value: SQLOutputValue | undefined): number | null {
  return typeof value === 'number' ? value : null
}
