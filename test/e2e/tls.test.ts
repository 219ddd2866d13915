// TLS on both sides: which certificate, which version, whose name, and sessions that resume on any worker.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import { after, before, describe, test } from 'node:test'
import tls, { type ConnectionOptions, type TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { WebSocket, WebSocketServer } from 'ws'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { findTool } from '../../scripts/tools.ts'
import { Peer } from '../strictness/wire/peer.ts'
import { ask, codeOf } from '../tools/ask.ts'
import { echo, type Echoed, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const one = selfSigned(['one.test', 'www.one.test'])
const two = selfSigned(['two.test', '*.two.test'])
const inside = selfSigned(['inside.test'])
const stranger = selfSigned(['inside.test'])
const renewed = selfSigned(['one.test', 'renewed.test'])

const at = ({ port }: Origin) => [`https://127.0.0.1:${port}`]
/** A call that comes without TLS. */
const plain = (path: string) => ask(program.portOf(2), { path })

let origin: Origin
let secureOrigin: Origin
let strangerOrigin: Origin
let sockets: WebSocketServer
let program: Program
before(async () => {
  origin = await Origin.start(echo)
  sockets = new WebSocketServer({ server: origin.server })
  sockets.on('connection', socket => socket.on('message', data => socket.send(data)))
  secureOrigin = await Origin.start(echo, { tls: inside })
  strangerOrigin = await Origin.start(echo, { tls: stranger })
  const certificates = [
    { cert: 'one.pem', key: 'one.key' },
    { cert: 'two.pem', key: 'two.key' },
  ]
  const config = {
    workers: 2,
    listeners: [
      { name: 'secure', port: 0, host: '127.0.0.1', tls: { certificates } },
      { name: 'newest', port: 0, host: '127.0.0.1', tls: { certificates, minVersion: '1.3' } },
      { name: 'plain', port: 0, host: '127.0.0.1' },
      { name: 'listed', port: 0, host: '127.0.0.1', tls: { certificates, ciphers: ['ECDHE-ECDSA-AES128-SHA'] } },
      { name: 'compatible', port: 0, host: '127.0.0.1', tls: { certificates, ciphers: 'compatible' } },
    ],
    upstreams: {
      origin: { targets: [origin.url] },
      verified: { targets: at(secureOrigin), tls: { ca: 'inside.pem', serverName: 'inside.test' } },
      'wrong-name': { targets: at(secureOrigin), tls: { ca: 'inside.pem', serverName: 'outside.test' } },
      'unknown-authority': { targets: at(strangerOrigin), tls: { ca: 'inside.pem', serverName: 'inside.test' } },
      'system-authorities': { targets: at(secureOrigin), tls: { serverName: 'inside.test' } },
      unverified: { targets: at(strangerOrigin), tls: { verify: false } },
      'not-tls': {
        targets: [origin.url.replace('http:', 'https:')],
        tls: { ca: 'inside.pem', serverName: 'inside.test' },
      },
    },
    routes: [
      ...['verified', 'wrong-name', 'unknown-authority', 'system-authorities', 'unverified', 'not-tls'].map(name => ({
        match: { path: `/${name}` },
        forward: name,
      })),
      { match: { path: '/**' }, forward: 'origin' },
    ],
  }
  program = await Program.start(config, {
    'one.pem': one.cert,
    'one.key': one.key,
    'two.pem': two.cert,
    'two.key': two.key,
    'inside.pem': inside.cert,
  })
})
after(async () => {
  await program[Symbol.asyncDispose]()
  sockets.close()
  await origin[Symbol.asyncDispose]()
  await secureOrigin[Symbol.asyncDispose]()
  await strangerOrigin[Symbol.asyncDispose]()
})

/** A TLS connection to a listener; rejects where the handshake fails. */
async function connect(options: ConnectionOptions, listener = 0): Promise<TLSSocket> {
  const socket = tls.connect({
    port: program.portOf(listener),
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ...options,
  })
  await once(socket, 'secureConnect')
  socket.on('error', () => {})
  return socket
}

async function namesFor(servername: string | undefined): Promise<string> {
  const socket = await connect({ ...(servername !== undefined && { servername }) })
  const names = socket.getPeerCertificate().subjectaltname ?? ''
  socket.destroy()
  return names
}

describe('a listener with several certificates', () => {
  for (const [asked, got] of [
    ['one.test', 'DNS:one.test, DNS:www.one.test'],
    ['www.one.test', 'DNS:one.test, DNS:www.one.test'],
    ['two.test', 'DNS:two.test, DNS:*.two.test'],
    ['api.two.test', 'DNS:two.test, DNS:*.two.test'],
    ['API.TWO.TEST', 'DNS:two.test, DNS:*.two.test'],
    ['a.b.two.test', 'DNS:one.test, DNS:www.one.test'],
    ['unknown.test', 'DNS:one.test, DNS:www.one.test'],
    [undefined, 'DNS:one.test, DNS:www.one.test'],
  ] as const) {
    test(`shows ${got} to clients that ask for ${asked ?? 'no name'}`, async () =>
      assert.equal(await namesFor(asked), got))
  }

  test('is verified by a client that trusts it, and the upstream is told https', async () => {
    const request = https.get({
      host: '127.0.0.1',
      port: program.port,
      path: '/',
      servername: 'two.test',
      ca: two.cert,
      headers: { host: 'two.test' },
      agent: false,
    })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    let text = ''
    for await (const chunk of response) text += String(chunk)
    assert.equal((JSON.parse(text) as Echoed).headers['x-forwarded-proto'], 'https')
  })

  test('openssl s_client sees the same', {
    skip: findTool('openssl') === null && 'openssl is not installed',
  }, async () => {
    const args = [
      's_client',
      '-connect',
      `127.0.0.1:${program.port}`,
      '-servername',
      'api.two.test',
      '-alpn',
      'h2,http/1.1',
    ]
    const running = promisify(execFile)('openssl', args)
    running.child.stdin?.end()
    const { stdout } = await running
    assert.match(stdout, /subject=CN ?= ?two\.test/)
    assert.match(stdout, /ALPN protocol: h2/)
  })

  test('carries a WebSocket', async () => {
    const socket = new WebSocket(`wss://127.0.0.1:${program.port}/chat`, { rejectUnauthorized: false })
    await once(socket, 'open')
    socket.send('hello')
    assert.equal(String((await once(socket, 'message'))[0]), 'hello')
    socket.close()
  })
})

describe('versions', () => {
  test('1.2 and 1.3 by default', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const socket = await connect({ minVersion: version, maxVersion: version })
      assert.equal(socket.getProtocol(), version)
      socket.destroy()
    }
  })
  test('never 1.1', async () => {
    await assert.rejects(connect({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }))
  })
  test('not 1.2 with `minVersion: 1.3`, for any name', async () => {
    for (const servername of ['one.test', 'two.test', 'unknown.test']) {
      await assert.rejects(connect({ maxVersion: 'TLSv1.2', servername }, 1), /alert protocol version|ECONNRESET/)
    }
    const socket = await connect({}, 1)
    assert.equal(socket.getProtocol(), 'TLSv1.3')
    socket.destroy()
  })
  test('a client that speaks no TLS is closed, and the next is served', async () => {
    const client = await Peer.connect(program.port)
    client.send('GET / HTTP/1.1\r\nHost: one.test\r\n\r\n')
    await client.closed()
    ;(await connect({})).destroy()
  })
})

