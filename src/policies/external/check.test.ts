// The messages of the gRPC contract, held against an independent implementation of protocol buffers.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { messages } from '../../../test/tools/authorizer.ts'
import { fakePorts, makeCall } from '../../../test/tools/call.ts'
import { principal } from '../../core/principal.ts'
import { compileCheckRequest } from './check-request.ts'
import { readCheckResponse } from './check-response.ts'

const { clock } = fakePorts()
const ask = (call: ReturnType<typeof makeCall>, send: string[] | null = null, body: Buffer | null = null) =>
  messages.readRequest(compileCheckRequest({ send, context: { shop: 'süd' } }, clock)(call, body)).attributes

const certificate = {
  ...{
    fingerprint: 'f',
    subject: 'CN=a',
    issuer: 'CN=b',
    isIssuerKnown: true,
    serial: '1',
    fromMs: 0,
    toMs: 1,
    raw: Buffer.alloc(0),
    chain: [],
  },
  names: ['cn:a', 'dns:a.acme.test', 'uri:spiffe://acme/a'],
}

describe('CheckRequest', () => {
  test('tells all of a call', () => {
    const call = makeCall({
      method: 'POST',
      target: '/a%2Fb?c=d',
      host: 'Api.acme.test:8080',
      headers: [
        ...Object.entries({ Cookie: 'a=1', cookie: 'b=2', 'X-List': '1', 'x-list': '2', 'x-odd': '\xc3\xa9\xe9' }),
      ],
      peer: { address: '192.0.2.7', port: 4000, certificate },
    })
    call.id = 'id-1'
    call.route = 'orders'
    const body = Buffer.from('hellö')
    assert.deepEqual(JSON.parse(JSON.stringify(ask(call, null, body))), {
      source: { address: { socket_address: { address: '192.0.2.7', port_value: 4000 } }, principal: 'spiffe://acme/a' },
      destination: { address: { socket_address: { address: '192.0.2.9', port_value: 8080 } } },
      request: {
        time: { seconds: Date.UTC(2026, 0, 1) / 1000 },
        http: {
          ...{ id: 'id-1', method: 'POST', path: '/a%2Fb?c=d', host: 'Api.acme.test:8080', scheme: 'http' },
          ...{ size: 6, protocol: 'HTTP/1.1', body: 'hellö' },
          headers: {
            ...{ host: 'Api.acme.test:8080', cookie: 'a=1; b=2', 'x-list': '1, 2', 'x-odd': 'é\ufffd' },
            ...{ ':authority': 'Api.acme.test:8080', ':method': 'POST', ':path': '/a%2Fb?c=d', ':scheme': 'http' },
            'x-envoy-auth-partial-body': 'false',
          },
        },
      },
      context_extensions: { shop: 'süd' },
      metadata_context: {},
      route_metadata_context: {
        filter_metadata: { 'turnpike.route': { fields: { name: { stringValue: 'orders' } } } },
      },
    })
  })

  test('tells the fields of `send` alone, and a body of unknown length that it is not told', () => {
    const call = makeCall({ headers: { authorization: 'Bearer a', 'x-secret': 's' } })
    const { http } = ask(call, ['Authorization', 'x-none']).request
    assert.deepEqual(http.headers, { authorization: 'Bearer a' })
    assert.deepEqual([http.size, http.body, http.raw_body], [undefined, undefined, undefined])
  })

  test('a body that is no text is told whole, and as text', () => {
    const { http } = ask(makeCall(), [], Buffer.from([0x61, 0xff])).request
    assert.equal(http.body, 'a\ufffd')
    assert.deepEqual(http.raw_body, Buffer.from([0x61, 0xff]))
  })

  test('tells who was proven to call', () => {
    const call = makeCall()
    const scopes = ['orders:read', '']
    const proven = { method: 'jwt', id: 'i|s', consumer: null, application: null, credential: '', scopes, claims: {} }
    call.facts.set(principal, proven)
    const values = scopes.map(stringValue => ({ stringValue }))
    assert.deepEqual(JSON.parse(JSON.stringify(ask(call).metadata_context)), {
      filter_metadata: {
        'turnpike.principal': {
          fields: {
            ...{ method: { stringValue: 'jwt' }, id: { stringValue: 'i|s' }, credential: { stringValue: '' } },
            ...{ consumer: { stringValue: '' }, application: { stringValue: '' }, scopes: { listValue: { values } } },
          },
        },
      },
    })
  })

  test('any headers, body and context come over as they are', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/)
    const text = fc.string({ unit: 'grapheme', maxLength: 40 })
    fc.assert(
      fc.property(fc.dictionary(name, text), fc.uint8Array({ maxLength: 600 }), (written, bytes) => {
        const octets = Object.entries(written).map(
          ([key, value]) => [key, Buffer.from(value).toString('latin1')] as const,
        )
        const call = makeCall({ headers: octets })
        const body = Buffer.from(bytes)
        const { http } = ask(call, Object.keys(written), body).request
        assert.deepEqual({ ...http.headers }, { ...wellFormed(written), 'x-envoy-auth-partial-body': 'false' })
        assert.equal(http.body ?? '', body.toString('utf8'))
      }),
    )
  })
})

const wellFormed = (written: Record<string, string>) =>
  Object.fromEntries(Object.entries(written).map(([key, value]) => [key, value.toWellFormed()]))

const header = (key: string, value: string, more: object = {}) => ({ header: { key, value }, ...more })

