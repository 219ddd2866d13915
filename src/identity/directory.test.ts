import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  neverNoted,
  type Consumer,
  type ConsumerChanges,
  type ConsumerReader,
  type Credential,
  type Identity,
  type Soon,
} from '../core/consumers.ts'
import { Failure } from '../core/failure.ts'
import type { Timed } from '../core/ports.ts'
import { fakePorts } from '../../test/tools/call.ts'
import { createDirectory } from './directory.ts'
import type { KnownMax } from './lookups.ts'
import { createKeyText, digestOf } from './key.ts'

const nothing: ConsumerChanges = { isAll: false, credentials: [], consumers: [], areDenialsChanged: false }
const everything: ConsumerChanges = { ...nothing, isAll: true, areDenialsChanged: true }

const acme: Consumer = { id: 'con_1', name: 'acme', groups: [], labels: {}, plan: '', limits: {} }
const key = createKeyText(bytes => bytes.fill(7))
const otherKey = createKeyText(bytes => bytes.fill(8))

function identityOf(lookup: string, more: Partial<Credential> = {}): Identity {
  const times = { expiresMs: null, revokedMs: null, createdMs: 0, usedMs: null }
  const texts = { id: `cre_${lookup.slice(0, 4)}`, consumer: acme.id, application: '', verifier: '', hint: '' }
  const credential: Credential = { kind: 'key', lookup, scopes: [], labels: {}, ...times, ...texts, ...more }
  return { consumer: acme, application: null, notedS: neverNoted, credential }
}

/** A store in memory that counts what it is asked. */
function start(memory: KnownMax = { credentials: 20_000, unknownCredentials: 10_000 }) {
  const ports = fakePorts()
  const store = {
    rows: new Map<string, Identity>(),
    denied: {} as Record<string, readonly string[]>,
    changes: nothing,
    used: [] as [string, number][],
    finds: 0,
    broken: null as Error | null,
    later: null as Promise<Identity | null> | null,
    errors: 0,
    hits: [] as string[],
  }
  const unlessBroken = <T>(value: T): T => {
    if (store.broken !== null) throw store.broken
    return value
  }
  const reader: ConsumerReader = {
    find(kind, lookup): Soon<Identity | null> {
      store.finds++
      return store.later ?? unlessBroken(store.rows.get(`${kind}:${lookup}`) ?? null)
    },
    consumer: name => {
      store.finds++
      return unlessBroken(name === 'acme' || name === 'con_1' ? acme : null)
    },
    denials: () => unlessBroken(store.denied),
    changes() {
      const { changes } = store
      store.changes = nothing
      return unlessBroken(changes)
    },
    used: times => void store.used.push(...times),
    close: () => {},
  }
  const beats: Timed[] = []
  const deadlines = { add: (entry: Timed) => void beats.push(entry), remove: () => void beats.pop() }
  const log = { ...ports.log, error: () => void store.errors++ }
  const counter = (_name: string, labels?: { readonly name?: string }) => ({
    add: () => void store.hits.push(labels?.name ?? ''),
  })
  const meter = { ...ports.meter, counter }
  const directory = createDirectory({ ...ports, meter, log, deadlines, reader, seed: [1, 2], memory })
  const beat = () => {
    ports.advance(100)
    for (const entry of [...beats]) entry.due(ports.clock.now())
  }
  return { ...directory, store, ports, beat, beats }
}

test('a key is looked up once, and then known', () => {
  const { identities, store } = start()
  const identity = identityOf(digestOf(key))
  store.rows.set(`key:${digestOf(key)}`, identity)
  assert.equal(identities.key(key), identity)
  assert.equal(identities.key(key), identity)
  assert.equal(store.finds, 1)
})

test('an unknown key is asked for once, and found when it comes', () => {
  const { identities, store, beat } = start()
  assert.equal(identities.key(key), null)
  assert.equal(identities.key(key), null)
  assert.equal(store.finds, 1)
  const identity = identityOf(digestOf(key))
  store.rows.set(`key:${digestOf(key)}`, identity)
  store.changes = { ...nothing, credentials: [`key:${digestOf(key)}`] }
  beat()
  assert.equal(identities.key(key), identity)
})

test('a revoked key is nobody with the next beat; others stay known', () => {
  const { identities, store, beat } = start()
  for (const text of [key, otherKey]) store.rows.set(`key:${digestOf(text)}`, identityOf(digestOf(text)))
  for (const text of [key, otherKey]) assert.ok(identities.key(text))
  assert.ok(identities.find('key', digestOf(key)))
  store.rows.set(`key:${digestOf(key)}`, identityOf(digestOf(key), { revokedMs: 1 }))
  store.changes = { ...nothing, credentials: [`key:${digestOf(key)}`] }
  beat()
  assert.equal(identities.key(key), null)
  assert.equal(identities.find('key', digestOf(key)), null)
  const { finds } = store
  assert.ok(identities.key(otherKey))
  assert.equal(identities.key(key), null)
  assert.equal(store.finds, finds)
})

