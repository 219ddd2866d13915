// The policies and ends that ship, over the wire: what the client gets and what the upstream sees.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { type Answer, ask, codeOf, type Question } from '../tools/ask.ts'
import { echo, type Echoed, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

/** How the request bodies ended that the upstream saw, by target. */
const bodies = new Map<string, { bytes: number; isWhole: boolean }>()

let origin: Origin
let program: Program
before(async () => {
  origin = await Origin.start(
    async (request, response) => {
      const chunks: Buffer[] = []
      const seen = { bytes: 0, isWhole: false }
      bodies.set(request.url ?? '', seen)
      request.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        seen.bytes += chunk.length
      })
      await once(request, 'end')
      seen.isWhole = request.complete
      response.setHeader('server', 'origin/1.0')
      await echo(request, response, Buffer.concat(chunks))
    },
    { isStreaming: true },
  )
  program = await Program.start({
    listeners: [{ port: 0, host: '127.0.0.1', trustedProxies: ['127.0.0.2'] }],
    upstreams: { origin: { targets: [origin.url] } },
    policies: [{ headers: { reply: { set: { 'x-around': 'all' } } } }],
    routes: [
      {
        match: { path: '/cors/**' },
        policies: [{ cors: { origins: ['https://shop.acme.test'], credentials: true } }],
        forward: 'origin',
      },
      {
        match: { path: '/ip/allowed' },
        policies: [{ ip: { allow: ['127.0.0.0/8'], deny: ['127.9.0.0/16'] } }],
        forward: 'origin',
      },
      { match: { path: '/ip/denied' }, policies: [{ ip: { allow: ['10.0.0.0/8'] } }], forward: 'origin' },
      {
        match: { path: '/headers/{id}' },
        policies: [
          {
            headers: {
              request: {
                set: { 'x-id': '{id}', 'x-client': '{client.address}' },
                add: { 'x-many': 'two' },
                remove: ['cookie'],
              },
              reply: { set: { 'x-route': '{route}' }, remove: ['server'] },
            },
          },
        ],
        name: 'with-headers',
        forward: 'origin',
      },
      { match: { path: '/limit/**' }, policies: [{ 'body-limit': '1kB' }], forward: 'origin' },
      {
        match: { path: '/when' },
        policies: [{ 'body-limit': 1, when: { methods: ['POST'], headers: { 'x-batch': '1' } } }],
        forward: 'origin',
      },
      { match: { path: '/moved/**' }, redirect: { to: 'https://new.acme.test/{rest}', status: 308 } },
      { match: { path: '/upgrade' }, redirect: { scheme: 'https', port: 8443 } },
      {
        match: { path: '/json' },
        reply: { json: { ok: true }, headers: { 'cache-control': 'no-store', 'x-q': '{query.q}' } },
      },
      { match: { path: '/gone' }, reply: { status: 410 } },
      { match: { path: '/only', methods: ['GET', 'PUT'] }, forward: 'origin' },
      { match: { path: '/rewrite/{a}/**' }, forward: { to: 'origin', path: '/v2/{a}/x/{rest}', host: 'inside.test' } },
    ],
  })
})
after(async () => {
  await program[Symbol.asyncDispose]()
  await origin[Symbol.asyncDispose]()
})

const call = (path: string, question: Question = {}) => ask(program.port, { path, ...question })
const echoed = (got: Answer) => JSON.parse(got.text) as Echoed

