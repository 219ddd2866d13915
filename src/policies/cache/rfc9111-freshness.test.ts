// RFC 9111, sentence by sentence: how long it is fresh, and when a stale reply may be sent. Each test is named by its section.

import { describe } from 'node:test'
import { again, date, fresh, sentence } from '../../../test/tools/cache-world.ts'

describe('§4.2 Freshness', () => {
  sentence('§4.2: fresh while the lifetime is more than the age', [
    { expect: 'asked', service: { headers: fresh } },
    { expect: 'cached', after: 59.9 },
    { expect: 'asked', after: 0.1 },
  ])
  sentence(
    '§4.2.1: s-maxage goes before max-age',
    again({ headers: { 'cache-control': 's-maxage=5, max-age=60' } }, 'asked'),
  )
  sentence(
    '§4.2.1: max-age goes before Expires',
    again({ headers: { 'cache-control': 'max-age=60', expires: date(-5), date: date(0) } }, 'cached'),
  )
  sentence('§4.2.1: Expires less Date', again({ headers: { expires: date(105), date: date(100) } }, 'asked'))
  sentence(
    '§4.2.1: … in its obsolete forms, too',
    again({ headers: { expires: 'Thursday, 01-Jan-26 00:01:00 GMT', date: date(0) } }, 'cached'),
  )
  sentence(
    '§4.2.1: … and asctime',
    again({ headers: { expires: 'Thu Jan  1 00:01:00 2026', date: date(0) } }, 'cached'),
  )
  sentence('§4.2.1: Expires without Date counts from when it came', again({ headers: { expires: date(60) } }, 'cached'))
  sentence(
    '§5.3: an Expires that is no date, as 0, is in the past',
    again({ headers: { expires: '0', etag: '"1"' } }, 'validated', 0),
  )
  sentence(
    '§5.3: two that differ are none',
    again(
      {
        headers: [
          ['expires', date(60)],
          ['expires', date(90)],
          ['etag', '"1"'],
        ],
      },
      'validated',
      0,
    ),
  )
  for (const text of ['max-age=60.0', 'max-age=a60', 'max-age=-60', 'max-age', 'max-age=6 0']) {
    sentence(`§4.2.1: \`${text}\` is stale`, again({ headers: { 'cache-control': text, etag: '"1"' } }, 'validated', 0))
  }
  sentence(
    '§4.2.1: two that differ: not more than the least',
    again({ headers: { 'cache-control': 'max-age=60, max-age=5' } }, 'asked'),
  )
  sentence(
    '§1.2.2: a number past 2^31 is 2^31',
    again({ headers: { 'cache-control': 'max-age=99999999999999' } }, 'cached', 2 ** 31 - 1),
  )
  sentence(
    '§5.2: names in any case, arguments quoted or not',
    again({ headers: { 'cache-control': 'Max-Age="60"' } }, 'cached'),
  )
  sentence(
    '§5.2: what is not known is ignored, a comma in quotes parts nothing',
    again({ headers: { 'cache-control': 'a="b, no-store", max-age=60, x=y' } }, 'cached'),
  )
  sentence(
    '§5.2.2.1: max-age of a stale reply is 0 as well',
    again({ headers: { 'cache-control': 'max-age=0', etag: '"1"' } }, 'validated', 0),
  )
})