const read = (response: object) => readCheckResponse(messages.writeResponse(response))

describe('CheckResponse', () => {
  test('a pass with all that it may hold', () => {
    const { code, ok, denied } = read({
      status: { code: 0 },
      dynamic_metadata: { fields: { a: { numberValue: 1 } } },
      ok_response: {
        headers: [
          header('x-0', 'ü'),
          header('x-1', '1', { append_action: 'ADD_IF_ABSENT' }),
          header('x-2', '2', { append_action: 2 }),
          header('x-3', '', { append_action: 'OVERWRITE_IF_EXISTS', keep_empty_value: true }),
          header('x-4', '4', { append: { value: true }, append_action: 2 }),
          header('x-5', '5', { append: { value: false } }),
          { header: { key: 'x-6', raw_value: Buffer.from([0x36, 0xff]) } },
        ],
        headers_to_remove: ['Authorization', 'x-b'],
        response_headers_to_add: [header('x-r', 'r')],
        query_parameters_to_set: [{ key: 'ä', value: '1' }],
        query_parameters_to_remove: ['b'],
      },
    })
    assert.deepEqual([code, denied], [0, null])
    assert.deepEqual(
      ok?.headers.map(({ name, value, action }) => `${name} ${value} ${action}`),
      [
        ...['x-0 \xc3\xbc append', 'x-1 1 add-if-absent', 'x-2 2 overwrite', 'x-3  overwrite-if-exists'],
        ...['x-4 4 append', 'x-5 5 overwrite', 'x-6 6\xff append'],
      ],
    )
    assert.deepEqual(ok?.removed, ['Authorization', 'x-b'])
    assert.deepEqual(ok?.replyHeaders, [{ name: 'x-r', value: 'r', action: 'append' }])
    assert.deepEqual(ok?.query, [
      { name: 'ä', value: '1' },
      { name: 'b', value: null },
    ])
  })

  test('denials', () => {
    assert.deepEqual(read({ status: { code: 7, message: 'no' } }), { code: 7, ok: null, denied: null })
    const denied_response = { status: { code: 401 }, headers: [header('www-authenticate', 'Bearer')], body: 'who?' }
    const { denied } = read({ status: { code: 16 }, denied_response })
    assert.deepEqual([denied?.status, denied?.body.toString(), denied?.headers.length], [401, 'who?', 1])
    assert.equal(read({ denied_response: {} }).denied?.status, 403)
    assert.ok(Number(read({ status: { code: -1 } }).code) > 0)
  })

  test('what stands twice is joined, and the last of a choice counts', () => {
    const parts = [
      { status: { code: 7 }, ok_response: { headers_to_remove: ['a'] } },
      { status: { message: 'no' }, denied_response: { status: { code: 401 } } },
      { denied_response: { body: 'no' } },
    ]
    const { code, ok, denied } = readCheckResponse(Buffer.concat(parts.map(part => messages.writeResponse(part))))
    assert.deepEqual([code, ok, denied?.status, denied?.body.toString()], [7, null, 401, 'no'])
  })

  test('an answer in very many parts takes no longer than it is long', () => {
    // Each part is the code of the status, as a number of two bytes.
    const part = Buffer.from([10, 3, 8, 0x87, 0])
    const startMs = performance.now()
    assert.equal(readCheckResponse(Buffer.concat(Array<Buffer>(300_000).fill(part))).code, 7)
    assert.ok(performance.now() - startMs < 5_000)
  })

  test('no answer: fields that no message may carry, unknown actions, too many changes', () => {
    for (const [key, value] of [
      ['x-a', 'a\r\nx-admin: 1'],
      ['x-a', '\0'],
      ['', 'a'],
      ['a b', 'c'],
      [':path', '/admin'],
    ] as const) {
      assert.throws(() => read({ status: {}, ok_response: { headers: [header(key, value)] } }), /field/, key)
      assert.throws(() => read({ status: { code: 7 }, denied_response: { headers: [header(key, value)] } }), /field/)
    }
    assert.throws(() => read({ ok_response: { headers: [header('a', 'b', { append_action: 4 })] } }), /append_action/)
    const headers = Array.from({ length: 257 }, () => header('a', 'b'))
    assert.throws(() => read({ ok_response: { headers } }), /more than 256/)
  })

  test('cut anywhere, it is refused or says no more than it did', () => {
    const whole = messages.writeResponse({
      status: { code: 7, message: 'no' },
      denied_response: { status: { code: 401 }, headers: [header('a', 'b')], body: 'who?' },
    })
    for (let length = 0; length < whole.length; length++) {
      let code: number | null = null
      try {
        code = readCheckResponse(whole.subarray(0, length)).code
      } catch {
        // Refused.
      }
      assert.ok(code === null || code === 7, String(length))
    }
  })

  test('any bytes are read or refused with an Error', () => {
    const seed = messages.writeResponse({ status: { code: 0 }, ok_response: { headers: [header('a', 'b')] } })
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc
        .tuple(fc.nat(seed.length - 1), fc.nat(255))
        .map(([at, octet]) => Uint8Array.from(seed).fill(octet, at, at + 1)),
    )
    fc.assert(
      fc.property(bytes, sample => {
        try {
          readCheckResponse(Buffer.from(sample))
        } catch (error) {
          assert.match(String(error), /malformed|the service/)
        }
      }),
      { numRuns: 2000 },
    )
  })
})
