// RFC 9111, sentence by sentence: how requests are answered. Each test is named by its section.

import { describe } from 'node:test'
import { type Exchange, date, fresh, sentence } from '../../../test/tools/cache-world.ts'

const control = (text: string) => ({ 'cache-control': text })

describe('§4 Constructing responses from caches', () => {
  sentence('§4: a reply from the store has an Age, and the Date it had', [
    { expect: 'asked', service: { headers: { ...fresh, date: date(0) } }, fields: { age: undefined } },
    { expect: 'cached', after: 7, fields: { age: '7', date: date(0) } },
  ])
  sentence('§4: HEAD is answered from a stored GET', [
    { expect: 'asked', service: { headers: fresh } },
    { expect: 'cached', method: 'HEAD', status: 200 },
  ])
  sentence('§4: a stored HEAD answers no GET', [
    { expect: 'asked', method: 'HEAD', service: { headers: fresh } },
    { expect: 'asked' },
  ])
  sentence('§4: no-cache is not used without validation', [
    { expect: 'asked', service: { headers: { 'cache-control': 'max-age=60, no-cache', etag: '"1"' } } },
    { expect: 'validated', service: { status: 304 } },
    { expect: 'validated' },
  ])
  sentence('§4: of several stored replies that fit the newest is used', [
    { expect: 'asked', headers: { 'x-a': '1' }, service: { headers: { ...fresh, vary: 'x-a' }, body: 'one' } },
    { expect: 'asked', headers: { 'x-a': '2' }, service: { headers: fresh, body: 'two' } },
    { expect: 'cached', headers: { 'x-a': '1' }, reply: 'two' },
  ])
})

describe('§4.1 Calculating cache keys with the Vary header field', () => {
  const varied = { ...fresh, vary: 'X-A' }
  sentence('§4.1: the fields that Vary names must match', [
    { expect: 'asked', headers: { 'x-a': '1' }, service: { headers: varied, body: 'one' } },
    { expect: 'asked', headers: { 'x-a': '2' }, service: { headers: varied, body: 'two' } },
    { expect: 'cached', headers: { 'x-a': '1' }, reply: 'one' },
    { expect: 'cached', headers: { 'x-a': '2' }, reply: 'two' },
    { expect: 'asked' },
  ])
  sentence('§4.1: a field that is absent matches one that is absent', [
    { expect: 'asked', service: { headers: varied } },
    { expect: 'cached' },
    { expect: 'asked', headers: { 'x-a': '' } },
  ])
  sentence('§4.1: white space and the spread over lines are no difference', [
    { expect: 'asked', headers: [['x-a', '1, 2']], service: { headers: varied } },
    {
      expect: 'cached',
      headers: [
        ['x-a', '1'],
        ['x-a', '2'],
      ],
    },
    { expect: 'cached', headers: [['x-a', '1 ,2']] },
    { expect: 'asked', headers: [['x-a', '2, 1']] },
  ])
  sentence('§4.1: what means the same may be taken as the same: codings in another order', [
    {
      expect: 'asked',
      headers: { 'accept-encoding': 'gzip, br;q=0.5' },
      service: { headers: { ...fresh, vary: 'accept-encoding' } },
    },
    { expect: 'cached', headers: { 'accept-encoding': 'br; q=0.5,GZIP' } },
    { expect: 'asked', headers: { 'accept-encoding': 'br' } },
  ])
  sentence('§4.1: all fields of several Vary lines count', [
    {
      expect: 'asked',
      headers: { a: '1', b: '1' },
      service: {
        headers: [
          ['cache-control', 'max-age=60'],
          ['vary', 'a'],
          ['vary', 'b'],
        ],
      },
    },
    { expect: 'cached', headers: { a: '1', b: '1' } },
    { expect: 'asked', headers: { a: '1', b: '2' } },
  ])
  sentence(
    '§4.1: at most `variants` are kept, the newest',
    [
      { expect: 'asked', headers: { 'x-a': '1' }, service: { headers: varied } },
      { expect: 'asked', headers: { 'x-a': '2' } },
      { expect: 'asked', headers: { 'x-a': '3' } },
      { expect: 'cached', headers: { 'x-a': '2' } },
      { expect: 'asked', headers: { 'x-a': '1' } },
    ],
    { variants: 2 },
  )
})