test('the log may say why a key leads nowhere: unknown, revoked, expired, also later', () => {
  const { identities, store, ports } = start()
  const wallMs = ports.clock.wall()
  store.rows.set(`key:${digestOf(key)}`, identityOf(digestOf(key), { revokedMs: 1, expiresMs: 1 }))
  store.rows.set('basic:ann', identityOf('ann', { expiresMs: wallMs }))
  store.rows.set('basic:bob', identityOf('bob', { expiresMs: wallMs + 5 }))
  for (let i = 0; i < 2; i++) {
    assert.deepEqual([identities.key(key), identities.why('key', key)], [null, 'revoked'])
    assert.deepEqual([identities.key(otherKey), identities.why('key', otherKey)], [null, 'unknown'])
    assert.deepEqual([identities.find('basic', 'ann'), identities.why('basic', 'ann')], [null, 'expired'])
    assert.deepEqual([identities.find('basic', key), identities.why('basic', key)], [null, 'unknown'])
  }
  assert.ok(identities.find('basic', 'bob'))
  ports.advance(5)
  assert.deepEqual([identities.find('basic', 'bob'), identities.why('basic', 'bob')], [null, 'expired'])
})

test('a key expires by itself, to the millisecond', () => {
  const { identities, store, ports } = start()
  const expiresMs = ports.clock.wall() + 50
  store.rows.set(`key:${digestOf(key)}`, identityOf(digestOf(key), { expiresMs }))
  assert.ok(identities.key(key))
  ports.advance(49)
  assert.ok(identities.key(key))
  ports.advance(1)
  assert.equal(identities.key(key), null)
})

test('a text in our form with a wrong checksum is not asked for; keys that others made are', () => {
  const { identities, store } = start()
  assert.equal(identities.key(`${key.slice(0, -1)}_`), null)
  assert.equal(identities.key(key.slice(0, -1) + (key.endsWith('A') ? 'B' : 'A')), null)
  assert.equal(identities.key(''), null)
  assert.equal(identities.key('x'.repeat(513)), null)
  assert.equal(store.finds, 1)
  store.rows.set(`key:${digestOf('an-old-secret-key')}`, identityOf(digestOf('an-old-secret-key')))
  assert.ok(identities.key('an-old-secret-key'))
})

test('kinds are told apart', () => {
  const { identities, store } = start()
  const identity = identityOf('ada', { kind: 'basic' })
  store.rows.set('basic:ada', identity)
  assert.equal(identities.find('basic', 'ada'), identity)
  assert.equal(identities.find('signature', 'ada'), null)
  assert.equal(identities.find('certificate', 'ada'), null)
  assert.equal(identities.find('basic', 'ada'), identity)
})

test('guessing does not crowd out those who are known, and both are bounded', () => {
  const { identities, store } = start({ credentials: 64, unknownCredentials: 64 })
  store.rows.set(`key:${digestOf(key)}`, identityOf(digestOf(key)))
  assert.ok(identities.key(key))
  for (let i = 0; i < 5_000; i++) void identities.key(`guess-${i}`)
  const { finds } = store
  assert.ok(identities.key(key))
  assert.equal(store.finds, finds)
  let known = 0
  for (let i = 0; i < 5_000; i++) {
    const before = store.finds
    void identities.key(`guess-${i}`)
    if (store.finds === before) known++
  }
  assert.ok(known <= 64, `${known} are remembered`)
})

test('other bounds take hold at once, and what they do not concern is kept', () => {
  const { identities, store, resize } = start({ credentials: 64, unknownCredentials: 64 })
  store.rows.set(`key:${digestOf(key)}`, identityOf(digestOf(key)))
  assert.ok(identities.key(key))
  resize({ credentials: 64, unknownCredentials: 4096 })
  for (let i = 0; i < 500; i++) void identities.key(`guess-${i}`)
  const { finds } = store
  for (let i = 0; i < 500; i++) void identities.key(`guess-${i}`)
  assert.ok(identities.key(key))
  assert.equal(store.finds, finds, 'all are remembered, and the key as well')
  resize({ credentials: 8, unknownCredentials: 4096 })
  assert.ok(identities.key(key))
  assert.equal(store.finds, finds + 1, 'the table of keys began anew')
})

const isUnavailable = (error: unknown) => error instanceof Failure && error.code === 'authentication-unavailable'

