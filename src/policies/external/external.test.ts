import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { Headers } from '../../core/headers.ts'
import { type OutsideReply, OutsideError, type OutsideRequest } from '../../core/outside.ts'
import { Reply } from '../../core/reply.ts'
import { fakePorts, makeCall, makeNext, ManualSource, RecordingSink } from '../../../test/tools/call.ts'
import { stacked } from '../../../test/tools/stacked.ts'
import { resolveOptions } from '../../../test/tools/options.ts'
import { external } from './external.ts'

type Answer = Partial<Omit<OutsideReply, 'body'>> & { body?: string }

function build(written: object, answer: Answer | Error = {}) {
  const state = { answer, requests: [] as OutsideRequest[] }
  const fetch = async (request: OutsideRequest): Promise<OutsideReply> => {
    state.requests.push(request)
    if (state.answer instanceof Error) throw state.answer
    return { status: 200, headers: {}, ...state.answer, body: Buffer.from(state.answer.body ?? '') }
  }
  const options = resolveOptions(external, { url: 'https://access.acme.test/check', ...written })
  const ports = fakePorts({}, { outside: { fetch } })
  const next = makeNext(() => Reply.empty(204))
  const step = stacked(external, options, ports, { route: 'r', key: 'r/policies/0' }, next)
  return { step, next, ports, state }
}

