// Callers over HTTP/2 who have a good credential, and ask in ways that only HTTP/2 offers for more than it is good for.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { echo, type Echoed, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { type RawCall, type RawFields, RawHttp2 } from '../tools/raw-http2.ts'
import { digestOf, publicPem, signFields } from '../tools/signatures.ts'
import { claims, head, keyFile, signed } from '../tools/tokens.ts'

const exp = Math.floor(Date.now() / 1000) + 600
const token = `Bearer ${signed(head, { ...claims, exp })}`
const own = 'a-key-from-outside-0123'

let origin: Origin
let program: Program
let raw: RawHttp2
before(async () => {
  origin = await Origin.start(echo)
  const jwt = { keys: { file: 'keys.json' }, issuer: claims.iss, audience: 'api', forward: { 'x-who': 'claims.sub' } }
  const signature = { keyId: 'ed25519', publicKey: '{folder}/ed25519.pem', algorithm: 'ed25519' }
  program = await Program.start(
    {
      ...{ data: 'state', upstreams: { origin: { targets: [origin.url] } } },
      consumers: [{ name: 'bolt', credentials: [{ signature }, { key: '${file:key}' }] }],
      routes: [
        { match: { hosts: ['admin.acme.test'] }, policies: [{ ip: { deny: '0.0.0.0/0' } }], forward: 'origin' },
        { match: { path: '/jwt' }, policies: [{ jwt }], forward: 'origin' },
        {
          match: { path: '/key' },
          policies: [{ 'api-key': { forward: { 'x-who': 'consumer.name' } } }],
          forward: 'origin',
        },
        { match: { path: '/hmac' }, policies: [{ hmac: {} }], forward: 'origin' },
      ],
    },
    { 'keys.json': keyFile, 'ed25519.pem': publicPem('ed25519'), key: own },
  )
  raw = await RawHttp2.connect(program.port)
})
after(async () => {
  raw?.[Symbol.dispose]()
  await program?.stop()
  await origin?.[Symbol.asyncDispose]()
})

/** Pseudo-header fields of a call; what is given stands in place of the usual. */
function pseudo(changes: Readonly<Record<string, string | null>> = {}): [string, string][] {
  const usual = { ':method': 'GET', ':scheme': 'http', ':path': '/jwt', ':authority': 'api.acme.test', ...changes }
  return Object.entries(usual).flatMap(([name, value]) => (value === null ? [] : [[name, value] as [string, string]]))
}

const good: RawFields = [['authorization', token]]

/** What the upstream saw of a call that must pass. */
async function seenOf(call: RawCall): Promise<Echoed> {
  const { status, text } = await raw.ask(call)
  assert.equal(status, 200, text)
  return JSON.parse(text) as Echoed
}

/** Fields of a call with a good token, which must be answered 400 and lead nowhere. */
const malformed: Readonly<Record<string, RawFields>> = {
  ':authority of another host than Host': [...pseudo(), ['host', 'admin.acme.test'], ...good],
  'Host of another port than :authority': [...pseudo(), ['host', 'api.acme.test:81'], ...good],
  'two :authority': [...pseudo(), [':authority', 'admin.acme.test'], ...good],
  'two :authority, the first empty': [[':authority', ''], ...pseudo(), ...good],
  'an empty :authority beside Host': [...pseudo({ ':authority': '' }), ['host', 'api.acme.test'], ...good],
  'two Host': [...pseudo({ ':authority': null }), ['host', 'api.acme.test'], ['host', 'api.acme.test'], ...good],
  'a list of hosts': [...pseudo({ ':authority': 'api.acme.test, admin.acme.test' }), ...good],
  'user information': [...pseudo({ ':authority': 'admin.acme.test@api.acme.test' }), ...good],
  'a path in :authority': [...pseudo({ ':authority': 'api.acme.test/admin' }), ...good],
  'two :path': [...pseudo(), [':path', '/'], ...good],
  'a whole URL as :path': [...pseudo({ ':path': 'http://admin.acme.test/jwt' }), ...good],
  'a request in :path': [...pseudo({ ':path': '/jwt HTTP/1.1\r\nHost: admin.acme.test\r\n\r\nGET /' }), ...good],
  'a request in :method': [...pseudo({ ':method': 'GET / HTTP/1.1\r\nHost: admin.acme.test\r\n\r\nGET' }), ...good],
  'a field in :authority': [...pseudo({ ':authority': 'api.acme.test\r\nx-who: root' }), ...good],
  'two :method, the first empty': [[':method', ''], ...pseudo(), ...good],
  'https without TLS': [...pseudo({ ':scheme': 'https' }), ...good],
  'two :scheme, the first empty': [[':scheme', ''], ...pseudo(), ...good],
  ':status': [...pseudo(), [':status', '200'], ...good],
  ':protocol without CONNECT': [...pseudo(), [':protocol', 'websocket'], ...good],
  'a pseudo-header field behind the credential': [...good, ...pseudo()],
  'the credential in a name of upper case': [...pseudo(), ['Authorization', token]],
  'the credential in a name with a space': [...pseudo(), ['authorization ', token]],
  'a space before the credential': [...pseudo(), ['authorization', ` ${token}`]],
  'a space behind the credential': [...pseudo(), ['authorization', `${token} `]],
  'a tab behind the credential': [...pseudo(), ['authorization', `${token}\t`]],
  'a line end behind the credential': [...pseudo(), ['authorization', `${token}\r\nx-who: root`]],
  'a line feed alone': [...pseudo(), ['authorization', `${token}\nx-who: root`]],
  'a zero octet': [...pseudo(), ['authorization', `${token}\0`]],
  'Connection that names the credential': [...pseudo(), ...good, ['connection', 'authorization']],
  'Connection that names a field of the gateway': [...pseudo(), ...good, ['connection', 'x-who']],
  'Transfer-Encoding': [...pseudo(), ...good, ['transfer-encoding', 'chunked']],
  'Transfer-Encoding in disguise': [...pseudo(), ...good, ['transfer_encoding', 'chunked']],
  Upgrade: [...pseudo(), ...good, ['upgrade', 'h2c']],
  'TE that is not trailers': [...pseudo(), ...good, ['te', 'trailers, chunked']],
  'two Content-Length': [...pseudo(), ...good, ['content-length', '0'], ['content-length', '0']],
  'Content-Length that is no number': [...pseudo(), ...good, ['content-length', '+0']],
  'an extended CONNECT for another host than Host': [
    ...pseudo({ ':method': 'CONNECT', ':protocol': 'websocket' }),
    ...[['host', 'admin.acme.test'] as const, ...good],
  ],
}

