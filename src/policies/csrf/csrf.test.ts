import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { OptionsError } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import { fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { csrf } from './csrf.ts'

type Options = Parameters<typeof csrf.build>[0]

const token = { secret: 'a'.repeat(32), session: 'session', cookie: 'csrf-token', header: 'X-CSRF-Token' }

function build(given: Partial<Options> = {}) {
  const next = makeNext(() => Reply.empty(200))
  const options: Options = { origins: ['https://shop.acme.test'], withoutOrigin: 'refuse', token: null, ...given }
  return { step: csrf.build(options, fakePorts(), { route: 'r', key: 'r' })(next), next }
}

async function post(headers: Record<string, string>, given: Partial<Options> = {}): Promise<number> {
  const { step, next } = build(given)
  const call = makeCall({ method: 'POST', headers })
  const reply = await step(call)
  assert.equal(next.calls.length, reply.status === 200 ? 1 : 0)
  assert.equal(call.refusal === '', reply.status === 200)
  if (reply.status !== 200) assert.equal(reply.code, 'csrf-refused')
  return reply.status
}

test('behind a trusted proxy that ends TLS, the own origin is that of the proxy, and the token’s cookie is Secure', async () => {
  const proxied = { 'x-forwarded-proto': 'https', cookie: 'session=s' }
  const peer = { isTrusted: true }
  const { step } = build()
  const post = (origin: string) => step(makeCall({ method: 'POST', headers: { ...proxied, origin }, peer }))
  assert.equal((await post('https://api.acme.test')).status, 200)
  assert.equal((await post('http://api.acme.test')).status, 403)
  const reply = await build({ token }).step(makeCall({ headers: proxied, peer }))
  assert.match(reply.headers.get('set-cookie') ?? '', /; Secure$/)
})

const table: readonly (readonly [what: string, headers: Record<string, string>, status: number])[] = [
  ['the browser says same-origin', { 'sec-fetch-site': 'same-origin' }, 200],
  ['typed in by the user', { 'sec-fetch-site': 'none' }, 200],
  ['another site', { 'sec-fetch-site': 'cross-site' }, 403],
  ['a neighbouring host', { 'sec-fetch-site': 'same-site' }, 403],
  ['an unknown word', { 'sec-fetch-site': 'whatever' }, 403],
  ['another site that is allowed', { 'sec-fetch-site': 'cross-site', origin: 'https://shop.acme.test' }, 200],
  ['the own origin', { origin: 'http://api.acme.test' }, 200],
  ['the own name with another scheme', { origin: 'https://api.acme.test' }, 403],
  ['the own name with another port', { origin: 'http://api.acme.test:81' }, 403],
  ['an opaque origin', { origin: 'null' }, 403],
  ['a name that ends alike', { origin: 'http://evilapi.acme.test' }, 403],
  ['the referer alone', { referer: 'http://api.acme.test/page' }, 200],
  ['a foreign referer', { referer: 'http://evil.test/http://api.acme.test/' }, 403],
  ['the own origin and a foreign referer', { origin: 'http://evil.test', referer: 'http://api.acme.test/' }, 403],
  ['a broken referer', { referer: 'no url' }, 403],
  ['nothing', {}, 403],
]
for (const [what, headers, status] of table) {
  test(`${status}: ${what}`, async () => assert.equal(await post(headers), status))
}

test('calls of programs may be let through, foreign pages not', async () => {
  assert.equal(await post({}, { withoutOrigin: 'allow' }), 200)
  assert.equal(await post({ origin: 'http://evil.test' }, { withoutOrigin: 'allow' }), 403)
})

test('safe methods pass from anywhere', async () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS']) {
    const reply = await build().step(makeCall({ method, headers: { 'sec-fetch-site': 'cross-site' } }))
    assert.equal(reply.status, 200)
  }
})

async function begin(headers: Record<string, string>, given: Partial<Options> = {}): Promise<number> {
  const call = makeCall({ headers })
  call.upgrade = 'websocket'
  return (await build(given).step(call)).status
}

test('a WebSocket is no safe call: any page may begin one, with the cookies of its visitor', async () => {
  assert.equal(await begin({ origin: 'http://evil.test' }), 403)
  assert.equal(await begin({ origin: 'null' }), 403)
  assert.equal(await begin({}), 403)
  assert.equal(await begin({}, { withoutOrigin: 'allow' }), 200)
  for (const origin of ['http://api.acme.test', 'https://shop.acme.test']) assert.equal(await begin({ origin }), 200)
  // A page cannot send the field with it, so that it would never pass.
  assert.equal(await begin({ origin: 'http://api.acme.test', cookie: 'session=one' }, { token }), 200)
  assert.equal(await begin({ origin: 'http://evil.test', cookie: 'session=one' }, { token }), 403)
})

test('two Origin fields are refused', async () => {
  const headers = [
    ['origin', 'https://shop.acme.test'],
    ['origin', 'http://evil.test'],
  ] as const
  assert.equal((await build().step(makeCall({ method: 'POST', headers }))).status, 403)
})

async function tokenFor(session: string): Promise<string> {
  const reply = await build({ token }).step(makeCall({ headers: { cookie: `session=${session}` } }))
  return /^csrf-token=([\w-]+); Path=\/; SameSite=Strict$/.exec(reply.headers.get('set-cookie') ?? '')?.[1] ?? ''
}

test('the token of the session passes, none and that of another do not', async () => {
  const own = await tokenFor('one')
  assert.notEqual(own, '')
  const from = { 'sec-fetch-site': 'same-origin', cookie: 'session=one' }
  assert.equal(await post({ ...from, 'x-csrf-token': own }, { token }), 200)
  assert.equal(await post(from, { token }), 403)
  assert.equal(await post({ ...from, 'x-csrf-token': await tokenFor('two') }, { token }), 403)
  // Cookie and field agree, but a neighbour made them up: the session did not.
  const planted = { ...from, cookie: 'session=one; csrf-token=x', 'x-csrf-token': 'x' }
  assert.equal(await post(planted, { token }), 403)
})

test('the token is handed out once, and only to a session', async () => {
  const own = await tokenFor('one')
  const held = await build({ token }).step(makeCall({ headers: { cookie: `session=one; csrf-token=${own}` } }))
  assert.equal(held.headers.has('set-cookie'), false)
  assert.equal((await build({ token }).step(makeCall())).headers.has('set-cookie'), false)
})

test('whatever a foreign page sends, it does not pass', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string(), fc.string(), fc.string(), async (origin, referer, presented) => {
      fc.pre(!origin.includes('acme.test'))
      const headers = {
        origin,
        referer,
        'x-csrf-token': presented,
        cookie: 'session=one',
        'sec-fetch-site': 'cross-site',
      }
      assert.equal(await post(headers, { token, withoutOrigin: 'allow' }), 403)
    }),
  )
})

test('what is no origin or no name is a mistake', () => {
  const good: Options = { origins: [], withoutOrigin: 'refuse', token }
  assert.doesNotThrow(() => csrf.check?.(good))
  for (const origin of ['*', 'acme.test', 'https://acme.test/', 'null']) {
    assert.throws(() => csrf.check?.({ ...good, origins: [origin] }), OptionsError)
  }
  assert.throws(() => csrf.check?.({ ...good, token: { ...token, cookie: 'a;b' } }), OptionsError)
})