describe('§5.2.1 Request directives', () => {
  const stored: Exchange = { expect: 'asked', service: { headers: { ...fresh, etag: '"1"' } } }
  sentence('§5.2.1.1: max-age', [
    stored,
    { expect: 'cached', after: 10, headers: control('max-age=10') },
    { expect: 'validated', after: 1, headers: control('max-age=10'), service: { status: 304, headers: fresh } },
    { expect: 'validated', after: 1, headers: control('max-age=0') },
  ])
  sentence('§5.2.1.3: min-fresh', [
    stored,
    { expect: 'cached', after: 10, headers: control('min-fresh=50') },
    { expect: 'validated', headers: control('min-fresh=51'), service: { status: 304, headers: fresh } },
  ])
  sentence('§5.2.1.4: no-cache', [
    stored,
    { expect: 'validated', headers: control('no-cache'), service: { status: 304, headers: fresh } },
    { expect: 'cached' },
  ])
  sentence('§5.2.1.7: only-if-cached: what is there, or 504', [
    { expect: 'cached', headers: control('only-if-cached'), status: 504 },
    stored,
    { expect: 'cached', headers: control('only-if-cached'), status: 200 },
    { expect: 'cached', after: 61, headers: control('only-if-cached'), status: 504 },
  ])
  sentence('§5.4: Pragma: no-cache counts where there is no Cache-Control', [
    stored,
    { expect: 'validated', headers: { pragma: 'no-cache' }, service: { status: 304, headers: fresh } },
    { expect: 'cached', headers: { pragma: 'no-cache', 'cache-control': 'max-age=60' } },
  ])
  sentence(
    '`clientDirectives: ignore`',
    [stored, { expect: 'cached', headers: { 'cache-control': 'no-cache, no-store, max-age=0', pragma: 'no-cache' } }],
    { clientDirectives: 'ignore' },
  )
})

