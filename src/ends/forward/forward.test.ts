import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Call } from '../../core/call.ts'
import { Failure } from '../../core/failure.ts'
import { OptionsError } from '../../core/policy.ts'
import { priority } from '../../core/priority.ts'
import { Reply } from '../../core/reply.ts'
import { type CallOptions, fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { forward } from './forward.ts'

const place = { route: 'r', key: 'r/end' }
const plain = {
  to: 'catalog',
  split: null,
  sticky: null,
  path: null,
  host: null,
  mirror: [],
  retry: null,
  priority: 'normal',
} as const

function build(options: { path?: string; host?: string }) {
  const upstream = makeNext(() => Reply.empty(200))
  const given = { ...plain, mirror: [], ...options }
  forward.check?.(given)
  return { step: forward.build(given, fakePorts({ catalog: upstream }), place), upstream }
}

async function sent(options: { path?: string; host?: string }, call: CallOptions): Promise<Call> {
  const { step, upstream } = build(options)
  await step(makeCall(call))
  const [received] = upstream.calls
  assert.ok(received)
  return received
}

test('without path and host the call goes on as it came', async () => {
  const target = '/a%2Db/./x?b=%20&a'
  const call = await sent({}, { target, host: 'API.acme.test:8080' })
  assert.equal(call.target, target)
  assert.equal(call.headers.get('host'), 'API.acme.test:8080')
})

test('path rewrites the path and keeps the query', async () => {
  const options = { target: '/catalog/a%20b/c?x=1&y', pattern: '/catalog/**' }
  assert.equal((await sent({ path: '/v2/{rest}' }, options)).target, '/v2/a%20b/c?x=1&y')
})

test('path keeps the query that a policy left, not the one that came', async () => {
  const { step, upstream } = build({ path: '/v2/{rest}' })
  const call = makeCall({ target: '/catalog/a?key=secret&x=1', pattern: '/catalog/**' })
  call.target = '/catalog/a?x=1'
  await step(call)
  assert.equal(upstream.calls[0]?.target, '/v2/a?x=1')
  call.target = '/catalog/a'
  await step(call)
  assert.equal(upstream.calls[1]?.target, '/v2/a')
})

test('path with a question mark writes the query too', async () => {
  const options = { target: '/users/7?x=1', pattern: '/users/{id}' }
  assert.equal((await sent({ path: '/user?id={id}' }, options)).target, '/user?id=7')
})

test('the query value of a client cannot leave its segment', async () => {
  const call = await sent({ path: '/files/{query.name}' }, { target: '/f?name=../admin%3Fa' })
  assert.equal(call.target, '/files/..%2Fadmin%3Fa?name=../admin%3Fa')
})

test('a value that is a dot-segment rejects and does not throw', async () => {
  const { step, upstream } = build({ path: '/files/{query.name}/x' })
  const answer = step(makeCall({ target: '/f?name=..' }))
  await assert.rejects(answer, (thrown: unknown) => thrown instanceof Failure && thrown.code === 'unsafe-path')
  assert.equal(upstream.calls.length, 0)
})

test('host rewrites Host, at its place', async () => {
  const call = await sent({ host: 'internal.acme.test:81' }, { headers: { accept: '*/*' } })
  assert.deepEqual(
    [...call.headers],
    [
      ['Host', 'internal.acme.test:81'],
      ['accept', '*/*'],
    ],
  )
})

test('a host template that makes no host rejects', async () => {
  const { step, upstream } = build({ host: '{header.x-tenant}' })
  for (const tenant of ['a b', 'a/b', 'a@b', '']) {
    const answer = step(makeCall({ headers: { 'x-tenant': tenant } }))
    await assert.rejects(answer, (thrown: unknown) => thrown instanceof Failure && thrown.code === 'malformed-request')
  }
  await step(makeCall({ headers: { 'x-tenant': 'a.acme.test' } }))
  assert.equal(upstream.calls[0]?.headers.get('host'), 'a.acme.test')
})

test('names its upstream for the check that it exists', () => {
  assert.deepEqual(forward.upstreams?.({ ...plain, mirror: [] }), ['catalog'])
  const split = [
    { to: 'old', weight: 9 },
    { to: 'new', weight: 1 },
  ]
  assert.deepEqual(forward.upstreams?.({ ...plain, to: null, split, mirror: [] }), ['old', 'new'])
})

test('a priority goes along as a fact, the normal one as none', async () => {
  const upstream = makeNext(() => Reply.empty(200))
  for (const mark of ['high', 'normal', 'low'] as const) {
    const step = forward.build({ ...plain, mirror: [], priority: mark }, fakePorts({ catalog: upstream }), place)
    await step(makeCall())
  }
  assert.deepEqual(
    upstream.calls.map(call => call.facts.get(priority)),
    ['high', undefined, 'low'],
  )
})

test('what it says of further tries goes along with its calls, and with no copy for a mirror', async () => {
  const [upstream, shadow] = [makeNext(() => Reply.empty(200)), makeNext(() => Reply.empty(200))]
  const ports = fakePorts({ catalog: upstream, shadow })
  const mirror = [{ to: 'shadow', share: 1, host: null, remove: [], timeout: 1000, limits: { body: 1000, calls: 10 } }]
  const sides = { to: null, split: [{ to: 'catalog', weight: 1 }] }
  for (const changes of [
    {},
    { retry: false },
    { retry: { attempts: 2, on: null } },
    { ...sides, retry: false },
  ] as const) {
    await forward.build({ ...plain, mirror, ...changes }, ports, place)(makeCall())
  }
  const none = { attempts: 0, on: null }
  assert.deepEqual(
    upstream.calls.map(call => call.retry),
    [null, none, { attempts: 2, on: null }, none],
  )
  assert.deepEqual(
    shadow.calls.map(call => call.retry),
    [null, null, null, null],
  )
})

test('refuses what cannot be forwarded to', () => {
  const cases = [
    { path: 'v2/{rest}', at: 'path' },
    { path: 'http://other/{rest}', at: 'path' },
    { path: '/a#b', at: 'path' },
    { host: 'http://internal', at: 'host' },
    { host: 'a b', at: 'host' },
    { host: '', at: 'host' },
  ]
  for (const { at, ...options } of cases) {
    const given = { ...plain, mirror: [], ...options }
    assert.throws(
      () => forward.check?.(given),
      (thrown: unknown) => thrown instanceof OptionsError && thrown.path[0] === at && thrown.hint !== '',
    )
  }
})
