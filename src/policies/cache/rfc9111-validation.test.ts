// RFC 9111, sentence by sentence: validation and invalidation. Each test is named by its section.

import { describe } from 'node:test'
import { type Exchange, date, fresh, sentence } from '../../../test/tools/cache-world.ts'

describe('§4.3.1 Sending a validation request', () => {
  const headers = { 'cache-control': 'max-age=5', etag: 'W/"1"', 'last-modified': date(-100) }
  sentence('§4.3.1: with the entity tag and the date of what is stored', [
    { expect: 'asked', service: { headers } },
    {
      expect: 'validated',
      after: 10,
      sent: { 'if-none-match': 'W/"1"', 'if-modified-since': date(-100) },
      service: { status: 304 },
      status: 200,
    },
  ])
  sentence('§4.3.1: preconditions of the client are not mixed with it', [
    { expect: 'asked', service: { headers } },
    {
      expect: 'validated',
      after: 10,
      headers: { 'if-none-match': '"x"' },
      sent: { 'if-none-match': 'W/"1"' },
      service: { status: 304 },
      status: 200,
      reply: 'hello',
    },
  ])
  sentence('§4.3.1: nor sent on when there is nothing stored, for the whole is of use to others', [
    {
      expect: 'asked',
      headers: { 'if-none-match': '"1"' },
      service: { headers: { ...fresh, etag: '"1"' } },
      status: 304,
      reply: '',
    },
    { expect: 'cached', status: 200, reply: 'hello' },
  ])
  sentence('§4.3.1: HEAD validates what is stored, too', [
    { expect: 'asked', service: { headers } },
    { expect: 'validated', method: 'HEAD', after: 10, service: { status: 304 }, status: 200 },
    { expect: 'cached' },
  ])
})

describe('§4.3.2 Handling a received validation request', () => {
  const headers = {
    ...fresh,
    etag: '"1"',
    'last-modified': date(-100),
    date: date(0),
    'content-type': 'text/plain',
    vary: 'x-a',
  }
  const stored: Exchange = { expect: 'asked', service: { headers } }
  sentence('§4.3.2: If-None-Match with the tag: 304 with what describes the reply', [
    stored,
    {
      expect: 'cached',
      headers: { 'if-none-match': '"0", W/"1"' },
      status: 304,
      reply: '',
      fields: {
        etag: '"1"',
        'cache-control': 'max-age=60',
        date: date(0),
        vary: 'x-a',
        age: '0',
        'content-type': undefined,
        'last-modified': undefined,
      },
    },
  ])
  sentence('§4.3.2: … with `*`', [stored, { expect: 'cached', headers: { 'if-none-match': '*' }, status: 304 }])
  sentence('§4.3.2: … with others: the whole reply', [
    stored,
    { expect: 'cached', headers: { 'if-none-match': '"0"' }, status: 200, reply: 'hello' },
  ])
  sentence('RFC 9110 §13.1.3: If-None-Match goes before If-Modified-Since', [
    stored,
    { expect: 'cached', headers: { 'if-none-match': '"0"', 'if-modified-since': date(0) }, status: 200 },
  ])
  sentence('§4.3.2: If-Modified-Since, not before Last-Modified', [
    stored,
    { expect: 'cached', headers: { 'if-modified-since': date(-100) }, status: 304 },
    { expect: 'cached', headers: { 'if-modified-since': date(-101) }, status: 200 },
  ])
  sentence('§4.3.2: … without Last-Modified by Date', [
    { expect: 'asked', service: { headers: { ...fresh, date: date(0) } } },
    { expect: 'cached', headers: { 'if-modified-since': date(0) }, status: 304 },
    { expect: 'cached', headers: { 'if-modified-since': date(-1) }, status: 200 },
  ])
  sentence('§4.3.2: a date that is none is ignored', [
    stored,
    { expect: 'cached', headers: { 'if-modified-since': 'yesterday' }, status: 200 },
  ])
  sentence('§4.3.2: other statuses than 200 are sent as they are', [
    { expect: 'asked', service: { status: 404, headers } },
    { expect: 'cached', headers: { 'if-none-match': '"1"' }, status: 404 },
  ])
  sentence('§4.3.2: If-Match and If-Unmodified-Since are not for caches', [
    stored,
    { expect: 'asked', headers: { 'if-match': '"1"' } },
    { expect: 'asked', headers: { 'if-unmodified-since': date(0) } },
  ])
})

