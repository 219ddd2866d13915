// Keys and passwords over the wire: bad ones look alike, good ones go no further, and what is known of a caller changes its limits.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { type Answer, ask, codeOf } from '../tools/ask.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const configKey = 'a-key-from-outside-0123'
const configPassword = 'correct horse battery'

async function manage(program: Program, method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  const reply = await program.admin(path, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  })
  const text = await reply.text()
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${text}`)
  return JSON.parse(text) as Record<string, unknown>
}

async function accessLog(program: Program): Promise<{ detail?: string }[]> {
  const text = await readFile(program.file('access.log'), 'utf8')
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as { detail?: string })
}

const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

/** Everything of an answer but what differs from call to call. */
function plain({ status, reason, rawHeaders, text }: Answer): object {
  const own = new Set(['date', 'x-request-id'])
  const fields: string[] = []
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (!own.has(rawHeaders[at]?.toLowerCase() ?? '')) fields.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`)
  }
  return { status, reason, fields, text }
}

/** Changes are in force within a second, without a reload. */
function within(program: Program, headers: Record<string, string>, path: string, status: number): Promise<void> {
  return until(
    async () => (await ask(program.port, { path, headers })).status === status,
    () => `${path} to answer ${status}`,
    1_000,
  )
}

test('unknown, malformed, revoked and expired keys and wrong passwords get the same bytes', async () => {
  const routes = [
    { match: { path: '/key' }, policies: [{ 'api-key': {} }], reply: { status: 204 } },
    { match: { path: '/basic' }, policies: [{ basic: {} }], reply: { status: 204 } },
  ]
  const consumers = [
    {
      name: 'bolt',
      credentials: [
        { key: '${file:bolt.key}' },
        { key: '${file:old.key}', expires: '2020-01-01' },
        { basic: { user: 'ann', password: '${file:ann.password}' } },
      ],
    },
  ]
  const files = { 'bolt.key': configKey, 'old.key': 'an-old-key-from-outside', 'ann.password': configPassword }
  const telemetry = { accessLog: { to: '{folder}/access.log' } }
  await using program = await Program.start({ data: 'state', routes, consumers, telemetry }, files)
  await manage(program, 'POST', '/consumers', { name: 'acme' })
  const revoked = await manage(program, 'POST', '/keys', { consumer: 'acme' })
  const expired = await manage(program, 'POST', '/keys', { consumer: 'acme' })
  const good = await manage(program, 'POST', '/keys', { consumer: 'acme' })
  const stored = { consumer: 'acme', basic: { user: 'bob', password: 'bobs own password' } }
  const bob = await manage(program, 'POST', '/credentials', stored)
  for (const key of [configKey, good['key'], revoked['key'], expired['key']]) {
    await within(program, { 'x-api-key': String(key) }, '/key', 204)
  }
  for (const pair of [basic('ann', configPassword), basic('bob', 'bobs own password')]) {
    await within(program, { authorization: pair }, '/basic', 204)
  }
  await manage(program, 'POST', `/keys/${String(revoked['id'])}/revoke`)
  await manage(program, 'PATCH', `/keys/${String(expired['id'])}`, { expires: '2021-01-01T00:00:00Z' })
  await manage(program, 'POST', `/credentials/${String(bob['id'])}/revoke`)
  await within(program, { 'x-api-key': String(revoked['key']) }, '/key', 401)
  await within(program, { 'x-api-key': String(expired['key']) }, '/key', 401)
  await within(program, { authorization: basic('bob', 'bobs own password') }, '/basic', 401)

  const bad = [
    revoked['key'],
    expired['key'],
    'an-old-key-from-outside',
    'unknown',
    `tpk_${'0'.repeat(36)}`,
    'x'.repeat(2000),
    '\u00ff\u00fe',
    '%00',
  ]
  const noKey = plain(await ask(program.port, { path: '/key' }))
  for (const key of bad) {
    const answer = await ask(program.port, { path: '/key', headers: { 'x-api-key': String(key) } })
    assert.equal(answer.status, 401)
    assert.deepEqual(plain(answer), noKey, String(key))
  }
  const noPassword = plain(await ask(program.port, { path: '/basic' }))
  for (const authorization of [
    basic('bob', 'bobs own password'),
    basic('ann', 'wrong'),
    basic('nobody', configPassword),
    'Basic !!!',
    'Basic',
    basic('ann', ''),
  ]) {
    const answer = await ask(program.port, { path: '/basic', headers: { authorization } })
    assert.equal(answer.status, 401)
    assert.deepEqual(plain(answer), noPassword, authorization)
  }
  // What callers do not learn stands in the log.
  const told = async () => new Set((await accessLog(program)).map(({ detail }) => detail))
  const reasons = [
    ...['no key', 'the key is unknown', 'the key is revoked', 'the key is expired', 'no password'],
    ...['the user is unknown', 'the user is revoked', 'the password is wrong'],
    'not one pair of user name and password',
  ]
  let missing: readonly string[] = reasons
  await until(
    async () => {
      const details = await told()
      missing = reasons.filter(reason => !details.has(reason))
      return missing.length === 0
    },
    () => `the access log to say ${missing.join(', ')}`,
  )
})

