// Opens the database file of the consumers: makes it, brings it to the version of this program, or says why it cannot be used.

import { chmodSync, closeSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { makeFolder } from '../make-folder.ts'
import { migrations } from './migrations.ts'

/** Marks a file as ours: `Tpke`. */
const applicationId = 0x54706b65

/** How long a writer of another process is waited for. */
const busyMsMax = 2_000

/** The file cannot be used; the message says why and how to mend it. */
export class DatabaseRefused extends Error {}

/** Opens for writing. Makes the file, and the folder it lies in, where there is none, readable by this user alone. */
export function openForWriting(path: string): DatabaseSync {
  return opened(path, () => {
    makeFolder(dirname(path))
    closeSync(openSync(path, 'a', 0o600))
    chmodSync(path, 0o600)
    const database = new DatabaseSync(path, { timeout: busyMsMax })
    try {
      refuseForeign(database, path)
      database.exec(
        'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -32768',
      )
      migrate(database, path)
    } catch (error) {
      database.close()
      throw error
    }
    return database
  })
}

/** Opens for reading what `openForWriting` has made. */
export function openForReading(path: string): DatabaseSync {
  return opened(path, () => new DatabaseSync(path, { readOnly: true, timeout: busyMsMax }))
}

function opened(path: string, open: () => DatabaseSync): DatabaseSync {
  try {
    return open()
  } catch (error) {
    throw error instanceof DatabaseRefused ? error : new DatabaseRefused(reasonOf(path, error), { cause: error })
  }
}

function refuseForeign(database: DatabaseSync, path: string): void {
  const tables = numberOf(database, 'SELECT count(*) AS value FROM sqlite_master')
  if (tables === 0 || pragma(database, 'application_id') === applicationId) return
  throw new DatabaseRefused(
    `${path} is a database of another program. Move it away, or let \`data\` name another folder.`,
  )
}

function migrate(database: DatabaseSync, path: string): void {
  const version = pragma(database, 'user_version')
  if (version > migrations.length) {
    throw new DatabaseRefused(
      `${path} was written by a newer Turnpike (version ${version} of its tables; this one knows ${migrations.length}). Run that one.`,
    )
  }
  if (version === migrations.length) return
  database.exec('BEGIN IMMEDIATE')
  try {
    // Another process may have been faster.
    for (let at = pragma(database, 'user_version'); at < migrations.length; at++) database.exec(migrations[at] ?? '')
    database.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${migrations.length}; COMMIT`)
  } catch (error) {
    database.exec('ROLLBACK')
    throw error
  }
}

function pragma(database: DatabaseSync, name: string): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name] ?? 0)
}

function numberOf(database: DatabaseSync, sql: string): number {
  return Number(database.prepare(sql).get()?.['value'] ?? 0)
}

/** Result codes of SQLite, https://sqlite.org/rescode.html. */
const reasons: Readonly<Record<number, string>> = {
  5: 'another process is writing to it. Stop that one, or wait.',
  8: 'it may not be written to. Give the user that runs the gateway the right to.',
  11: 'it is damaged. Put a backup in its place.',
  13: 'the disk is full.',
  14: 'it cannot be opened. Give the user that runs the gateway the right to read and write there.',
  26: 'it is no database. Move it away, or let `data` name another folder.',
}

function reasonOf(path: string, error: unknown): string {
  const { errcode, code, message } = error as { errcode?: number; code?: string; message?: string }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return `${path} cannot be used: ${reasons[14]}`
  if (code === 'ENOTDIR' || code === 'EEXIST') return `${path} cannot be used: \`data\` names a file, not a folder.`
  if (code === 'ENOENT') return `${path} cannot be used: its folder cannot be made. Let \`data\` name another one.`
  const reason = errcode === undefined ? undefined : reasons[errcode & 0xff]
  return `${path} cannot be used: ${reason ?? message ?? String(error)}`
}
