// RFC 9111, sentence by sentence: what may be stored. Each test is named by its section.

import { describe } from 'node:test'
import { again, fresh, sentence } from '../../../test/tools/cache-world.ts'

describe('§2 Overview of cache operation', () => {
  sentence('§2: the primary key is the method and the target URI: another path is another resource', [
    { expect: 'asked', target: '/a', service: { headers: fresh } },
    { expect: 'asked', target: '/b' },
    { expect: 'cached', target: '/a' },
  ])
  sentence('§2: … another query, too', [
    { expect: 'asked', target: '/a?x=1', service: { headers: fresh } },
    { expect: 'asked', target: '/a?x=2' },
    { expect: 'asked', target: '/a' },
  ])
  sentence('§2: … another host and another port, too', [
    { expect: 'asked', host: 'a.test', service: { headers: fresh } },
    { expect: 'asked', host: 'b.test' },
    { expect: 'asked', host: 'a.test:8080' },
    { expect: 'cached', host: 'a.test' },
  ])
  sentence('§2: … another scheme, too', [
    { expect: 'asked', service: { headers: fresh } },
    { expect: 'asked', headers: { 'X-Forwarded-Proto': 'https' } },
  ])
  sentence('§2: replies to other methods than GET are not stored', [
    { expect: 'asked', method: 'OPTIONS', service: { headers: fresh } },
    { expect: 'asked', method: 'OPTIONS' },
    { expect: 'asked', method: 'POST' },
    { expect: 'asked', method: 'POST' },
    { expect: 'asked' },
  ])
})

describe('§3 Storing responses in caches', () => {
  sentence('§3: a reply with explicit freshness is stored', again({ headers: fresh }, 'cached'))
  sentence('§3: one that nobody gave a time or a validator is not', again({}, 'asked', 0))
  sentence('§3: the status must be final and understood: none of 206', again({ status: 206, headers: fresh }, 'asked'))
  for (const status of [200, 203, 204, 300, 301, 302, 307, 308, 404, 410]) {
    sentence(`§3: ${status} with explicit freshness is stored`, again({ status, headers: fresh }, 'cached'))
  }
  for (const status of [400, 401, 403, 500, 502, 503]) {
    sentence(
      `§3: ${status} is not, whatever it says: an error made by one caller must not reach others`,
      again({ status, headers: fresh }, 'asked'),
    )
  }
  sentence('§3: `statuses` adds others', again({ status: 403, headers: fresh }, 'cached'), { statuses: [200, 403] })
  sentence('§5.2.2.5: no-store forbids it', again({ headers: { 'cache-control': 'no-store, max-age=60' } }, 'asked'))
  sentence(
    '§5.2.2.3: must-understand goes before no-store for a status that is understood',
    again({ headers: { 'cache-control': 'no-store, must-understand, max-age=60' } }, 'cached'),
  )
  sentence(
    '§5.2.2.3: … and forbids it for one that is not',
    again({ status: 299, headers: { 'cache-control': 'must-understand, max-age=60' } }, 'asked'),
    { statuses: [299] },
  )
  sentence('§5.2.2.7: private forbids it', again({ headers: { 'cache-control': 'private, max-age=60' } }, 'asked'))
  sentence('§5.2.2.7: private with fields keeps the rest', [
    {
      expect: 'asked',
      service: { headers: { 'cache-control': 'max-age=60, private="X-User, x-other"', 'X-User': 'ada', 'X-All': '1' } },
      fields: { 'x-user': 'ada' },
    },
    { expect: 'cached', fields: { 'x-user': undefined, 'x-all': '1' } },
  ])
  sentence(
    '§7.3: a reply that sets a cookie is for one client',
    again({ headers: { ...fresh, 'set-cookie': 'a=1' } }, 'asked'),
  )
  sentence('§7.3: … unless the cookie is named as not to be kept', [
    {
      expect: 'asked',
      service: { headers: { 'cache-control': 'max-age=60, no-cache="set-cookie"', 'set-cookie': 'a=1' } },
    },
    { expect: 'cached', fields: { 'set-cookie': undefined } },
  ])
  sentence('§4.1: Vary: * is never selected', again({ headers: { ...fresh, vary: '*' } }, 'asked'))
  sentence('§5.2.1.5: no-store of the request', [
    { expect: 'asked', headers: { 'cache-control': 'no-store' }, service: { headers: fresh } },
    { expect: 'asked' },
    { expect: 'cached' },
  ])
  sentence('§3.1: fields of one connection, of one proxy and of one call are not stored', [
    {
      expect: 'asked',
      service: {
        headers: { ...fresh, 'proxy-authenticate': 'Basic', 'x-request-id': '7', age: '5', 'keep-alive': 'timeout=5' },
      },
    },
    {
      expect: 'cached',
      fields: { 'proxy-authenticate': undefined, 'x-request-id': undefined, 'keep-alive': undefined, age: '5' },
    },
  ])
})