test('a key is taken away before the call is forwarded, and stands in no log', async () => {
  const seen: { url: string; headers: NodeJS.Dict<string | string[]> }[] = []
  await using origin = await Origin.start((request, response) => {
    seen.push({ url: request.url ?? '', headers: request.headers })
    response.end()
  })
  const places = { header: ['x-api-key', 'authorization'], query: ['door', 'my place'], cookie: ['pass'] }
  const withQuery = {
    upstreams: { app: { targets: [origin.url] } },
    telemetry: { accessLog: { to: '{folder}/access.log' } },
    consumers: [{ name: 'bolt', credentials: [{ key: '${file:bolt.key}' }] }],
    routes: [
      {
        match: { path: '/**' },
        policies: [{ 'api-key': { ...places, forward: { 'X-Who': 'consumer.name' } } }],
        forward: 'app',
      },
    ],
  }
  await using program = await Program.start(withQuery, { 'bolt.key': configKey })
  const from = async (path: string, headers: Record<string, string> = {}) => {
    assert.equal((await ask(program.port, { path, headers: { 'x-who': 'root', ...headers } })).status, 200)
    const last = seen.at(-1)
    assert.ok(last)
    assert.ok(!JSON.stringify(last).includes(configKey), JSON.stringify(last))
    assert.equal(last.headers['x-who'], 'bolt')
    return last
  }
  await from('/', { 'x-api-key': configKey })
  await from('/', { authorization: `Bearer ${configKey}` })
  assert.equal((await from(`/a?b=1&door=${configKey}&c=%20`)).url, '/a?b=1&c=%20')
  assert.equal((await from(`/a?my+place=${configKey}`)).url, '/a')
  assert.equal((await from(`/a?%64oor=${configKey}`)).url, '/a')
  assert.equal((await from('/', { cookie: `a=1; pass=${configKey}; b=2` })).headers['cookie'], 'a=1; b=2')
  // Two keys, a wrong one, one where nobody looks for it, and a call that no route has: none may show it either.
  for (const path of [
    `/a?door=${configKey}&door=${configKey}`,
    `/a?door=${configKey}x`,
    `/%2e%2e/..?door=${configKey}`,
  ]) {
    assert.ok((await ask(program.port, { path })).status >= 400)
  }
  const referer = `https://shop.test/?door=${configKey}`
  await ask(program.port, { headers: { 'x-api-key': configKey, referer } })
  const lines = async () => (await readFile(program.file('access.log'), 'utf8')).split('\n').filter(line => line !== '')
  await until(
    async () => (await lines()).length === 10,
    () => 'ten lines of the access log',
  )
  for (const line of await lines()) assert.ok(!line.includes(configKey), line)
  assert.ok((await lines()).some(line => line.includes('door=[redacted]&c=%20')))
  assert.ok(!program.stderr.includes(configKey))
  assert.ok(!program.stdout.includes(configKey))

  // Another config names another parameter, in a log that stays open.
  const policies = [{ 'api-key': { query: 'gate', header: [] } }]
  const text = JSON.stringify({ ...withQuery, routes: [{ match: { path: '/**' }, policies, forward: 'app' }] })
  await program.replace(JSON.parse(text.replaceAll('{folder}', program.folder)) as object)
  await until(
    async () => (await ask(program.port, { path: '/reloaded', headers: { 'x-api-key': configKey } })).status === 401,
    () => 'the other config to be in force',
  )
  assert.equal((await ask(program.port, { path: `/last?gate=${configKey}&door=open` })).status, 200)
  await until(
    async () => (await lines()).some(line => line.includes('/last')),
    () => 'the last line of the access log',
  )
  const last = (await lines()).find(line => line.includes('/last')) ?? ''
  assert.ok(last.includes('?gate=[redacted]&door=open'), last)
})