describe('cors', () => {
  const origins = { origin: 'https://shop.acme.test' }
  test('204: a preflight of an allowed origin, answered without the upstream', async () => {
    const headers = {
      ...origins,
      'access-control-request-method': 'PUT',
      'access-control-request-headers': 'authorization',
    }
    const got = await call('/cors/preflight', { method: 'OPTIONS', headers })
    assert.equal(got.status, 204)
    assert.equal(got.headers['access-control-allow-origin'], 'https://shop.acme.test')
    assert.equal(got.headers['access-control-allow-credentials'], 'true')
    assert.match(String(got.headers['access-control-allow-methods']), /PUT/)
    assert.match(String(got.headers['access-control-allow-headers']), /authorization/i)
    assert.equal(origin.targets.get('/cors/preflight'), undefined)
  })

  test('a preflight of another origin allows nothing', async () => {
    const headers = { origin: 'https://evil.test', 'access-control-request-method': 'PUT' }
    const got = await call('/cors/preflight', { method: 'OPTIONS', headers })
    assert.equal(got.headers['access-control-allow-origin'], undefined)
  })

  test('200: a call of an allowed origin is told so, and caches too', async () => {
    const got = await call('/cors/get', { headers: origins })
    assert.equal(got.status, 200)
    assert.equal(got.headers['access-control-allow-origin'], 'https://shop.acme.test')
    assert.match(String(got.headers.vary), /origin/i)
  })

  test('OPTIONS that is no preflight reaches the upstream', async () => {
    assert.equal(echoed(await call('/cors/options', { method: 'OPTIONS' })).method, 'OPTIONS')
  })
})

describe('ip', () => {
  test('200: an allowed address', async () => assert.equal((await call('/ip/allowed')).status, 200))
  test('403 address-denied: not in the list', async () => {
    const got = await call('/ip/denied')
    assert.deepEqual([got.status, codeOf(got)], [403, 'address-denied'])
  })

  for (const [from, claims, status] of [
    ['127.0.0.1', '10.0.0.7', 403],
    ['127.0.0.2', '10.0.0.7', 200],
    ['127.0.0.2', '10.0.0.7, 192.0.2.1', 403],
    ['127.0.0.2', '192.0.2.1, 10.0.0.7', 200],
  ] as const) {
    test(`${status}: ${from} says the client is ${claims}`, async () => {
      const request = http.get({
        host: '127.0.0.1',
        port: program.port,
        path: '/ip/denied',
        localAddress: from,
        agent: false,
        headers: { 'x-forwarded-for': claims },
      })
      const [response] = (await once(request, 'response')) as [IncomingMessage]
      response.resume()
      assert.equal(response.statusCode, status)
    })
  }
})

describe('headers', () => {
  test('the request is changed before the upstream sees it', async () => {
    const got = echoed(
      await call('/headers/a%20b', { headers: { cookie: 'secret=1', 'x-many': 'one', 'x-id': 'forged' } }),
    )
    assert.equal(got.headers['x-id'], 'a%20b')
    assert.equal(got.headers['x-client'], '127.0.0.1')
    assert.equal(got.headers['x-many'], 'one, two')
    assert.equal(got.headers.cookie, undefined)
  })

  test('the reply is changed before the client sees it', async () => {
    const got = await call('/headers/1')
    assert.equal(got.headers['x-route'], 'with-headers')
    assert.equal(got.headers.server, undefined)
  })

  test('policies around every route reach all of them, also redirects and replies', async () => {
    for (const path of ['/headers/1', '/json', '/moved/x'])
      assert.equal((await call(path)).headers['x-around'], 'all', path)
  })
})

