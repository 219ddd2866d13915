import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Call } from '../../core/call.ts'
import { neverNoted, type Consumer, type Identity } from '../../core/consumers.ts'
import { principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { type CallOptions, fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { stacked } from '../../../test/tools/stacked.ts'
import { wrongSecret } from '../../identity/refuse.ts'
import { apiKey } from './api-key.ts'

const place = { route: 'r', key: 'r/policies/0' }
const consumer: Consumer = { id: 'con_1', name: 'acme', groups: ['gold'], labels: {}, plan: '', limits: {} }

function identityOf(scopes: readonly string[]): Identity {
  const times = { expiresMs: null, revokedMs: null, createdMs: 0, usedMs: null }
  const owner = { id: 'cre_1', consumer: 'con_1', application: '' }
  return {
    consumer,
    application: null,
    notedS: neverNoted,
    credential: { kind: 'key', lookup: '', verifier: '', hint: '', scopes, labels: {}, ...owner, ...times },
  }
}

const defaults = {
  header: ['x-api-key'],
  query: [] as string[],
  cookie: [] as string[],
  keep: false,
  realm: 'api',
  scopes: [] as string[],
  forward: {} as Record<string, string>,
}

function build(options: Partial<typeof defaults> = {}) {
  const ports = fakePorts({}, { keys: { good: identityOf(['read']), 'good two+%': identityOf([]) } })
  const next = makeNext(() => Reply.empty(200))
  const step = stacked(apiKey, { ...defaults, ...options }, ports, place, next)
  return { step, next, ports }
}

async function passed(options: Partial<typeof defaults>, init: CallOptions): Promise<Call> {
  const { step, next } = build(options)
  assert.equal((await step(makeCall(init))).status, 200)
  const [call] = next.calls
  assert.ok(call)
  return call
}

test('a valid key makes the principal, is noted, and goes no further', async () => {
  const { step, next, ports } = build()
  const call = makeCall({ headers: { 'X-Api-Key': 'good', accept: '*/*' } })
  assert.equal((await step(call)).status, 200)
  const proven = next.calls[0]?.facts.get(principal)
  assert.equal(proven?.id, 'con_1')
  assert.equal(proven?.method, 'api-key')
  assert.deepEqual(proven?.scopes, ['read'])
  assert.equal(ports.used.length, 1)
  assert.equal(call.headers.has('x-api-key'), false)
  assert.equal(call.headers.get('accept'), '*/*')
})

test('keep leaves the key where it is', async () => {
  const options = { keep: true, query: ['key'], header: [] as string[] }
  assert.equal((await passed(options, { target: '/a?key=good' })).target, '/a?key=good')
})

const targets: [received: string, forwarded: string][] = [
  ['/a?key=good', '/a'],
  ['/a?x=%41&key=good&y=+1', '/a?x=%41&y=+1'],
  ['/a?k%65y=good&&x', '/a?&x'],
  ['/a?key=g%6fod&KEY=2', '/a?KEY=2'],
]
for (const [received, forwarded] of targets) {
  test(`query: ${received} is forwarded as ${forwarded}`, async () => {
    assert.equal((await passed({ header: [], query: ['key'] }, { target: received })).target, forwarded)
  })
}

const cookies: [received: string, forwarded: string | undefined][] = [
  ['key=good', undefined],
  ['a=1; key=good; b="2"', 'a=1; b="2"'],
  ['key=good; a=1', 'a=1'],
  ['a=1;key=good', 'a=1'],
  ['key=good; \u00a0key=other; \u00a0a=1', '\u00a0key=other; \u00a0a=1'],
]
for (const [received, forwarded] of cookies) {
  test(`cookie: ${received} is forwarded as ${forwarded}`, async () => {
    const call = await passed({ header: [], cookie: ['key'] }, { headers: { cookie: received } })
    assert.equal(call.headers.get('cookie'), forwarded)
  })
}

test('in Authorization it stands behind Bearer or ApiKey', async () => {
  for (const scheme of ['Bearer', 'apikey']) {
    const call = await passed({ header: ['Authorization'] }, { headers: { authorization: `${scheme} good` } })
    assert.equal(call.headers.has('authorization'), false)
  }
})

test('fields are forwarded, and those of the client dropped', async () => {
  const call = await passed(
    { forward: { 'X-Consumer': 'consumer.name' } },
    { headers: { 'x-api-key': 'good', x_consumer: 'admin', 'X-Consumer': 'root' } },
  )
  assert.deepEqual(call.headers.all('x-consumer'), ['acme'])
  assert.equal(call.headers.has('x_consumer'), false)
})

test('403 without a scope that is asked for', async () => {
  const { step, next } = build({ scopes: ['read', 'write'] })
  assert.equal((await step(makeCall({ headers: { 'x-api-key': 'good' } }))).status, 403)
  assert.equal(next.calls.length, 0)
})

async function bytesOf(reply: Reply): Promise<string> {
  return JSON.stringify([reply.status, reply.headers.list, (await reply.body.bytes(10_000)).toString('latin1')])
}

test('401 reads the same for whatever is wrong', async () => {
  const answers = new Set<string>()
  const wrong: CallOptions[] = [
    {},
    { headers: { 'x-api-key': '' } },
    { headers: { 'x-api-key': 'unknown' } },
    {
      headers: [
        ['x-api-key', 'good'],
        ['X-API-Key', 'good'],
      ],
    },
    { headers: { 'x-api-key': 'good' }, target: '/?key=good' },
    { headers: { authorization: 'Basic Zm9vOmJhcg==' } },
  ]
  for (const init of wrong) {
    const { step, next } = build({ header: ['x-api-key', 'authorization'], query: ['key'] })
    const reply = await step(makeCall(init))
    assert.equal(reply.status, 401)
    assert.equal(reply.headers.get('www-authenticate'), 'ApiKey realm="api"')
    assert.equal(next.calls.length, 0)
    answers.add(await bytesOf(reply))
  }
  assert.equal(answers.size, 1)
})

test('whatever comes in its place, nothing but a valid key passes', async () => {
  const text = fc.oneof(fc.string({ maxLength: 40 }), fc.constantFrom('good ', ' good', 'Good', 'key=', 'good=', '%'))
  await fc.assert(
    fc.asyncProperty(text, text, text, async (header, query, cookie) => {
      const { step } = build({ header: ['x-api-key', 'authorization'], query: ['key'], cookie: ['key'] })
      const call = makeCall({
        headers: [
          ['x-api-key', header],
          ['authorization', header],
          ['cookie', cookie],
        ],
        target: `/?${query}`,
      })
      assert.equal((await step(call)).status, 401)
    }),
  )
})

test('what stands in Authorization for another policy is no guess at a key, and a wrong key is one', async () => {
  const { step } = build({ header: ['authorization'] })
  for (const [authorization, isGuess] of [
    ['Basic YWRhOng=', false],
    ['Bearer eyJhbGciOiJFUzI1NiJ9.e30.AAAA', false],
    ['Bearer wrong', true],
    ['ApiKey wrong', true],
  ] as const) {
    const call = makeCall({ headers: { authorization } })
    assert.equal((await step(call)).status, 401)
    assert.equal(call.facts.get(wrongSecret) === true, isGuess, authorization)
  }
})
