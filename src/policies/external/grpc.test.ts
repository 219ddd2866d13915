// The policy `external` over gRPC, its messages made by an independent implementation of protocol buffers.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { messages } from '../../../test/tools/authorizer.ts'
import { type CallOptions, fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { resolveOptions } from '../../../test/tools/options.ts'
import { OutsideError, type OutsideRpc } from '../../core/outside.ts'
import { type Principal, principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { external } from './external.ts'

function build(written: object, answer: object | Buffer | Error) {
  const state = { answer, asked: [] as OutsideRpc[] }
  const rpc = async (asked: OutsideRpc): Promise<Uint8Array> => {
    state.asked.push(asked)
    if (state.answer instanceof Error) throw state.answer
    return state.answer instanceof Buffer ? state.answer : messages.writeResponse(state.answer)
  }
  const options = resolveOptions(external, { url: 'grpcs://access.acme.test:9191', ...written })
  const warnings: object[] = []
  const ports = fakePorts({}, { outside: { rpc } })
  ports.log.warn = fields => void warnings.push(fields)
  const next = makeNext(() => Reply.text(200, 'well'))
  const step = external.build(options, ports, { route: 'r', key: 'r/policies/0' })(next)
  return { step, next, ports, state, warnings }
}

const header = (key: string, value: string, more: object = {}) => ({ header: { key, value }, ...more })
const pass = (ok_response: object = {}) => ({ status: { code: 0 }, ok_response })

const certificate = (fingerprint: string) => ({
  ...{
    fingerprint,
    subject: '',
    issuer: '',
    isIssuerKnown: true,
    serial: '',
    names: [],
    fromMs: 0,
    toMs: 1,
    raw: Buffer.alloc(0),
    chain: [],
  },
})
const proven = (id: string, scopes: string[] = []): Principal => ({
  ...{ method: 'jwt', id, consumer: null, application: null, credential: '', scopes, claims: {} },
})

describe('external over gRPC', () => {
  test('asks the method of the contract with the deadline', async () => {
    const { step, state } = build({ timeout: '100ms', context: { shop: 'a' } }, pass())
    assert.equal((await step(makeCall())).status, 200)
    const { message, ...asked } = state.asked[0] ?? { message: Buffer.alloc(0) }
    assert.deepEqual(asked, {
      ...{ url: 'https://access.acme.test:9191', path: '/envoy.service.auth.v3.Authorization/Check' },
      ...{ timeoutMs: 100, bodyBytesMax: 65_536, isRepeatable: true },
    })
    assert.deepEqual(messages.readRequest(Buffer.from(message)).attributes.context_extensions, { shop: 'a' })
  })

  test('the service writes what `upstreamHeaders` names; nobody else does, in no spelling', async () => {
    const fields = [
      header('x-user', 'alice'),
      header('X-User', 'bob', { append_action: 'ADD_IF_ABSENT' }),
      header('x-role', 'a'),
      header('x-role', 'b'),
      header('authorization', 'Inner', { append_action: 'OVERWRITE_IF_EXISTS' }),
      header('x-absent', 'c', { append_action: 'OVERWRITE_IF_EXISTS' }),
      header('x-unlisted', 'd'),
    ]
    const names = ['x-user', 'x-role', 'authorization', 'x-absent', 'x-silent']
    const { step, next, warnings } = build({ upstreamHeaders: names }, pass({ headers: fields }))
    const forged = {
      X_User: 'root',
      'x-role': 'root',
      'x-silent': 'root',
      'x-unlisted': 'mine',
      authorization: 'Bearer',
    }
    for (let i = 0; i < 3; i++) await step(makeCall({ headers: forged }))
    for (const call of next.calls) {
      assert.deepEqual(
        [...call.headers].map(pair => pair.join(': ')),
        ['Host: api.acme.test', 'x-unlisted: mine', 'x-user: alice', 'x-role: a', 'x-role: b', 'authorization: Inner'],
      )
    }
    assert.deepEqual(warnings, [{ field: 'x-unlisted' }])
  })

  test('fields and parameters that are taken away, parameters that are set, fields for the reply', async () => {
    const { step, next } = build(
      {},
      pass({
        headers_to_remove: ['Authorization', 'host', 'transfer-encoding'],
        query_parameters_to_set: [{ key: 'user', value: 'a b&c' }],
        query_parameters_to_remove: ['key', 'none'],
        response_headers_to_add: [
          header('x-plan', 'gold'),
          header('content-length', '0'),
          header('content-type', 'text/html', { append_action: 'OVERWRITE_IF_EXISTS' }),
        ],
      }),
    )
    const target = "/a?%75ser=root&x='%20&key=s&user&k%65y=t&y"
    const reply = await step(makeCall({ target, headers: { authorization: 'a' } }))
    const call = next.calls[0]
    assert.equal(call?.target, "/a?x='%20&y&user=a%20b%26c")
    assert.deepEqual([...(call?.headers ?? [])], [['Host', 'api.acme.test']])
    assert.deepEqual(
      [...reply.headers],
      [
        ['content-type', 'text/html'],
        ['x-plan', 'gold'],
      ],
    )
  })

  test('a denial goes to the client with its status, fields and body', async () => {
    const denied_response = {
      status: { code: 401 },
      headers: [header('www-authenticate', 'Bearer'), header('connection', 'close'), header('set-cookie', 'a=b')],
      body: 'who are you?',
    }
    const { step, next, state } = build({}, { status: { code: 16 }, denied_response })
    const reply = await step(makeCall())
    assert.deepEqual([reply.status, reply.code, next.calls.length], [401, 'forbidden', 0])
    assert.deepEqual(
      [...reply.headers],
      [
        ['www-authenticate', 'Bearer'],
        ['set-cookie', 'a=b'],
      ],
    )
    assert.equal(String(await reply.body.bytes(99)), 'who are you?')
    for (const [answer, status] of [
      [{ status: { code: 7 } }, 403],
      [{ status: { code: 7 }, ok_response: {} }, 403],
      [{ status: { code: -1 } }, 403],
      [{ status: { code: 7 }, denied_response: { status: { code: 503 } } }, 503],
      [{ status: { code: 7 }, denied_response: { status: { code: 204 }, body: 'x' } }, 204],
    ] as const) {
      state.answer = answer
      assert.equal((await step(makeCall())).status, status)
    }
  })

  test('no proper answer: 503, or with `open` a pass that is marked and forged by nobody', async () => {
    const answers = [
      new OutsideError('timeout', 'x'),
      new OutsideError('status', 'gRPC status 7'),
      Buffer.alloc(0),
      Buffer.from('nonsense'),
      { denied_response: {} },
      { status: { code: 0 }, denied_response: { status: { code: 401 } } },
      { status: { code: 7 }, denied_response: { status: { code: 101 } } },
      { status: { code: 7 }, denied_response: { status: { code: 600 } } },
      pass({ headers: [header('x-user', 'a\nb')] }),
    ]
    for (const answer of answers) {
      const closed = build({}, answer)
      assert.equal((await closed.step(makeCall())).code, 'access-unavailable', JSON.stringify(answer))
      assert.equal(closed.next.calls.length, 0)
      const open = build({ upstreamHeaders: 'x-user', onFailure: 'open' }, answer)
      await open.step(makeCall({ headers: { 'x-user': 'root', 'x-access-unchecked': '0' } }))
      assert.deepEqual(
        [...(open.next.calls[0]?.headers ?? [])],
        [
          ['Host', 'api.acme.test'],
          ['x-access-unchecked', '1'],
        ],
      )
    }
  })

  test('a body is told under its bound, and goes on', async () => {
    const { step, next, state } = build({ body: '5B' }, pass())
    await step(makeCall({ method: 'POST', body: 'hello' }))
    const { http } = messages.readRequest(Buffer.from(state.asked[0]?.message ?? [])).attributes.request
    assert.deepEqual([http.body, http.size], ['hello', 5])
    assert.equal(String(await next.calls[0]?.body.bytes(9)), 'hello')
    await assert.rejects(step(makeCall({ method: 'POST', body: 'longer' })), { code: 'body-too-large' })
  })

  test('remembers by key, fields, certificate and principal', async () => {
    const { step, state } = build({ send: 'authorization', cache: { key: '{path}' } }, pass())
    const ask = (options: CallOptions, who?: Principal) => {
      const call = makeCall(options)
      if (who !== undefined) call.facts.set(principal, who)
      return step(call)
    }
    const different: Parameters<typeof ask>[] = [
      [{}],
      [{ target: '/a' }],
      [{ headers: { authorization: 'a' } }],
      [{ peer: { certificate: certificate('a') } }],
      [{ peer: { certificate: certificate('b') } }],
      [{}, proven('a')],
      [{}, proven('b')],
      [{}, proven('b', ['c'])],
    ]
    for (const [index, parts] of different.entries()) {
      await ask(...parts)
      await ask(...parts)
      assert.equal(state.asked.length, index + 1)
    }
  })
})
