import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import type { OutsideReply } from '../core/outside.ts'
import { fakePorts } from '../../test/tools/call.ts'
import { importKeys } from './jwk.ts'
import { fixedKeySet, type KeySetOptions, RemoteKeySet } from './key-set.ts'

const options: KeySetOptions = {
  url: 'https://id.acme.test/keys',
  refreshMs: 600_000,
  cooldownMs: 30_000,
  staleForMs: 86_400_000,
  timeoutMs: 5_000,
}

function ecKey(kid: string, more: object = {}): object {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { ...publicKey.export({ format: 'jwk' }), kid, ...more }
}

function setup(first: readonly object[] | Error) {
  const state = { answer: first, fetches: 0 }
  const fetch = async (): Promise<OutsideReply> => {
    state.fetches++
    if (state.answer instanceof Error) throw state.answer
    return { status: 200, headers: {}, body: Buffer.from(JSON.stringify({ keys: state.answer })) }
  }
  const ports = fakePorts({}, { outside: { fetch } })
  return { state, ports, set: new RemoteKeySet(options, ports) }
}

const settle = () => new Promise(resolve => setImmediate(resolve))

test('fetches at once, refreshes ahead of time, and keeps the objects of keys that stay', async () => {
  const [one, two] = [ecKey('1'), ecKey('2')]
  const { set, state, ports } = setup([one])
  await settle()
  const [key] = set.candidates('1', 'ES256')
  assert.ok(key)
  assert.ok(set.dueMs < ports.clock.now() + options.refreshMs)
  state.answer = [one, two]
  ports.advance(options.refreshMs)
  set.due()
  await settle()
  assert.equal(set.candidates('1', 'ES256')[0], key)
  assert.equal(set.candidates('2', 'ES256').length, 1)
  state.answer = [two]
  ports.advance(options.refreshMs)
  set.due()
  await settle()
  assert.equal(key.isLive, false)
  assert.deepEqual(set.candidates('1', 'ES256'), [])
})

test('unknown ids fetch again at most once per cooldown', async () => {
  const { set, state, ports } = setup([ecKey('1')])
  await settle()
  // The first one of all need not wait, however lately the set was fetched ahead of time.
  await set.renew()
  assert.equal(state.fetches, 2)
  for (let i = 0; i < 100; i++) assert.equal(set.renew(), null)
  ports.advance(options.cooldownMs - 1)
  assert.equal(set.renew(), null)
  ports.advance(1)
  const first = set.renew()
  assert.ok(first)
  assert.equal(set.renew(), first)
  await first
  assert.equal(set.renew(), null)
  assert.equal(state.fetches, 3)
})

test('old keys go on through an outage until they are too old', async () => {
  const { set, state, ports } = setup([ecKey('1')])
  await settle()
  const [key] = set.candidates('1', 'ES256')
  state.answer = new Error('down')
  ports.advance(options.staleForMs)
  set.due()
  await settle()
  assert.ok(set.isUsable())
  assert.ok(set.dueMs <= ports.clock.now() + 1_000)
  ports.advance(1)
  assert.equal(set.isUsable(), false)
  assert.deepEqual(set.candidates('1', 'ES256'), [])
  set.due()
  assert.equal(key?.isLive, false)
  state.answer = [ecKey('3')]
  ports.advance(2_000)
  await set.renew()
  ports.advance(2_000)
  await set.renew()
  assert.equal(set.candidates('3', 'ES256').length, 1)
})

test('a set without any usable key changes nothing', async () => {
  const { set, state, ports } = setup([ecKey('1')])
  await settle()
  state.answer = [{ kty: 'oct', k: 'AAAA', kid: '1' }]
  ports.advance(options.refreshMs)
  set.due()
  await settle()
  assert.equal(set.candidates('1', 'ES256').length, 1)
})

test('secret, small, foreign and unreadable keys are refused', () => {
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })
  const secret = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
  const bad = [
    small,
    secret,
    { kty: 'oct', k: 'c2VjcmV0' },
    ecKey('1', { use: 'enc' }),
    ecKey('1', { key_ops: ['encrypt'] }),
    ecKey('1', { alg: 'HS256' }),
    ecKey('1', { crv: '__proto__' }),
    ecKey('1', { x: 'AAAA' }),
    ecKey('x'.repeat(513)),
    null,
    7,
  ]
  for (const entry of bad) {
    const { keys, refused } = importKeys(JSON.stringify({ keys: [entry] }))
    assert.deepEqual([keys.length, refused.length], [0, 1], JSON.stringify(entry))
  }
  assert.throws(() => importKeys(JSON.stringify({ keys: Array(101).fill(ecKey('1')) })))
  for (const text of ['', '[]', 'null', '{}', '{"keys":{}}']) assert.throws(() => importKeys(text))
})

test('a key is for its own algorithm only', () => {
  const set = fixedKeySet(JSON.stringify({ keys: [ecKey('1')] }))
  assert.equal(set.candidates(undefined, 'ES256').length, 1)
  for (const algorithm of ['HS256', 'none', 'ES384', 'RS256']) {
    assert.deepEqual(set.candidates('1', algorithm), [])
  }
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' })
  const pinned = fixedKeySet(JSON.stringify({ keys: [{ ...rsa, alg: 'PS256' }] }))
  assert.equal(pinned.candidates('any', 'PS256').length, 1)
  assert.equal(pinned.candidates('any', 'RS256').length, 0)
})
