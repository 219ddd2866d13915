// What every store of consumers must do, whatever it is made of. Called by the tests of each store.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { neverNoted, type ConsumerReader, type ConsumerStore, type CredentialDraft } from '../../src/core/consumers.ts'

/** A fresh, empty store with a reader of it. `now` is its clock. */
export interface StoreUnderTest extends Disposable {
  readonly store: ConsumerStore
  readonly reader: ConsumerReader
  readonly clock: { nowMs: number }
}

const page = { limit: 10, after: '' }
const acme = { name: 'acme', groups: ['gold'], labels: { city: 'Ulm' }, plan: '', limits: { calls: '5/s' } }

export function credentialDraft(changes: Partial<CredentialDraft> = {}): CredentialDraft {
  return {
    ...{
      kind: 'key' as const,
      consumer: 'acme',
      application: '',
      lookup: 'a'.repeat(64),
      verifier: '',
      hint: 'tp_abcd',
    },
    ...{ scopes: ['read'], labels: { use: 'test' }, expiresMs: null },
    ...changes,
  }
}

export function consumerStoreContract(name: string, make: () => StoreUnderTest): void {
  const check = (title: string, run: (under: StoreUnderTest) => Promise<void>): void => {
    void test(title, async () => {
      using under = make()
      await run(under)
    })
  }

  void describe(`${name} keeps the contract of consumer stores`, () => {
    check(
      'a consumer that was created is found by name and by id, by the store and by the reader',
      async ({ store, reader }) => {
        const created = await store.createConsumer(acme)
        assert.deepEqual(created, { id: created.id, ...acme })
        for (const key of ['acme', created.id]) {
          assert.deepEqual(await store.consumer(key), created)
          assert.deepEqual(await reader.consumer(key), created)
        }
        assert.equal(await store.consumer('other'), null)
        assert.equal(await reader.consumer('other'), null)
      },
    )

    check('a name is taken once', async ({ store }) => {
      await store.createConsumer(acme)
      await store.createConsumer({ ...acme, name: 'bolt' })
      await assert.rejects(store.createConsumer(acme), { name: 'StoreRefusal', reason: 'exists', member: 'name' })
      await assert.rejects(store.updateConsumer('bolt', { name: 'acme' }), { reason: 'exists', member: 'name' })
    })

    check('lists come in pages, in order, each item once', async ({ store }) => {
      for (let at = 0; at < 25; at++) await store.createConsumer({ ...acme, name: `c${at}` })
      const names: string[] = []
      let after = ''
      for (;;) {
        const { items, next } = await store.consumers({ limit: 10, after })
        names.push(...items.map(item => item.name))
        if (next === null) break
        assert.equal(items.length, 10)
        after = next
      }
      assert.deepEqual(
        names,
        Array.from({ length: 25 }, (_, at) => `c${at}`),
      )
    })

    check('an update changes what it names and leaves the rest', async ({ store, reader }) => {
      const { id } = await store.createConsumer(acme)
      await store.updateConsumer('acme', { groups: [], name: 'acme2' })
      assert.deepEqual(await store.consumer('acme2'), { ...acme, id, groups: [], name: 'acme2' })
      assert.equal(await reader.consumer('acme'), null)
      await assert.rejects(store.updateConsumer('nobody', {}), { reason: 'unknown', member: 'consumer' })
    })

    check('a credential is found with those it belongs to', async ({ store, reader }) => {
      const consumer = await store.createConsumer(acme)
      const application = await store.createApplication({ consumer: 'acme', name: 'shop', labels: { env: 'live' } })
      const [credential] = await store.createCredentials([credentialDraft({ application: application.id })])
      assert.deepEqual(await reader.find('key', 'a'.repeat(64)), {
        ...{ consumer, application, credential },
        notedS: neverNoted,
      })
      assert.equal(await reader.find('basic', 'a'.repeat(64)), null)
      assert.equal(await reader.find('key', 'b'.repeat(64)), null)
    })

    check('of many credentials all are created, or none', async ({ store }) => {
      await store.createConsumer(acme)
      const drafts = ['b', 'c', 'b'].map(letter => credentialDraft({ lookup: letter.repeat(64) }))
      await assert.rejects(store.createCredentials(drafts), { reason: 'exists' })
      assert.deepEqual((await store.credentials({}, page)).items, [])
      await assert.rejects(store.createCredentials([credentialDraft({ consumer: 'nobody' })]), { reason: 'unknown' })
      await assert.rejects(store.createCredentials([credentialDraft({ application: 'app_x' })]), { reason: 'unknown' })
    })

    check('credentials are listed by kind, consumer and application', async ({ store }) => {
      await store.createConsumer(acme)
      await store.createConsumer({ ...acme, name: 'bolt' })
      const application = await store.createApplication({ consumer: 'acme', name: 'shop', labels: {} })
      await store.createCredentials([
        credentialDraft({ lookup: '1', application: application.id }),
        credentialDraft({ lookup: '2', kind: 'basic' }),
        credentialDraft({ lookup: '3', consumer: 'bolt' }),
      ])
      const lookups = async (filter: object) =>
        (await store.credentials(filter, page)).items.map(({ lookup }) => lookup)
      assert.deepEqual(await lookups({}), ['1', '2', '3'])
      assert.deepEqual(await lookups({ kind: 'basic' }), ['2'])
      assert.deepEqual(await lookups({ consumer: 'acme' }), ['1', '2'])
      assert.deepEqual(await lookups({ application: application.id }), ['1'])
      await assert.rejects(
        store.createCredentials([credentialDraft({ consumer: 'bolt', application: application.id, lookup: '4' })]),
        { reason: 'conflict', member: 'app' },
      )
    })

    check(
      'a rotated key is valid until the time given, and never longer than before',
      async ({ store, reader, clock }) => {
        await store.createConsumer(acme)
        const [old] = await store.createCredentials([credentialDraft({ expiresMs: clock.nowMs + 500 })])
        assert.ok(old !== undefined)
        const successor = { lookup: 'b'.repeat(64), verifier: '', hint: 'tp_new', expiresMs: null }
        const next = await store.rotateCredential(old.id, successor, clock.nowMs + 1_000)
        assert.deepEqual(
          [next.scopes, next.labels, next.hint, next.expiresMs],
          [['read'], { use: 'test' }, 'tp_new', null],
        )
        assert.equal((await reader.find('key', 'a'.repeat(64)))?.credential.expiresMs, clock.nowMs + 500)
        await store.rotateCredential(next.id, { ...successor, lookup: 'c'.repeat(64) }, clock.nowMs + 1_000)
        assert.equal((await store.credential(next.id))?.expiresMs, clock.nowMs + 1_000)
        clock.nowMs += 2_000
        const late = store.rotateCredential(next.id, { ...successor, lookup: 'd'.repeat(64) }, clock.nowMs)
        await assert.rejects(late, { reason: 'conflict', member: 'id' })
      },
    )

    check('a revoked credential stays revoked, at the time it was', async ({ store, reader, clock }) => {
      await store.createConsumer(acme)
      const [key] = await store.createCredentials([credentialDraft()])
      const revoked = await store.revokeCredential(key?.id ?? '')
      assert.equal(revoked.revokedMs, clock.nowMs)
      clock.nowMs += 5
      assert.deepEqual(await store.revokeCredential(revoked.id), revoked)
      assert.equal((await reader.find('key', 'a'.repeat(64)))?.credential.revokedMs, revoked.revokedMs)
    })

    check('what is not there is nobody, whatever stands beside it', async ({ store, reader }) => {
      assert.equal(await reader.find('key', 'b'), null)
      await store.createConsumer(acme)
      await store.createCredentials([credentialDraft({ lookup: 'b' }), credentialDraft({ lookup: 'd', kind: 'basic' })])
      for (const lookup of ['', 'a', 'B', 'b ', 'bb', 'c', 'd', 'b\0', '\u{10ffff}', "' OR 1=1 --"]) {
        assert.equal(await reader.find('key', lookup), null, lookup)
        assert.equal(await reader.find('certificate', lookup), null, lookup)
      }
      assert.equal(await reader.find('basic', 'b'), null)
      assert.equal((await reader.find('key', 'b'))?.credential.lookup, 'b')
      assert.equal((await reader.find('basic', 'd'))?.credential.lookup, 'd')
    })

    check(
      'with a consumer go its applications and credentials, with an application its credentials',
      async ({ store, reader }) => {
        await store.createConsumer(acme)
        const application = await store.createApplication({ consumer: 'acme', name: 'shop', labels: {} })
        await store.createCredentials([
          credentialDraft(),
          credentialDraft({ lookup: 'b', application: application.id }),
        ])
        await store.removeApplication(application.id)
        assert.equal(await reader.find('key', 'b'), null)
        assert.notEqual(await reader.find('key', 'a'.repeat(64)), null)
        await store.removeConsumer('acme')
        assert.equal(await reader.find('key', 'a'.repeat(64)), null)
        assert.deepEqual((await store.applications('', page)).items, [])
        await assert.rejects(store.removeConsumer('acme'), { reason: 'unknown' })
      },
    )

    check('own limits go before those of the plan', async ({ store, reader }) => {
      await store.createPlan({ name: 'gold', limits: { calls: '1/s', quota: '9/d' } })
      await store.createConsumer({ ...acme, plan: 'gold' })
      assert.deepEqual((await reader.consumer('acme'))?.limits, { calls: '5/s', quota: '9/d' })
      assert.deepEqual((await store.consumer('acme'))?.limits, { calls: '5/s' })
      await assert.rejects(store.removePlan('gold'), { reason: 'conflict', member: 'plan' })
      await assert.rejects(store.createPlan({ name: 'gold', limits: {} }), { reason: 'exists' })
    })

    check('lists of denials', async ({ store, reader }) => {
      await store.deny('address', '10.0.0.0/8', 'scan')
      await store.deny('address', '10.0.0.0/8', 'still')
      await store.deny('agent', 'bad', '')
      assert.deepEqual(await reader.denials(), { address: ['10.0.0.0/8'], agent: ['bad'] })
      assert.deepEqual(
        (await store.denials('address', page)).items.map(({ note }) => note),
        ['still'],
      )
      assert.deepEqual(await store.denialLists(), [
        { list: 'address', count: 1 },
        { list: 'agent', count: 1 },
      ])
      await store.allow('agent', 'bad')
      assert.deepEqual(await reader.denials(), { address: ['10.0.0.0/8'] })
      await assert.rejects(store.allow('agent', 'bad'), { reason: 'unknown', member: 'value' })
    })

    check('a reader learns precisely what to forget, once', async ({ store, reader }) => {
      const { id } = await store.createConsumer(acme)
      await reader.changes()
      const [key] = await store.createCredentials([credentialDraft({ lookup: 'x' })])
      const nothing = { isAll: false, credentials: [], consumers: [], areDenialsChanged: false }
      assert.deepEqual(await reader.changes(), { ...nothing, credentials: ['key:x'] })
      assert.deepEqual(await reader.changes(), nothing)
      await store.revokeCredential(key?.id ?? '')
      assert.deepEqual(await reader.changes(), { ...nothing, credentials: ['key:x'] })
      await store.updateConsumer('acme', { name: 'bolt' })
      const changes = await reader.changes()
      assert.deepEqual([...changes.consumers].sort(), ['acme', 'bolt', id].sort())
      assert.deepEqual(changes.credentials, ['key:x'])
      await store.deny('address', '::1', '')
      assert.deepEqual(await reader.changes(), { ...nothing, areDenialsChanged: true })
      await store.createPlan({ name: 'gold', limits: {} })
      assert.equal((await reader.changes()).isAll, true)
      await store.removeConsumer('bolt')
      assert.deepEqual((await reader.changes()).credentials, ['key:x'])
    })

    check('noting a use changes nothing that is held', async ({ store, reader }) => {
      await store.createConsumer(acme)
      const [key] = await store.createCredentials([credentialDraft()])
      await reader.changes()
      await store.used(new Map([[key?.id ?? '', 60_000]]))
      await store.used(new Map([[key?.id ?? '', 30_000]]))
      assert.equal((await store.credential(key?.id ?? ''))?.usedMs, 60_000)
      assert.deepEqual((await reader.changes()).credentials, [])
    })

    check('many changes at once are told as one of everything', async ({ store, reader }) => {
      await store.createConsumer(acme)
      await reader.changes()
      await store.createCredentials(Array.from({ length: 1_500 }, (_, at) => credentialDraft({ lookup: String(at) })))
      assert.equal((await reader.changes()).isAll, true)
      assert.equal((await reader.changes()).isAll, false)
    })
  })
}
