// Signed calls over HTTP/2: what is signed, and what is wrong with it, is told as over HTTP/1.1, though it travels otherwise.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { WebSocketServer } from 'ws'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { BothVersions, type Question } from '../tools/both-versions.ts'
import { answerOf } from '../tools/http2.ts'
import { manage } from '../tools/manage.ts'
import { echo, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import {
  type Algorithm,
  algorithms,
  digestOf,
  publicAlgorithms,
  publicPem,
  secret,
  signFields,
} from '../tools/signatures.ts'
import { until } from '../tools/until.ts'

const host = 'api.acme.test'
const cover = ['@method', '@authority', '@path', 'cookie']

let origin: Origin
let sockets: WebSocketServer
let program: Program
let clients: BothVersions
let secure: BothVersions

before(async () => {
  origin = await Origin.start(echo)
  sockets = new WebSocketServer({ server: origin.server })
  const own = selfSigned([host])
  const keys = publicAlgorithms.map(name => ({ keyId: name, publicKey: `{folder}/${name}.pem`, algorithm: name }))
  const shared = { keyId: 'hmac-sha256', secret: '${file:secret}', secretEncoding: 'text' }
  const forward = { 'x-who': 'consumer.name' }
  program = await Program.start(
    {
      listeners: [
        { port: 0, host: '127.0.0.1' },
        { name: 'tls', port: 0, host: '127.0.0.1', tls: { certificates: [{ cert: 'own.pem', key: 'own.key' }] } },
      ],
      ...{ data: 'state', upstreams: { origin: { targets: [origin.url] } } },
      consumers: [{ name: 'bolt', credentials: [...keys, shared].map(signature => ({ signature })) }],
      routes: [
        { match: { path: '/cookie' }, policies: [{ hmac: { cover, forward } }], forward: 'origin' },
        { match: { path: '/nonce' }, policies: [{ hmac: { replay: 'nonce', tag: 'pay' } }], forward: 'origin' },
        { match: { path: '/**' }, policies: [{ hmac: { forward, bodyMax: '1kB' } }], forward: 'origin' },
      ],
    },
    {
      ...Object.fromEntries(publicAlgorithms.map(name => [`${name}.pem`, publicPem(name)])),
      ...{ secret, 'own.pem': own.cert, 'own.key': own.key },
    },
  )
  clients = await BothVersions.connect(program.port)
  secure = await BothVersions.connect(program.portOf(1), 'no certificate')
})
after(async () => {
  clients?.[Symbol.dispose]()
  secure?.[Symbol.dispose]()
  await program?.stop()
  sockets?.close()
  await origin?.[Symbol.asyncDispose]()
})

interface Signing {
  readonly algorithm?: Algorithm
  readonly keyId?: string
  readonly method?: string
  readonly path?: string
  readonly authority?: string
  /** Covered besides, as fields of the call. */
  readonly fields?: Readonly<Record<string, string>>
  /** In place of all that is covered. */
  readonly components?: readonly (readonly [string, string])[]
  readonly label?: string
  readonly ageSeconds?: number
  readonly more?: string
}

/** The fields of a signature that no other call has. */
function sign({
  algorithm = 'ed25519',
  method = 'GET',
  path = '/a',
  fields = {},
  ageSeconds = 0,
  ...rest
}: Signing = {}) {
  const created = Math.floor(Date.now() / 1000) - ageSeconds
  const [target = '', query = ''] = path.split('?')
  const components = rest.components ?? [
    ['"@method"', method] as const,
    ['"@authority"', rest.authority ?? host] as const,
    ['"@path"', target] as const,
    ['"@query"', `?${query}`] as const,
    ...Object.entries(fields).map(([name, value]) => [`"${name}"`, value] as const),
  ]
  const keyId = rest.keyId ?? algorithm
  const parameters = `;created=${created};keyid="${keyId}";nonce="${randomUUID()}"${rest.more ?? ''}`
  return signFields({ algorithm, components, parameters, label: rest.label ?? 'sig' })
}

/** Over the whole target, and its scheme by itself. */
const ofTarget = (scheme: string): Signing => ({
  components: [
    ['"@method"', 'GET'],
    ['"@target-uri"', `${scheme}://${host}/a?b`],
    ['"@scheme"', scheme],
  ],
})

const body = '{"amount": 12}'
const digest = { 'content-digest': digestOf(body) }
const pay = (signing: Signing = {}) => sign({ method: 'POST', path: '/pay', fields: digest, ...signing })

describe('what is right', () => {
  test('every algorithm, with a body and without, and nobody else says who calls', async () => {
    for (const algorithm of algorithms) {
      const signing = { algorithm, path: '/a?b=c%20d' }
      const plain = await clients.ask(
        () => ({ path: signing.path, headers: { ...sign(signing), 'x-who': 'root' } }),
        200,
      )
      assert.equal(plain.seen?.headers['x-who'], 'bolt')
      const headers = () => ({ ...pay({ algorithm }), ...digest, 'x-who': 'root' })
      const call = () => ({
        path: '/pay',
        method: 'POST',
        headers: headers(),
        body,
        trailers: { 'x-who': 'root', 'x-a': '1' },
      })
      const { seen } = await clients.ask(call, 200)
      assert.deepEqual([seen?.headers['x-who'], seen?.body, seen?.trailers], ['bolt', body, {}])
    }
  })

  test('`:authority` is the authority: in lower case, without the usual port', async () => {
    for (const [sent, signed] of [
      ['API.acme.test', host],
      ['api.acme.test:80', host],
      ['api.acme.test:8080', 'api.acme.test:8080'],
    ]) {
      const authority = { authority: signed ?? '' }
      await clients.ask(() => ({ path: '/a', host: sent ?? '', headers: sign(authority) }), 200)
    }
  })

  test('over TLS, by ALPN: `@scheme` and `@target-uri` are of https', async () => {
    await secure.ask(() => ({ path: '/a?b', headers: sign(ofTarget('https')) }), 200)
    await secure.ask(() => ({ path: '/a?b', host: `${host}:443`, headers: sign(ofTarget('https')) }), 200)
    await secure.ask(() => ({ path: '/a?b', headers: sign(ofTarget('http')) }), 401, 'unauthenticated')
    await clients.ask(() => ({ path: '/a?b', headers: sign(ofTarget('http')) }), 200)
    await clients.ask(() => ({ path: '/a?b', headers: sign(ofTarget('https')) }), 401, 'unauthenticated')
  })

  test('cookies in a field each are signed as the one that they are', async () => {
    const signing = { path: '/cookie', fields: { cookie: 'a=1; b=2; c=3' } }
    const call = (cookie: readonly string[]) => () => ({ path: '/cookie', headers: { ...sign(signing), cookie } })
    const { seen } = await clients.ask(call(['a=1', 'b=2', 'c=3']), 200)
    assert.equal(seen?.headers['cookie'], 'a=1; b=2; c=3')
    await clients.ask(call(['a=1; b=2', 'c=3']), 200)
    await clients.ask(call(['b=2', 'a=1', 'c=3']), 401, 'unauthenticated')
    await clients.ask(call(['a=1', 'b=2', 'c=3', 'd=4']), 401, 'unauthenticated')
    await clients.ask(call(['a=1', 'b=2']), 401, 'unauthenticated')
    await clients.ask(() => ({ path: '/cookie', headers: sign(signing) }), 401, 'unauthenticated')
  })

  test('a WebSocket is signed as the GET that it is over HTTP/1.1', async () => {
    const { session } = clients
    const ask = (method: string) => {
      const fields = { ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat', ':authority': host }
      const headers = { 'sec-websocket-version': '13', ...sign({ method, path: '/chat' }) }
      return session.request({ ...fields, ...headers }, { endStream: false })
    }
    const stream = ask('GET')
    const [head] = await once(stream, 'response')
    assert.equal(head[':status'], 200)
    stream.close()
    assert.equal((await answerOf(ask('CONNECT'))).status, 401)
  })
})

test('a signature is good once, whichever version it came by', async () => {
  const first = { path: '/a', headers: sign() }
  assert.equal((await clients.overHttp1(first)).status, 200)
  assert.equal((await clients.overHttp2(first)).status, 401)
  const second = { path: '/a', headers: sign() }
  assert.equal((await clients.overHttp2(second)).status, 200)
  assert.equal((await clients.overHttp1(second)).status, 401)
  for (let round = 0; round < 10; round++) {
    const headers = sign()
    const answers = await Promise.all(Array.from({ length: 16 }, () => clients.overHttp2({ path: '/a', headers })))
    assert.equal(answers.filter(({ status }) => status === 200).length, 1)
  }
})

const late = () => ({ path: '/a', headers: sign({ keyId: 'late' }) })

test('a revoked key', async () => {
  await manage(program, '/consumers', { name: 'acme' })
  const signature = { keyId: 'late', publicKey: publicPem('ed25519'), algorithm: 'ed25519' }
  const { id } = await manage(program, '/credentials', { consumer: 'acme', signature })
  const answers = (status: number) =>
    until(
      async () => (await clients.overHttp2(late())).status === status,
      () => `${status}`,
    )
  await answers(200)
  assert.equal((await clients.ask(late, 200)).seen?.headers['x-who'], 'acme')
  await manage(program, `/credentials/${id}/revoke`, {})
  await answers(401)
  await clients.ask(late, 401, 'unauthenticated')
})

/** Each must be refused with 401 before anybody sees it. */
const wrong: Readonly<Record<string, () => Partial<Question>>> = {
  'no signature': () => ({}),
  'of another method': () => ({ headers: sign({ method: 'POST' }) }),
  'of another path': () => ({ headers: sign({ path: '/b' }) }),
  'of another query': () => ({ headers: sign({ path: '/a?b' }) }),
  'of another authority': () => ({ headers: sign({ authority: 'evil.test' }) }),
  'for another authority': () => ({ host: 'evil.test', headers: sign() }),
  'of an unknown key': () => ({ headers: sign({ keyId: 'nobody' }) }),
  'of another key': () => ({ headers: sign({ keyId: 'hmac-sha256' }) }),
  'too old': () => ({ headers: sign({ ageSeconds: 120 }) }),
  'of the future': () => ({ headers: sign({ ageSeconds: -120 }) }),
  'over a pseudo-header field': () => ({ headers: sign({ fields: { ':authority': host } }) }),
  'over a field that is not there': () => ({ headers: sign({ fields: { 'x-a': '' } }) }),
  'over a field that came twice': () => ({ headers: { ...sign({ fields: { 'x-a': '1' } }), 'x-a': ['1', '1'] } }),
  'over a trailer': () => ({
    headers: { ...sign({ method: 'POST', fields: { ...digest, 'x-a': '1' } }), ...digest },
    ...{ method: 'POST', body, trailers: { 'x-a': '1' } },
  }),
  'too long': () => ({ headers: sign({ more: `;tag="${'x'.repeat(9_000)}"` }) }),
  'in the trailers': () => ({ method: 'POST', body, headers: digest, trailers: pay({ path: '/a' }) }),
  doubled: () => {
    const { 'Signature-Input': input = '', Signature: signature = '' } = sign()
    return { headers: { 'Signature-Input': [input, input], Signature: signature } }
  },
  'of five': () => {
    const all = ['a', 'b', 'c', 'd', 'e'].map(label => sign({ label }))
    const of = (name: string) => all.map(fields => fields[name] ?? '')
    return { headers: { 'Signature-Input': of('Signature-Input'), Signature: of('Signature') } }
  },
  'another body': () => ({
    method: 'POST',
    headers: { ...pay({ path: '/a' }), ...digest },
    body: body.replace('12', '99'),
  }),
  'a body in place of none': () => ({ headers: sign({ method: 'POST' }), method: 'POST', body }),
  'trailers in place of nothing': () => ({ headers: sign(), trailers: { 'x-a': '1' } }),
  'a body without the digest that is signed': () => ({ method: 'POST', headers: pay({ path: '/a' }), body }),
  'the digest in the trailers': () => ({ method: 'POST', headers: pay({ path: '/a' }), body, trailers: digest }),
  'another digest in the trailers': () => ({
    ...{ method: 'POST', headers: { ...pay({ path: '/a' }), ...digest }, body: 'evil' },
    trailers: { 'content-digest': digestOf('evil') },
  }),
}

describe('what is wrong is refused with the same 401', () => {
  for (const [name, make] of Object.entries(wrong)) {
    test(name, async () => {
      const before = origin.calls
      const { headers } = await clients.ask(() => ({ path: '/a', ...make() }), 401, 'unauthenticated')
      assert.match(headers['www-authenticate'] ?? '', /^Signature /)
      assert.match(String(headers['accept-signature']), /^sig=\("@method" "@authority" "@path" "@query"/)
      assert.equal(origin.calls, before)
    })
  }

  test('a nonce and a tag that are missing', async () => {
    const { headers } = await clients.ask({ path: '/nonce', headers: sign({ path: '/nonce' }) }, 401, 'unauthenticated')
    assert.match(String(headers['accept-signature']), /tag="pay"$/)
    await clients.ask(() => ({ path: '/nonce', headers: sign({ path: '/nonce', more: ';tag="pay"' }) }), 200)
  })
})

describe('bodies', () => {
  test('in many DATA frames, and in none', async () => {
    const long = 'x'.repeat(900)
    const fields = { 'content-digest': digestOf(long) }
    const headers = { ...pay({ fields }), ...fields }
    const asked = { ':method': 'POST', ':path': '/pay', ':authority': host, ...headers }
    const split = clients.session.request(asked)
    for (let at = 0; at < long.length; at += 100) {
      split.write(long.slice(at, at + 100))
      await new Promise(resolve => clients.session.ping(resolve))
    }
    split.end()
    const { status, body: text } = await answerOf(split)
    assert.deepEqual([status, (JSON.parse(text) as { body: string }).body], [200, long])
    const none = { 'content-digest': digestOf('') }
    await clients.ask(
      () => ({ path: '/pay', method: 'POST', headers: { ...pay({ fields: none }), ...none }, body: '' }),
      200,
    )
  })

  test('too large for the policy: 413, and the connection goes on', async () => {
    const large = 'x'.repeat(300_000)
    const fields = { 'content-digest': digestOf(large) }
    const before = origin.calls
    const headers = () => ({ ...pay({ fields }), ...fields })
    await clients.ask(() => ({ path: '/pay', method: 'POST', headers: headers(), body: large }), 413, 'body-too-large')
    assert.equal(origin.calls, before)
    await clients.ask(() => ({ path: '/a', headers: sign() }), 200)
  })
})

test('afterwards there is no call and no connection left', async () => {
  clients.session.close()
  secure.session.close()
  await program.untilQuiet()
})
