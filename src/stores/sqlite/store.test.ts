import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { consumerStoreContract, credentialDraft, type StoreUnderTest } from '../../../test/contract/consumer-store.ts'
import { SqliteReader } from './reader.ts'
import { createSqliteStore } from './store.ts'

function make(): StoreUnderTest & { readonly file: string } {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'turnpike-'))
  const file = path.join(folder, 'data', 'consumers.sqlite')
  const clock = { nowMs: 1_000_000 }
  const store = createSqliteStore({ path: file, wall: () => clock.nowMs, bytes: randomBytes })
  const reader = new SqliteReader({ path: file, planLimits: () => undefined, used: () => {} })
  return {
    ...{ file, store, reader, clock },
    [Symbol.dispose]() {
      reader.close()
      store.close()
      rmSync(folder, { recursive: true })
    },
  }
}

consumerStoreContract('the SQLite store', make)

test('file and folder are made for this user alone', () => {
  using under = make()
  assert.equal(statSync(under.file).mode & 0o777, 0o600)
  assert.equal(statSync(`${under.file}-wal`).mode & 0o777, 0o600)
  assert.equal(statSync(path.dirname(under.file)).mode & 0o777, 0o700)
})

test('everything is there when it is opened again', async () => {
  using under = make()
  await under.store.createConsumer({ name: 'acme', groups: [], labels: {}, plan: '', limits: {} })
  const created = await under.store.createCredentials([credentialDraft()])
  const again = createSqliteStore({ path: under.file, wall: () => 0, bytes: randomBytes })
  assert.deepEqual((await again.credentials({}, { limit: 5, after: '' })).items, created)
  again.close()
})

const refused: readonly (readonly [string, (file: string) => void, RegExp])[] = [
  [
    'text',
    file => writeFileSync(file, 'hello, this is no database at all'.repeat(50)),
    /is no database\. Move it away/,
  ],
  [
    'a database of another program',
    file => {
      const other = new DatabaseSync(file)
      other.exec('CREATE TABLE plans (x)')
      other.close()
    },
    /is a database of another program/,
  ],
  [
    'tables of a newer version',
    file => {
      createSqliteStore({ path: file, wall: () => 0, bytes: randomBytes }).close()
      const other = new DatabaseSync(file)
      other.exec('PRAGMA user_version = 99')
      other.close()
    },
    /newer Turnpike \(version 99 /,
  ],
  ['a folder', file => mkdirSync(file), /cannot be used/],
]

for (const [what, put, message] of refused) {
  test(`${what} in the place of the file is refused with words`, t => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'turnpike-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const file = path.join(folder, 'consumers.sqlite')
    put(file)
    assert.throws(() => createSqliteStore({ path: file, wall: () => 0, bytes: randomBytes }), message)
  })
}
