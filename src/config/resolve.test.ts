import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { formatProblems } from './problem.ts'
import { resolve } from './resolve.ts'
import { language, messagesOf, resolveText } from './test-language.ts'

const ping = 'routes:\n  - match: { path: /ping }\n    reply: pong\n'

function blueprintOf(text: string, files: Record<string, string> = {}) {
  const resolution = resolveText(text, files)
  assert.ok(resolution.ok, resolution.ok ? '' : formatProblems(resolution.problems))
  return resolution.blueprint
}

test('short forms, lists of one and units are written out', () => {
  const blueprint = blueprintOf(`
routes:
  - match: { path: /a }
    policies: [api-key, { rate-limit: { limit: 10/10s, burst: none } }, { tag: x }, { tag: { tags: [y, z], after: 2s } }]
    reply: pong
`)
  assert.deepEqual(
    blueprint.routes[0]?.policies.map(use => use.options),
    [
      { header: 'x-api-key' },
      { limit: { count: 10, windowMs: 10_000 }, burst: 'none' },
      { tags: ['x'], after: 1000 },
      { tags: ['y', 'z'], after: 2000 },
    ],
  )
  assert.deepEqual(blueprint.routes[0]?.end, { end: 'reply', options: { body: 'pong' } })
})

test('the order in which keys are written does not change the blueprint', () => {
  const one = blueprintOf('upstreams: { a: { targets: ["http://a:1"], retry: { budget: 5%, attempts: 2 } } }')
  const other = blueprintOf('upstreams: { a: { retry: { attempts: 2, budget: 5% }, targets: ["http://a:1"] } }')
  assert.equal(JSON.stringify(one), JSON.stringify(other))
})

test('routes without a name get one of their match, each its own', () => {
  const blueprint = blueprintOf(`
routes:
  - { match: { path: /a, methods: [GET] }, reply: x }
  - { match: { path: /a, methods: [GET], headers: { x: "1" } }, reply: x }
  - { match: { hosts: [api.acme.test] }, reply: x }
  - { match: {}, reply: x }
  - { name: "/**", match: { path: /b }, reply: x }
`)
  const names = blueprint.routes.map(route => route.name)
  assert.deepEqual(names, ['GET /a', 'GET /a #2', 'api.acme.test/**', '/** #2', '/**'])
})

test('policies around every route stand outside those of the route', () => {
  const blueprint = blueprintOf(`
policies: [api-key]
routes:
  - { match: { path: /a }, policies: [{ tag: x }], reply: x }
  - { match: { path: /b }, reply: x }
`)
  const stacks = blueprint.routes.map(route => route.policies.map(use => use.policy))
  assert.deepEqual(stacks, [['api-key', 'tag'], ['api-key']])
})

test('a value that comes whole from outside may be a number or a truth value', () => {
  const blueprint = blueprintOf(
    `listeners: [{ port: "\${env:PORT}" }]\ntelemetry: { requestId: "\${env:FLAG}" }\n${ping}`,
  )
  assert.equal(blueprint.listeners[0]?.port, 8081)
  assert.equal(blueprint.telemetry.requestId, true)
  assert.deepEqual(messagesOf(`workers: "1\${env:EMPTY}"\n${ping}`), [
    '`workers` must be a whole number, but is `1${env:EMPTY}`',
  ])
})

test('a value from outside is not shown in messages', () => {
  const resolution = resolveText('routes:\n  - match: { path: /a }\n    reply: "${env:SECRET}"\n')
  assert.ok(!resolution.ok)
  assert.ok(!formatProblems(resolution.problems).includes('s3cret'))
})