/** The suite that a client of TLS 1.2 and a listener agree on. */
async function agreed(ciphers: string, listener = 0): Promise<string> {
  const socket = await connect({ maxVersion: 'TLSv1.2', ciphers, servername: 'one.test' }, listener)
  const { name } = socket.getCipher()
  socket.destroy()
  return name
}

describe('cipher suites', () => {
  const [listed, compatible] = [3, 4]
  const old = 'ECDHE-ECDSA-AES128-SHA'
  const good = 'ECDHE-ECDSA-AES128-GCM-SHA256'

  test('none without authenticated encryption by default', async () => {
    assert.equal(await agreed(good), good)
    await assert.rejects(agreed(old), /handshake failure|ECONNRESET/)
  })
  test('the listener’s order goes before the client’s', async () =>
    assert.equal(await agreed(`ECDHE-ECDSA-AES256-GCM-SHA384:${good}`), good))
  test('those of `compatible`', async () => assert.equal(await agreed(old, compatible), old))
  test('those of a list, and no others; TLS 1.3 stays', async () => {
    assert.equal(await agreed(old, listed), old)
    await assert.rejects(agreed(good, listed), /handshake failure|ECONNRESET/)
    const socket = await connect({ minVersion: 'TLSv1.3' }, listed)
    assert.equal(socket.getProtocol(), 'TLSv1.3')
    socket.destroy()
  })
})

describe('sessions', () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`${version}: one session resumes on every worker`, async () => {
      const first = await connect({ minVersion: version, maxVersion: version, servername: 'one.test' })
      const given = once(first, 'session')
      first.write('GET / HTTP/1.1\r\nHost: one.test\r\n\r\n')
      const session = first.getSession() ?? ((await given)[0] as Buffer)
      const ticket = version === 'TLSv1.3' ? ((await given)[0] as Buffer) : session
      first.destroy()
      // With two workers on one port, twenty connections all but surely reach both.
      const resumed = await Promise.all(
        Array.from({ length: 20 }, async () => {
          const socket = await connect({
            minVersion: version,
            maxVersion: version,
            servername: 'one.test',
            session: ticket,
          })
          const isReused = socket.isSessionReused()
          socket.destroy()
          return isReused
        }),
      )
      assert.deepEqual(
        resumed,
        Array.from({ length: 20 }, () => true),
      )
    })
  }
})

