import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { AffinityBlueprint } from '../core/affinity-schema.ts'
import type { Call, Peer } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import { Headers } from '../core/headers.ts'
import { Reply } from '../core/reply.ts'
import { affinityKey, createAffinity } from './affinity.ts'
import { createCall } from './fakes.ts'

const rules: AffinityBlueprint = { cookie: 'lane', ttl: null, path: '/', secure: null, sameSite: 'lax' }
const value = (0.25).toString(36).slice(2, 12).padEnd(10, '0')

async function replyTo(
  call: Call,
  changes: Partial<AffinityBlueprint> = {},
  reply = Reply.empty(200),
): Promise<Headers> {
  const step = createAffinity({ ...rules, ...changes }, () => 0.25)(async () => reply)
  return (await step(call)).headers
}

const from = (peer: Partial<Peer>, headers: Record<string, string> = {}) =>
  createCall({ peer: { ...createCall().peer, ...peer }, headers: Headers.of(headers) })

describe('a client without the cookie', () => {
  for (const [what, changes, call, expected] of [
    ['a plain connection', {}, from({}), 'Path=/; HttpOnly; SameSite=Lax'],
    ['TLS', {}, from({ scheme: 'https' }), 'Path=/; HttpOnly; SameSite=Lax; Secure'],
    [
      'TLS that a trusted proxy ended',
      {},
      from({ isTrusted: true }, { 'x-forwarded-proto': 'https' }),
      'Path=/; HttpOnly; SameSite=Lax; Secure',
    ],
    ['who only says so', {}, from({}, { 'x-forwarded-proto': 'https' }), 'Path=/; HttpOnly; SameSite=Lax'],
    ['`secure`', { secure: true }, from({}), 'Path=/; HttpOnly; SameSite=Lax; Secure'],
    ['no `secure`', { secure: false }, from({ scheme: 'https' }), 'Path=/; HttpOnly; SameSite=Lax'],
    [
      'all others',
      { ttl: 90_500, path: '/shop', sameSite: 'none' },
      from({ scheme: 'https' }),
      'Path=/shop; Max-Age=90; HttpOnly; SameSite=None; Secure',
    ],
    ['an empty one', {}, from({}, { cookie: 'lane=; other=1' }), 'Path=/; HttpOnly; SameSite=Lax'],
  ] as const) {
    test(`gets one: ${what}`, async () => {
      assert.deepEqual((await replyTo(call, changes)).all('set-cookie'), [`lane=${value}; ${expected}`])
    })
  }

  test('is hashed by what it is given', async () => {
    const call = createCall()
    let hashed = ''
    const step = createAffinity(
      rules,
      () => 0.25,
    )(async seen => {
      hashed = affinityKey(rules)(seen)
      return Reply.empty(200)
    })
    await step(call)
    assert.equal(hashed, value)
    assert.equal(affinityKey(rules)(from({}, { cookie: `lane=${value}` })), hashed)
  })

  test('gets none with what the gateway says itself, with a 304, and where the call fails', async () => {
    for (const reply of [Reply.problem('upstream-unhealthy'), Reply.empty(304)]) {
      const headers = await replyTo(createCall(), {}, reply)
      assert.deepEqual([headers.has('set-cookie'), headers.has('cache-control')], [false, false])
    }
    const failing = createAffinity(rules, () => 0.25)(() => Promise.reject(new Failure('upstream-reset')))
    await assert.rejects(failing(createCall()), { code: 'upstream-reset' })
  })

  test('gets it with an error of the service, which is kept too', async () => {
    assert.equal((await replyTo(createCall(), {}, Reply.empty(500))).has('set-cookie'), true)
  })
})

test('a client with the cookie gets none, and waits for nothing more', () => {
  const reply = Promise.resolve(Reply.empty(200))
  const step = createAffinity(rules, () => assert.fail('nothing is drawn'))(() => reply)
  assert.equal(step(from({}, { cookie: 'a=1; lane=mine' })), reply)
})

describe('caches', () => {
  test('are told not to keep the cookie, and may keep the rest', async () => {
    const reply = Reply.empty(200)
    reply.headers.add('cache-control', 'public, max-age=60')
    const headers = await replyTo(createCall(), {}, reply)
    assert.deepEqual(headers.all('cache-control'), ['public, max-age=60', 'no-cache="set-cookie"'])
  })

  test('may not keep a reply in which the service sets a cookie as well', async () => {
    const reply = Reply.empty(200)
    reply.headers.add('set-cookie', 'session=1')
    const headers = await replyTo(createCall(), {}, reply)
    assert.deepEqual(headers.all('cache-control'), ['private'])
    assert.equal(headers.all('set-cookie').length, 2)
  })
})
