// Client certificates over HTTP/2 by ALPN: who has one is who it says for each stream, and no longer than over HTTP/1.1.

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import http2 from 'node:http2'
import { after, before, describe, test } from 'node:test'
import { type Authority, authority, type Certificate, selfSigned, signedBy } from '../../examples/tls/certificate.ts'
import { get, settings } from '../../src/http2/fakes.ts'
import { Authorizer } from '../tools/authorizer.ts'
import { BothVersions } from '../tools/both-versions.ts'
import { FrameClient } from '../tools/frame-client.ts'
import { manage } from '../tools/manage.ts'
import { echo, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { shortLived } from '../tools/short-lived.ts'
import { until } from '../tools/until.ts'

const own = 'a-key-from-outside-0123'

let root: Authority
let origin: Origin
let authorizer: Authorizer
/** Of whom the service was told, where from and how. */
const asked: unknown[] = []
let program: Program
/** Of a consumer, of nobody, and without a certificate; and those without TLS. */
let known: BothVersions
let unknown: BothVersions
let without: BothVersions
let plain: BothVersions
let pair: Certificate

before(async () => {
  root = authority('partners')
  pair = signedBy(root, ['client.acme.test'])
  origin = await Origin.start(echo)
  authorizer = await Authorizer.start(({ attributes }) => {
    const { principal, address } = attributes.source
    asked.push([principal, address.socket_address.address, attributes.request.http.scheme])
    return { status: { code: 0 } }
  })
  const server = selfSigned(['api.acme.test'])
  const certificates = [{ cert: 'server.pem', key: 'server.key' }]
  const listener = (name: string, clientCa: object) => ({
    name,
    port: 0,
    host: '127.0.0.1',
    tls: { certificates, clientCa },
  })
  const certificate = { clientCertHeader: true, forward: { 'x-who': 'consumer.name', 'x-names': 'claims.names' } }
  const policies: Readonly<Record<string, readonly object[]>> = {
    known: [{ 'client-certificate': certificate }],
    any: [{ 'client-certificate': { ...certificate, unknown: 'accept' } }],
    both: [{ 'all-of': [{ 'client-certificate': {} }, 'api-key'] }],
    either: [{ 'any-of': [{ 'client-certificate': {} }, 'api-key'] }],
    external: [{ external: { url: `grpc://127.0.0.1:${authorizer.port}`, timeout: '5s' } }],
    limited: [{ 'client-certificate': {} }, { 'rate-limit': { limit: '4/1000h' } }],
  }
  program = await Program.start(
    {
      listeners: [
        { name: 'plain', port: 0, host: '127.0.0.1' },
        listener('optional', { file: 'ca.pem', mode: 'optional', chain: true }),
        listener('required', { file: 'other-ca.pem' }),
      ],
      ...{ data: 'state', upstreams: { origin: { targets: [origin.url] } } },
      consumers: [{ name: 'bolt', credentials: [{ certificate: 'dns:client.acme.test' }, { key: '${file:key}' }] }],
      routes: [
        ...Object.entries(policies).map(([name, list]) => ({
          match: { path: `/${name}` },
          policies: list,
          forward: 'origin',
        })),
        { match: { path: '/**' }, forward: 'origin' },
      ],
    },
    { 'server.pem': server.cert, 'server.key': server.key, 'ca.pem': root.cert, 'other-ca.pem': root.cert, key: own },
  )
  known = await BothVersions.connect(program.portOf(1), pair)
  unknown = await BothVersions.connect(program.portOf(1), signedBy(root, ['other.acme.test']))
  without = await BothVersions.connect(program.portOf(1), 'no certificate')
  plain = await BothVersions.connect(program.portOf(0))
})
after(async () => {
  for (const clients of [known, unknown, without, plain]) clients?.[Symbol.dispose]()
  await program?.stop()
  authorizer?.[Symbol.dispose]()
  await origin?.[Symbol.asyncDispose]()
})

const bytesOf = (pem: string) => `:${new X509Certificate(pem).raw.toString('base64')}:`
const forged = {
  'client-cert': ':Zm9yZ2Vk:',
  'client-cert-chain': ':Zm9yZ2Vk:',
  client_cert: ':Zm9yZ2Vk:',
  'x-who': 'root',
}
const certificateFields = (headers: object = {}) => Object.keys(headers).filter(name => /^client.cert/.test(name))

describe('a connection with a certificate', () => {
  test('is whose it is, and the upstream is told by `Client-Cert` whatever the client says', async () => {
    for (const headers of [{}, forged]) {
      const { seen } = await known.ask({ path: '/known', headers, body: 'a', method: 'POST', trailers: forged }, 200)
      const { 'x-who': who, 'x-names': names, 'client-cert': certificate } = seen?.headers ?? {}
      assert.deepEqual(
        [who, names, certificate],
        ['bolt', 'dns:client.acme.test,cn:client.acme.test', bytesOf(pair.cert)],
      )
      assert.deepEqual([certificateFields(seen?.headers), seen?.trailers], [['client-cert'], {}])
    }
  })

  test('of nobody that is known passes where anybody does', async () => {
    const { headers } = await unknown.ask({ path: '/known', headers: forged }, 401, 'unauthenticated')
    assert.equal(headers['www-authenticate'], 'ClientCertificate realm="api"')
    const { seen } = await unknown.ask({ path: '/any', headers: forged }, 200)
    assert.deepEqual(
      [seen?.headers['x-who'], seen?.headers['x-names']],
      [undefined, 'dns:other.acme.test,cn:other.acme.test'],
    )
  })

  test('together with a key, and beside one', async () => {
    const key = { 'x-api-key': own }
    await known.ask({ path: '/both', headers: key }, 200)
    await known.ask({ path: '/both' }, 401, 'unauthenticated')
    await unknown.ask({ path: '/both', headers: key }, 401, 'unauthenticated')
    await known.ask({ path: '/either' }, 200)
    await without.ask({ path: '/either', headers: key }, 200)
    const { headers } = await without.ask({ path: '/either' }, 401, 'unauthenticated')
    assert.match(headers['www-authenticate'] ?? '', /ClientCertificate .*ApiKey /)
  })

  test('is told to the service that decides', async () => {
    for (const [clients, name] of [
      [known, 'client.acme.test'],
      [unknown, 'other.acme.test'],
      [without, undefined],
    ] as const) {
      await clients.ask({ path: '/external' }, 200)
      const told = [name, '127.0.0.1', 'https']
      assert.deepEqual(asked.splice(0), [told, told])
    }
  })

  test('shares the limit of its consumer with those of the other version', async () => {
    for (let i = 0; i < 2; i++) {
      assert.equal((await known.overHttp1({ path: '/limited' })).status, 200)
      assert.equal((await known.overHttp2({ path: '/limited' })).status, 200)
    }
    await known.ask({ path: '/limited' }, 429, 'rate-limited')
  })
})

describe('a connection without one', () => {
  test('is refused, and nothing that it says is taken for one, on no route', async () => {
    for (const clients of [without, plain]) {
      await clients.ask({ path: '/known', headers: forged }, 401, 'unauthenticated')
      await clients.ask({ path: '/any', headers: forged }, 401, 'unauthenticated')
    }
    const { seen } = await without.ask({ path: '/', headers: forged, method: 'POST', trailers: forged }, 200)
    assert.deepEqual(certificateFields(seen?.headers), [])
    assert.deepEqual(certificateFields(seen?.trailers), [])
  })

  test('does not come about where one is required, nor with one of others', async () => {
    const attempts: readonly http2.SecureClientSessionOptions[] = [{}, { ...signedBy(authority('others'), ['a.test']) }]
    for (const options of attempts) {
      const session = http2.connect(`https://127.0.0.1:${program.portOf(2)}`, { rejectUnauthorized: false, ...options })
      session.on('error', () => {})
      const stream = session.request({ ':path': '/' })
      stream.on('error', () => {})
      let isAnswered = false
      stream.on('response', () => (isAnswered = true))
      await new Promise(resolve => stream.once('close', resolve))
      assert.equal(isAnswered, false)
    }
  })
})

describe('no stream outlives what its connection proved', { concurrency: true }, () => {
  test('a certificate that is revoked as a credential, on the connection that it began', async () => {
    await manage(program, '/consumers', { name: 'acme' })
    const { id } = await manage(program, '/credentials', { consumer: 'acme', certificate: 'dns:other.acme.test' })
    const answers = (status: number) =>
      until(
        async () => (await unknown.overHttp2({ path: '/known' })).status === status,
        () => `${status}`,
      )
    await answers(200)
    assert.equal((await unknown.ask({ path: '/known' }, 200)).seen?.headers['x-who'], 'acme')
    await manage(program, `/credentials/${id}/revoke`, {})
    await answers(401)
  })

  test('a certificate that expires, on the connection that it began', async () => {
    const short = await BothVersions.connect(program.portOf(1), shortLived(root, 5_000))
    assert.equal((await short.overHttp2({ path: '/any' })).status, 200)
    await until(
      async () => (await short.overHttp2({ path: '/any' })).status === 401,
      () => 'the certificate to be over',
    )
    short[Symbol.dispose]()
  })

  test('an authority that is not trusted any more, for a client that does not go when it is told to', async () => {
    const client = await FrameClient.connect(program.portOf(2), pair)
    let streamId = 1
    client.send(settings, get(streamId, 'x-a: b'))
    await until(
      () => client.seen(1).isEnded,
      () => 'an answer',
    )
    await writeFile(program.file('other-ca.pem'), authority('new').cert)
    assert.equal((await program.admin('/reload', { method: 'POST' })).status, 200)
    await until(
      async () => {
        streamId += 2
        client.send(get(streamId))
        await client.settled()
        return client.isClosed
      },
      () => `the connection to end after ${streamId}`,
    )
    assert.equal(client.goAway, 0)
  })
})

test('afterwards there is no call and no connection left', async () => {
  for (const clients of [known, unknown, without, plain]) clients.session.close()
  await program.untilQuiet()
})
