import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type FakeRoute, makeQuery, makeRoute, type QueryOptions } from './fakes.ts'
import { compileRouter } from './router.ts'

/** Name of the route, `404`, or `405` with its Allow. */
function routed(routes: readonly FakeRoute[], path: string, options?: QueryOptions): string {
  const routing = compileRouter(routes).match(makeQuery(path, options))
  if (routing.kind === 'found') return routes[routing.route]?.name ?? 'no such route'
  return routing.kind === 'not-found' ? '404' : `405 ${routing.allow}`
}

function preflight(method: string): QueryOptions {
  return {
    method: 'OPTIONS',
    headers: { Origin: 'https://shop.acme.test', 'Access-Control-Request-Method': method },
  }
}

// "The Gateway API" is HTTPRoute of gateway.networking.k8s.io/v1: HTTPRouteRule.matches and HTTPRouteSpec.hostnames.
describe('the most specific host goes first (HTTPRouteSpec.hostnames)', () => {
  const routes = [
    makeRoute('any', {}),
    makeRoute('wide', { hosts: ['*.test'] }),
    makeRoute('wild', { hosts: ['*.acme.test'] }),
    makeRoute('exact', { hosts: ['API.acme.test'] }),
    makeRoute('deep', { hosts: ['*.eu.acme.test'], path: '/deep' }),
  ]
  const cases: readonly (readonly [host: string, path: string, route: string])[] = [
    ['api.acme.test', '/', 'exact'],
    ['api.acme.test.', '/', 'exact'],
    ['www.acme.test', '/', 'wild'],
    ['a.b.acme.test', '/', 'wild'],
    ['acme.test', '/', 'wide'],
    ['test', '/', 'any'],
    ['other', '/', 'any'],
    ['', '/', 'any'],
    ['x.eu.acme.test', '/deep', 'deep'],
    ['x.eu.acme.test', '/', 'wild'],
    ['xacme.test', '/', 'wide'],
    [`${'a.'.repeat(200)}acme.test`, '/', 'any'],
  ]
  for (const [host, path, route] of cases) {
    test(`${host.slice(0, 30)}${path} to ${route}`, () => assert.equal(routed(routes, path, { host }), route))
  }

  test('before the path: a prefix of the host beats an exact path of any host', () => {
    const two = [makeRoute('any', { path: '/a' }), makeRoute('host', { hosts: ['api.acme.test'], path: '/**' })]
    assert.equal(routed(two, '/a'), 'host')
  })

  test('but a less specific host is used when the more specific one has no match for the whole call', () => {
    const two = [
      makeRoute('any', { path: '/a' }),
      makeRoute('host', { hosts: ['api.acme.test'], path: '/a', methods: ['PUT'] }),
    ]
    assert.equal(routed(two, '/a'), 'any')
    assert.equal(routed(two, '/a', { method: 'PUT' }), 'host')
  })

  test('`*` is any host', () => {
    assert.equal(routed([makeRoute('star', { hosts: ['*'] })], '/'), 'star')
  })
})

