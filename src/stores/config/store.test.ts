import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { consumerStoreContract, credentialDraft, type StoreUnderTest } from '../../../test/contract/consumer-store.ts'
import type { ConsumerReader } from '../../core/consumers.ts'
import { SqliteReader } from '../sqlite/reader.ts'
import { createSqliteStore } from '../sqlite/store.ts'
import type { ConfigEntries } from './entries.ts'
import { createConfigReader } from './reader.ts'
import { createConfigStore } from './store.ts'

function make(entries?: ConfigEntries): StoreUnderTest {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'turnpike-'))
  const file = path.join(folder, 'consumers.sqlite')
  const clock = { nowMs: 1_000_000 }
  const behind = createSqliteStore({ path: file, wall: () => clock.nowMs, bytes: randomBytes })
  const store = createConfigStore(() => behind)
  const reader = createConfigReader(planLimits => new SqliteReader({ path: file, planLimits, used: () => {} }))
  if (entries !== undefined) {
    store.adopt(entries)
    reader.adopt(entries)
  }
  return {
    ...{ store, reader, clock },
    [Symbol.dispose]() {
      reader.close()
      store.close()
      rmSync(folder, { recursive: true })
    },
  }
}

consumerStoreContract('the store behind the config', () => make())

const consumer = { id: 'config:bolt', name: 'bolt', groups: [], labels: {}, plan: 'gold', limits: { calls: '1/s' } }
const credential = {
  ...credentialDraft({ consumer: 'config:bolt', lookup: 'f'.repeat(64) }),
  ...{ id: 'config:bolt:0', revokedMs: null, createdMs: 0, usedMs: null },
}
const entries: ConfigEntries = {
  consumers: [consumer],
  credentials: [credential],
  plans: [{ name: 'gold', limits: { calls: '9/s', quota: '5/d' } }],
}
const draft = { name: 'acme', groups: [], labels: {}, plan: 'gold', limits: {} }
const page = { limit: 10, after: '' }

test('entries of the config are found first, with the limits of their plan', async () => {
  using under = make(entries)
  const identity = await under.reader.find('key', 'f'.repeat(64))
  assert.deepEqual(identity?.consumer, { ...consumer, limits: { calls: '1/s', quota: '5/d' } })
  assert.equal((await under.reader.consumer('config:bolt'))?.name, 'bolt')
  assert.equal((await under.reader.changes()).isAll, true)
  assert.equal((await under.reader.changes()).isAll, false)
})

test('a consumer of the store may have a plan of the config', async () => {
  using under = make(entries)
  await under.store.createConsumer(draft)
  assert.deepEqual((await under.reader.consumer('acme'))?.limits, { calls: '9/s', quota: '5/d' })
  await assert.rejects(under.store.updateConsumer('acme', { plan: 'lead' }), { reason: 'unknown', member: 'plan' })
})

test('lists begin with the config and go on with the store, page by page', async () => {
  using under = make(entries)
  for (const name of ['a', 'b', 'c']) await under.store.createConsumer({ ...draft, name })
  const names: string[] = []
  for (let after: string | null = ''; after !== null; ) {
    const { items, next }: { items: readonly { name: string }[]; next: string | null } = await under.store.consumers({
      limit: 1,
      after,
    })
    names.push(...items.map(({ name }) => name))
    after = next
  }
  assert.deepEqual(names, ['bolt', 'a', 'b', 'c'])
  const { items } = await under.store.credentials({ consumer: 'bolt' }, page)
  assert.deepEqual(items, [credential])
})

const changes: readonly (readonly [string, (store: StoreUnderTest['store']) => Promise<unknown>])[] = [
  ['updateConsumer', store => store.updateConsumer('bolt', { groups: ['x'] })],
  ['removeConsumer', store => store.removeConsumer('config:bolt')],
  ['createApplication', store => store.createApplication({ consumer: 'bolt', name: 'x', labels: {} })],
  ['createCredentials', store => store.createCredentials([credentialDraft({ consumer: 'bolt' })])],
  ['revokeCredential', store => store.revokeCredential('config:bolt:0')],
  ['removeCredential', store => store.removeCredential('config:bolt:0')],
  ['updatePlan', store => store.updatePlan({ name: 'gold', limits: {} })],
  ['removePlan', store => store.removePlan('gold')],
]
for (const [name, change] of changes) {
  test(`${name} leaves what the config says`, async () => {
    using under = make(entries)
    await assert.rejects(change(under.store), { name: 'StoreRefusal', reason: 'read-only' })
  })
}

test('the store is asked for a credential of the config too, so that time does not tell where it stands', async () => {
  const asked: string[] = []
  const behind: ConsumerReader = {
    find(kind, lookup) {
      asked.push(`${kind}:${lookup}`)
      throw new Error('the store is broken')
    },
    ...{ consumer: () => null, denials: () => ({}), used() {}, close() {} },
    changes: () => ({ isAll: false, credentials: [], consumers: [], areDenialsChanged: false }),
  }
  const reader = createConfigReader(() => behind)
  reader.adopt(entries)
  assert.equal((await reader.find('key', credential.lookup))?.consumer.name, 'bolt')
  assert.throws(() => reader.find('key', 'unknown'))
  assert.deepEqual(asked, [`key:${credential.lookup}`, 'key:unknown'])
})

test('names and credentials of the config are taken', async () => {
  using under = make(entries)
  await under.store.createConsumer(draft)
  await assert.rejects(under.store.createConsumer({ ...draft, name: 'bolt' }), { reason: 'exists', member: 'name' })
  await assert.rejects(under.store.createCredentials([credentialDraft({ lookup: 'f'.repeat(64) })]), {
    reason: 'exists',
  })
})

test('without a folder for data there is what the config says, and changes are refused with the way out', async () => {
  const store = createConfigStore(() => null)
  store.adopt(entries)
  assert.deepEqual((await store.consumers(page)).items, [consumer])
  await assert.rejects(store.createConsumer(draft), { reason: 'no-store', hint: /Set `data: PATH`/ })
  const reader = createConfigReader(() => null)
  reader.adopt(entries)
  assert.equal(await reader.find('key', '0'), null)
  assert.deepEqual(await reader.denials(), {})
})