describe('an upstream over TLS', () => {
  test('is called where its certificate is good', async () => {
    const got = await plain('/verified')
    assert.equal(got.status, 200)
    assert.equal((JSON.parse(got.text) as Echoed).url, '/verified')
  })
  for (const name of ['wrong-name', 'unknown-authority', 'system-authorities', 'not-tls']) {
    test(`502 upstream-tls-failed: ${name}`, async () => {
      const before = secureOrigin.calls + strangerOrigin.calls + origin.calls
      const got = await plain(`/${name}`)
      assert.deepEqual([got.status, codeOf(got)], [502, 'upstream-tls-failed'])
      assert.equal(secureOrigin.calls + strangerOrigin.calls + origin.calls, before, 'the call was sent all the same')
    })
  }
  test('is called whatever it shows with `verify: false`', async () =>
    assert.equal((await plain('/unverified')).status, 200))
  test('is asked for by its server name', async () => {
    const names = new Set<unknown>()
    for (const socket of secureOrigin.sockets) names.add((socket as TLSSocket).servername)
    assert.ok(names.has('inside.test'))
  })
})

test('no connection is lost while certificates change on disk, as the gateway notices by itself', async () => {
  const pairs = [two, selfSigned(['two.test', '*.two.test']), two]
  const shown = new Set<string>()
  const clientsLeave = new AbortController()
  const clients = Array.from({ length: 4 }, async () => {
    let calls = 0
    for (; !clientsLeave.signal.aborted; calls++) {
      const socket = await connect({ servername: 'two.test' })
      shown.add(socket.getPeerCertificate().fingerprint256)
      const answered = once(socket, 'data')
      socket.write('GET / HTTP/1.1\r\nHost: two.test\r\n\r\n')
      assert.match(String((await answered)[0]), /^HTTP\/1\.1 200 /)
      socket.destroy()
    }
    return calls
  })
  for (const { cert, key } of pairs) {
    const fingerprint = new X509Certificate(cert).fingerprint256
    await writeFile(program.file('two.key'), key)
    await writeFile(program.file('two.pem'), cert)
    shown.clear()
    await until(
      () => shown.has(fingerprint),
      () => 'the certificate that was written',
    )
  }
  clientsLeave.abort()
  assert.ok((await Promise.all(clients)).every(calls => calls > 0))
})

test('a renewed certificate is shown after a reload, and open connections live on', async () => {
  const open = await connect({ servername: 'one.test' })
  await writeFile(program.file('one.pem'), renewed.cert)
  await writeFile(program.file('one.key'), renewed.key)
  assert.equal((await program.admin('/reload', { method: 'POST' })).status, 200)
  await until(
    async () => (await namesFor('renewed.test')) === 'DNS:one.test, DNS:renewed.test',
    () => 'the new certificate',
  )
  // Both workers, and clients without a name too.
  for (let i = 0; i < 10; i++)
    for (const name of ['one.test', undefined]) assert.equal(await namesFor(name), 'DNS:one.test, DNS:renewed.test')
  const answered = once(open, 'data')
  open.write('GET / HTTP/1.1\r\nHost: one.test\r\n\r\n')
  assert.match(String((await answered)[0]), /^HTTP\/1\.1 200 /)
  open.destroy()
})

test('when certificates end is a metric, and one that has ended is said', async () => {
  const ended = selfSigned(['ended.test'], new Date(Date.now() - 60 * 86_400_000))
  const files = { 'one.pem': one.cert, 'one.key': one.key, 'ended.pem': ended.cert, 'ended.key': ended.key }
  await using gateway = await Program.start(showing('one', 'ended'), files)
  const end = (name: string) =>
    gateway.total('turnpike_certificate_expiry_timestamp_seconds', { file: gateway.file(`${name}.pem`) })
  assert.deepEqual([await end('one'), await end('ended')], [endOf(one), endOf(ended)])
  const warned = gateway.stderr.split('\n').filter(line => line.includes('so others refuse it'))
  assert.equal(warned.length, 1)
  assert.match(warned[0] ?? '', /the certificate \S+ended\.pem ended at /)
  await gateway.replace(showing('one'))
  await gateway.untilTotal('turnpike_config_version', {}, 2)
  assert.deepEqual([await end('one'), await end('ended')], [endOf(one), Number.NaN])
})

const showing = (...names: string[]) => ({
  listeners: [
    {
      ...{ name: 'it', port: 0, host: '127.0.0.1' },
      tls: { certificates: names.map(name => ({ cert: `${name}.pem`, key: `${name}.key` })) },
    },
  ],
  routes: [{ match: { path: '/' }, reply: { status: 204 } }],
})

const endOf = ({ cert }: { cert: string }) => new X509Certificate(cert).validToDate.getTime() / 1000