describe('then the path (HTTPRouteRule.matches: exact, then the longest prefix)', () => {
  const cases: readonly (readonly [paths: readonly string[], path: string, winner: string])[] = [
    [['/a/**', '/a'], '/a', '/a'],
    [['/a/b/**', '/a/{x}'], '/a/b', '/a/{x}'],
    [['/a/**', '/{x}/b/**'], '/a/b/c', '/{x}/b/**'],
    [['/**', '/a/**', '/a/b/**'], '/a/b/c', '/a/b/**'],
    [['/**', '/a/**', '/a/b/**'], '/a/bc', '/a/**'],
    [['/**', '/a/**', '/a/b/**'], '/ab', '/**'],
    [['/{x}', '/a'], '/a', '/a'],
    [['/{x}/b', '/a/{y}'], '/a/b', '/a/{y}'],
    [['/{x}/b/**', '/a/{y}/**'], '/a/b/c', '/a/{y}/**'],
    [['/{x}/b/c', '/a/{y}/d'], '/a/b/c', '/{x}/b/c'],
    [['/a/{x}', '/a/'], '/a/', '/a/'],
    [['/a/{x}/**', '/a/**'], '/a/', '/a/**'],
    [['/a/{x}/c/{y}', '/a/**'], '/a/1/c/2', '/a/{x}/c/{y}'],
    [['/a/{x}/c/{y}', '/a/**'], '/a/1/d/2', '/a/**'],
    [['/a'], '/a/', '404'],
    [['/a/{x}'], '/a/', '404'],
    [['/a'], '*', '404'],
    [['/**'], '*', '404'],
  ]
  for (const [paths, path, winner] of cases) {
    test(`${paths.join(' or ')} on ${path} to ${winner}`, () => {
      const routes = paths.map(pattern => makeRoute(pattern, { path: pattern }))
      assert.equal(routed(routes, path), winner)
      assert.equal(routed(routes.toReversed(), path), winner)
    })
  }

  test('a match without a path is `/**`', () => {
    const routing = compileRouter([makeRoute('any', {})]).match(makeQuery('/a/b'))
    assert.equal(routing.kind === 'found' && routing.pattern.param('/a/b', 'rest'), 'a/b')
  })

  test('gives the pattern and index of the match', () => {
    const router = compileRouter([makeRoute('a', { path: '/x' }, { path: '/y/{id}' })])
    const routing = router.match(makeQuery('/y/1'))
    assert.ok(routing.kind === 'found')
    assert.deepEqual([routing.route, routing.match, routing.pattern.text], [0, 1, '/y/{id}'])
  })

  test('case-insensitive paths are matched in lower case', () => {
    const router = compileRouter([makeRoute('a', { path: '/API/{Id}' })], 'insensitive')
    assert.equal(router.match(makeQuery('/api/x')).kind, 'found')
  })
})

describe('then method, most headers, most query parameters, first written (HTTPRouteRule.matches)', () => {
  const all = { 'x-a': '1', 'x-b': '2' }
  const routes = [
    makeRoute('plain', { path: '/a' }),
    makeRoute('later', { path: '/a' }),
    makeRoute('query', { path: '/a', query: { q: '1' } }),
    makeRoute('queries', { path: '/a', query: { q: '1', r: '*' } }),
    makeRoute('header', { path: '/a', headers: { 'X-A': '1' } }),
    makeRoute('headers', { path: '/a', headers: { 'x-a': '1', 'x-b': '*' } }),
    makeRoute('post', { path: '/a', methods: ['POST'] }),
    makeRoute('post query', { path: '/a', methods: ['POST'], query: { q: '1' } }),
  ]
  const cases: readonly (readonly [name: string, options: QueryOptions, route: string])[] = [
    ['the first written', {}, 'plain'],
    ['a query match', { query: '?q=1' }, 'query'],
    ['more query matches', { query: '?r&q=1' }, 'queries'],
    ['a header match before query matches', { query: '?r&q=1', headers: { 'X-a': '1' } }, 'header'],
    ['more header matches', { headers: all }, 'headers'],
    ['a header with another value', { headers: { 'x-a': '2' } }, 'plain'],
    ['a method before headers', { method: 'POST', headers: all }, 'post'],
    ['a method and a query', { method: 'POST', headers: all, query: '?q=%31' }, 'post query'],
    [
      'any value of a repeated field',
      {
        headers: [
          ['x-a', '0'],
          ['x-a', '1'],
        ],
      },
      'header',
    ],
    ['any value of a repeated parameter', { query: '?q=0&q=1' }, 'query'],
    ['names of parameters are case-sensitive', { query: '?Q=1' }, 'plain'],
  ]
  for (const [name, options, route] of cases) {
    test(`${name}: ${route}`, () => assert.equal(routed(routes, '/a', options), route))
  }

  test('a longer path that misses another condition gives way to a shorter one', () => {
    const two = [makeRoute('short', { path: '/a/**' }), makeRoute('long', { path: '/a/b/**', headers: { v: '2' } })]
    assert.equal(routed(two, '/a/b/c'), 'short')
    assert.equal(routed(two, '/a/b/c', { headers: { v: '2' } }), 'long')
  })

  test('listeners restrict', () => {
    const two = [makeRoute('public', { listeners: ['8080', 'b'] }), makeRoute('private', { listeners: ['8443'] })]
    assert.equal(routed(two, '/', { listener: '8443' }), 'private')
    assert.equal(routed(two, '/', { listener: 'b' }), 'public')
    assert.equal(routed(two, '/', { listener: 'c' }), '404')
  })
})