describe('400, the stream is reset, the upstream sees nothing, and the connection goes on', () => {
  for (const [name, fields] of Object.entries(malformed)) {
    test(name, async () => {
      const calls = origin.calls
      const { status, code, reset } = await raw.ask({ fields })
      assert.deepEqual([status, code, reset], [400, 'malformed-request', 1])
      assert.equal(origin.calls, calls)
      assert.equal((await seenOf({ fields: [...pseudo(), ...good] })).headers['x-who'], 'alice')
    })
  }

  for (const target of [
    '/jwt/../key',
    '/jwt/%2e%2e/key',
    '//admin.acme.test/jwt',
    '/jwt\\..\\key',
    '/jwt#/key',
    '/%6awt%00',
  ]) {
    test(`the path ${target}`, async () => {
      const calls = origin.calls
      const { status } = await raw.ask({ fields: [...pseudo({ ':path': target }), ...good] })
      assert.ok(status === 400 || status === 404, String(status))
      assert.equal(origin.calls, calls)
    })
  }
})

describe('hosts', () => {
  test('Host alone, and Host that says the same in other letters, are the host', async () => {
    for (const fields of [
      [...pseudo({ ':authority': null }), ['host', 'api.acme.test']],
      [...pseudo(), ['host', 'API.acme.test']],
    ] as RawFields[]) {
      const { rawHeaders } = await seenOf({ fields: [...fields, ...good] })
      const hosts = rawHeaders.filter((_, i) => rawHeaders[i - 1]?.toLowerCase() === 'host')
      assert.deepEqual(hosts, ['api.acme.test'])
    }
  })

  test('one that is refused is refused in every spelling', async () => {
    const calls = origin.calls
    for (const host of ['admin.acme.test', 'ADMIN.acme.test', 'admin.acme.test:80', 'admin.acme.test.']) {
      for (const fields of [
        pseudo({ ':authority': host }),
        [...pseudo({ ':authority': null }), ['host', host]],
      ] as const) {
        assert.equal((await raw.ask({ fields: [...(fields as RawFields), ...good] })).status, 403, host)
      }
    }
    assert.equal(origin.calls, calls)
  })
})

