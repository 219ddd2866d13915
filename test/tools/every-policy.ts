// A config with every policy and end that ships, and how it is resolved without files or an environment.

import { language } from '../../src/builtin.ts'
import { resolve, type Resolution } from '../../src/config/resolve.ts'

/** Each policy and end with few options and with all of them. */
export const everyPolicy = `
data: data
listeners:
  - { port: 8443, tls: { certificates: [{ cert: own.pem, key: own.pem }], clientCa: authorities.pem } }
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
      - any-of: [{ all-of: [anonymous, { anonymous: guest }] }, { any-of: { policies: [{ anonymous: guest }, anonymous: {}] } }]
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
  - name: content
    match: { path: /content }
    policies:
      - cache: {}
      - cache:
          methods: GET
          statuses: [200, 404]
          ttl: { "200": 1m, "404": 5s }
          heuristic: 10%
          heuristicMax: 1h
          staleWhileRevalidate: 10s
          staleIfError: 1h
          bodyMax: 10kB
          variants: 2
          collapse: 0s
          key: { headers: [x-a], cookies: [lang], query: { only: [a, "b*"], ignore: "utm_*", sort: true } }
          bypass: { headers: x-a, cookies: session, query: draft }
          clientDirectives: ignore
          cacheStatus: turnpike
      - compress: {}
      - compress: { codings: [gzip], types: [text/html, "*+json"], min: 0, levels: { gzip: 9, br: 11, zstd: 19 }, concurrent: 1 }
      - grpc-web: {}
      - buffer: 64kB
      - buffer: { max: 1kB, replies: 2kB, memory: 1MB }
    reply: { status: 204 }
`

/** What the files hold that the config names. */
export const texts: Readonly<Record<string, string>> = { '/openapi.yaml': 'openapi: 3.1.0' }

/** Each variable of the environment is there, with some secret in it. */
export function resolved(text: string): Resolution {
  const sources = [{ path: '/turnpike.yaml', label: 'turnpike.yaml', text }]
  const names = [...text.matchAll(/\$\{env:(\w+)\}/g)].map(([, name = '']) => [name, 'x'.repeat(40)])
  const surroundings = {
    env: Object.fromEntries(names) as Record<string, string>,
    readText: (path: string) => texts[path] ?? '',
  }
  return resolve({ sources, language, surroundings })
}