describe('§4.3.3, §4.3.4 Handling a validation response', () => {
  const headers = { 'cache-control': 'max-age=5', etag: '"1"' }
  const stored: Exchange = { expect: 'asked', service: { headers } }
  sentence('§4.3.3: 304 makes it fresh again, by the age of the 304', [
    stored,
    {
      expect: 'validated',
      after: 10,
      service: { status: 304, headers: { age: '2', 'cache-control': 'max-age=5' } },
      reply: 'hello',
    },
    { expect: 'cached', after: 2.9, fields: { age: '4' } },
    { expect: 'validated', after: 0.2 },
  ])
  sentence('§4.3.3: a full reply takes its place', [
    stored,
    { expect: 'validated', after: 10, service: { headers: fresh, body: 'new' }, reply: 'new' },
    { expect: 'cached', reply: 'new' },
  ])
  sentence('§4.3.3: an error is passed on, and what is stored stays', [
    stored,
    { expect: 'validated', after: 10, service: { status: 500, body: 'oh' }, status: 500, reply: 'oh' },
    { expect: 'validated', service: { status: 304 }, reply: 'hello' },
  ])
  sentence('§4.3.4: a 304 with another strong validator updates nothing', [
    stored,
    {
      expect: 'validated',
      after: 10,
      service: { status: 304, headers: { etag: '"2"', 'cache-control': 'max-age=60', 'x-new': '1' } },
      reply: 'hello',
      fields: { etag: '"1"', 'x-new': undefined },
    },
    { expect: 'validated' },
  ])
  sentence('§4.3.4: one without a validator is about what was asked for', [
    stored,
    { expect: 'validated', after: 10, service: { status: 304, headers: fresh } },
    { expect: 'cached', after: 59 },
  ])
})

describe('§4.4 Invalidating stored responses', () => {
  const stored: Exchange = { expect: 'asked', target: '/a', service: { headers: fresh } }
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'MKCOL']) {
    sentence(`§4.4: ${method} that succeeds invalidates its target`, [
      stored,
      { expect: 'asked', method, target: '/a' },
      { expect: 'asked', target: '/a' },
    ])
  }
  for (const method of ['GET', 'OPTIONS']) {
    sentence(`§4.4: ${method} does not`, [
      stored,
      { expect: method === 'GET' ? 'cached' : 'asked', method, target: '/a' },
      { expect: 'cached', target: '/a' },
    ])
  }
  for (const [status, expect] of [
    [204, 'asked'],
    [303, 'asked'],
    [400, 'cached'],
    [500, 'cached'],
  ] as const) {
    sentence(`§4.4: … ${expect === 'asked' ? 'with' : 'not with'} status ${status}`, [
      stored,
      { expect: 'asked', method: 'POST', target: '/a', service: { status } },
      { expect, target: '/a', service: { headers: fresh } },
    ])
  }
  sentence('§4.4: every form and every query of the path goes with it', [
    { ...stored, target: '/a?page=2' },
    { expect: 'asked', method: 'POST', target: '/a' },
    { expect: 'asked', target: '/a?page=2' },
  ])
  for (const field of ['location', 'content-location']) {
    sentence(`§4.4: ${field} on the same host goes, too`, [
      { ...stored, target: '/b/1' },
      {
        expect: 'asked',
        method: 'POST',
        target: '/b',
        service: { status: 201, headers: { [field]: 'http://api.acme.test/b/1' } },
      },
      { expect: 'asked', target: '/b/1', service: { headers: fresh } },
      { expect: 'asked', method: 'POST', target: '/b', service: { status: 201, headers: { [field]: '/b/1' } } },
      { expect: 'asked', target: '/b/1', service: { headers: fresh } },
      {
        expect: 'asked',
        method: 'POST',
        target: '/b',
        service: { status: 201, headers: { [field]: '//other.test/b/1' } },
      },
      { expect: 'cached', target: '/b/1' },
    ])
  }
  sentence('§4.4: what is invalid may be validated, and is not served stale', [
    {
      expect: 'asked',
      target: '/a',
      service: {
        headers: { 'cache-control': 'max-age=60, stale-while-revalidate=60, stale-if-error=60', etag: '"1"' },
      },
    },
    { expect: 'asked', method: 'POST', target: '/a', service: {} },
    { expect: 'validated', target: '/a', service: { status: 500 }, status: 500 },
    { expect: 'validated', target: '/a', service: { status: 304 }, status: 200 },
    { expect: 'cached', target: '/a' },
  ])
})