describe('RFC 9110 §14 Range requests', () => {
  const stored: Exchange = {
    expect: 'asked',
    service: { headers: { ...fresh, etag: '"1"', 'last-modified': date(-100) }, body: '0123456789' },
  }
  for (const [range, part, text] of [
    ['bytes=0-4', '0-4', '01234'],
    ['bytes=5-', '5-9', '56789'],
    ['bytes=-3', '7-9', '789'],
    ['bytes=8-99', '8-9', '89'],
    ['bytes=-99', '0-9', '0123456789'],
  ] as const) {
    sentence(`§14.2: ${range} is a part of what is stored`, [
      stored,
      {
        expect: 'cached',
        headers: { range },
        status: 206,
        reply: text,
        fields: { 'content-range': `bytes ${part}/10` },
      },
    ])
  }
  sentence('§14.2: several ranges, other units and nonsense are ignored', [
    stored,
    ...['bytes=0-1,3-4', 'lines=0-4', 'bytes=4-0', 'bytes=-', 'bytes=a-b'].map(
      range => ({ expect: 'cached', headers: { range }, status: 200, reply: '0123456789' }) as const,
    ),
  ])
  sentence('§15.5.17: past the end: 416 with the length', [
    stored,
    { expect: 'cached', headers: { range: 'bytes=10-' }, status: 416, fields: { 'content-range': 'bytes */10' } },
    { expect: 'cached', headers: { range: 'bytes=-0' }, status: 416 },
  ])
  sentence('§13.1.5: If-Range by the strong comparison, or by exactly the date', [
    stored,
    { expect: 'cached', headers: { range: 'bytes=0-4', 'if-range': '"1"' }, status: 206 },
    { expect: 'cached', headers: { range: 'bytes=0-4', 'if-range': date(-100) }, status: 206 },
    ...['"2"', 'W/"1"', date(-99)].map(
      tag => ({ expect: 'cached', headers: { range: 'bytes=0-4', 'if-range': tag }, status: 200 }) as const,
    ),
  ])
  sentence('§13.1.5: a date is no strong validator where the reply was made within a second of it (§8.8.2.2)', [
    {
      expect: 'asked',
      service: { headers: { ...fresh, date: date(-10), 'last-modified': date(-10) }, body: 'abcdef' },
    },
    { expect: 'cached', headers: { range: 'bytes=0-1', 'if-range': date(-10) }, status: 200, reply: 'abcdef' },
    { expect: 'cached', headers: { range: 'bytes=0-1' }, status: 206, reply: 'ab' },
  ])
  sentence('§13.1.5: a date as validator, a second before the reply was made', [
    { expect: 'asked', service: { headers: { ...fresh, date: date(-9), 'last-modified': date(-10) }, body: 'abcdef' } },
    { expect: 'cached', headers: { range: 'bytes=0-1', 'if-range': date(-10) }, status: 206, reply: 'ab' },
  ])
  sentence('§13.1.5: a weak tag is compared by no strong comparison, not even to itself', [
    { expect: 'asked', service: { headers: { ...fresh, etag: 'W/"1"' }, body: 'abcdef' } },
    ...['W/"1"', '"1"'].map(
      tag => ({ expect: 'cached', headers: { range: 'bytes=0-1', 'if-range': tag }, status: 200 }) as const,
    ),
  ])
  sentence('§13.1.5: If-Range that does not hold lets no range be unsatisfiable', [
    stored,
    { expect: 'cached', headers: { range: 'bytes=99-', 'if-range': '"2"' }, status: 200, reply: '0123456789' },
  ])
  sentence('§13.2.2: what the client has already goes before the range, what it has not does not hinder it', [
    stored,
    { expect: 'cached', headers: { range: 'bytes=0-4', 'if-none-match': '"1"' }, status: 304, reply: '' },
    { expect: 'cached', headers: { range: 'bytes=99-', 'if-none-match': 'W/"1"' }, status: 304 },
    { expect: 'cached', headers: { range: 'bytes=0-4', 'if-modified-since': date(-100) }, status: 304 },
    { expect: 'cached', headers: { range: 'bytes=0-4', 'if-none-match': '"2"' }, status: 206, reply: '01234' },
    { expect: 'cached', headers: { range: 'bytes=0-4', 'if-modified-since': date(-101) }, status: 206 },
    { expect: 'cached', headers: { range: 'bytes=99-', 'if-none-match': '"2"' }, status: 416 },
  ])
  sentence('§5.3: lines of Range are one list, and so several ranges', [
    stored,
    {
      expect: 'cached',
      headers: [
        ['range', 'bytes=0-1'],
        ['range', 'bytes=3-4'],
      ],
      status: 200,
    },
    {
      expect: 'cached',
      headers: [
        ['range', 'bytes=0-1'],
        ['if-range', '"2"'],
        ['if-range', '"1"'],
      ],
      status: 200,
    },
  ])
  sentence('§14.1.2: a body of nothing: its last bytes are the whole, and it has no first one', [
    { expect: 'asked', service: { headers: fresh, body: '' } },
    { expect: 'cached', headers: { range: 'bytes=-5' }, status: 200, reply: '' },
    { expect: 'cached', headers: { range: 'bytes=0-' }, status: 416, fields: { 'content-range': 'bytes */0' } },
  ])
  sentence('§14.2: only a 200 has parts', [
    { expect: 'asked', service: { status: 404, headers: fresh, body: 'not here' } },
    { expect: 'cached', headers: { range: 'bytes=0-1' }, status: 404, reply: 'not here' },
  ])
  sentence('§15.3.7: a part has the fields of the whole, but no digest of its content (RFC 9530 §2)', [
    {
      expect: 'asked',
      service: {
        headers: {
          ...fresh,
          ...{ etag: '"1"', 'content-type': 'text/plain', 'content-encoding': 'gzip', vary: 'accept-encoding' },
          ...{ 'content-digest': 'sha-256=:AA==:', 'content-md5': 'AA==', 'repr-digest': 'sha-256=:AA==:' },
        },
      },
    },
    {
      ...{ expect: 'cached', headers: { range: 'bytes=0-1' }, status: 206, reply: 'he' },
      fields: {
        ...{ etag: '"1"', 'content-type': 'text/plain', 'content-encoding': 'gzip', vary: 'accept-encoding' },
        ...{ 'content-digest': undefined, 'content-md5': undefined, 'repr-digest': 'sha-256=:AA==:' },
      },
    },
    { expect: 'cached', fields: { 'content-digest': 'sha-256=:AA==:', 'content-md5': 'AA==' } },
  ])
  sentence('§14.3: long replies say that parts of them can be had, where the service says nothing of it', [
    { expect: 'asked', target: '/long', service: { headers: fresh, body: 'x'.repeat(65_537) } },
    { expect: 'cached', target: '/long', fields: { 'accept-ranges': 'bytes' } },
    { expect: 'cached', target: '/long', method: 'HEAD', fields: { 'accept-ranges': 'bytes' } },
    { expect: 'asked', target: '/short', service: { headers: fresh, body: 'x' } },
    { expect: 'cached', target: '/short', fields: { 'accept-ranges': undefined } },
    {
      ...{ expect: 'asked', target: '/none' },
      service: { headers: { ...fresh, 'accept-ranges': 'none' }, body: 'x'.repeat(65_537) },
    },
    { expect: 'cached', target: '/none', fields: { 'accept-ranges': 'none' } },
  ])
  sentence('RFC 9111 §4.3.4: a part of what was validated', [
    { expect: 'asked', service: { headers: { ...fresh, etag: '"1"' }, body: '0123456789' } },
    {
      ...{ expect: 'validated', after: 61, headers: { range: 'bytes=2-3' }, sent: { range: undefined } },
      service: { status: 304, headers: { ...fresh, etag: '"1"' } },
      ...{ status: 206, reply: '23', fields: { 'content-range': 'bytes 2-3/10' } },
    },
  ])
  sentence('§14.2: HEAD knows no ranges', [
    stored,
    { expect: 'cached', method: 'HEAD', headers: { range: 'bytes=0-4' }, status: 200 },
  ])
  sentence('RFC 9111 §3.3: a part is passed on, and not stored', [
    {
      expect: 'asked',
      headers: { range: 'bytes=0-4' },
      sent: { range: 'bytes=0-4' },
      service: { status: 206, headers: { ...fresh, 'content-range': 'bytes 0-4/10' }, body: '01234' },
      status: 206,
    },
    { expect: 'asked', headers: { range: 'bytes=0-4' } },
    { expect: 'asked', service: { headers: fresh } },
  ])
})