describe('external', () => {
  test('tells the service of the call, and passes on what it says of the caller', async () => {
    const { step, next, state } = build(
      { upstreamHeaders: 'X-User' },
      { headers: { 'x-user': 'alice', 'x-more': 'b' } },
    )
    const headers = { authorization: 'Bearer a', 'x-secret': 's', X_User: 'root', 'x-user': 'root' }
    const reply = await step(
      makeCall({ method: 'PUT', target: '/a?b=c', headers: { ...headers, 'x-access-unchecked': '1' } }),
    )
    assert.equal(reply.status, 204)
    assert.equal(state.requests[0]?.method, 'GET')
    assert.deepEqual(state.requests[0]?.headers, {
      authorization: 'Bearer a',
      'x-forwarded-method': 'PUT',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'api.acme.test',
      'x-forwarded-uri': '/a?b=c',
      'x-forwarded-for': '192.0.2.1',
    })
    const sent = [...(next.calls[0]?.headers ?? [])].map(([name, value]) => `${name}: ${value}`)
    assert.deepEqual(sent, ['Host: api.acme.test', 'authorization: Bearer a', 'x-secret: s', 'X-User: alice'])
  })

  test('gives the denial of the service to the client, with the fields that may go', async () => {
    const headers = { 'www-authenticate': 'Bearer', 'set-cookie': 'a=1\nb=2', 'content-length': '9', 'x-inner': 'c' }
    for (const status of [401, 403, 404, 429, 302]) {
      const { step, next } = build({}, { status, headers, body: 'no' })
      const reply = await step(makeCall())
      assert.deepEqual([reply.status, reply.code, next.calls.length], [status, 'forbidden', 0])
      assert.deepEqual(
        [...reply.headers],
        [
          ['set-cookie', 'a=1'],
          ['set-cookie', 'b=2'],
          ['www-authenticate', 'Bearer'],
        ],
      )
      assert.equal(String(await reply.body.bytes(10)), 'no')
    }
  })

  test('503 without a proper answer; with `open` it passes, marked', async () => {
    const bad = [new OutsideError('timeout', 'x'), ...[201, 204, 304, 500, 503].map(status => ({ status }))]
    for (const answer of [...bad, { headers: { 'x-user': 'a\r\nx-admin: 1' } }]) {
      const closed = build({ upstreamHeaders: ['x-user'] }, answer)
      assert.equal((await closed.step(makeCall())).code, 'access-unavailable')
      assert.equal(closed.next.calls.length, 0)
      const open = build({ upstreamHeaders: ['x-user'], onFailure: 'open' }, answer)
      assert.equal((await open.step(makeCall({ headers: { 'x-user': 'root' } }))).status, 204)
      assert.deepEqual(
        [open.next.calls[0]?.headers.get('x-access-unchecked'), open.next.calls[0]?.headers.has('x-user')],
        ['1', false],
      )
    }
  })

  test('asks as Envoy does: method, Host and target of the call, byte for byte behind the path of the URL', async () => {
    const { step, state } = build({ url: 'http://access.acme.test/check/', appendPath: true })
    for (const target of ['/a%2Fb?c=d', '/../admin', '/%2e%2e/admin', '/a\\b', "/a?b='{}|"]) {
      await step(makeCall({ method: 'DELETE', target, host: 'Api.acme.test:8080' }))
      const request = state.requests.at(-1)
      assert.deepEqual(
        [request?.method, request?.url, request?.target, request?.headers?.['host']],
        ['DELETE', 'http://access.acme.test/check/', `/check${target}`, 'Api.acme.test:8080'],
      )
    }
  })

  test('a 200 may take fields off the call and add to the reply; a service may exchange a credential', async () => {
    const { step, next, state } = build(
      { upstreamHeaders: 'authorization', replyHeadersOnPass: ['x-limit'] },
      {
        headers: {
          ...{ authorization: 'Inner a', 'x-limit': '5', 'x-other': 'o' },
          'x-envoy-auth-headers-to-remove': 'Cookie, host, x-none, :path, content-length',
        },
      },
    )
    const headers = { authorization: 'Bearer a', cookie: 'c=d', 'content-length': '0', accept: 'e' }
    const reply = await step(makeCall({ headers }))
    assert.equal(state.requests[0]?.headers?.['authorization'], 'Bearer a')
    assert.deepEqual(
      [...(next.calls[0]?.headers ?? [])],
      [...Object.entries({ Host: 'api.acme.test', 'content-length': '0', accept: 'e', authorization: 'Inner a' })],
    )
    assert.deepEqual([...reply.headers], [['x-limit', '5']])
  })

  test('tells the body where it is asked to, and the upstream gets it too', async () => {
    const { step, state, next } = build({ body: '5B' })
    await step(makeCall({ method: 'POST', body: 'hello' }))
    assert.deepEqual([state.requests[0]?.method, String(state.requests[0]?.body)], ['POST', 'hello'])
    assert.equal(String(await next.calls[0]?.body.bytes(9)), 'hello')
    await assert.rejects(step(makeCall({ method: 'POST', body: 'longer' })), { code: 'body-too-large' })
    assert.equal(next.calls.length, 1)
  })

  test('trailers of a body that it tells go on, but for those under names of the service', async () => {
    const { step, next } = build({ body: '5B', upstreamHeaders: 'x-user' })
    const { body, source } = ManualSource.body()
    const passing = step(makeCall({ method: 'POST', body }))
    source.push('hello')
    source.sink?.end(Headers.of({ 'x-user': 'root', 'x-sum': '42' }))
    await passing
    const sink = new RecordingSink()
    next.calls[0]?.body.pipe(sink)
    assert.deepEqual([sink.text, [...(sink.trailers ?? [])]], ['hello', [['x-sum', '42']]])
  })

  test('remembers answers by key and credentials, asks once per key, forgets failures', async () => {
    const { step, state, ports } = build({ cache: { key: '{path}', ttl: '10s' } }, { status: 403, body: 'no' })
    const ask = (token: string, target = '/') => step(makeCall({ target, headers: { authorization: token } }))
    const replies = await Promise.all([ask('a'), ask('a'), ask('a')])
    for (const reply of [...replies, await ask('a')]) assert.equal(String(await reply.body.bytes(9)), 'no')
    assert.equal(state.requests.length, 1)
    state.answer = {}
    assert.deepEqual([(await ask('a')).status, (await ask('b')).status, (await ask('a', '/x')).status], [403, 204, 204])
    ports.advance(10_000)
    state.answer = new Error('down')
    assert.equal((await ask('a')).status, 503)
    state.answer = {}
    assert.equal((await ask('a')).status, 204)
  })

  test('an answer with a cookie is nobody else’s', async () => {
    const { step, state } = build({ cache: { key: 'all' } }, { status: 302, headers: { 'set-cookie': 'state=1' } })
    await Promise.all([step(makeCall()), step(makeCall()), step(makeCall())])
    await step(makeCall())
    assert.equal(state.requests.length, 4)
  })

  test('options that cannot work are errors', () => {
    const wrong = [
      { url: 'access.acme.test' },
      { url: 'ftp://access.acme.test' },
      { url: 'http://a:b@access.acme.test' },
      { url: 'http://access.acme.test/?a', appendPath: true },
      { context: { a: 'b' } },
      ...[
        'grpc://a',
        'grpc://a:1/b',
        'grpc://a:1?b',
        'grpc://u:p@a:1',
        'grpc://:1',
        'grpcs://a:99999',
        'GRPC://a:1',
      ].map(url => ({ url })),
      ...[{ appendPath: true }, { replyHeaders: 'a' }, { replyHeadersOnPass: 'a' }, { cache: { key: 'a' } }].map(
        more => ({ url: 'grpc://a:1', ...more }),
      ),
      ...['host', 'Content-Length', 'x-forwarded-for', 'a b', 'X-Access-Unchecked'].map(name => ({
        upstreamHeaders: name,
      })),
      { send: 'transfer-encoding' },
      { replyHeaders: 'connection' },
      { body: '1kB', cache: { key: 'a' } },
      { cache: { key: '{nothing' } },
    ]
    for (const written of wrong) assert.throws(() => build(written), JSON.stringify(written))
  })

  test('never a crash, and never a pass but for a proper 200', async () => {
    const fields = fc.dictionary(
      fc.constantFrom('x-user', 'set-cookie', '__proto__', 'location'),
      fc.string({ unit: 'binary' }),
    )
    const status = fc.oneof(fc.integer(), fc.integer({ min: 100, max: 599 }), fc.constant(200))
    const { step, next, state } = build({ upstreamHeaders: 'x-user' })
    await fc.assert(
      fc.asyncProperty(status, fields, fc.string(), async (code, headers, body) => {
        state.answer = { status: code, headers, body }
        const before = next.calls.length
        const reply = await step(makeCall())
        const isProper = code === 200 && /^[\t -~\u0080-\u00ff]*$/.test(headers['x-user'] ?? '')
        assert.equal(next.calls.length - before, isProper ? 1 : 0)
        assert.ok(reply.status === 204 || reply.status >= 300)
      }),
      { numRuns: 60 },
    )
  })
})
