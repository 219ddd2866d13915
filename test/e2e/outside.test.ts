// Requests of the gateway's own, over the wire: gRPC and HTTP with bounds, guarded addresses, authorities, and reloads of all this.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import net from 'node:net'
import { after, before, describe, test } from 'node:test'
import { Server, ServerCredentials, type ServiceDefinition, type UntypedHandleCall } from '@grpc/grpc-js'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { DeadlineTable } from '../../src/core/deadlines.ts'
import type { OutsideRequest, OutsideRpc } from '../../src/core/outside.ts'
import { OutsideClient, type OutsideSettings } from '../../src/outside/outside.ts'
import type { Resolve } from '../../src/outside/rules.ts'
import { fakePorts } from '../tools/call.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { publicJwk, signed } from '../tools/tokens.ts'
import { until } from '../tools/until.ts'

const deadlines = new DeadlineTable()
const clock = { now: () => performance.now(), wall: () => Date.now() }
const { meter } = fakePorts()
let beat: NodeJS.Timeout
before(() => {
  beat = setInterval(() => deadlines.beat(clock.now()), 20)
})
after(() => clearInterval(beat))

/** A client whose names all lead to this machine, unless `resolve` says otherwise. */
function makeClient(
  settings: Partial<OutsideSettings> = {},
  resolve: Resolve = (_, done) => done(null, [{ address: '127.0.0.1', family: 4 }]),
): OutsideClient & Disposable {
  const client = new OutsideClient({ clock, deadlines, meter, resolve })
  client.adopt({ allow: [], ca: null, ...settings })
  return Object.assign(client, { [Symbol.dispose]: () => client.close() })
}

const get = (url: string, more: Partial<OutsideRequest> = {}): OutsideRequest => ({
  ...{ method: 'GET', url, timeoutMs: 2000, bodyBytesMax: 1000, ...more },
})

