import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { SignJWT } from 'jose'
import { principal } from '../../core/principal.ts'
import type { OutsideReply } from '../../core/outside.ts'
import { makeCall } from '../../../test/tools/call.ts'
import {
  build,
  claims,
  defaults,
  good,
  head,
  keyFile,
  pair,
  publicJwk,
  rsa,
  rsaJwk,
  seconds,
  signed,
} from '../../../test/tools/tokens.ts'
import { jwt, type JwtOptions } from './jwt.ts'

test('200: a good token, its claims as principal, also from memory', async () => {
  const { ask, next } = build({ forward: { 'x-user': 'claims.sub' } })
  for (let i = 0; i < 2; i++) assert.equal((await ask(good, { 'x-user': 'root' })).status, 200)
  for (const call of next.calls) {
    const who = call.facts.get(principal)
    assert.equal(who?.id, 'https://id.acme.test|alice')
    assert.deepEqual(who?.scopes, ['read', 'write'])
    assert.deepEqual(call.headers.all('x-user'), ['alice'])
    assert.ok(call.headers.has('authorization'))
  }
})

test('200: every algorithm, signed by another library', async () => {
  const kinds = [
    ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map(alg => [alg, rsa] as const),
    ['ES256', pair] as const,
    ['ES384', generateKeyPairSync('ec', { namedCurve: 'P-384' })] as const,
    ['ES512', generateKeyPairSync('ec', { namedCurve: 'P-521' })] as const,
    ['EdDSA', generateKeyPairSync('ed25519')] as const,
    ['Ed25519', generateKeyPairSync('ed25519')] as const,
  ]
  for (const [alg, keys] of kinds) {
    const token = await new SignJWT(claims).setProtectedHeader({ alg }).sign(keys.privateKey)
    const file = JSON.stringify({ keys: [keys.publicKey.export({ format: 'jwk' })] })
    const { ask } = build({}, { files: { 'keys.json': file } })
    assert.equal((await ask(token)).status, 200, alg)
    assert.equal((await ask(`${token.slice(0, -6)}AAAAAA`)).status, 401, alg)
  }
})

test('200: a shared secret; then public algorithms are none', async () => {
  const secret = 'a secret of more than thirty-two letters'
  const { ask } = build({ keys: { ...defaults.keys, file: null, secret } })
  const token = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret))
  assert.equal((await ask(token)).status, 200)
  assert.equal((await ask(good)).status, 401)
})

test('401 without error: no token, another scheme', async () => {
  const { step } = build()
  for (const headers of [{}, { authorization: 'Basic YTpi' }]) {
    const reply = await step(makeCall({ headers }))
    assert.deepEqual([reply.status, reply.headers.get('www-authenticate')], [401, 'Bearer realm="api"'])
  }
})

test('401: two Authorization fields', async () => {
  const { step } = build()
  const field = ['authorization', `Bearer ${good}`] as const
  assert.equal((await step(makeCall({ headers: [field, field] }))).status, 401)
})

test('401 once it has expired, although it is remembered; 403 without a scope', async () => {
  const { ask, ports } = build({ scopes: ['read'] })
  assert.equal((await ask(good)).status, 200)
  ports.advance(600_000 + 30_000 - 1001)
  assert.equal((await ask(good)).status, 200)
  ports.advance(1_002)
  assert.equal((await ask(good)).status, 401)
  const narrow = build({ scopes: ['read', 'admin'] })
  const reply = await narrow.ask(good)
  assert.equal(reply.status, 403)
  assert.equal(
    reply.headers.get('www-authenticate'),
    'Bearer realm="api", error="insufficient_scope", scope="read admin"',
  )
})

test('times may have a fraction (RFC 7519 §2), and clocks may differ by the skew', async () => {
  const { ask } = build()
  const now = seconds
  for (const times of [
    { exp: now + 0.5 },
    { exp: now - 29.5 },
    { nbf: now + 29.5, iat: now + 29.5 },
    { exp: 9.99e11 },
    { iat: 0, nbf: 0 },
  ]) {
    assert.equal((await ask(signed(head, { ...claims, ...times }))).status, 200, JSON.stringify(times))
  }
})

test('the realm of the config is in every challenge', async () => {
  const { step, ask } = build({ realm: 'orders "v2"', scopes: ['admin'] })
  const challenges = await Promise.all([step(makeCall()), ask('x'), ask(good)])
  assert.deepEqual(
    challenges.map(({ status, headers }) => [status, headers.get('www-authenticate')]),
    [
      [401, String.raw`Bearer realm="orders \"v2\""`],
      [401, String.raw`Bearer realm="orders \"v2\"", error="invalid_token"`],
      [403, String.raw`Bearer realm="orders \"v2\"", error="insufficient_scope", scope="admin"`],
    ],
  )
})

