// Fields that tell the upstream who calls, by the policies that ship: no client can write one, whichever policy sees its call.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fakePorts, makeCall, makeNext } from '../../test/tools/call.ts'
import { keyFile } from '../../test/tools/tokens.ts'
import { policies } from '../builtin.ts'
import { resolve } from '../config/resolve.ts'
import type { Call } from '../core/call.ts'
import { neverNoted, type Identity } from '../core/consumers.ts'
import { defineEnd } from '../core/policy.ts'
import { Reply } from '../core/reply.ts'
import { Fields } from '../core/schema.ts'
import { type Kit, type KeptUpstream, compileRuntime } from './compile.ts'
import { Kept } from './kept.ts'

const identity: Identity = {
  consumer: { id: 'c1', name: 'acme', groups: [], labels: {}, plan: '', limits: {} },
  application: null,
  notedS: neverNoted,
  credential: {
    ...{ id: 'k1', kind: 'key', consumer: 'c1', application: '', lookup: '', verifier: '', hint: '' },
    ...{ scopes: ['read'], labels: {}, expiresMs: null, revokedMs: null, createdMs: 0, usedMs: null },
  },
}
const files = { '/keys.json': keyFile }

const fetch = async () => ({ status: 200, headers: { 'x-user': 'asked', authorization: 'inner' }, body: Buffer.of() })

/** A runtime with one route for everything, whose end keeps the calls that come to it. */
function compile(used: readonly object[], around: readonly object[] = []) {
  const next = makeNext(() => Reply.empty(204))
  const seen = defineEnd({ name: 'seen', summary: 'Keeps calls.', options: Fields({}), build: () => next })
  const tls = { certificates: [{ cert: '/own.pem', key: '/own.pem' }], clientCa: '/own.pem' }
  const config = {
    listeners: [{ port: 8443, tls }],
    data: 'data',
    policies: around,
    routes: [{ match: { path: '/**' }, policies: used, seen: {} }],
  }
  const resolution = resolve({
    sources: [{ path: '/config.json', label: 'config.json', text: JSON.stringify(config) }],
    language: { policies, ends: [seen] },
    surroundings: { env: {}, readText: path => (path === '/own.pem' ? '' : files[path as keyof typeof files]) },
  })
  if (!resolution.ok) throw new Error(resolution.problems.map(({ message }) => message).join('\n'))
  const ports = fakePorts({}, { keys: { good: identity }, files, outside: { fetch } })
  const kit: Kit = {
    ...{
      policies,
      ends: [seen],
      ports,
      policyPorts: ports,
      limits: options => ports.limits(options),
      permits: options => ports.permits(options),
      files,
      identify: null,
      challenges: null,
    },
    ...{
      upstreams: new Kept<KeptUpstream>(),
      things: new Kept(),
      share: { ordinal: 0, workers: 1 },
      watched: new Map(),
    },
    overload: { level: 0, refuse: () => assert.fail('nothing is refused at level 0') },
    makeUpstream: () => assert.fail('there is no upstream'),
    hideParameter: () => ({ close() {} }),
  }
  const { answer } = compileRuntime(resolution.blueprint, kit)
  /** Names and values of the fields that the end gets; null where the call did not come so far. */
  return async (headers: Parameters<typeof makeCall>[0]): Promise<Record<string, string> | null> => {
    const before = next.calls.length
    await answer(makeCall(headers))
    const call: Call | undefined = next.calls[before]
    return call === undefined ? null : Object.fromEntries(call.headers)
  }
}

const forged = { 'X-User': 'root', x_user: 'root', 'X-Other': 'mine' }
const others = { Host: 'api.acme.test', 'X-Other': 'mine' }
const key = { 'x-api-key': 'good' }
const inside = { when: { path: '/in/**' } }
const apiKey = { 'api-key': { forward: { 'X-User': 'consumer.name' } } }
const anonymous = { anonymous: { forward: { 'X-User': 'method' } } }
const certificate = { 'client-certificate': { clientCertHeader: true } }
const keys = { file: '/keys.json' }
const jwt = { jwt: { keys, issuer: 'i', audience: [], forward: { 'X-User': 'claims.sub' } } }

