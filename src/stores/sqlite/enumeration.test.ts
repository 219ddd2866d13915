// Time must not tell which credentials there are: looking up one that is not there is looking up its neighbour.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { test } from 'node:test'
import { credentialDraft } from '../../../test/contract/consumer-store.ts'
import { SqliteReader } from './reader.ts'
import { createSqliteStore } from './store.ts'

const count = 400
const lookups = () => Array.from({ length: count }, () => randomBytes(32).toString('hex'))

/** How often the second of a pair took longer than the first, percent: 50 tells nothing, 100 tells all. */
function tell(first: readonly number[], second: readonly number[]): number {
  const longer = first.filter((time, at) => (second[at] ?? 0) > time).length
  const same = first.filter((time, at) => second[at] === time).length
  return (100 * (longer + same / 2)) / first.length
}

type Times = Record<'unknown' | 'revoked' | 'expired', number[]>

/** By turns, so that whatever else the machine does falls on all alike. */
function measure(reader: SqliteReader, asked: Readonly<Record<keyof Times, readonly string[]>>): Times {
  const times: Times = { unknown: [], revoked: [], expired: [] }
  const kinds = ['unknown', 'revoked', 'expired'] as const
  for (let at = 0; at < count * kinds.length; at++) {
    const index = Math.floor(at / kinds.length)
    const kind = kinds[(at + index) % kinds.length] ?? 'unknown'
    const started = process.hrtime.bigint()
    const found = reader.find('key', asked[kind][index] ?? '')
    times[kind].push(Number(process.hrtime.bigint() - started))
    assert.equal(found === null, kind === 'unknown')
  }
  return times
}

test('an unknown credential takes as long as one that is revoked and one that has expired', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'turnpike-'))
  const file = path.join(folder, 'consumers.sqlite')
  const store = createSqliteStore({ path: file, wall: Date.now, bytes: randomBytes })
  const reader = new SqliteReader({ path: file, planLimits: () => undefined, used: () => {} })
  try {
    await store.createConsumer({ name: 'acme', groups: ['gold'], labels: {}, plan: '', limits: {} })
    const create = (texts: readonly string[], expiresMs: number | null) =>
      store.createCredentials(texts.map(lookup => credentialDraft({ lookup, expiresMs })))
    const asked = { unknown: lookups(), revoked: lookups(), expired: lookups() }
    await create(asked.expired, 1)
    for (const { id } of await create(asked.revoked, null)) await store.revokeCredential(id)
    // Not in the order of their rows.
    for (const texts of Object.values(asked)) texts.sort()
    // The first round warms up.
    measure(reader, asked)
    const times = measure(reader, asked)
    for (const kind of ['revoked', 'expired'] as const) {
      const percent = tell(times.unknown, times[kind])
      assert.ok(percent > 25 && percent < 75, `${kind} takes longer in ${percent.toFixed(0)} % of pairs`)
    }
  } finally {
    reader.close()
    store.close()
    rmSync(folder, { recursive: true })
  }
})
