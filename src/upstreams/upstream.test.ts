import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Failure } from '../core/failure.ts'
import { Headers } from '../core/headers.ts'
import { compilePattern } from '../core/pattern.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import { createCall, FakeEndpoint, FakePorts, FakeRow, failure, plainBlueprint } from './fakes.ts'
import { createUpstream } from './upstream.ts'

const plain: UpstreamBlueprint = {
  ...plainBlueprint,
  targets: [
    { url: 'http://10.0.0.1:9001', weight: 1, priority: 0 },
    { url: 'http://10.0.0.2:9001', weight: 1, priority: 0 },
  ],
}

function setUp(changes: Partial<UpstreamBlueprint> = {}, addresses: Record<string, string[]> = {}) {
  const ports = new FakePorts()
  const opened: FakeEndpoint[] = []
  const upstream = createUpstream('catalog', { ...plain, ...changes }, ports, {
    lookup: async hostname => addresses[hostname] ?? [],
    createEndpoint: (address, weight) => {
      const endpoint = new FakeEndpoint(address.address, weight)
      opened.push(endpoint)
      return endpoint
    },
    watch: null,
    rows: () => new FakeRow(ports.time),
    startTimer: ports.time.startTimer,
  })
  return { upstream, opened, ports, addresses }
}

test('shares calls over its targets', async () => {
  const { upstream, opened } = setUp()
  await upstream.ready()
  for (let i = 0; i < 10; i++) await upstream.send(createCall())
  assert.deepEqual(
    opened.map(endpoint => endpoint.sent.length),
    [5, 5],
  )
})

test('a dead target costs no call', async () => {
  const { upstream, opened } = setUp()
  const [dead] = opened
  assert.ok(dead)
  dead.acts.push(...Array.from({ length: 10 }, () => failure('upstream-connect-failed', 'yes')))
  for (let i = 0; i < 10; i++) assert.equal((await upstream.send(createCall())).status, 200)
  assert.equal(dead.sent.length, 5)
})

test('hashes the client address where nothing else is written', async () => {
  const { upstream, opened } = setUp({ balance: 'hash' })
  for (let client = 0; client < 40; client++) {
    const before = opened.map(endpoint => endpoint.sent.length)
    for (let i = 0; i < 3; i++) {
      const call = createCall()
      call.clientAddress = `192.0.2.${client}`
      await upstream.send(call)
    }
    const grown = opened.map((endpoint, i) => endpoint.sent.length - (before[i] ?? 0))
    assert.deepEqual(new Set(grown), new Set([0, 3]))
  }
  assert.ok(opened.every(endpoint => endpoint.sent.length > 0))
})

test('hashes what `hashBy` says', async () => {
  const { upstream, opened } = setUp({ balance: 'hash', hashBy: '{header.x-user}' })
  for (let i = 0; i < 20; i++) {
    const call = createCall({ headers: Headers.of({ 'x-user': 'ada' }) })
    call.clientAddress = `192.0.2.${i}`
    await upstream.send(call)
  }
  assert.deepEqual(new Set(opened.map(endpoint => endpoint.sent.length)), new Set([0, 20]))
})

test('hashes a cookie, and a parameter of the path', async () => {
  const pattern = compilePattern('/users/{id}/**')
  for (const [hashBy, key] of [
    ['{cookie.session}', 'cookie'],
    ['{id}', 'path'],
  ] as const) {
    const { upstream, opened } = setUp({ balance: 'hash', hashBy })
    for (let user = 0; user < 40; user++) {
      const before = opened.map(endpoint => endpoint.sent.length)
      for (let i = 0; i < 3; i++) {
        const target = `/users/${key === 'path' ? user : i}/${i}`
        const headers = Headers.of({ cookie: `other=${i}; session=${key === 'cookie' ? user : i}` })
        const call = createCall({ target, path: target, headers })
        call.pattern = pattern
        await upstream.send(call)
      }
      const grown = opened.map((endpoint, i) => endpoint.sent.length - (before[i] ?? 0))
      assert.deepEqual(new Set(grown), new Set([0, 3]), hashBy)
    }
    assert.ok(opened.every(endpoint => endpoint.sent.length > 0))
  }
})

test('a name that does not resolve: calls fail with that, until it does', async () => {
  const { upstream, opened, ports, addresses } = setUp({
    targets: [{ url: 'http://shop.test', weight: 1, priority: 0 }],
  })
  await upstream.ready()
  assert.deepEqual(upstream.unresolved, ['shop.test'])
  await assert.rejects(upstream.send(createCall()), (thrown: unknown) => {
    assert.ok(thrown instanceof Failure)
    assert.equal(thrown.code, 'upstream-unresolved')
    assert.equal(thrown.message, 'upstream catalog: no address is known for shop.test')
    return true
  })
  addresses['shop.test'] = ['10.0.0.1']
  await ports.time.pass(1200, 100)
  assert.deepEqual(upstream.unresolved, [])
  assert.equal((await upstream.send(createCall())).status, 200)
  assert.equal(opened.length, 1)
})

test('with weight 0 only, calls fail', async () => {
  const { upstream } = setUp({ targets: [{ url: 'http://10.0.0.1', weight: 0, priority: 0 }] })
  await assert.rejects(upstream.send(createCall()), /every target has weight 0/)
})

test('close closes every endpoint', () => {
  const { upstream, opened } = setUp()
  upstream.close()
  assert.deepEqual(
    opened.map(endpoint => endpoint.isClosed),
    [true, true],
  )
})
