import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { Failure } from '../core/failure.ts'
import { OptionsError } from '../core/policy.ts'
import { type CallOptions, fakePorts, makeCall } from '../../test/tools/call.ts'
import { redirect } from './redirect.ts'

type Options = Parameters<typeof redirect.build>[0]

const place = { route: 'r', key: 'r/end' }
const defaults: Options = { to: null, scheme: null, host: null, port: null, path: null, status: 302 }

function build(options: Partial<Options>) {
  const given = { ...defaults, ...options }
  redirect.check?.(given)
  return redirect.build(given, fakePorts(), place)
}

async function location(options: Partial<Options>, call: CallOptions): Promise<string | undefined> {
  const answer = await build(options)(makeCall(call))
  assert.ok(answer.body.isEmpty)
  return answer.headers.get('location')
}

const old = { target: '/old/a%20b?x=1', pattern: '/old/**', host: 'api.acme.test:8080' }

const table: [name: string, options: Partial<Options>, call: CallOptions, expected: string][] = [
  ['to: a URL', { to: 'https://new.acme.test/{rest}' }, old, 'https://new.acme.test/a%20b?x=1'],
  ['to: an origin keeps path and query', { to: 'https://new.acme.test' }, old, 'https://new.acme.test/old/a%20b?x=1'],
  ['to: an origin with a query keeps the path', { to: 'https://n.test?y=2' }, old, 'https://n.test/old/a%20b?y=2'],
  ['to: a URL with a query', { to: 'https://n.test/{rest}?y=2' }, old, 'https://n.test/a%20b?y=2'],
  ['to: a fragment goes behind the query', { to: '/new#top' }, old, '/new?x=1#top'],
  ['to: a path stays on the host', { to: '/new/{rest}' }, old, '/new/a%20b?x=1'],
  ['to: the root', { to: 'https://n.test/' }, old, 'https://n.test/?x=1'],
  ['to: the scheme and host of the call', { to: '{scheme}://{host}:9/n' }, old, 'http://api.acme.test:9/n?x=1'],
  ['scheme: brings its own port', { scheme: 'https' }, old, 'https://api.acme.test/old/a%20b?x=1'],
  ['scheme and port', { scheme: 'https', port: 8443 }, old, 'https://api.acme.test:8443/old/a%20b?x=1'],
  ['host: port stays', { host: 'n.test' }, old, 'http://n.test:8080/old/a%20b?x=1'],
  ['host: no port where none was', { host: 'n.test' }, { target: '/a' }, 'http://n.test/a'],
  ['port', { port: 81 }, old, 'http://api.acme.test:81/old/a%20b?x=1'],
  ['port: the usual one is not written', { port: 80 }, old, 'http://api.acme.test/old/a%20b?x=1'],
  ['path', { path: '/v2/{rest}' }, old, '/v2/a%20b?x=1'],
  ['path with a query', { path: '/v2/{rest}?' }, old, '/v2/a%20b?'],
  ['all parts', { scheme: 'https', host: 'n.test', port: 1, path: '/p' }, old, 'https://n.test:1/p?x=1'],
  ['an IPv6 host', { port: 81 }, { host: '[::1]:80' }, 'http://[::1]:81/'],
  ['TLS here', { host: 'n.test' }, { peer: { scheme: 'https' } }, 'https://n.test/'],
]

for (const [name, options, call, expected] of table) {
  test(name, async () => {
    assert.equal(await location(options, call), expected)
  })
}

test('302 unless another status is written', async () => {
  assert.equal((await build({ to: '/' })(makeCall())).status, 302)
  for (const status of [301, 303, 307, 308] as const) {
    assert.equal((await build({ to: '/', status })(makeCall())).status, status)
  }
})

test('X-Forwarded-Proto says the scheme from a trusted proxy only', async () => {
  const headers = { 'x-forwarded-proto': 'https' }
  assert.equal(await location({ host: 'n.test' }, { headers, peer: { isTrusted: true } }), 'https://n.test/')
  assert.equal(await location({ host: 'n.test' }, { headers }), 'http://n.test/')
})

test('a path cannot name another host', async () => {
  for (const rest of ['/evil.test', '\\evil.test', '//evil.test', '/\\evil.test', '@evil.test', '.evil.test']) {
    for (const options of [
      { to: '/{rest}' },
      { path: '/{rest}' },
      { to: '{path}' },
      { to: 'https://api.acme.test/{rest}' },
    ]) {
      const pattern = options.to === '{path}' ? '/**' : '/old/**'
      const target = options.to === '{path}' ? `/${rest}` : `/old/${rest}`
      const where = await location(options, { target, pattern })
      assert.equal(new URL(where ?? '', 'https://api.acme.test/').host, 'api.acme.test', `${rest} made ${where}`)
    }
  }
})

test('whatever the client sends, the host is the one written', async () => {
  const steps = ['/{query.a}', '/x/{header.h}', 'https://api.acme.test/{query.a}', '/{rest}'].map(to => build({ to }))
  const octets = fc.string({ unit: fc.constantFrom(...'/ \\ @ : . ? # % 2 5 a e x \t é'.split(' '), ' ') })
  await fc.assert(
    fc.asyncProperty(octets, async text => {
      const target = `/old/${encodeURI(text).replace(/[?#]/g, '')}?a=${encodeURIComponent(text)}`
      const call = makeCall({ target, pattern: '/old/**', headers: { h: text } })
      for (const step of steps) {
        try {
          const where = (await step(call)).headers.get('location') ?? ''
          assert.equal(new URL(where, 'https://api.acme.test/').host, 'api.acme.test', where)
          assert.match(where, /^[\x21-\x7e]*$/)
        } catch (thrown) {
          if (!(thrown instanceof Failure && thrown.code === 'unsafe-path')) throw thrown
        }
      }
    }),
  )
})

test('refuses what says nothing, too much, or lets the client choose the host', () => {
  const cases: [Partial<Options>, string | undefined][] = [
    [{}, undefined],
    [{ to: '/a', host: 'b' }, 'host'],
    [{ to: 'new' }, 'to'],
    [{ to: '//evil.test/x' }, 'to'],
    [{ to: '/\\evil.test' }, 'to'],
    [{ to: '{rest}' }, 'to'],
    [{ to: '{query.next}' }, 'to'],
    [{ to: 'javascript://x/%0aalert(1)' }, 'to'],
    [{ to: 'https://user@n.test/' }, 'to'],
    [{ to: 'https://n.test{rest}' }, undefined],
    [{ to: 'https://{query.host}/' }, undefined],
    [{ path: 'a' }, 'path'],
    [{ path: 'https://n.test/' }, 'path'],
    [{ host: 'n.test:80' }, 'host'],
    [{ host: 'n.test/x' }, 'host'],
  ]
  for (const [options, at] of cases) {
    assert.throws(
      () => redirect.check?.({ ...defaults, ...options }),
      (thrown: unknown) => {
        assert.ok(thrown instanceof OptionsError, String(thrown))
        assert.equal(thrown.path[0], at, JSON.stringify(options))
        return thrown.hint !== ''
      },
    )
  }
})
