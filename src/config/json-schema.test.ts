import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Compile } from 'typebox/schema'
import { parse } from 'yaml'
import { renderJsonSchema } from './json-schema.ts'
import { formatProblems } from './problem.ts'
import { language, resolveText } from './test-language.ts'

const schema = Compile(renderJsonSchema(language))

/** Configs that the gateway and an editor must agree on. */
const good = [
  '{}',
  'listeners: [{ port: 80 }, { port: "${env:PORT}", name: x }]',
  'admin: null',
  'drain: 1.5s',
  'upstreams: { a: { targets: ["http://a:1", { url: "https://b", weight: 0 }] } }',
  'upstreams: { a: { targets: ["https://a:1"], retry: { on: [reset, 502], budget: 5% }, tls: { serverName: null } } }',
  'upstreams: { a: { targets: ["http://a:1"], retry: { on: 429, retryAfterMax: 0s } } }',
  'upstreams: { a: { targets: ["http://a:1"], retry: { on: ["503", timeout, 599] } } }',
  'telemetry: { accessLog: stdout }',
  'telemetry: { accessLog: { to: stdout, bufferBytes: 1000 } }',
  'policies: [api-key, { api-key: }, { tag: x }, { tag: [x, y], when: { methods: [GET] } }, { tag: { tags: x } }]',
  'policies: [{ api-key: {}, when: [{ path: /a }, { headers: { x: "1" } }] }, { rate-limit: { limit: 5/s, burst: 3 } }]',
  'routes: [{ match: { path: "/a/{b}/**" }, reply: x }, { match: [{ hosts: [x.test] }], upgrade: [], reply: { body: x } }]',
  'policies: [{ any-of: [api-key, { api-key: { header: x } }, { any-of: { policies: [{ any-of: [api-key] }] } }] }]',
]

const bad = [
  '[]',
  'listener: []',
  'listeners: []',
  'listeners: [{ port: 70000 }]',
  'listeners: [{}]',
  'drain: 30',
  'drain: 5 seconds',
  'workers: two',
  'upstreams: { a: { targets: [] } }',
  'upstreams: { a: { targets: ["a:80"] } }',
  'upstreams: { a: { targets: ["http://a:1"], retry: { on: [399] } } }',
  'upstreams: { a: { targets: ["http://a:1"], retry: { on: [600] } } }',
  'upstreams: { a: { targets: ["http://a:1"], retry: { on: [5xx] } } }',
  'upstreams: { a: { targets: ["http://a:1"], retry: { on: [] } } }',
  'policies: [unknown]',
  'policies: [rate-limit]',
  'policies: [{ when: {} }]',
  'policies: [{ tag: x, api-key: {} }]',
  'policies: [{ rate-limit: { limit: 5/s, burst: some } }]',
  'policies: [{ any-of: [] }]',
  'policies: [{ any-of: [{ tag: x }] }]',
  'policies: [{ any-of: [{ any-of: [{ tag: x }] }] }]',
  'policies: [{ any-of: [{ api-key: {}, when: { path: /a } }] }]',
  'routes: [{ reply: x }]',
  'routes: [{ match: { path: /a } }]',
  'routes: [{ match: { path: a }, reply: x }]',
  'routes: [{ match: { path: /a }, reply: { text: x } }]',
]

for (const text of good) {
  test(`the schema and the gateway take ${text}`, () => {
    const resolution = resolveText(text)
    assert.ok(resolution.ok, resolution.ok ? '' : formatProblems(resolution.problems))
    assert.ok(schema.Check(parse(text)), 'the schema refuses it')
  })
}

for (const text of bad) {
  test(`the schema and the gateway refuse ${text}`, () => {
    assert.ok(!resolveText(text).ok)
    assert.ok(!schema.Check(parse(text)))
  })
}

test('keys, policies and ends carry their description', () => {
  const text = JSON.stringify(renderJsonSchema(language))
  for (const { summary } of [...language.policies, ...language.ends]) assert.ok(text.includes(JSON.stringify(summary)))
  assert.ok(text.includes('TCP port; 0 takes any free one.'))
})