describe('§4.2.2 Calculating heuristic freshness', () => {
  const headers = { 'last-modified': date(-1000), date: date(0) }
  sentence(
    '§4.2.2: a share of the time since Last-Modified, where the config allows',
    [
      { expect: 'asked', service: { headers } },
      { expect: 'cached', after: 99 },
      { expect: 'validated', after: 2 },
    ],
    { heuristic: 0.1 },
  )
  sentence('§4.2.2: … at most `heuristicMax`', again({ headers }, 'validated', 50), {
    heuristic: 0.1,
    heuristicMax: 49_000,
  })
  sentence('§4.2.2: none by default', again({ headers }, 'validated', 0))
  sentence(
    '§4.2.2: not where an explicit time is there',
    again({ headers: { ...headers, 'cache-control': 'max-age=5' } }, 'validated'),
    { heuristic: 0.1 },
  )
  sentence('§4.2.2: not for a status that does not allow it', again({ status: 302, headers }, 'validated', 0), {
    heuristic: 0.1,
  })
  sentence(
    '§4.2.2: … but with public',
    again({ status: 302, headers: { ...headers, 'cache-control': 'public' } }, 'cached'),
    { heuristic: 0.1 },
  )
  sentence('`ttl` by status, for replies that say nothing', again({ status: 404 }, 'cached', 4), {
    ttl: { '404': 5_000 },
  })
  sentence('`ttl` is over when it is over', again({ status: 404 }, 'asked', 6), { ttl: { '404': 5_000 } })
  sentence(
    'nothing is guessed for calls with a cookie',
    [
      { expect: 'asked', headers: { cookie: 'session=1' } },
      { expect: 'asked', headers: { cookie: 'session=1' } },
      { expect: 'asked' },
      { expect: 'cached' },
    ],
    { ttl: { '200': 5_000 } },
  )
})

describe('§4.2.3 Calculating age', () => {
  sentence('§4.2.3: the Age that it came with counts', [
    { expect: 'asked', service: { headers: { ...fresh, age: '55' } } },
    { expect: 'cached', after: 4, fields: { age: '59' } },
    { expect: 'asked', after: 1 },
  ])
  sentence('§5.1: of a list the first member counts', again({ headers: { ...fresh, age: '55, 0' } }, 'asked', 6))
  sentence('§5.1: an Age that is no number is ignored', again({ headers: { ...fresh, age: 'old' } }, 'cached'))
})

describe('§4.2.4 Serving stale responses', () => {
  sentence('§4.2.4: not without leave', again({ headers: { 'cache-control': 'max-age=5', etag: '"1"' } }, 'validated'))
  sentence('§5.2.1.2: max-stale of the request is leave', [
    { expect: 'asked', service: { headers: { 'cache-control': 'max-age=5' } } },
    { expect: 'cached', after: 10, headers: { 'cache-control': 'max-stale=10' }, fields: { age: '10' } },
    { expect: 'cached', headers: { 'cache-control': 'max-stale' } },
    { expect: 'asked', headers: { 'cache-control': 'max-stale=4' } },
  ])
  for (const directive of ['must-revalidate', 'proxy-revalidate', 's-maxage=5', 'no-cache']) {
    sentence(`§4.2.4: ${directive} forbids it, whatever the request allows`, [
      { expect: 'asked', service: { headers: { 'cache-control': `max-age=5, ${directive}`, etag: '"1"' } } },
      { expect: 'validated', after: 10, headers: { 'cache-control': 'max-stale' }, service: { status: 304 } },
    ])
    sentence(`§4.2.4: … and when the service fails, too: ${directive}`, [
      {
        expect: 'asked',
        service: { headers: { 'cache-control': `max-age=5, stale-if-error=60, ${directive}`, etag: '"1"' } },
      },
      { expect: 'validated', after: 10, service: { status: 503, body: 'down' }, status: 503 },
    ])
  }
  sentence('RFC 5861 §4: stale-if-error', [
    { expect: 'asked', service: { headers: { 'cache-control': 'max-age=5, stale-if-error=20', etag: '"1"' } } },
    { expect: 'validated', after: 10, service: { status: 503, body: 'down' }, status: 200, reply: 'hello' },
    { expect: 'validated', after: 20, status: 503, reply: 'down' },
  ])
  sentence(
    'RFC 5861 §4: `staleIfError` for replies that do not say it; not for other errors',
    [
      { expect: 'asked', service: { headers: { 'cache-control': 'max-age=5', etag: '"1"' } } },
      { expect: 'validated', after: 10, service: { status: 500 }, status: 200 },
      { expect: 'validated', service: { status: 403 }, status: 403 },
    ],
    { staleIfError: 60_000 },
  )
  sentence('RFC 5861 §4: not to a request that wants no cache', [
    { expect: 'asked', service: { headers: { 'cache-control': 'max-age=5, stale-if-error=20', etag: '"1"' } } },
    { expect: 'validated', after: 10, headers: { 'cache-control': 'no-cache' }, service: { status: 503 }, status: 503 },
  ])
})
