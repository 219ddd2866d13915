// A store of many consumers with a key each, filled in one transaction: one by one they would take minutes.

import { randomBytes } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { digestOf } from '../../src/identity/key.ts'
import { createSqliteStore } from '../../src/stores/sqlite/store.ts'
import { consumersFile } from '../../src/threads/consumers-file.ts'

/** The key of consumer `n`; `{n}` stands for the number in the header fields of a load. */
export const benchKey = 'bench-key-of-consumer-{n}'

/** Consumers `c0`, `c1`, … in the group `gold`. */
export function fillConsumers(folder: string, count: number): void {
  const file = consumersFile(folder)
  // Makes the tables.
  createSqliteStore({ path: file, wall: Date.now, bytes: randomBytes }).close()
  const database = new DatabaseSync(file)
  database.exec('BEGIN IMMEDIATE')
  const consumer = database.prepare(
    `INSERT INTO consumers (seq, id, name, groups, labels, plan, limits) VALUES (?, ?, ?, '["gold"]', '{}', '', '{}')`,
  )
  const credential = database.prepare(
    `INSERT INTO credentials (id, kind, lookup, consumer, application, verifier, hint, scopes, labels, created_ms)
     VALUES (?, 'key', ?, ?, NULL, '', '', '[]', '{}', 0)`,
  )
  for (let n = 0; n < count; n++) {
    consumer.run(n + 1, `con_${n}`, `c${n}`)
    credential.run(`cre_${n}`, digestOf(benchKey.replace('{n}', String(n))), n + 1)
  }
  database.exec('COMMIT')
  database.close()
}