describe('§3.2 Updating stored header fields', () => {
  const tagged = {
    'cache-control': 'max-age=5',
    etag: '"1"',
    'x-old': 'a',
    'x-both': 'a',
    'content-type': 'text/plain',
  }
  sentence('§3.2: fields of a 304 take the place of those stored, others stay', [
    { expect: 'asked', service: { headers: tagged } },
    {
      expect: 'validated',
      after: 10,
      service: { status: 304, headers: { 'cache-control': 'max-age=60', etag: '"1"', 'x-both': 'b', 'x-new': 'b' } },
      status: 200,
      reply: 'hello',
      fields: { 'x-old': 'a', 'x-both': 'b', 'x-new': 'b', 'content-type': 'text/plain' },
    },
    { expect: 'cached', after: 50, fields: { 'x-old': 'a', 'x-both': 'b', 'x-new': 'b', age: '50' } },
  ])
  sentence('§3.2: … but not those that say how the stored bytes are to be read', [
    { expect: 'asked', service: { headers: { ...tagged, 'content-encoding': 'gzip' } } },
    {
      expect: 'validated',
      after: 10,
      service: {
        status: 304,
        headers: {
          ...{ 'content-encoding': 'br', 'content-range': 'bytes 0-1/2', 'content-length': '9' },
          'content-digest': 'sha-256=:BB==:',
        },
      },
      fields: {
        ...{ 'content-encoding': 'gzip', 'content-range': undefined, 'content-length': undefined },
        'content-digest': undefined,
      },
    },
  ])
  sentence('§3.2: a 304 that forbids to keep the reply ends it', [
    { expect: 'asked', service: { headers: tagged } },
    {
      expect: 'validated',
      after: 10,
      service: { status: 304, headers: { 'cache-control': 'no-store' } },
      reply: 'hello',
    },
    { expect: 'asked', service: { headers: fresh } },
  ])
})

describe('§3.5 Storing responses to authenticated requests', () => {
  const authorization = { authorization: 'Bearer x' }
  sentence('§3.5: a reply to a request with Authorization is not stored', [
    { expect: 'asked', headers: authorization, service: { headers: fresh } },
    { expect: 'asked', headers: authorization },
    { expect: 'asked' },
  ])
  for (const directive of ['public', 'must-revalidate', 's-maxage=60']) {
    sentence(`§3.5: … unless it says ${directive}`, [
      {
        expect: 'asked',
        headers: authorization,
        service: { headers: { 'cache-control': `max-age=60, ${directive}` } },
      },
      { expect: 'cached', headers: { authorization: 'Bearer y' } },
      { expect: 'cached' },
    ])
  }
  sentence('§3.5: what was stored for nobody is not for somebody, unless it says so', [
    { expect: 'asked', service: { headers: fresh } },
    { expect: 'asked', headers: authorization },
    { expect: 'cached' },
  ])
  sentence('§3.5: who was proven otherwise counts as authenticated: a key, a certificate', [
    { expect: 'asked', who: { id: 'a' }, service: { headers: fresh, body: 'for a' } },
    { expect: 'asked', who: { id: 'b' } },
    { expect: 'asked' },
  ])
  sentence('§3.5: … nobody in particular does not', [
    { expect: 'asked', who: { method: 'anonymous', id: 'anonymous' }, service: { headers: fresh } },
    { expect: 'cached' },
  ])
})
