import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fakePorts } from '../test/tools/call.ts'
import { everyPolicy, resolved, texts } from '../test/tools/every-policy.ts'
import { ends, policies } from './builtin.ts'
import type { LimitStore } from './core/limits.ts'
import type { RouteBlueprint } from './core/blueprint.ts'

const noCounts: LimitStore = {
  take: () => {
    throw new Error('not called')
  },
  correct: () => {},
}

function routes(): readonly RouteBlueprint[] {
  const result = resolved(everyPolicy)
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
      {
        ...{ limit: 10, by: ['route'], ipv6Prefix: 64, groups: {}, plans: {}, name: '', retryAfter: 1000 },
        ...{ store: null, mode: 'exact', onFailure: 'local-share' },
      },
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
  const alone = { split: null, sticky: null, mirror: [], retry: null, priority: 'normal' }
  assert.deepEqual(small?.end.options, { to: 'catalog', ...alone, path: null, host: null })
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