test('cookie, removal, type, required claims', async () => {
  const options = {
    from: { header: 'authorization', cookie: 't' },
    keep: false,
    type: 'at+jwt',
    claims: { sub: { oneOf: ['alice'] } },
  }
  const { step, next } = build(options)
  const token = signed({ ...head, typ: 'application/AT+jwt' }, claims)
  assert.equal((await step(makeCall({ headers: { cookie: `a=1; t=${token}` } }))).status, 200)
  assert.equal(next.calls[0]?.headers.get('cookie'), 'a=1')
  assert.equal((await step(makeCall({ headers: { cookie: `t=${good}` } }))).status, 401)
  const other = build({ claims: { tenant: { oneOf: [] } } })
  assert.equal((await other.ask(good)).status, 401)
})

test('the consumer that a claim names; 401 where there is none', async () => {
  const acme = { id: 'c1', name: 'alice', groups: [], labels: {}, plan: '', limits: {} }
  const { ask, next } = build(
    { consumer: 'claims.sub' },
    { consumers: { alice: acme }, files: { 'keys.json': keyFile } },
  )
  assert.equal((await ask(good)).status, 200)
  assert.equal(next.calls[0]?.facts.get(principal)?.consumer, acme)
  assert.equal((await ask(signed(head, { ...claims, sub: 'bob' }))).status, 401)
})

test('rotation: a new key is fetched, a dropped one voids what it signed; 503 while there is none', async () => {
  const state: { keys: readonly object[] | null; fetches: number } = { keys: null, fetches: 0 }
  const fetch = async (): Promise<OutsideReply> => {
    state.fetches++
    if (state.keys === null) throw new Error('down')
    return { status: 200, headers: {}, body: Buffer.from(JSON.stringify({ keys: state.keys })) }
  }
  const keys = { ...defaults.keys, file: null, url: 'https://id.acme.test/keys' }
  const { ask, ports } = build({ keys }, { outside: { fetch } })
  assert.equal((await ask(good)).status, 503)
  state.keys = [publicJwk]
  ports.advance(1_001)
  assert.equal((await ask(good)).status, 200)
  state.keys = [rsaJwk]
  const later = await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'rsa' }).sign(rsa.privateKey)
  assert.equal((await ask(later)).status, 401)
  ports.advance(30_001)
  assert.equal((await ask(later)).status, 200)
  assert.equal((await ask(good)).status, 401)
  assert.equal(state.fetches, 3)
  for (let i = 0; i < 50; i++) assert.equal((await ask(signed({ alg: 'ES256', kid: `k${i}` }, claims))).status, 401)
  assert.equal(state.fetches, 3)
})

test('never a crash and never a pass for a token with anything changed', async () => {
  const { ask, next } = build({ cacheSize: 10 })
  await fc.assert(
    fc.asyncProperty(
      fc.nat(good.length - 1),
      fc.string({ maxLength: 4, unit: 'binary-ascii' }),
      fc.nat(3),
      async (at, text, cut) => {
        const changed = good.slice(0, at) + text + good.slice(at + cut)
        if (changed.trim() === good) return
        assert.equal((await ask(changed)).status, 401)
      },
    ),
    { numRuns: 500 },
  )
  assert.equal(next.calls.length, 0)
})

test('options that cannot work are refused', () => {
  const { keys } = defaults
  const bad: Partial<JwtOptions>[] = [
    { keys: { ...keys, url: 'https://x.test/' } },
    { keys: { ...keys, file: null } },
    { keys: { ...keys, file: null, url: 'ftp://x.test/' } },
    { keys: { ...keys, file: null, url: 'https://' } },
    { keys: { ...keys, file: null, url: 'https://user:password@x.test/' } },
    { keys: { ...keys, file: null, secret: 'short' } },
    { keys: { ...keys, file: null, secret: 'A'.repeat(40), secretEncoding: 'base64' } },
    { keys: { ...keys, file: null, secret: '-'.repeat(44), secretEncoding: 'base64' } },
    { keys: { ...keys, file: null, secret: `${'A'.repeat(44)}!`, secretEncoding: 'base64url' } },
    { algorithms: ['HS256'] },
    { algorithms: ['ES256'], keys: { ...keys, file: null, secret: 'x'.repeat(32) } },
    { consumer: 'nonsense' },
  ]
  for (const options of bad) assert.throws(() => jwt.check?.({ ...defaults, ...options }), { name: 'OptionsError' })
  jwt.check?.(defaults)
})
