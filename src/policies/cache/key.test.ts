import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { principal } from '../../core/principal.ts'
import { makeCall } from '../../../test/tools/call.ts'
import { defaults, fresh, makeWorld, type Options, replyOf, sentence } from '../../../test/tools/cache-world.ts'
import { cache } from './cache.ts'

const key = (given: Partial<Options['key']>) => ({ key: { ...defaults.key, ...given } })

describe('what is the same question', () => {
  sentence('a body or an upgrade is not for caches', [
    { expect: 'asked', service: { headers: fresh } },
    { expect: 'asked', body: 'fat GET' },
    { expect: 'cached' },
  ])
  const disguise = [
    'X-HTTP-Method-Override',
    'x-method-override',
    'X-Original-URL',
    'x-rewrite-url',
    'X-Original-Host',
    'x-host',
    // To CGI and its kin a dash.
    'X_HTTP_Method_Override',
    'x-original_url',
  ]
  for (const name of disguise) {
    sentence(`a request that may mean another one neither gets nor leaves a reply: ${name}`, [
      { expect: 'asked', headers: { [name]: '/admin' }, service: { headers: fresh, body: 'poison' } },
      { expect: 'asked', service: { headers: fresh, body: 'good' }, reply: 'good' },
      { expect: 'cached', reply: 'good' },
      { expect: 'asked', headers: { [name]: '/admin' } },
    ])
  }
  sentence('what a trusted proxy says of the host is part of the key', [
    { expect: 'asked', headers: { 'x-forwarded-host': 'evil.test' }, service: { headers: fresh, body: 'evil' } },
    { expect: 'asked', headers: { 'x-forwarded-host': 'api.acme.test' }, service: { headers: fresh, body: 'good' } },
    { expect: 'cached', headers: { 'x-forwarded-host': 'api.acme.test' }, reply: 'good' },
  ])
  sentence(
    '`key.headers`',
    [
      { expect: 'asked', headers: { 'x-tenant': 'a' }, service: { headers: fresh } },
      { expect: 'asked', headers: { 'x-tenant': 'b' } },
      { expect: 'cached', headers: { 'x-tenant': 'a' } },
      { expect: 'asked', headers: { 'x-tenant': 'a', x_tenant: 'evil' } },
    ],
    key({ headers: ['X-Tenant'] }),
  )
  const byTenant = { ...fresh, vary: 'X-Tenant' }
  sentence('a field in another spelling than `Vary` has it leaves no reply to others', [
    { expect: 'asked', headers: { 'x-tenant': 'a', x_tenant: 'evil' }, service: { headers: byTenant, body: 'evil' } },
    {
      expect: 'asked',
      headers: { 'x-tenant': 'a', x_other: '1' },
      service: { headers: byTenant, body: 'a' },
      reply: 'a',
    },
    { expect: 'cached', headers: { 'x-tenant': 'a' }, reply: 'a' },
  ])
  sentence(
    '`key.cookies`',
    [
      { expect: 'asked', headers: { cookie: 'x=1; lang=de' }, service: { headers: fresh } },
      { expect: 'asked', headers: { cookie: 'lang=en' } },
      { expect: 'cached', headers: { cookie: 'lang=de; x=2' } },
      // Services differ in which of several they take.
      { expect: 'asked', headers: { cookie: 'lang=de; lang=evil' } },
      { expect: 'asked', headers: { cookie: 'x=3' } },
      { expect: 'asked', headers: { cookie: 'lang=' } },
    ],
    key({ cookies: ['lang'] }),
  )
  sentence(
    '`key.query.ignore`: the parameter is not sent on by a call that fills the cache',
    [
      { expect: 'asked', target: '/a?utm_source=x&id=1', service: { headers: fresh } },
      { expect: 'cached', target: '/a?id=1&utm_medium=y' },
      { expect: 'asked', target: '/a?id=2' },
    ],
    key({ query: { ...defaults.key.query, ignore: ['utm_*'] } }),
  )
  sentence(
    '`key.query.only` and `sort`',
    [
      { expect: 'asked', target: '/a?b=1&a=1&c=1', service: { headers: fresh } },
      { expect: 'cached', target: '/a?a=1&b=1&d=1' },
      { expect: 'asked', target: '/a?a=2&b=1' },
      { expect: 'asked', target: '/a?b=1' },
    ],
    key({ query: { only: ['a', 'b'], ignore: [], sort: true } }),
  )

  test('what has no part in the key reaches the service in no way', async () => {
    const world = makeWorld(key({ query: { only: ['id'], ignore: [], sort: false } }), () =>
      replyOf({ headers: fresh }),
    )
    await world.step(makeCall({ target: '/a?x=evil&id=1&y=evil', headers: { range: 'bytes=0-1' } }))
    await world.step(makeCall({ target: '/a?x=evil&id=1&y=evil' }))
    const [passed, asked] = world.calls
    assert.deepEqual(
      [passed?.target, asked?.target, asked?.received, asked?.query],
      ['/a?x=evil&id=1&y=evil', '/a?id=1', '/a?id=1', '?id=1'],
    )
  })

  const mine = key({ consumer: true })
  sentence(
    '`key.consumer`: each consumer has replies of its own, also without `public`',
    [
      { expect: 'asked', who: { id: 'a' }, service: { headers: fresh, body: 'for a' } },
      { expect: 'asked', who: { id: 'b' }, service: { headers: fresh, body: 'for b' } },
      { expect: 'cached', who: { id: 'a' }, reply: 'for a' },
      { expect: 'cached', who: { id: 'b' }, reply: 'for b' },
    ],
    mine,
  )
  sentence(
    '… and each credential, and each set of scopes',
    [
      { expect: 'asked', who: { credential: 'k1', scopes: ['read', 'all'] }, service: { headers: fresh } },
      { expect: 'asked', who: { credential: 'k2', scopes: ['read', 'all'] } },
      { expect: 'asked', who: { credential: 'k1', scopes: ['read'] } },
      { expect: 'cached', who: { credential: 'k1', scopes: ['all', 'read'] } },
    ],
    mine,
  )
  sentence(
    '… but private replies are nobody else’s to keep',
    [
      { expect: 'asked', who: {}, service: { headers: { 'cache-control': 'private, max-age=60' } } },
      { expect: 'asked', who: {} },
    ],
    mine,
  )

  test('`key.consumer` needs to know who calls', () => {
    assert.deepEqual(cache.needsFor?.({ ...defaults, key: { ...defaults.key, consumer: true } }), [principal])
    assert.deepEqual(cache.needsFor?.(defaults), [])
  })

  sentence(
    '`bypass`',
    [
      { expect: 'asked', service: { headers: fresh } },
      { expect: 'asked', headers: { 'X-Preview': '1' } },
      { expect: 'asked', headers: { cookie: 'a=1; session=7' } },
      { expect: 'asked', target: '/?draft' },
      { expect: 'cached', headers: { cookie: 'sessions=7' } },
    ],
    { bypass: { headers: ['x-preview'], cookies: ['session'], query: ['draft'] } },
  )
  sentence(
    '`methods: GET` leaves HEAD alone',
    [{ expect: 'asked', service: { headers: fresh } }, { expect: 'asked', method: 'HEAD' }, { expect: 'cached' }],
    { methods: ['GET'] },
  )
})
