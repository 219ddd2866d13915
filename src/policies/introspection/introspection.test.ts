import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { OutsideReply, OutsideRequest } from '../../core/outside.ts'
import { principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import type { Static } from '../../core/schema.ts'
import { fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { stacked } from '../../../test/tools/stacked.ts'
import { introspection } from './introspection.ts'

type Options = Static<typeof introspection.options> & Record<string, unknown>

const defaults = {
  from: { header: 'authorization', cookie: null },
  ...{ realm: 'api', keep: false, tokenSize: 8000, url: 'https://id.acme.test/introspect' },
  client: { id: 'gate way', secret: 's:e%c', method: 'basic' as const },
  ...{ issuer: [], audience: [], scopes: [], consumer: null, ttl: 60_000, refusedTtl: 10_000, timeout: 3_000 },
  ...{ cacheSize: 100, forward: {} },
}
const nowSeconds = Math.floor((Date.UTC(2026, 0, 1) + 1000) / 1000)

function build(answer: unknown, options: Partial<Options> = {}) {
  const state = { answer, status: 200, requests: [] as OutsideRequest[] }
  const fetch = async (request: OutsideRequest): Promise<OutsideReply> => {
    state.requests.push(request)
    if (state.answer instanceof Error) throw state.answer
    const text = typeof state.answer === 'string' ? state.answer : JSON.stringify(state.answer)
    return { status: state.status, headers: {}, body: Buffer.from(text) }
  }
  const ports = fakePorts({}, { outside: { fetch } })
  const next = makeNext(() => Reply.empty(200))
  const step = stacked(introspection, { ...defaults, ...options }, ports, { route: 'r', key: 'r/policies/0' }, next)
  const ask = (token = 'opaque') => step(makeCall({ headers: { authorization: `Bearer ${token}` } }))
  return { ask, step, next, ports, state }
}

test('200 and asked once: active tokens are remembered, at most until they expire', async () => {
  const { ask, ports, state, next } = build({ active: true, sub: 'alice', scope: 'a b', exp: nowSeconds + 20 })
  await Promise.all([ask(), ask(), ask()])
  assert.equal((await ask()).status, 200)
  assert.equal(state.requests.length, 1)
  const [request] = state.requests
  assert.equal(request?.body, 'token=opaque&token_type_hint=access_token')
  assert.equal(request?.headers?.authorization, `Basic ${Buffer.from('gate+way:s%3Ae%25c').toString('base64')}`)
  assert.equal(next.calls[0]?.facts.get(principal)?.id, 'https://id.acme.test|alice')
  ports.advance(20_000)
  assert.equal((await ask()).status, 401)
  assert.equal(state.requests.length, 2)
})

test('the token stops here, but for `keep`; it may stand in another field or a cookie', async () => {
  const from = { header: 'X-Token', cookie: 't' }
  for (const keep of [false, true]) {
    const { step, next, state } = build(
      { active: true, sub: 'alice' },
      { from, keep, forward: { 'x-user': 'claims.sub' } },
    )
    for (const headers of [{ 'x-token': 'opaque' }, { 'x-token': 'Bearer opaque' }, { cookie: 'a=1; t=opaque' }]) {
      assert.equal((await step(makeCall({ headers: { ...headers, 'x-user': 'root' } }))).status, 200)
    }
    assert.equal(state.requests.length, 1)
    assert.deepEqual(
      next.calls.map(call => [call.headers.get('x-token'), call.headers.get('cookie'), call.headers.get('x-user')]),
      [
        [keep ? 'opaque' : undefined, undefined, 'alice'],
        [keep ? 'Bearer opaque' : undefined, undefined, 'alice'],
        [undefined, keep ? 'a=1; t=opaque' : 'a=1', 'alice'],
      ],
    )
  }
})

test('401, and nobody asked, for what cannot be a token', async () => {
  const { step, state } = build({ active: true })
  const field = ['authorization', 'Bearer opaque'] as const
  for (const text of ['Bearer', 'Bearer a b', 'Bearer a"', 'Bearer =a', 'Bearer é', `Bearer ${'x'.repeat(8001)}`]) {
    const reply = await step(makeCall({ headers: { authorization: text } }))
    assert.deepEqual(
      [reply.status, reply.headers.get('www-authenticate')],
      [401, 'Bearer realm="api", error="invalid_token"'],
      text,
    )
  }
  assert.equal((await step(makeCall({ headers: [field, field] }))).status, 401)
  assert.equal(state.requests.length, 0)
})

test('client credentials in the body', async () => {
  const { ask, state } = build({ active: true }, { client: { ...defaults.client, method: 'post' } })
  await ask()
  assert.match(String(state.requests[0]?.body), /client_id=gate\+way&client_secret=s%3Ae%25c$/)
  assert.equal(state.requests[0]?.headers?.authorization, undefined)
})

test('401 for what is not active, not yet, or of others; remembered for a short time', async () => {
  const cases: [unknown, Partial<Options>][] = [
    [{ active: false }, {}],
    [{ active: true, nbf: nowSeconds + 10 }, {}],
    [{ active: true, exp: 'x' }, {}],
    [{ active: true, iss: 'b' }, { issuer: ['a'] }],
    [{ active: true, aud: ['b'] }, { audience: ['a'] }],
    [{ active: true }, { consumer: 'claims.client_id' }],
  ]
  for (const [answer, options] of cases) {
    const { ask, state, ports } = build(answer, options)
    for (let i = 0; i < 2; i++) {
      const reply = await ask()
      assert.deepEqual(
        [reply.status, reply.headers.get('www-authenticate')],
        [401, 'Bearer realm="api", error="invalid_token"'],
      )
    }
    assert.equal(state.requests.length, 1)
    if (options.consumer === undefined) {
      ports.advance(10_001)
      await ask()
      assert.equal(state.requests.length, 2)
    }
  }
})

test('403 without a scope, 401 without a token', async () => {
  const { ask, step } = build({ active: true, scope: 'a' }, { scopes: ['b'] })
  assert.equal((await ask()).status, 403)
  assert.equal((await step(makeCall())).status, 401)
})

test('503, and nothing remembered, while the issuer gives no proper answer', async () => {
  const { ask, state, next } = build(new Error('down'))
  assert.equal((await ask()).status, 503)
  for (const answer of ['', '[]', '{}', '{"active":"true"}', '{"active":true,"active":false}', 'null']) {
    state.answer = answer
    assert.equal((await ask()).status, 503, answer)
  }
  state.answer = { active: true }
  state.status = 500
  assert.equal((await ask()).status, 503)
  assert.equal(next.calls.length, 0)
  state.status = 200
  assert.equal((await ask()).status, 200)
})

test('never a crash, and never a pass without `active: true`', async () => {
  const { ask, state, next } = build('')
  let count = 0
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.json(), fc.string()), async text => {
      state.answer = text
      assert.ok([401, 503].includes((await ask(`t${count++}`)).status))
    }),
  )
  assert.equal(next.calls.length, 0)
})