describe('trailers', () => {
  const late: RawFields = [
    ...[
      ['authorization', token],
      ['cookie', 'a=b'],
      ['host', 'admin.acme.test'],
      ['x-who', 'root'],
      ['x_who', 'root'],
    ],
    ...[
      ['x-forwarded-for', '10.0.0.1'],
      ['x-forwarded-host', 'admin.acme.test'],
      ['forwarded', 'for=10.0.0.1'],
    ],
    ['x-sum', '1'],
  ] as [string, string][]

  test('say nothing of who calls, to the gateway or the upstream', async () => {
    const call = { data: ['a'], trailers: [...late, ['x-api-key', own] as const] }
    for (const path of ['/jwt', '/key']) {
      const { status, code } = await raw.ask({ fields: pseudo({ ':method': 'POST', ':path': path }), ...call })
      assert.deepEqual([status, code], [401, 'unauthenticated'])
    }
    for (const length of [[], [['content-length', '1'] as const]]) {
      const fields = [...pseudo({ ':method': 'POST' }), ...length, ...good]
      const { headers, trailers } = await seenOf({ fields, data: ['a'], trailers: late })
      assert.deepEqual([headers['x-who'], headers['x-forwarded-for']], ['alice', '127.0.0.1'])
      // A length leaves them no room over HTTP/1.1.
      assert.deepEqual(trailers, length.length === 0 ? { 'x-sum': '1' } : {})
    }
  })

  for (const [name, trailers] of Object.entries<RawFields>({
    'a pseudo-header field': [[':path', '/key']],
    'Content-Length': [['content-length', '0']],
    Connection: [['connection', 'x-a']],
    'a name in upper case': [['X-A', '1']],
    'a line end': [['x-a', '1\r\n\r\nGET /key HTTP/1.1']],
  })) {
    test(`${name} resets the stream, and no whole call comes out of it`, async () => {
      const bodies = origin.calls
      const { status, reset } = await raw.ask({
        fields: [...pseudo({ ':method': 'POST' }), ...good],
        data: ['a'],
        trailers,
      })
      assert.deepEqual([status, reset], [0, 1])
      assert.ok(origin.calls <= bodies + 1)
      assert.equal((await seenOf({ fields: [...pseudo(), ...good] })).url, '/jwt')
    })
  }
})

/** Fields of a call whose body is to be this. */
function sign(body: string): RawFields {
  const components = [
    ['"@method"', 'POST'],
    ['"@authority"', 'api.acme.test'],
    ['"@path"', '/hmac'],
    ['"@query"', '?'],
    ['"content-digest"', digestOf(body)],
  ] as const
  const created = Math.floor(Date.now() / 1000)
  const parameters = `;created=${created};keyid="ed25519";nonce="${randomUUID()}"`
  const fields = signFields({ components, parameters })
  const lower = Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value] as const)
  return [...pseudo({ ':method': 'POST', ':path': '/hmac' }), ['content-digest', digestOf(body)], ...lower]
}

describe('bodies of a signed call', () => {
  test('are what is signed, in whatever frames they come', async () => {
    for (const data of [['pay 12'], ['p', '', 'ay ', '12', ''], 'pay 12'.split('')]) {
      const { body, trailers } = await seenOf({ fields: sign('pay 12'), data, trailers: [['x-amount', '99']] })
      assert.deepEqual([body, trailers], ['pay 12', {}])
    }
  })

  test('that are longer, shorter or other never reach the upstream', async () => {
    const calls = origin.calls
    for (const data of [['pay 120'], ['pay 1'], ['pay 13'], [''], ['pay 12', '\0']]) {
      assert.equal((await raw.ask({ fields: sign('pay 12'), data })).status, 401, data.join('|'))
    }
    for (const [length, data] of [
      ['6', ['pay 12', '9']],
      ['7', ['pay 12']],
      ['5', ['pay 12']],
    ] as const) {
      const { status, reset } = await raw.ask({ fields: [...sign('pay 12'), ['content-length', length]], data })
      assert.deepEqual([status, reset], [0, 1], length)
    }
    assert.equal(origin.calls, calls)
  })
})

describe('CONNECT', () => {
  test('without a protocol is 501, and no way past the policies', async () => {
    const calls = origin.calls
    for (const fields of [
      [[':method', 'CONNECT'], [':authority', '127.0.0.1:22'], ...good],
      [...pseudo({ ':method': 'CONNECT' }), ...good],
    ] as RawFields[]) {
      const { status, code } = await raw.ask({ fields, isOpen: true })
      assert.deepEqual([status, code], [501, 'method-not-implemented'])
    }
    assert.equal(origin.calls, calls)
  })

  test('with a protocol that the route does not take is 501 for everybody, asked of nobody', async () => {
    const calls = origin.calls
    for (const protocol of ['h2c', 'HTTP/2.0', 'websocket, h2c', 'connect-udp']) {
      for (const credential of [[], good]) {
        const fields = [...pseudo({ ':method': 'CONNECT', ':protocol': protocol }), ...credential]
        const { status, code } = await raw.ask({ fields, isOpen: true })
        assert.deepEqual([status, code], [501, 'upgrade-not-supported'], protocol)
      }
    }
    assert.equal(origin.calls, calls)
  })

  test('with bytes before it is answered is no request to anybody', async () => {
    const fields = [...pseudo({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/jwt' })]
    const calls = origin.calls
    const smuggled = 'GET /key HTTP/1.1\r\nHost: admin.acme.test\r\n\r\n'
    const { status } = await raw.ask({ fields, data: [smuggled], isOpen: true })
    assert.ok(status === 401 || status === 0, String(status))
    assert.equal(origin.calls, calls)
    assert.equal(origin.targets.get('/key'), undefined)
  })
})

test('afterwards there is no call and no connection left', async () => {
  raw.client.socket.end()
  await program.untilQuiet()
})