describe('methods', () => {
  const routes = [
    makeRoute('read', { path: '/a', methods: ['GET'] }),
    makeRoute('write', { path: '/a', methods: ['PUT', 'POST'] }),
  ]

  test('405 with every method that would have matched', () => {
    assert.equal(routed(routes, '/a', { method: 'DELETE' }), '405 GET, HEAD, POST, PUT')
    assert.equal(routed(routes, '/a', { method: 'get' }), '405 GET, HEAD, POST, PUT')
    assert.equal(routed(routes, '/b', { method: 'DELETE' }), '404')
  })

  test('405 counts only matches whose other conditions hold, of every host and prefix', () => {
    const more = [
      makeRoute('other', { path: '/a', methods: ['PATCH'], listeners: ['x'] }),
      makeRoute('prefix', { path: '/**', methods: ['TRACE'] }),
      makeRoute('param', { path: '/{x}', methods: ['PUT'] }),
      makeRoute('host', { hosts: ['*.acme.test'], methods: ['LOCK'] }),
      makeRoute('exact', { hosts: ['api.acme.test'], path: '/a/**', methods: ['LINK'] }),
    ]
    assert.equal(routed(more, '/a', { method: 'DELETE' }), '405 LINK, LOCK, PUT, TRACE')
  })

  test('GET takes HEAD too, after one that names HEAD and before one that names none', () => {
    assert.equal(routed(routes, '/a', { method: 'HEAD' }), 'read')
    assert.equal(
      routed([...routes, makeRoute('head', { path: '/a', methods: ['HEAD'] })], '/a', { method: 'HEAD' }),
      'head',
    )
    assert.equal(routed([makeRoute('any', { path: '/a' }), ...routes], '/a', { method: 'HEAD' }), 'read')
    assert.equal(routed([makeRoute('head', { methods: ['HEAD'] }), ...routes], '/a', { method: 'HEAD' }), 'read')
  })

  test('a CORS preflight goes where the call that it asks for would go', () => {
    assert.equal(routed(routes, '/a', preflight('PUT')), 'write')
    assert.equal(routed(routes, '/a', preflight('GET')), 'read')
    assert.equal(routed([makeRoute('any', {}), ...routes], '/a', preflight('PUT')), 'write')
    assert.equal(routed([makeRoute('any', {}), ...routes], '/a', preflight('DELETE')), 'any')
  })

  test('unless a route names OPTIONS', () => {
    assert.equal(routed([...routes, makeRoute('options', { methods: ['OPTIONS'] })], '/a', preflight('PUT')), 'options')
  })

  test('an OPTIONS that is no preflight, or asks for a method that is not there, stays 405', () => {
    assert.equal(routed(routes, '/a', { method: 'OPTIONS' }), '405 GET, HEAD, POST, PUT')
    assert.equal(routed(routes, '/a', { method: 'OPTIONS', headers: { Origin: 'x' } }), '405 GET, HEAD, POST, PUT')
    assert.equal(routed(routes, '/a', preflight('DELETE')), '405 GET, HEAD, POST, PUT')
  })
})