test('while the store is broken, those who are known go on, others fail, and one line is logged', () => {
  const { identities, store, beat } = start()
  const identity = identityOf(digestOf(key))
  store.rows.set(`key:${digestOf(key)}`, identity)
  assert.equal(identities.key(key), identity)
  store.broken = new Error('database is locked')
  beat()
  beat()
  assert.equal(identities.key(key), identity)
  assert.throws(() => identities.key(otherKey), isUnavailable)
  assert.throws(() => identities.consumer('acme'), isUnavailable)
  assert.equal(store.errors, 1)
  store.broken = null
  beat()
  assert.equal(identities.key(otherKey), null)
})

test('an answer that is older than a change is not kept', async () => {
  const { identities, store, beat } = start()
  const answer = Promise.withResolvers<Identity | null>()
  store.later = answer.promise
  const asked = identities.key(key)
  store.changes = { ...nothing, credentials: [`key:${digestOf(key)}`] }
  beat()
  answer.resolve(identityOf(digestOf(key)))
  assert.ok(await asked)
  store.later = null
  assert.equal(identities.key(key), null)
})

test('a store that rejects later is a failure too', async () => {
  const { identities, store } = start()
  store.later = Promise.reject(new Error('gone'))
  await assert.rejects(async () => identities.key(key), Failure)
})

test('consumers are kept until they change', () => {
  const { identities, store, beat } = start()
  assert.equal(identities.consumer('acme'), acme)
  assert.equal(identities.consumer('con_1'), acme)
  assert.equal(identities.consumer('acme'), acme)
  assert.equal(store.finds, 2)
  store.changes = { ...nothing, consumers: ['acme', 'con_1'] }
  beat()
  assert.equal(identities.consumer('acme'), acme)
  assert.equal(store.finds, 3)
  assert.equal(identities.consumer('nobody'), null)
})

test('after a change of everything, all is asked again', () => {
  const { identities, store, beat } = start()
  store.rows.set(`key:${digestOf(key)}`, identityOf(digestOf(key)))
  assert.ok(identities.key(key))
  store.rows.clear()
  store.changes = everything
  beat()
  assert.equal(identities.key(key), null)
})

test('uses are written together, and of one credential once a minute', () => {
  const { identities, store, ports, beat, close, beats } = start()
  const ada = identityOf('ada')
  const wallMs = ports.clock.wall()
  for (let i = 0; i < 100; i++) identities.used(ada)
  identities.used(identityOf('bob'))
  assert.equal(store.used.length, 0)
  for (let i = 0; i < 20; i++) beat()
  assert.deepEqual(store.used, [
    ['cre_ada', wallMs],
    ['cre_bob', wallMs],
  ])
  identities.used(ada)
  ports.advance(60_000)
  beat()
  identities.used(ada)
  identities.used(ada)
  close()
  assert.equal(store.used.length, 3)
  assert.equal(beats.length, 0)
})

test('of more uses than credentials may be at hand, the others are written with their next call', () => {
  const { identities, store, resize, beat } = start({ credentials: 8, unknownCredentials: 8 })
  const many = Array.from({ length: 10 }, (_, index) => identityOf(String(index)))
  for (const identity of many) identities.used(identity)
  assert.deepEqual(store.hits, ['uses', 'uses'])
  for (let i = 0; i < 11; i++) beat()
  assert.equal(store.used.length, 8)
  for (const identity of many) identities.used(identity)
  for (let i = 0; i < 11; i++) beat()
  assert.deepEqual(
    store.used.map(([id]) => id),
    many.map(({ credential }) => credential.id),
  )
  resize({ credentials: 9, unknownCredentials: 8 })
  for (const identity of Array.from({ length: 10 }, (_, index) => identityOf(`b${index}`))) identities.used(identity)
  assert.equal(store.hits.length, 3)
})

test('lists of denials: addresses by their prefix, others by equality, read again when they change', () => {
  const { denials, store, beat } = start()
  assert.equal(denials.isDenied('address', '10.1.2.3'), false)
  store.denied = { address: ['10.0.0.0/8', '2001:db8::/32', 'nonsense'], agent: ['bad/1.0'] }
  store.changes = { ...nothing, areDenialsChanged: true }
  beat()
  assert.equal(denials.isDenied('address', '10.1.2.3'), true)
  assert.equal(denials.isDenied('address', '::ffff:10.1.2.3'), true)
  assert.equal(denials.isDenied('address', '2001:db8::1'), true)
  assert.equal(denials.isDenied('address', '11.1.2.3'), false)
  assert.equal(denials.isDenied('address', 'nonsense'), false)
  assert.equal(denials.isDenied('agent', 'bad/1.0'), true)
  assert.equal(denials.isDenied('agent', 'good/1.0'), false)
  assert.equal(denials.isDenied('other', 'x'), false)
})