describe('fetch', () => {
  let origin: Origin
  before(async () => {
    origin = await Origin.start((request, response, body) => {
      const { url } = request
      if (url === '/long') response.writeHead(200, { 'content-length': '1001' }).end('x'.repeat(1001))
      else if (url === '/chunks') for (const part of ['x'.repeat(600), 'x'.repeat(600)]) response.write(part)
      else if (url === '/redirect') response.writeHead(307, { location: '/other' }).end()
      else if (url === '/zip') response.writeHead(200, { 'content-encoding': 'gzip' }).end('x')
      else if (url === '/cut') response.writeHead(200, { 'content-length': '10' }).write('x', () => response.destroy())
      else if (url !== '/silent') response.end(`${request.method} ${body.toString()}`)
    })
  })
  after(() => origin[Symbol.asyncDispose]())

  test('the reply, whatever its status; a redirect is one, and nobody goes there', async () => {
    using client = makeClient()
    const reply = await client.fetch(get(`${origin.url}/`, { method: 'POST', body: 'a=1' }))
    assert.deepEqual([reply.status, reply.body.toString()], [200, 'POST a=1'])
    assert.equal((await client.fetch(get(`${origin.url}/long`, { method: 'HEAD' }))).status, 200)
    const redirect = await client.fetch(get(`${origin.url}/redirect`))
    assert.deepEqual([redirect.status, redirect.headers.location], [307, '/other'])
    assert.equal(origin.targets.get('/other'), undefined)
  })

  const failures: readonly (readonly [path: string, kind: string])[] = [
    ['long', 'too-large'],
    ['chunks', 'too-large'],
    ['silent', 'timeout'],
    ['zip', 'malformed'],
    ['cut', 'unreachable'],
  ]
  for (const [path, kind] of failures) {
    test(`${kind}: ${path}, and the connection is let go`, async () => {
      using client = makeClient()
      const request = get(`${origin.url}/${path}`, { timeoutMs: path === 'silent' ? 100 : 2000 })
      await assert.rejects(client.fetch(request), { name: 'OutsideError', kind })
      await until(
        () => origin.open === 0,
        () => 'the connection to be closed',
      )
      assert.equal(deadlines.size, 0)
    })
  }

  test('unreachable: nobody listens; malformed: no HTTP', async () => {
    using client = makeClient()
    const server = net.createServer(socket => socket.resume().end('SSH-2.0-x\r\n')).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    await assert.rejects(client.fetch(get(url)), { kind: 'malformed' })
    await new Promise(resolve => server.close(resolve))
    await assert.rejects(client.fetch(get(url)), { kind: 'unreachable' })
  })

  test('refused addresses: names that lead here, what servers name, other schemes, user information', async () => {
    using client = makeClient()
    const calls = origin.calls
    const { port } = origin
    const refused = [
      get(`http://id.acme.test:${port}/`),
      get(`http://127.0.0.1.nip.test:${port}/`),
      get(`http://localhost.:${port}/`),
      get(`http://0.0.0.0:${port}/`),
      get(`http://[::]:${port}/`),
      get('http://169.254.169.254/latest/meta-data'),
      get(`http://127.0.0.1:${port}/`, { namedBy: 'https://id.acme.test/' }),
      get(`http://2130706433:${port}/`, { namedBy: 'https://id.acme.test/' }),
      get(`http://localhost:${port}/`, { namedBy: 'https://id.acme.test/' }),
      get(`http://127.0.0.1:${port}/`, { namedBy: `http://127.0.0.1:${port + 1}/` }),
      get(`http://user:password@127.0.0.1:${port}/`),
      get('file:///etc/passwd'),
      ...[
        '0177.0.0.1',
        '0x7f.1',
        '127.1',
        '[::ffff:127.0.0.1]',
        '[::ffff:7f00:1]',
        '[64:ff9b::127.0.0.1]',
        '[::127.0.0.1]',
      ].map(host => get(`http://${host}:${port}/`, { namedBy: 'https://id.acme.test/' })),
    ]
    for (const request of refused) {
      await assert.rejects(client.fetch(request), { name: 'OutsideError', kind: 'refused-address' }, request.url)
    }
    assert.equal(origin.calls, calls)
    for (const request of [
      get(`http://localhost:${port}/`),
      get(`http://127.0.0.1:${port}/`, { namedBy: `http://127.0.0.1:${port}/discovery` }),
    ]) {
      assert.equal((await client.fetch(request)).status, 200)
    }
  })

  test('a name that leads elsewhere at each question: what was judged is what is connected to', async () => {
    const answers: string[] = []
    let asked = 0
    using client = makeClient({ allow: ['127.0.0.2/32'] }, (_, done) => {
      asked++
      const found = (answers.shift() ?? '127.0.0.1').split(' ')
      done(
        null,
        found.map(address => ({ address, family: net.isIP(address) })),
      )
    })
    const allowed = http.createServer((_, response) => response.end('allowed')).listen(origin.port, '127.0.0.2')
    await once(allowed, 'listening')
    const url = `http://id.acme.test:${origin.port}/`
    const { calls } = origin
    answers.push('127.0.0.2', '127.0.0.1')
    assert.equal((await client.fetch(get(url))).body.toString(), 'allowed')
    assert.equal(asked, 1)
    allowed.closeIdleConnections()
    for (const answer of [
      ...['127.0.0.1', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::127.0.0.1', '64:ff9b::7f00:1', '2002:7f00:1::'],
      ...['0.0.0.0', '::', '169.254.169.254', '::ffff:a9fe:a9fe', 'fe80::1', '10.0.0.1', 'fd00::1', '100.100.100.200'],
    ]) {
      answers.splice(0, answers.length, answer)
      await assert.rejects(client.fetch(get(url)), { kind: 'refused-address' }, answer)
    }
    // Of several addresses those that may be asked are tried, and no others.
    answers.splice(0, answers.length, '127.0.0.1 ::1 127.0.0.2')
    assert.equal((await client.fetch(get(url))).body.toString(), 'allowed')
    assert.equal(origin.calls, calls)
    allowed.closeAllConnections()
    await new Promise(resolve => allowed.close(resolve))
  })

  test('what may be asked changes at once, although a connection is kept', async () => {
    using client = makeClient({ allow: ['127.0.0.0/8'] })
    const request = get(`http://id.acme.test:${origin.port}/`)
    assert.equal((await client.fetch(request)).status, 200)
    client.adopt({ allow: [], ca: null })
    await assert.rejects(client.fetch(request), { kind: 'refused-address' })
    client.adopt({ allow: ['127.0.0.1'], ca: null })
    assert.equal((await client.fetch(request)).status, 200)
  })

  test('another Host and target than the URL has; the certificate is still that of the URL', async () => {
    const certificate = selfSigned(['localhost'])
    await using secure = await Origin.start(
      (request, response) => response.end(`${request.headers.host} ${request.url}`),
      {
        tls: certificate,
      },
    )
    using client = makeClient({ ca: certificate.cert })
    const ask = (url: string) =>
      client.fetch(get(url, { method: 'DELETE', target: "/a/../b?'", headers: { host: 'api.acme.test' } }))
    assert.equal((await ask(`https://localhost:${secure.port}/x`)).body.toString(), "api.acme.test /a/../b?'")
    await assert.rejects(ask(`https://127.0.0.1:${secure.port}/x`), { kind: 'unreachable', message: /altnames/ })
  })

  test('only authorities that are trusted, and the right name', async () => {
    const certificate = selfSigned(['localhost'])
    await using secure = await Origin.start((_, response) => response.end('safe'), { tls: certificate })
    using client = makeClient()
    const ask = (host: string) => client.fetch(get(`https://${host}:${secure.port}/`))
    await assert.rejects(ask('localhost'), { kind: 'unreachable', message: /self-signed/ })
    client.adopt({ allow: ['127.0.0.1'], ca: certificate.cert })
    assert.equal((await ask('localhost')).body.toString(), 'safe')
    await assert.rejects(ask('id.acme.test'), { kind: 'unreachable', message: /altnames/ })
    client.adopt({ allow: ['127.0.0.1'], ca: selfSigned(['localhost']).cert })
    await assert.rejects(ask('localhost'), { kind: 'unreachable' })
  })
})

describe('rpc', () => {
  const bytes = { requestSerialize: (value: Buffer) => value, responseSerialize: (value: Buffer) => value }
  const method = (name: string) => ({
    ...{ path: `/test.Test/${name}`, requestStream: false, responseStream: false, ...bytes },
    ...{ requestDeserialize: (value: Buffer) => value, responseDeserialize: (value: Buffer) => value },
  })
  const names = ['Echo', 'Empty', 'Deny', 'Silent', 'Large']
  const service: ServiceDefinition = Object.fromEntries(names.map(name => [name, method(name)]))
  type Answer = (error: object | null, value?: Buffer) => void
  const handlers: Record<string, UntypedHandleCall> = {
    Echo: (call: { request: Buffer }, answer: Answer) => answer(null, call.request),
    Empty: (_: unknown, answer: Answer) => answer(null, Buffer.alloc(0)),
    Deny: (_: unknown, answer: Answer) => answer({ code: 7, details: 'not \u00fc today\nx' }),
    Silent: () => {},
    Large: (_: unknown, answer: Answer) => answer(null, Buffer.alloc(5000)),
  }
  let server: Server
  let port = 0
  const start = async (wanted: number, credentials = ServerCredentials.createInsecure()) => {
    const made = new Server()
    made.addService(service, handlers)
    const bound = await new Promise<number>((resolve, reject) => {
      made.bindAsync(`127.0.0.1:${wanted}`, credentials, (error, found) => (error ? reject(error) : resolve(found)))
    })
    return { made, bound }
  }
  before(async () => {
    const { made, bound } = await start(0)
    server = made
    port = bound
  })
  after(() => server.forceShutdown())

  const rpc = (name: string, more: Partial<OutsideRpc> = {}): OutsideRpc => ({
    ...{ url: `http://127.0.0.1:${port}`, path: `/test.Test/${name}`, message: Buffer.from('hello') },
    ...{ timeoutMs: 2000, bodyBytesMax: 1000, ...more },
  })

  test('the message of the reply; many at once on one connection', async () => {
    using client = makeClient()
    const replies = await Promise.all(Array.from({ length: 50 }, () => client.rpc(rpc('Echo'))))
    for (const reply of replies) assert.equal(Buffer.from(reply).toString(), 'hello')
    assert.equal((await client.rpc(rpc('Empty'))).length, 0)
  })

  test('status: the server says no, or knows no such method', async () => {
    using client = makeClient()
    await assert.rejects(client.rpc(rpc('Deny')), { kind: 'status', message: 'gRPC status 7 not   today x' })
    await assert.rejects(client.rpc(rpc('Missing')), { kind: 'status', message: /^gRPC status 12 / })
  })

  test('too-large, timeout; the next call goes on', async () => {
    using client = makeClient()
    await assert.rejects(client.rpc(rpc('Large')), { kind: 'too-large' })
    const startedMs = performance.now()
    await assert.rejects(client.rpc(rpc('Silent', { timeoutMs: 150 })), { kind: 'timeout' })
    assert.ok(performance.now() - startedMs < 8_000)
    assert.equal((await client.rpc(rpc('Echo'))).length, 5)
    assert.equal(deadlines.size, 0)
  })

  test('unreachable while the server is down, and well again once it is back', async () => {
    using client = makeClient()
    assert.equal((await client.rpc(rpc('Echo'))).length, 5)
    server.forceShutdown()
    await assert.rejects(client.rpc(rpc('Echo')), { name: 'OutsideError' })
    await assert.rejects(client.rpc(rpc('Echo')), { kind: 'unreachable' })
    server = (await start(port)).made
    await until(
      async () => (await client.rpc(rpc('Echo')).catch(() => [])).length === 5,
      () => 'the server to be asked again',
    )
  })

  test('malformed: HTTP/2 without gRPC, a reply without status, a compressed message', async () => {
    using client = makeClient()
    const other = http2.createServer((request, response) => {
      const type = request.url === '/html' ? 'text/html' : 'application/grpc'
      response.writeHead(request.url === '/500' ? 500 : 200, { 'content-type': type })
      if (request.url === '/compressed') {
        response.addTrailers({ 'grpc-status': '0' })
        response.end(Buffer.from([1, 0, 0, 0, 1, 0]))
      } else response.end(Buffer.from([0, 0, 0, 0, 1, 0]))
    })
    other.listen(0, '127.0.0.1')
    await once(other, 'listening')
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
    for (const path of ['/html', '/500', '/none', '/compressed']) {
      await assert.rejects(client.rpc(rpc('', { url, path })), { kind: 'malformed' }, path)
    }
    client.close()
    await new Promise(resolve => other.close(resolve))
  })

  test('an HTTP/1 server is no gRPC server', async () => {
    await using origin = await Origin.start((_, response) => response.end('x'))
    using client = makeClient()
    await assert.rejects(client.rpc(rpc('Echo', { url: origin.url })), { name: 'OutsideError' })
  })

  test('refused addresses, and a kept connection that is no longer allowed', async () => {
    using client = makeClient()
    const named = { url: `http://authz.acme.test:${port}` }
    await assert.rejects(client.rpc(rpc('Echo', { url: 'http://169.254.169.254' })), { kind: 'refused-address' })
    await assert.rejects(client.rpc(rpc('Echo', named)), { kind: 'refused-address' })
    client.adopt({ allow: ['127.0.0.1'], ca: null })
    assert.equal((await client.rpc(rpc('Echo', named))).length, 5)
    client.adopt({ allow: [], ca: null })
    await assert.rejects(client.rpc(rpc('Echo', named)), { kind: 'refused-address' })
  })

  test('TLS by the authorities of the settings', async () => {
    const { cert, key } = selfSigned(['localhost'])
    const pairs = [{ cert_chain: Buffer.from(cert), private_key: Buffer.from(key) }]
    const { made, bound } = await start(0, ServerCredentials.createSsl(null, pairs))
    using client = makeClient()
    const secure = { url: `https://localhost:${bound}` }
    await assert.rejects(client.rpc(rpc('Echo', secure)), { kind: 'unreachable' })
    client.adopt({ allow: [], ca: cert })
    assert.equal((await client.rpc(rpc('Echo', secure))).length, 5)
    client.close()
    made.forceShutdown()
  })
})

const serve = (_: unknown, response: { end(text: string): void }): void =>
  response.end(JSON.stringify({ keys: [publicJwk] }))

test('a reload of `outbound` counts at once: addresses and authorities', async () => {
  const certificate = selfSigned(['localhost'])
  await using plain = await Origin.start(serve)
  await using secure = await Origin.start(serve, { tls: certificate })
  const urls = { plain: `http://0.0.0.0:${plain.port}/keys`, secure: `https://localhost:${secure.port}/keys` }
  const routes = Object.entries(urls).map(([name, url]) => ({
    match: { path: `/${name}` },
    policies: [{ jwt: { issuer: 'i', audience: [], keys: { url } } }],
    reply: { status: 204 },
  }))
  await using program = await Program.start({ routes }, { 'ca.pem': certificate.cert })
  const token = signed({ alg: 'ES256', kid: 'ec' }, { iss: 'i', exp: 4e9 })
  const status = async (path: string): Promise<number> => {
    const reply = await fetch(`${program.url}${path}`, { headers: { authorization: `Bearer ${token}` } })
    await reply.arrayBuffer()
    return reply.status
  }
  for (const path of ['/plain', '/secure']) assert.equal(await status(path), 503, path)
  await program.untilSaid(/0\.0\.0\.0 is link-local, multicast or reserved.*0\.0\.0\.0\/32/)
  await program.rewrite({ routes, outbound: { allow: ['0.0.0.0/32'], ca: 'ca.pem' } })
  for (const path of ['/plain', '/secure']) {
    await until(
      async () => (await status(path)) === 204,
      () => `${path} to be allowed: ${program.stderr}`,
    )
  }
})