describe('body-limit', () => {
  test('200: a body of exactly the limit, with a length and in chunks', async () => {
    for (const isChunked of [false, true]) {
      const got = await call('/limit/exact', { method: 'POST', body: 'x'.repeat(1000), isChunked })
      assert.equal(got.status, 200)
      assert.equal(echoed(got).body.length, 1000)
    }
  })

  test('413 body-too-large: a length past the limit; the upstream hears nothing', async () => {
    const got = await call('/limit/length', { method: 'POST', body: 'x'.repeat(1001) })
    assert.deepEqual([got.status, codeOf(got)], [413, 'body-too-large'])
    assert.equal(origin.targets.get('/limit/length'), undefined)
  })

  test('413 body-too-large: chunks past the limit; the upstream never sees a whole body', async () => {
    for (const [index, size] of [1001, 100_000, 3_000_000].entries()) {
      const path = `/limit/chunks/${index}`
      const got = await call(path, { method: 'POST', body: 'x'.repeat(size), isChunked: true })
      assert.deepEqual([got.status, codeOf(got)], [413, 'body-too-large'])
      const seen = bodies.get(path)
      assert.ok(seen === undefined || (!seen.isWhole && seen.bytes <= 1000), JSON.stringify(seen))
    }
    await until(
      () => origin.open <= 1,
      () => `${origin.open} connections; those of cut requests must be closed`,
    )
  })

  test('413 before the body: a client that expects 100-continue never sends it', async () => {
    const headers = { expect: '100-continue', 'content-length': '5000' }
    const request = http.request({
      host: '127.0.0.1',
      port: program.port,
      method: 'POST',
      path: '/limit/expect',
      headers,
      agent: false,
    })
    let isContinued = false
    request.on('continue', () => (isContinued = true))
    request.on('error', () => {})
    request.flushHeaders()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    assert.equal(response.statusCode, 413)
    assert.equal(isContinued, false)
    request.destroy()
  })
})

describe('when', () => {
  const batch = { 'x-batch': '1' }
  for (const [status, question] of [
    [413, { method: 'POST', body: 'xx', headers: batch }],
    [200, { method: 'POST', body: 'xx' }],
    [200, { method: 'PUT', body: 'xx', headers: batch }],
    [200, { method: 'POST', body: 'xx', headers: { 'x-batch': '2' } }],
  ] as const) {
    test(`${status}: ${question.method} ${JSON.stringify('headers' in question ? question.headers : {})}`, async () => {
      assert.equal((await call('/when', question)).status, status)
    })
  }
})

describe('redirect', () => {
  test('308: the rest of the path and the query stay', async () => {
    const got = await call('/moved/a%2Eb/c?x=1&y=%20')
    assert.deepEqual([got.status, got.headers.location], [308, 'https://new.acme.test/a%2Eb/c?x=1&y=%20'])
  })
  test('302: only what is said changes', async () => {
    const got = await call('/upgrade?x=1', { headers: { host: 'api.acme.test:8080' } })
    assert.deepEqual([got.status, got.headers.location], [302, 'https://api.acme.test:8443/upgrade?x=1'])
  })
})

describe('reply', () => {
  test('200: JSON with its fields', async () => {
    const got = await call('/json?q=a%0d%0aevil:1')
    assert.deepEqual([got.status, got.text], [200, '{"ok":true}'])
    assert.equal(got.headers['content-type'], 'application/json')
    assert.equal(got.headers['cache-control'], 'no-store')
    assert.equal(got.headers.evil, undefined)
  })
  test('HEAD has the length and no body', async () => {
    const got = await call('/json', { method: 'HEAD' })
    assert.deepEqual([got.text, got.headers['content-length']], ['', '11'])
  })
  test('410 without a body', async () => {
    const got = await call('/gone')
    assert.deepEqual([got.status, got.text], [410, ''])
  })
})

describe('routes', () => {
  test('404 route-not-found', async () => {
    const got = await call('/nowhere')
    assert.deepEqual([got.status, codeOf(got)], [404, 'route-not-found'])
  })
  test('405 method-not-allowed with Allow', async () => {
    const got = await call('/only', { method: 'DELETE' })
    assert.deepEqual([got.status, codeOf(got)], [405, 'method-not-allowed'])
    assert.match(String(got.headers.allow), /GET/)
    assert.match(String(got.headers.allow), /PUT/)
  })
  test('the path and host are rewritten, parameters as they came, the query kept', async () => {
    const got = echoed(await call('/rewrite/a%20b/c/%C3%A4?x=%2F'))
    assert.equal(got.url, '/v2/a%20b/x/c/%C3%A4?x=%2F')
    assert.equal(got.headers.host, 'inside.test')
  })
})
