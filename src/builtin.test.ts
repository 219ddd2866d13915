import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fakePorts } from '../test/tools/call.ts'
import { ends, language, policies } from './builtin.ts'
import { resolve } from './config/resolve.ts'
import type { LimitStore } from './core/limits.ts'
import type { RouteBlueprint } from './core/blueprint.ts'

/** Each policy and end with few options and with all of them. */
const config = `
data: data
upstreams:
  catalog: { targets: ["http://127.0.0.1:9001"] }
policies:
  - cors: { origins: "*" }
routes:
  - name: small
    match: { path: "/small/**" }
    policies:
      - body-limit: 1MB
      - concurrency: 10
      - cors: { origins: "https://shop.acme.test" }
      - headers: { request: { remove: x-a } }
      - ip: { allow: 10.0.0.0/8 }
      - timeout: 5s
    forward: catalog
  - name: large
    match: { path: "/large/**" }
    policies:
      - body-limit: { max: 1000 }
      - concurrency: { limit: 1, by: client, retryAfter: 2s }
      - cors:
          origins: ["https://shop.acme.test", "https://*.acme.test"]
          methods: [GET]
          headers: [x-a]
          exposedHeaders: [x-b]
          credentials: true
          maxAge: 1h
      - headers:
          request: { set: { x-a: "{rest}" }, add: { x-b: "{query.q}" }, remove: [x-c] }
          reply: { set: { x-a: b }, add: { x-b: c }, remove: [server] }
      - ip: { allow: [10.0.0.0/8, "2001:db8::/32"], deny: [10.1.0.0/16] }
      - timeout: { after: 250ms }
    forward: { to: catalog, path: "/v2/{rest}", host: catalog.internal }
  - { name: to, match: { path: "/to/**" }, redirect: "https://new.acme.test/{rest}" }
  - { name: parts, match: { path: /parts }, redirect: { scheme: https, host: a.test, port: 444, path: /b, status: 308 } }
  - { name: empty, match: { path: /empty }, reply: { status: 204 } }
  - { name: body, match: { path: /body }, reply: { body: pong, headers: { x-a: "{host}" } } }
  - { name: json, match: { path: /json }, reply: { json: { ok: [true, 1] } } }
  - name: combined
    match: { path: /combined }
    policies:
      - any-of: [{ all-of: [anonymous, { anonymous: guest }] }, { any-of: { policies: [{ anonymous: {} }, anonymous] } }]
      - all-of: [anonymous, anonymous]
      - anonymous: { forward: { x-who: id } }
      - acl: { allow: { groups: staff }, deny: [{ methods: anonymous, labels: { a: b } }] }
    reply: { status: 204 }
  - name: identity
    match: { path: /identity }
    policies:
      - throttle
      - api-key
      - basic
      - hmac: { cover: ["@method", "@target-uri", x-order], structured: { x-order: dictionary }, tag: pay, replay: nonce }
      - client-certificate
      - csrf: { origins: ["https://shop.acme.test"] }
      - external: { url: "https://access.acme.test/check", body: 1kB }
      - external: { url: "https://access.acme.test", appendPath: true, cache: { key: "{method} {path}" }, onFailure: open }
      - external: "grpc://access.acme.test:9191"
      - introspection: { url: "https://id.acme.test/introspect", client: { id: gateway, secret: "\${env:SECRET}" } }
      - jwt: { issuer: "https://id.acme.test", audience: api, keys: { url: "https://id.acme.test/keys" } }
      - oidc: { issuer: "https://id.acme.test", clientId: gateway, clientSecret: "\${env:SECRET}", secret: "\${env:SECRET}", externalUrl: "https://shop.acme.test" }
    reply: { status: 204 }
  - name: limits
    match: { path: /limits }
    policies:
      - bot
      - deny
      - body-guard
      - validate: { document: openapi.yaml }
      - security-headers
      - expression: request.method == "GET"
      - quota: { limit: 1000/day, by: client }
      - rate-limit: 10/s
    reply: { status: 204 }
`