test('files are read relative to the config file and handed out by absolute path', () => {
  const files = { '/etc/turnpike/tls/a.pem': 'cert', '/keys/a.key': 'key', '/etc/turnpike/body': 'pong\n' }
  const resolution = resolveText(
    `listeners: [{ port: 1, tls: { certificates: [{ cert: tls/a.pem, key: /keys/a.key }] } }]
routes: [{ match: { path: /a }, reply: "\${file:body}!" }]`,
    files,
  )
  assert.ok(resolution.ok)
  assert.deepEqual(resolution.files, { '/etc/turnpike/tls/a.pem': 'cert', '/keys/a.key': 'key' })
  assert.deepEqual(new Set(resolution.filesRead), new Set(['/etc/turnpike/config.yaml', ...Object.keys(files)]))
  assert.deepEqual(resolution.blueprint.routes[0]?.end.options, { body: 'pong!' })
})

test('where() finds the place of a part of the blueprint, and of the nearest one written for a default', () => {
  const resolution = resolveText(`policies:\n  - tag: x\ndrain: 5s\n${ping}`)
  assert.ok(resolution.ok)
  const { where } = resolution
  assert.deepEqual(where(['drainMs']), { file: 'config.yaml', line: 3, column: 8 })
  assert.deepEqual(where(['routes', 0, 'policies', 0, 'options', 'tags', 0]), {
    file: 'config.yaml',
    line: 2,
    column: 10,
  })
  assert.deepEqual(where(['routes', 0, 'match', 0, 'path']), { file: 'config.yaml', line: 5, column: 20 })
  assert.equal(where(['routes', 0, 'match', 0, 'hosts']).line, 5)
})

function route(policies: string): string {
  return `routes:\n  - match: { path: /a }\n    policies: [${policies}]\n    reply: x\n`
}

test('a policy must stand behind one that gives the fact it needs', () => {
  const limit = '{ rate-limit: { limit: 5/s } }'
  const needs = '`rate-limit` needs the fact `principal`, which no policy before it gives'
  assert.deepEqual(messagesOf(route(`api-key, ${limit}`)), [])
  assert.deepEqual(messagesOf(`policies: [api-key]\n${route(limit)}`), [])
  assert.deepEqual(messagesOf(route(limit)), [needs])
  assert.deepEqual(messagesOf(`policies: [${limit}]\n${route('api-key')}`), [needs])
  const resolution = resolveText(route(`${limit}, api-key`))
  assert.ok(!resolution.ok)
  assert.equal(resolution.problems[0]?.hint, '`api-key` gives it: move it before `rate-limit`.')
  assert.deepEqual(resolution.problems[0]?.position, { file: 'config.yaml', line: 3, column: 18 })
})

test('what a definition finds wrong stands at its place in the options', () => {
  const resolution = resolveText(`policies:\n  - api-key\n  - rate-limit:\n      limit: 0/s\n${ping}`)
  assert.ok(!resolution.ok)
  assert.deepEqual(resolution.problems, [
    {
      message: 'a limit of nothing lets nobody in',
      hint: 'Write 1 or more.',
      position: { file: 'config.yaml', line: 4, column: 14 },
      frame: '  3 |   - rate-limit:\n  4 |       limit: 0/s\n    |              ^^^',
    },
  ])
})

test('what extra checks find stands at its place in the file', () => {
  const resolution = resolve({
    sources: [{ path: '/c.yaml', label: 'c.yaml', text: ping }],
    language,
    surroundings: { env: {}, readText: () => '' },
    extraChecks: () => [{ path: ['routes', 0, 'match', 0], message: 'no', hint: '' }],
  })
  assert.ok(!resolution.ok)
  assert.deepEqual(resolution.problems[0]?.position, { file: 'c.yaml', line: 2, column: 12 })
})

test('one mistake does not hide another, nor make a second message', () => {
  const messages = messagesOf(`
workers: many
upstreams:
  catalog: { targets: [ftp://x], balance: none }
routes:
  - match: { path: /a }
    policies: [{ api-key: { hedder: x } }, { rate-limit: { limit: 5/s } }]
    forward: catalog
  - match: { path: /b }
    forward: cat
`)
  assert.deepEqual(messages, [
    '`workers` must be a whole number, but is `many`',
    '`url` must be the address of a server, but is `ftp://x`',
    '`catalog.balance` cannot be `none`',
    'the key `hedder` is not known in `api-key`',
    'there is no upstream `cat`',
  ])
})

