import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { OutsideRequest } from '../../core/outside.ts'
import { principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { stacked } from '../../../test/tools/stacked.ts'
import { oidc } from './oidc.ts'
import { createSeal, join, split } from './seal.ts'

const issuer = 'https://id.acme.test'
const origin = 'https://shop.acme.test'
const given: Parameters<typeof oidc.build>[0] = {
  issuer,
  clientId: 'shop',
  clientSecret: 's',
  clientAuthentication: 'basic',
  secret: ['k'.repeat(32)],
  externalUrl: origin,
  hosts: [],
  scopes: ['openid'],
  callbackPath: '/oidc/callback',
  logoutPath: '/oidc/logout',
  afterLogout: ['/'],
  cookie: 'session',
  lifetime: 3_600_000,
  idle: 1_800_000,
  loginTime: 600_000,
  refreshBefore: 60_000,
  clockSkew: 30_000,
  timeout: 5_000,
  consumer: null,
  forwardAccessToken: false,
  forward: { 'X-User': 'claims.sub' },
}

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

function setup() {
  const state = { nonce: '', isDown: false, tokenAsks: 0, claims: {} as object, refreshes: true, access: 'a' }
  const fetch = async ({ url }: OutsideRequest) => {
    if (state.isDown) throw new Error('down')
    return { status: 200, headers: {}, body: Buffer.from(JSON.stringify(answer(url))) }
  }
  function answer(url: string): object {
    if (url.endsWith('/keys')) return { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: '1', alg: 'ES256' }] }
    if (!url.endsWith('/token')) {
      const endpoints = {
        authorization_endpoint: `${issuer}/auth`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/keys`,
      }
      return { issuer, ...endpoints, end_session_endpoint: `${issuer}/end` }
    }
    state.tokenAsks++
    const now = Math.floor(ports.clock.wall() / 1000)
    const claims = {
      iss: issuer,
      sub: 'ada',
      aud: 'shop',
      exp: now + 300,
      iat: now,
      nonce: state.nonce,
      ...state.claims,
    }
    const refresh = state.refreshes ? { refresh_token: `r${state.tokenAsks}` } : {}
    return { access_token: state.access, token_type: 'Bearer', expires_in: 300, id_token: signed(claims), ...refresh }
  }
  const ports = fakePorts({}, { outside: { fetch } })
  const next = makeNext(() => Reply.empty(200))
  const step = stacked(oidc, given, ports, { route: 'r', key: 'r' }, next)
  return { state, ports, next, step }
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function signed(claims: object): string {
  const text = `${encoded({ alg: 'ES256', kid: '1' })}.${encoded(claims)}`
  return `${text}.${sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

function cookiesOf(reply: Reply): string {
  const pairs = reply.headers.all('set-cookie').map(text => text.split(';')[0] ?? '')
  return pairs.filter(pair => !pair.endsWith('=')).join('; ')
}

async function login(world: ReturnType<typeof setup>, claims: object = {}) {
  const begun = await world.step(makeCall({ target: '//evil.test/x?y', headers: { accept: 'text/html' } }))
  assert.equal(begun.status, 302)
  const url = new URL(begun.headers.get('location') ?? '')
  world.state.nonce = url.searchParams.get('nonce') ?? ''
  world.state.claims = claims
  const target = `/oidc/callback?code=c&state=${url.searchParams.get('state')}`
  return {
    target,
    cookie: cookiesOf(begun),
    reply: await world.step(makeCall({ target, headers: { cookie: cookiesOf(begun) } })),
  }
}

const ask = (world: ReturnType<typeof setup>, cookie: string) =>
  world.step(makeCall({ headers: { cookie, 'x-user': 'root' } }))

test('a login leads back to our own origin, and its cookies are closed to scripts', async () => {
  const world = setup()
  const { reply } = await login(world)
  assert.equal(reply.status, 302)
  assert.equal(reply.headers.get('location'), `${origin}//evil.test/x?y`)
  for (const text of reply.headers.all('set-cookie'))
    assert.match(text, /^__Host-.*; Path=\/;.*HttpOnly; SameSite=Lax; Secure$/)
  assert.equal((await ask(world, cookiesOf(reply))).status, 200)
  const [call] = world.next.calls
  assert.equal(call?.facts.get(principal)?.id, `${issuer}|ada`)
  assert.deepEqual(call?.headers.all('x-user'), ['ada'])
  assert.equal(call?.headers.has('cookie'), false)
})

const wrong: readonly (readonly [string, object])[] = [
  ['another issuer', { iss: 'https://evil.test' }],
  ['another audience', { aud: 'other' }],
  ['several audiences without azp', { aud: ['shop', 'other'] }],
  ['another party', { azp: 'other' }],
  ['another nonce', { nonce: 'x' }],
  ['no nonce', { nonce: undefined }],
  ['expired', { exp: 1 }],
  ['no end', { exp: undefined }],
  ['from the future', { iat: 9_999_999_999 }],
  ['no subject', { sub: '' }],
  ['another access token', { at_hash: 'x' }],
]
for (const [what, claims] of wrong) {
  test(`401 for an ID token: ${what}`, async () => {
    const { reply } = await login(setup(), claims)
    assert.equal(reply.status, 401)
    assert.equal(cookiesOf(reply), '')
  })
}

test('401 for an access token that could end the field that it goes on in', async () => {
  // The third becomes the first when the head is written: the high bytes of its last characters are lost.
  for (const access of ['a\r\nX-Admin: yes', 'a b', 'a\u010d\u010aX-Admin: yes', '']) {
    const world = setup()
    world.state.access = access
    const { reply } = await login(world)
    assert.equal(reply.status, 401)
    assert.equal(cookiesOf(reply), '')
  }
})

test('clocks may differ by the skew', async () => {
  const world = setup()
  const now = Math.floor(world.ports.clock.wall() / 1000)
  assert.equal((await login(world, { iat: now + 29, exp: now - 29 })).reply.status, 302)
})

test('a login is over after its time', async () => {
  const world = setup()
  const { target, cookie } = await login(world)
  world.ports.advance(given.loginTime)
  assert.equal((await world.step(makeCall({ target, headers: { cookie } }))).status, 401)
})

test('calls that come together refresh once; an outage is borne until the access token ends', async () => {
  const world = setup()
  const cookie = cookiesOf((await login(world)).reply)
  world.ports.advance(245_000)
  world.state.isDown = true
  assert.equal((await ask(world, cookie)).status, 200)
  world.ports.advance(2_000)
  world.state.isDown = false
  const before = world.state.tokenAsks
  const replies = await Promise.all([ask(world, cookie), ask(world, cookie), ask(world, cookie)])
  assert.equal(world.state.tokenAsks, before + 1)
  for (const reply of replies) assert.notEqual(cookiesOf(reply), '')
  world.state.isDown = true
  world.ports.advance(300_000)
  assert.equal((await ask(world, cookie)).status, 401)
})

test('sessions end when idle and at the end of their life', async () => {
  const world = setup()
  let cookie = cookiesOf((await login(world)).reply)
  for (let i = 0; i < 14; i++) {
    world.ports.advance(250_000)
    const reply = await ask(world, cookie)
    assert.equal(reply.status, 200)
    cookie = cookiesOf(reply) || cookie
  }
  world.ports.advance(101_000)
  assert.equal((await ask(world, cookie)).status, 401)
})

test('whatever is changed in a cookie or a callback, nothing passes and nothing breaks', async () => {
  const world = setup()
  const { target, cookie, reply } = await login(world)
  const session = cookiesOf(reply)
  const change = fc.tuple(fc.nat(), fc.constantFrom(...'AZaz09-_.=;%&'.split('')))
  await fc.assert(
    fc.asyncProperty(change, fc.boolean(), async ([at, letter], isSession) => {
      const text = isSession ? session : cookie
      const index = text.indexOf('=') + 1 + (at % (text.length - text.indexOf('=') - 1))
      fc.pre(text[index] !== letter)
      const changed = text.slice(0, index) + letter + text.slice(index + 1)
      const sent = makeCall({ target: isSession ? '/' : target, headers: { cookie: changed } })
      assert.equal((await world.step(sent)).status, 401)
    }),
  )
  await fc.assert(
    fc.asyncProperty(fc.string(), fc.string(), async (state, more) => {
      const query = `state=${encodeURIComponent(state)}&code=${encodeURIComponent(more)}`
      const sent = makeCall({ target: `/oidc/callback?${query}`, headers: { cookie: `${cookie}; ${session}` } })
      assert.equal((await world.step(sent)).status, 401)
    }),
  )
  assert.equal(world.next.calls.length, 0)
})

test('secrets rotate, purposes do not mix, and large sessions are split', () => {
  const old = createSeal(['a'.repeat(32)], 'x')
  const rotated = createSeal(['b'.repeat(32), 'a'.repeat(32)], 'x')
  const text = old.close({ v: 1 }, 'session')
  assert.deepEqual(rotated.open(text, 'session'), { v: 1 })
  assert.equal(rotated.open(text, 'login'), null)
  assert.equal(createSeal(['a'.repeat(32)], 'y').open(text, 'session'), null)
  const long = 'x'.repeat(9_000)
  const parts = new Map(split('s', long))
  assert.equal(parts.size, 3)
  assert.equal(
    join('s', name => parts.get(name)),
    long,
  )
  assert.equal(split('s', 'x'.repeat(20_000)), null)
})