const noCounts: LimitStore = {
  take: () => {
    throw new Error('not called')
  },
  correct: () => {},
}

const texts: Readonly<Record<string, string>> = { '/openapi.yaml': 'openapi: 3.1.0' }

function resolved(text: string) {
  const sources = [{ path: '/turnpike.yaml', label: 'turnpike.yaml', text }]
  const names = [...text.matchAll(/\$\{env:(\w+)\}/g)].map(([, name = '']) => [name, 'x'.repeat(40)])
  const surroundings = {
    env: Object.fromEntries(names) as Record<string, string>,
    readText: (path: string) => texts[path] ?? '',
  }
  return resolve({ sources, language, surroundings })
}

function routes(): readonly RouteBlueprint[] {
  const result = resolved(config)
  assert.ok(result.ok, JSON.stringify(result, null, 2))
  return result.blueprint.routes
}

test('every policy and end is understood by the config language and can be built', () => {
  const ports = fakePorts(
    { catalog: () => Promise.reject(new Error('not called')) },
    { policies, files: texts, limits: () => noCounts },
  )
  const used = new Set<string>()
  for (const route of routes()) {
    const place = { route: route.name, key: route.name }
    for (const use of route.policies) {
      const definition = policies.find(({ name }) => name === use.policy)
      assert.equal(typeof definition?.build(use.options, ports, place), 'function')
      used.add(use.policy)
    }
    const end = ends.find(({ name }) => name === route.end.end)
    assert.equal(typeof end?.build(route.end.options, ports, place), 'function')
    used.add(route.end.end)
  }
  assert.deepEqual([...used].sort(), [...policies, ...ends].map(({ name }) => name).sort())
})

test('short forms and defaults are written out', () => {
  const [small, , to, , empty] = routes()
  const [, ...own] = small?.policies ?? []
  assert.deepEqual(
    own.map(({ options }) => options),
    [
      { max: 1_000_000 },
      { limit: 10, by: ['route'], ipv6Prefix: 64, groups: {}, plans: {}, name: '', retryAfter: 1000 },
      {
        origins: ['https://shop.acme.test'],
        methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
        headers: ['*'],
        exposedHeaders: [],
        credentials: false,
        maxAge: 600_000,
      },
      { request: { set: {}, add: {}, remove: ['x-a'] }, reply: { set: {}, add: {}, remove: [] } },
      { allow: ['10.0.0.0/8'], deny: [] },
      { after: 5000 },
    ],
  )
  assert.deepEqual(small?.end.options, { to: 'catalog', path: null, host: null })
  const redirect = { to: 'https://new.acme.test/{rest}', scheme: null, host: null, port: null, path: null, status: 302 }
  assert.deepEqual(to?.end.options, redirect)
  assert.deepEqual(empty?.end.options, { status: 204, headers: {}, body: null, json: null })
})

test('what a definition refuses is reported at its place in the file', () => {
  const result = resolved(`
routes:
  - match: { path: /a }
    policies:
      - headers: { request: { set: { Host: b } } }
      - ip: { deny: [10.0.0.0/8, 10.1.0.0/8] }
    redirect: { to: /b, host: c }
`)
  assert.ok(!result.ok)
  assert.deepEqual(
    result.problems.map(({ position }) => `${position?.line}:${position?.column}`),
    ['5:44', '6:34', '7:31'],
  )
})

test('each has a page in the manual, with an example that works', () => {
  for (const [folder, definitions] of Object.entries({ policies, ends })) {
    for (const { name, summary } of definitions) {
      const page = readFileSync(join(import.meta.dirname, '..', 'docs', folder, `${name}.md`), 'utf8')
      assert.ok(page.startsWith(`# \`${name}\`\n\n${summary}\n`), `docs/${folder}/${name}.md opens with its summary`)
      const example = /```yaml\n(.*?)```/s.exec(page)?.[1] ?? ''
      const result = resolved(example)
      assert.ok(result.ok, `docs/${folder}/${name}.md: ${JSON.stringify(result)}`)
      assert.ok(example.includes(`${name}:`))
    }
  }
})
