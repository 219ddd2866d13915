import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Headers } from '../../core/headers.ts'
import { OptionsError } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import { type CallOptions, fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { cors } from './cors.ts'

type Options = Parameters<typeof cors.build>[0]

const place = { route: 'r', key: 'r/policies/0' }
const shop = 'https://shop.acme.test'
const defaults: Options = {
  origins: [shop],
  methods: ['GET', 'POST'],
  headers: ['*'],
  exposedHeaders: [],
  credentials: false,
  maxAge: 600_000,
}

async function answer(options: Partial<Options>, call: CallOptions, fields: [string, string][] = []) {
  const given = { ...defaults, ...options }
  cors.check?.(given)
  const next = makeNext(() => {
    const reply = Reply.empty(200)
    reply.headers = Headers.of(fields)
    return reply
  })
  const reply = await cors.build(given, fakePorts(), place)(next)(makeCall(call))
  return { status: reply.status, fields: Object.fromEntries(reply.headers), list: [...reply.headers], next }
}

const from = (origin: string): CallOptions => ({ headers: { Origin: origin } })

function preflight(origin: string, method = 'POST', more: Record<string, string> = {}): CallOptions {
  return { method: 'OPTIONS', headers: { Origin: origin, 'Access-Control-Request-Method': method, ...more } }
}

test('an allowed origin may read the reply', async () => {
  const { fields } = await answer({}, from(shop))
  assert.deepEqual(fields, { vary: 'Origin', 'access-control-allow-origin': shop })
})

test('another origin may not, and caches know that the reply differs', async () => {
  for (const origin of ['https://evil.test', 'http://shop.acme.test', `${shop}:444`, `${shop}.evil.test`, 'null', '']) {
    const { status, fields } = await answer({}, from(origin))
    assert.equal(status, 200)
    assert.deepEqual(fields, { vary: 'Origin' }, origin)
  }
})

test('a call without Origin says Vary too', async () => {
  assert.deepEqual((await answer({}, {})).fields, { vary: 'Origin' })
})

test('origins *: every reply says so, and does not vary', async () => {
  for (const call of [{}, from('https://any.test'), from('null')]) {
    assert.deepEqual((await answer({ origins: ['*'] }, call)).fields, { 'access-control-allow-origin': '*' })
  }
})

test('a wildcard takes any name below, on its scheme and port', async () => {
  const table: [string, string, boolean][] = [
    ['https://*.acme.test', 'https://a.acme.test', true],
    ['https://*.acme.test', 'https://a.b.acme.test', true],
    ['https://*.acme.test', 'https://xn--bcher-kva.acme.test', true],
    ['https://*.acme.test', 'https://acme.test', false],
    ['https://*.acme.test', 'https://.acme.test', false],
    ['https://*.acme.test', 'https://a..acme.test', false],
    ['https://*.acme.test', 'https://evilacme.test', false],
    ['https://*.acme.test', 'http://a.acme.test', false],
    ['https://*.acme.test', 'https://a.acme.test:8443', false],
    ['https://*.acme.test', 'https://evil.test/.acme.test', false],
    ['https://*.acme.test', 'https://evil.test:1.acme.test', false],
    ['https://*.acme.test', 'https://user@a.acme.test', false],
    ['https://*.acme.test:8443', 'https://a.acme.test:8443', true],
    ['https://*.acme.test:8443', 'https://a.acme.test', false],
  ]
  for (const [pattern, origin, isAllowed] of table) {
    const { fields } = await answer({ origins: [pattern] }, from(origin))
    assert.equal(fields['access-control-allow-origin'], isAllowed ? origin : undefined, `${pattern} ${origin}`)
  }
})

test('exact and wildcard origins, app schemes and null stand beside each other', async () => {
  const origins = [shop, 'https://*.acme.test', 'capacitor://localhost', 'null', 'http://[::1]:3000']
  for (const origin of [shop, 'https://b.acme.test', 'capacitor://localhost', 'null', 'http://[::1]:3000']) {
    assert.equal((await answer({ origins }, from(origin))).fields['access-control-allow-origin'], origin)
  }
})

test('credentials are said to allowed origins only', async () => {
  const allowed = await answer({ credentials: true }, from(shop))
  assert.equal(allowed.fields['access-control-allow-credentials'], 'true')
  const denied = await answer({ credentials: true }, from('https://evil.test'))
  assert.deepEqual(denied.fields, { vary: 'Origin' })
})

test('exposedHeaders are said to allowed origins, not in a preflight', async () => {
  const options = { exposedHeaders: ['x-total', 'etag'] }
  const allowed = await answer(options, from(shop))
  assert.equal(allowed.fields['access-control-expose-headers'], 'x-total, etag')
  for (const call of [from('https://evil.test'), preflight(shop)]) {
    assert.equal((await answer(options, call)).fields['access-control-expose-headers'], undefined)
  }
})

test('what the upstream said about CORS is replaced', async () => {
  const said: [string, string][] = [
    ['Access-Control-Allow-Origin', '*'],
    ['x-a', '1'],
    ['access-control-allow-credentials', 'true'],
    ['ACCESS-CONTROL-EXPOSE-HEADERS', 'x-secret'],
    ['Access-Control-Allow-Private-Network', 'true'],
    ['x-b', '2'],
    ['Access-Control-Allow-Origin', 'https://evil.test'],
  ]
  const kept: [string, string][] = [
    ['x-a', '1'],
    ['x-b', '2'],
    ['vary', 'Origin'],
  ]
  assert.deepEqual((await answer({}, from('https://evil.test'), said)).list, kept)
  assert.deepEqual((await answer({}, from(shop), said)).list, [...kept, ['access-control-allow-origin', shop]])
})

test('Vary of the upstream is kept and completed', async () => {
  const table: [[string, string][], [string, string][]][] = [
    [[['Vary', 'Accept']], [['Vary', 'Accept, Origin']]],
    [
      [
        ['Vary', 'Accept'],
        ['vary', 'Cookie'],
      ],
      [['Vary', 'Accept, Cookie, Origin']],
    ],
    [[['Vary', 'accept,ORIGIN']], [['Vary', 'accept,ORIGIN']]],
    [[['Vary', '*']], [['Vary', '*']]],
    [[['Vary', 'X-Origin']], [['Vary', 'X-Origin, Origin']]],
  ]
  for (const [said, expected] of table) assert.deepEqual((await answer({}, {}, said)).list, expected)
})

test('204 a preflight is answered here', async () => {
  const { status, list, next } = await answer({ headers: ['x-a', 'content-type'], maxAge: 90_500 }, preflight(shop))
  assert.equal(status, 204)
  assert.equal(next.calls.length, 0)
  assert.deepEqual(list, [
    ['vary', 'Origin'],
    ['access-control-allow-origin', shop],
    ['access-control-allow-methods', 'GET, POST'],
    ['access-control-allow-headers', 'x-a, content-type'],
    ['access-control-max-age', '90'],
  ])
})

test('204 a preflight of another origin grants nothing', async () => {
  const { status, fields, next } = await answer({}, preflight('https://evil.test'))
  assert.equal(status, 204)
  assert.equal(next.calls.length, 0)
  assert.deepEqual(fields, { vary: 'Origin' })
})

test('a preflight to origins * with credentials off', async () => {
  const { list } = await answer({ origins: ['*'], headers: [] }, preflight('https://any.test'))
  assert.deepEqual(list, [
    ['access-control-allow-origin', '*'],
    ['access-control-allow-methods', 'GET, POST'],
    ['access-control-max-age', '600'],
  ])
})

test('headers * and methods * repeat what is asked for, Authorization included', async () => {
  const call = preflight(shop, 'PURGE', { 'Access-Control-Request-Headers': 'authorization,x-a' })
  const { fields } = await answer({ methods: ['*'], credentials: true }, call)
  assert.equal(fields['access-control-allow-methods'], 'PURGE')
  assert.equal(fields['access-control-allow-headers'], 'authorization,x-a')
  assert.equal(fields['vary'], 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers')
})

test('only names are repeated', async () => {
  const call = preflight(shop, 'A;B', { 'Access-Control-Request-Headers': 'x-a: <script>' })
  const { fields } = await answer({ methods: ['*'] }, call)
  assert.equal(fields['access-control-allow-methods'], undefined)
  assert.equal(fields['access-control-allow-headers'], undefined)
})

test('OPTIONS that is no preflight goes to the upstream', async () => {
  const plain = await answer({}, { method: 'OPTIONS', headers: { Origin: shop } })
  assert.equal(plain.next.calls.length, 1)
  assert.equal(plain.fields['access-control-allow-origin'], shop)
  const foreign = await answer({}, { method: 'OPTIONS', headers: { 'Access-Control-Request-Method': 'GET' } })
  assert.equal(foreign.next.calls.length, 1)
  const get = await answer({}, { ...preflight(shop), method: 'GET' })
  assert.equal(get.next.calls.length, 1)
})

test('private networks are never granted', async () => {
  const { fields } = await answer({}, preflight(shop, 'GET', { 'Access-Control-Request-Private-Network': 'true' }))
  assert.equal(fields['access-control-allow-private-network'], undefined)
})

test('refuses what browsers would refuse or what is unsafe', () => {
  const cases: [Partial<Options>, (string | number)[], RegExp][] = [
    [{ origins: ['*'], credentials: true }, ['origins', 0], /credentials: false/],
    [{ origins: ['null'], credentials: true }, ['origins', 0], /credentials: false/],
    [{ origins: [shop, '*'] }, ['origins'], /alone/],
    [{ origins: ['shop.acme.test'] }, ['origins', 0], /https:\/\/shop\.acme\.test/],
    [{ origins: [`${shop}/`] }, ['origins', 0], /such as/],
    [{ origins: [shop, `${shop}:443`] }, ['origins', 1], /`https:\/\/shop\.acme\.test`/],
    [{ origins: ['https://Shop.acme.test'] }, ['origins', 0], /`https:\/\/shop\.acme\.test`/],
    [{ origins: ['https://bücher.test'] }, ['origins', 0], /such as/],
    [{ origins: ['https://a.*.test'] }, ['origins', 0], /such as/],
    [{ origins: ['https://*'] }, ['origins', 0], /such as/],
    [{ origins: ['https://*.'] }, ['origins', 0], /such as/],
    [{ origins: ['https://user@shop.acme.test'] }, ['origins', 0], /such as/],
    [{ origins: ['https://shop.acme.test:99999'] }, ['origins', 0], /such as/],
    [{ methods: ['GET', 'patch'] }, ['methods', 1], /`PATCH`/],
    [{ methods: ['GET, POST'] }, ['methods', 0], /item of its own/],
    [{ headers: ['x a'] }, ['headers', 0], /item of its own/],
    [{ exposedHeaders: ['*'], credentials: true }, ['exposedHeaders'], /credentials: false/],
  ]
  for (const [options, path, hint] of cases) {
    assert.throws(
      () => cors.check?.({ ...defaults, ...options }),
      (thrown: unknown) => {
        assert.ok(thrown instanceof OptionsError, JSON.stringify(options))
        assert.deepEqual(thrown.path, path)
        assert.match(thrown.hint, hint)
        return true
      },
      JSON.stringify(options),
    )
  }
})