describe('fields that a policy owns', () => {
  const owners: Readonly<Record<string, object>> = {
    'api-key': apiKey,
    anonymous,
    jwt,
    basic: { basic: { forward: { 'X-User': 'id' } } },
    'client-certificate': { 'client-certificate': { forward: { 'X-User': 'id' } } },
    external: { external: { url: 'https://access.acme.test/', upstreamHeaders: 'X-User' } },
    'any-of': { 'any-of': [{ 'client-certificate': {} }, apiKey] },
    'all-of in any-of': { 'any-of': [{ 'client-certificate': {} }, { 'all-of': [{ 'api-key': {} }, anonymous] }] },
  }
  for (const [name, owner] of Object.entries(owners)) {
    test(`${name}: calls that \`when\` keeps from it have none of them from the client`, async () => {
      const ask = compile([{ ...owner, ...inside }])
      assert.deepEqual(await ask({ target: '/out', headers: forged }), others)
    })
  }

  test('calls that it sees have only what it writes, whichever alternative let them in', async () => {
    const ask = compile([{ 'any-of': [apiKey, anonymous] }])
    assert.deepEqual(await ask({ headers: { ...forged, ...key } }), { ...others, 'X-User': 'acme' })
    assert.deepEqual(await ask({ headers: forged }), { ...others, 'X-User': 'anonymous', 'X-Other': 'mine' })
    const partly = compile([{ 'any-of': [{ 'api-key': { forward: { 'X-Role': 'scopes' } } }, 'anonymous'] }])
    assert.deepEqual(await partly({ headers: { 'X-Role': 'admin', X_ROLE: 'admin' } }), { Host: 'api.acme.test' })
  })

  test('around every route, and narrowed', async () => {
    const ask = compile([], [{ ...apiKey, ...inside }])
    assert.deepEqual(await ask({ target: '/out', headers: forged }), others)
    assert.deepEqual(await ask({ target: '/in/x', headers: { ...forged, ...key } }), { ...others, 'X-User': 'acme' })
  })

  test('of two policies for calls of their own, neither takes off what the other wrote', async () => {
    const ask = compile([
      { ...apiKey, ...inside },
      { ...anonymous, when: { path: '/out' } },
    ])
    assert.deepEqual(await ask({ target: '/in/x', headers: { ...forged, ...key } }), { ...others, 'X-User': 'acme' })
    assert.deepEqual(await ask({ target: '/out', headers: forged }), { ...others, 'X-User': 'anonymous' })
    assert.deepEqual(await ask({ target: '/none', headers: forged }), others)
  })

  test('of two policies for one call, the inner one has the last word, also where it has none', async () => {
    const both = compile([apiKey, anonymous])
    assert.deepEqual(await both({ headers: { ...forged, ...key } }), { ...others, 'X-User': 'anonymous' })
    const none = compile([apiKey, { anonymous: { forward: { 'X-User': 'claims.none' } } }])
    assert.deepEqual(await none({ headers: { ...forged, ...key } }), others)
    const asked = compile([apiKey, { external: { url: 'https://access.acme.test/', upstreamHeaders: 'X-User' } }])
    assert.deepEqual(await asked({ headers: { ...forged, ...key } }), { ...others, 'X-User': 'asked' })
  })

  test('a policy further out may read a field that one further in replaces', async () => {
    const ask = compile([
      { 'api-key': { header: 'authorization' } },
      { external: { url: 'https://access.acme.test/', upstreamHeaders: 'authorization' } },
    ])
    const seen = await ask({ headers: { Authorization: 'Bearer good' } })
    assert.deepEqual(seen, { Host: 'api.acme.test', authorization: 'inner' })
  })

  test('a service that is told what the client sent, and writes nothing, leaves nothing of it', async () => {
    const silent = { external: { url: 'https://access.acme.test/', upstreamHeaders: ['X-User', 'X-Role'] } }
    const seen = await compile([silent])({ headers: { ...forged, 'X-Role': 'admin', x_role: 'admin' } })
    assert.deepEqual(seen, { ...others, 'X-User': 'asked' })
  })

  test('`when` sees the call as it came', async () => {
    const ask = compile([{ ...apiKey, when: { headers: { 'x-user': 'root' } } }])
    assert.equal(await ask({ headers: forged }), null)
    assert.deepEqual(await ask({ headers: { 'X-User': 'eve' } }), { Host: 'api.acme.test' })
  })

  test('certificates of clients, whether or not the policy writes one', async () => {
    const headers = { 'Client-Cert': ':forged:', 'Client-Cert-Chain': ':forged:', Client_Cert: ':forged:' }
    const ask = compile([{ ...certificate, ...inside }])
    assert.deepEqual(await ask({ target: '/out', headers }), { Host: 'api.acme.test' })
  })
})

test('each policy that ships with `forward` owns the fields of these names', () => {
  const forwarding = policies.filter(({ options }) => JSON.stringify(options).includes('"forward":{'))
  assert.ok(forwarding.length >= 7)
  for (const policy of forwarding) {
    const names = policy.owns?.({ forward: { 'X-User': 'id' }, policies: [] }) ?? []
    assert.ok(names.includes('X-User'), `${policy.name} must say in \`owns\` what \`forward\` writes`)
  }
})