test('keys that JavaScript gives a meaning are keys like others, or refused', () => {
  assert.deepEqual(messagesOf(`constructor: 1\ntoString: 2\n${ping}`).length, 2)
  assert.deepEqual(messagesOf(`upstreams: { __proto__: { targets: ["http://a"] } }\n${ping}`), [
    '`__proto__` may not be used as a key',
  ])
  const names = blueprintOf(`upstreams: { constructor: { targets: ["http://a"] } }\n${ping}`).upstreams
  assert.ok(Object.hasOwn(names, 'constructor'))
})

test('deep nesting and bombs of aliases end in a message', () => {
  for (const depth of [100, 100_000]) {
    const resolution = resolveText('['.repeat(depth) + ']'.repeat(depth))
    assert.ok(!resolution.ok && resolution.problems.length > 0)
  }
  const bomb = ['a0: &a0 [1]', ...Array.from({ length: 40 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`)]
  assert.match(messagesOf(bomb.join('\n'))[0] ?? '', /^aliases make more than/)
  assert.match(messagesOf('routes: &a [*a]')[0] ?? '', /stands inside what it names/)
})

test('any text gives a blueprint or problems with places in it', () => {
  const words =
    'routes: listeners: upstreams: policies: match: path: - { } [ ] , " \' | > & * ! ${env:PORT} ${ 1 5s /a/{b} api-key tag reply null \n \n\x20\x20 \t'
  const word = fc.constantFrom(...words.split(' '), ' ', '\n  ', '\n    ')
  const soup = fc
    .array(fc.oneof({ weight: 5, arbitrary: word }, fc.string({ unit: 'binary' })))
    .map(parts => parts.join(''))
  fc.assert(
    fc.property(fc.oneof(soup, fc.string({ unit: 'binary' })), text => assertOutcome(text)),
    { numRuns: 1500 },
  )
})

test('any values at the places of a config give a blueprint or problems with places in it', () => {
  const key = fc.constantFrom(
    ...'listeners port tls routes match path hosts policies when tag api-key reply upstreams targets url'.split(' '),
  )
  const leaf = fc.oneof(
    fc.constantFrom('/a', '5s', '{x}', 'http://a', 80, null, true),
    fc.string(),
    fc.double(),
    fc.integer(),
  )
  const { tree } = fc.letrec(tie => ({
    tree: fc.oneof(
      { maxDepth: 6, depthSize: 'medium' },
      leaf,
      fc.array(tie('tree'), { maxLength: 4 }),
      fc.dictionary(fc.oneof({ weight: 9, arbitrary: key }, { weight: 1, arbitrary: fc.string() }), tie('tree'), {
        maxKeys: 5,
      }),
    ),
  }))
  fc.assert(
    fc.property(tree, value => assertOutcome(JSON.stringify(value))),
    { numRuns: 1500 },
  )
})

/** Cuts at every place, as when an editor is halfway through writing. */
test('every beginning of a good config gives a blueprint or problems', () => {
  const text = `listeners:\n  - port: 8080\nupstreams: { a: { targets: ["http://a:1"] } }\n${ping}    policies:\n      - tag: [x, "{y}"]\n`
  for (let end = 0; end <= text.length; end++) assertOutcome(text.slice(0, end))
})

function assertOutcome(text: string): void {
  const resolution = resolveText(text)
  if (resolution.ok) return
  assert.ok(resolution.problems.length > 0, 'a refused config has a problem')
  const lines = text.split('\n')
  for (const { position, message } of resolution.problems) {
    assert.ok(message.length > 0 && position !== null)
    assert.ok(position.line >= 1 && position.line <= lines.length, message)
    assert.ok(position.column >= 1 && position.column <= (lines[position.line - 1] ?? '').length + 2, message)
  }
  assert.ok(formatProblems(resolution.problems, { color: true }).length > 0)
}
