import assert from 'node:assert/strict'
import { createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { importJWK, SignJWT } from 'jose'
import { principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import type { OutsideReply } from '../../core/outside.ts'
import { type FakeWorld, fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { isSignedBy } from './signature.ts'
import { jwt, type JwtOptions } from './jwt.ts'
import { readCompactJws } from './compact-jws.ts'

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const publicJwk = { ...pair.publicKey.export({ format: 'jwk' }), kid: 'ec' }
const rsaJwk = { ...rsa.publicKey.export({ format: 'jwk' }), kid: 'rsa' }
const keyFile = JSON.stringify({ keys: [publicJwk, rsaJwk] })
const place = { route: 'r', key: 'r/policies/0' }
const seconds = Math.floor((Date.UTC(2026, 0, 1) + 1000) / 1000)
const claims = { iss: 'https://id.acme.test', aud: 'api', sub: 'alice', exp: seconds + 600, scope: 'read write' }

const source = { url: null, file: 'keys.json', secret: null }
const times = { refresh: 600_000, cooldown: 30_000, staleFor: 86_400_000, timeout: 5_000 }
const defaults: JwtOptions = {
  from: { header: 'authorization', cookie: null },
  ...{ keep: true, tokenSize: 8000, keys: { ...source, ...times }, issuer: [claims.iss], audience: ['api'] },
  ...{ algorithms: [], type: null, clockSkew: 30_000, maxAge: null, claims: {}, scopes: [], consumer: null },
  ...{ cacheSize: 100, forward: {} },
}

function build(options: Partial<JwtOptions> = {}, world: FakeWorld = {}) {
  const ports = fakePorts({}, { files: { 'keys.json': keyFile }, ...world })
  const next = makeNext(() => Reply.empty(200))
  const step = jwt.build({ ...defaults, ...options }, ports, place)(next)
  const ask = (token: string, more: Record<string, string> = {}) =>
    step(makeCall({ headers: { authorization: `Bearer ${token}`, ...more } }))
  return { ask, step, next, ports }
}

const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** A token with anything in it, rightly signed by the EC key. */
function signed(header: unknown, payload: unknown): string {
  const text = `${encode(header)}.${encode(payload)}`
  const signature = sign('sha256', Buffer.from(text), { key: pair.privateKey, dsaEncoding: 'ieee-p1363' })
  return `${text}.${signature.toString('base64url')}`
}

const head = { alg: 'ES256', kid: 'ec' }
const good = signed(head, claims)

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

test('the published examples of RFC 7515 A.2, A.3 and RFC 8037 A.4', async () => {
  const es = {
    kty: 'EC',
    crv: 'P-256',
    x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
    y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
  }
  const token =
    'eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q'
  const jws = readCompactJws(token)
  assert.ok(typeof jws !== 'string')
  const key = createPublicKey({ key: es, format: 'jwk' })
  assert.equal(await isSignedBy(key, 'ES256', jws.signed, jws.signature), true)
  const ed = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
  const signature = Buffer.from(
    'hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg',
    'base64url',
  )
  const text = Buffer.from('eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc')
  const edKey = createPublicKey({ key: ed, format: 'jwk' })
  assert.equal(await isSignedBy(edKey, 'EdDSA', text, signature), true)
  assert.ok(await importJWK(ed, 'EdDSA'))
})

const [h = '', p = '', s = ''] = good.split('.')
const der = sign('sha256', Buffer.from(`${h}.${p}`), pair.privateKey).toString('base64url')
const rsaPem = rsa.publicKey.export({ format: 'pem', type: 'spki' })
const confused = (secret: string | Buffer, kid: string) => {
  const text = `${encode({ alg: 'HS256', kid })}.${encode(claims)}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}
const attacks: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['none', 'None', 'NONE', 'nOnE', ''].flatMap(alg => [
      [`alg "${alg}" unsigned`, `${encode({ alg })}.${p}.`],
      [`alg "${alg}" signed`, signed({ alg }, claims)],
    ]),
  ),
  'HS256 by the public PEM': confused(rsaPem, 'rsa'),
  'HS256 by the JWK': confused(JSON.stringify(rsaJwk), 'rsa'),
  'ES256 key as RS256': signed({ alg: 'RS256', kid: 'ec' }, claims),
  'the key of another id': signed({ alg: 'ES256', kid: 'rsa' }, claims),
  'embedded jwk': signed({ ...head, jwk: publicJwk }, claims),
  'embedded jku': signed({ ...head, jku: 'https://evil.test/keys' }, claims),
  'embedded x5u': signed({ ...head, x5u: 'https://evil.test/cert' }, claims),
  'kid as path': signed({ alg: 'ES256', kid: '../../../../dev/null' }, claims),
  'kid as SQL': signed({ alg: 'ES256', kid: "x' UNION SELECT 'secret" }, claims),
  'kid as object': signed({ alg: 'ES256', kid: { toString: 'ec' } }, claims),
  'kid __proto__': signed({ alg: 'ES256', kid: '__proto__' }, claims),
  crit: signed({ ...head, crit: ['exp'] }, claims),
  'b64 false': signed({ ...head, b64: false, crit: ['b64'] }, claims),
  'duplicate alg': signed(`{"alg":"none","alg":"ES256","kid":"ec"}`, claims),
  'duplicate claim': signed(head, `${JSON.stringify(claims).slice(0, -1)},"sub":"root"}`),
  'duplicate claim by escape': signed(head, `${JSON.stringify(claims).slice(0, -1)},"s\\u0075b":"root"}`),
  'nested duplicate': signed(head, `${JSON.stringify(claims).slice(0, -1)},"a":{"b":1,"b":2}}`),
  'payload an array': signed(head, [claims]),
  'payload null': signed(head, 'null'),
  'deeply nested': signed(head, `${JSON.stringify(claims).slice(0, -1)},"a":${'['.repeat(50)}${']'.repeat(50)}}`),
  'DER signature': `${h}.${p}.${der}`,
  'zero signature': `${h}.${p}.${Buffer.alloc(64).toString('base64url')}`,
  'zero r': `${h}.${p}.${Buffer.concat([Buffer.alloc(32), Buffer.from(s, 'base64url').subarray(32)]).toString('base64url')}`,
  'short signature': `${h}.${p}.${Buffer.from(s, 'base64url').subarray(0, 63).toString('base64url')}`,
  'long signature': `${h}.${p}.${Buffer.concat([Buffer.from(s, 'base64url'), Buffer.alloc(1)]).toString('base64url')}`,
  'empty signature': `${h}.${p}.`,
  'two parts': `${h}.${p}`,
  'four parts': `${good}.${s}`,
  'five parts': `${good}.${s}.${s}`,
  padded: `${good}==`,
  'blank inside': `${h}. ${p}.${s}`,
  'standard base64': good.replace(/.$/, '+'),
  oversized: signed(head, { ...claims, filler: 'x'.repeat(9000) }),
  'another issuer': signed(head, { ...claims, iss: 'https://evil.test' }),
  'no issuer': signed(head, { ...claims, iss: undefined }),
  'issuer as list': signed(head, { ...claims, iss: [claims.iss] }),
  'another audience': signed(head, { ...claims, aud: ['other'] }),
  'no audience': signed(head, { ...claims, aud: undefined }),
  expired: signed(head, { ...claims, exp: seconds - 31 }),
  'no expiry': signed(head, { ...claims, exp: undefined }),
  'expiry as text': signed(head, { ...claims, exp: String(seconds + 600) }),
  'infinite expiry': signed(head, JSON.stringify(claims).replace(/"exp":\d+/, '"exp":1e999')),
  'not yet': signed(head, { ...claims, nbf: seconds + 40 }),
  'from the future': signed(head, { ...claims, iat: seconds + 40 }),
}
for (const [name, token] of Object.entries(attacks)) {
  test(`401: ${name}`, async () => {
    const { ask, next } = build()
    for (let i = 0; i < 2; i++) {
      const reply = await ask(token)
      assert.equal(reply.status, 401)
      assert.equal(reply.headers.get('www-authenticate'), 'Bearer error="invalid_token"')
    }
    assert.equal(next.calls.length, 0)
  })
}

test('401 without error: no token, another scheme', async () => {
  const { step } = build()
  for (const headers of [{}, { authorization: 'Basic YTpi' }]) {
    const reply = await step(makeCall({ headers }))
    assert.deepEqual([reply.status, reply.headers.get('www-authenticate')], [401, 'Bearer'])
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
  assert.equal(reply.headers.get('www-authenticate'), 'Bearer error="insufficient_scope", scope="read admin"')
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
    { keys: { ...keys, file: null, secret: 'short' } },
    { algorithms: ['HS256'] },
    { algorithms: ['ES256'], keys: { ...keys, file: null, secret: 'x'.repeat(32) } },
    { consumer: 'nonsense' },
  ]
  for (const options of bad) assert.throws(() => jwt.check?.({ ...defaults, ...options }), { name: 'OptionsError' })
  jwt.check?.(defaults)
})