test('limits of a consumer are those of its group, its plan or its own, as the store says at the time', async () => {
  const limit = {
    name: 'calls',
    limit: '2/1000h',
    by: 'consumer',
    groups: { partners: '3/1000h' },
    plans: { gold: '4/1000h' },
  }
  const routes = [
    { match: { path: '/rate' }, policies: [{ 'api-key': {} }, { 'rate-limit': limit }], reply: { status: 204 } },
    {
      match: { path: '/quota' },
      policies: [
        { 'api-key': {} },
        { quota: { name: 'month', limit: '2/month', by: 'consumer', groups: { partners: '3/month' } } },
      ],
      reply: { status: 204 },
    },
  ]
  await using program = await Program.start({ data: 'state', workers: 2, routes })
  await manage(program, 'POST', '/plans', { name: 'gold', limits: {} })
  await manage(program, 'POST', '/plans', { name: 'iron', limits: { calls: '5/1000h' } })
  const keyOf = async (name: string, more: object) => {
    await manage(program, 'POST', '/consumers', { name, ...more })
    return { 'x-api-key': String((await manage(program, 'POST', '/keys', { consumer: name }))['key']) }
  }
  const passing = async (headers: Record<string, string>, path = '/rate') => {
    let passed = 0
    for (;;) {
      const answer = await ask(program.port, { path, headers })
      if (answer.status !== 204) {
        assert.equal(answer.status, 429)
        assert.equal(codeOf(answer), path === '/rate' ? 'rate-limited' : 'quota-exceeded')
        return passed
      }
      passed++
    }
  }
  const plainOne = await keyOf('plain', {})
  assert.equal(await passing(plainOne), 2)
  // Another key of the same consumer has the same count.
  const second = { 'x-api-key': String((await manage(program, 'POST', '/keys', { consumer: 'plain' }))['key']) }
  assert.equal(await passing(second), 0)
  assert.equal(await passing(await keyOf('partner', { groups: ['partners'] })), 3)
  assert.equal(await passing(await keyOf('golden', { plan: 'gold', groups: ['partners'] })), 4)
  assert.equal(await passing(await keyOf('iron', { plan: 'iron' })), 5)
  const own = await keyOf('own', { plan: 'iron', limits: { calls: '6/1000h' } })
  assert.equal(await passing(own), 6)
  assert.equal(await passing(await keyOf('monthly', { groups: ['partners'] }), '/quota'), 3)

  await manage(program, 'PATCH', '/consumers/plain', { limits: { calls: '50/1000h', month: '7/month' } })
  await within(program, plainOne, '/rate', 204)
  let passed = 0
  // The other worker may learn of it a moment later; what passes in all is what counts.
  await until(
    async () => (passed += await passing(plainOne, '/quota')) >= 7,
    () => 'its own quota',
    1_000,
  )
  assert.equal(passed, 7)
  await manage(program, 'PATCH', '/plans/iron', { limits: { calls: '80/1000h' } })
  await manage(program, 'PATCH', '/consumers/own', { limits: {} })
  await within(program, own, '/rate', 204)
})
