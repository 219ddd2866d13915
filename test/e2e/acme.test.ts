// Certificates by ACME against a server of the test's own: issued, kept, renewed, and what happens when that fails.

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { describe, test } from 'node:test'
import tls from 'node:tls'
import { AcmeServer, type AcmeServerOptions } from '../../examples/acme/acme-server.ts'
import { certify, selfSigned } from '../../examples/tls/certificate.ts'
import { findTool } from '../../scripts/tools.ts'
import type { CertificateStatus } from '../../src/core/certificate-status.ts'
import { ask } from '../tools/ask.ts'
import { freePort } from '../tools/free-port.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const skip = findTool('openssl') === null && 'openssl is not installed (Debian: apt-get install openssl)'

interface Changes {
  readonly acme?: object
  readonly tls?: object
}

interface World extends AsyncDisposable {
  readonly server: AcmeServer
  readonly program: Program
  readonly plainPort: number
  readonly directory: string
}

/** The second listener gets certificates by itself. */
function configOf({ plainPort, directory }: Pick<World, 'plainPort' | 'directory'>, changes: Changes = {}): object {
  return {
    workers: 2,
    data: 'data',
    acme: { directory, agreeToTerms: true, email: 'ops@example.test', retry: '300ms', ...changes.acme },
    listeners: [
      { name: 'plain', port: plainPort, host: '127.0.0.1' },
      { name: 'secure', port: 0, host: '127.0.0.1', tls: { acme: ['shop.test'], ...changes.tls } },
    ],
    // What lets nobody in lets the server in to prove the name.
    policies: [{ ip: { allow: ['192.0.2.1'] }, when: { listeners: ['plain'] } }],
    routes: [
      { match: { listeners: ['plain'] }, redirect: { scheme: 'https', port: 443 } },
      { match: { listeners: ['secure'] }, reply: { body: 'pong' } },
    ],
  }
}

async function world(
  options: Omit<AcmeServerOptions, 'challengePort'> = {},
  { before }: { readonly before?: (server: AcmeServer) => unknown } = {},
  files: Readonly<Record<string, string>> = {},
): Promise<World> {
  const plainPort = await freePort()
  const server = await AcmeServer.start({ ...options, challengePort: plainPort })
  await before?.(server)
  const { directory } = server
  const program = await Program.start(configOf({ plainPort, directory }), files).catch(async (error: unknown) => {
    // Its port would keep the tests from ending.
    await server.close()
    throw error
  })
  return {
    ...{ server, program, plainPort, directory },
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]()
      if (server.isListening) await server.close()
    },
  }
}

/** The certificate that a client is shown; null where the handshake fails. */
async function shown(program: Program, servername = 'shop.test'): Promise<X509Certificate | null> {
  const socket = tls.connect({ port: program.portOf(1), host: '127.0.0.1', servername, rejectUnauthorized: false })
  try {
    await once(socket, 'secureConnect')
    return socket.getPeerX509Certificate() ?? null
  } catch {
    return null
  } finally {
    socket.destroy()
  }
}

async function statusOf(program: Program, name = 'shop.test'): Promise<CertificateStatus> {
  const all = (await (await program.admin('/certificates')).json()) as CertificateStatus[]
  return all.find(status => status.name === name) ?? assert.fail(`no status of ${name}`)
}

async function issued(program: Program, name = 'shop.test'): Promise<X509Certificate> {
  let certificate: X509Certificate | null = null
  await until(
    async () => {
      certificate = await shown(program, name)
      return certificate?.checkHost(name) === name
    },
    () => `a certificate of ${name}; the log says ${program.stderr}`,
    20_000,
  )
  return certificate ?? assert.fail()
}

/** Waits for a failure; what is said of it. */
async function failed(program: Program, name = 'shop.test'): Promise<string> {
  let status: CertificateStatus | undefined
  await until(
    async () => (status = await statusOf(program, name)).state === 'failing',
    () => `a failure; the log says ${program.stderr}`,
    20_000,
  )
  const { lastError = '' } = status ?? {}
  await program.untilSaid(new RegExp(`acme: no certificate for ${name}`))
  assert.ok((await program.total('turnpike_acme_orders_total', { server_name: name, outcome: 'failed' })) > 0)
  return lastError
}

/** Makes a server name URLs of another one, in a private network. */
function nameAnother(server: AcmeServer): void {
  server.directoryOrigin = 'http://192.168.254.254:9'
}

describe('acme', { skip, concurrency: 2 }, () => {
  test('from no certificate to one on every worker, kept over a restart', async () => {
    await using made = await world({ looks: 24 })
    const { server, program } = made
    const certificate = await issued(program)
    for (let i = 0; i < 12; i++) assert.equal((await shown(program))?.serialNumber, certificate.serialNumber)
    // Whoever trusts the authority trusts it.
    const socket = tls.connect({
      ...{ port: program.portOf(1), host: '127.0.0.1', servername: 'shop.test', ca: server.authority.cert },
    })
    await once(socket, 'secureConnect')
    socket.destroy()
    assert.equal(server.accounts, 1)
    const status = await statusOf(program)
    assert.deepEqual([status.state, status.failures, status.lastError], ['issued', 0, ''])
    assert.equal(status.notAfter, new Date(certificate.validTo).toISOString())
    const expiry = await program.total('turnpike_acme_certificate_expiry_timestamp_seconds', {
      server_name: 'shop.test',
    })
    assert.equal(expiry, Date.parse(certificate.validTo) / 1000)
    // What a stranger asks for there is a call like any other.
    assert.equal((await ask(program.portOf(0), { path: '/.well-known/acme-challenge/unknown' })).status, 403)

    const folder = path.join(program.folder, 'data', 'acme')
    const [inner = ''] = await readdir(folder)
    assert.equal((await stat(path.join(folder, inner))).mode & 0o777, 0o700)
    const files = (await readdir(path.join(folder, inner))).sort()
    assert.deepEqual(files, ['account.key', 'shop.test.pem'])
    for (const file of files) assert.equal((await stat(path.join(folder, inner, file))).mode & 0o777, 0o600)

    const requests = server.requests.length
    program.signal('SIGTERM')
    await program.exited()
    await using again = await Program.open(program.folder, program.configFile)
    assert.equal((await shown(again))?.serialNumber, certificate.serialNumber)
    assert.equal(server.requests.length, requests, 'a certificate that is kept was asked for again')
  })

  test('is renewed before its end, on every worker, while connections live on', async () => {
    const lifeMs = 15_000
    await using made = await world({ lifeMs })
    const { program, server } = made
    const first = await issued(program)
    const open = tls.connect({
      ...{ port: program.portOf(1), host: '127.0.0.1', servername: 'shop.test', rejectUnauthorized: false },
    })
    await once(open, 'secureConnect')
    const serials = new Set<string>()
    let fresh = 0
    await until(
      async () => {
        const certificate = (await shown(program)) ?? assert.fail('a handshake failed during renewal')
        assert.ok(Date.parse(certificate.validTo) > Date.now(), 'a certificate was shown after its end')
        serials.add(certificate.serialNumber)
        fresh = certificate.serialNumber === first.serialNumber ? 0 : fresh + 1
        return fresh === 12
      },
      () => 'another certificate on every worker',
      2 * lifeMs,
    )
    assert.ok(server.given.length >= 2)
    const answered = once(open, 'data')
    open.write('GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n')
    assert.match(String((await answered)[0]), /^HTTP\/1\.1 200 /)
    open.destroy()
  })

  test('whatever goes wrong is told, and tried again; names come and go by reload', async t => {
    const other = selfSigned(['files.test'])
    const files = { 'files.pem': other.cert, 'files.key': other.key }
    await using made = await world({}, { before: server => server.distrusted.add('shop.test') }, files)
    const { program, server } = made
    const reloadWith = async (names: readonly string[]) => {
      const certificates = [{ cert: program.file('files.pem'), key: program.file('files.key') }]
      await program.rewrite(configOf(made, { tls: { acme: names, certificates } }))
      assert.equal((await program.admin('/reload', { method: 'POST' })).status, 200)
    }
    await t.test('a name that is not proven; without a certificate a handshake fails', async () => {
      assert.match(await failed(program), /shop\.test is not proven: it is distrusted/)
      assert.equal(await shown(program), null)
      const { notAfter, nextAttempt } = await statusOf(program)
      assert.equal(notAfter, null)
      assert.ok(Date.parse(nextAttempt) > Date.now() - 60_000)
      server.distrusted.clear()
      await issued(program)
      assert.equal((await statusOf(program)).state, 'issued')
    })
    await t.test('too many orders; names with files are served all the while', async () => {
      server.rateLimits = 1
      server.retryAfter = '4'
      await reloadWith(['shop.test', 'two.test'])
      assert.match(await failed(program, 'two.test'), /too many certificates already issued/)
      const askedMs = Date.now()
      assert.equal((await shown(program, 'two.test'))?.checkHost('files.test'), 'files.test')
      assert.equal((await shown(program))?.checkHost('shop.test'), 'shop.test')
      await issued(program, 'two.test')
      // The config says 300 ms, the server four seconds.
      assert.ok(Date.now() - askedMs > 1_000, 'the server was not left alone for as long as it asked')
      assert.equal((await shown(program, 'files.test'))?.checkHost('files.test'), 'files.test')
    })
    await t.test('bad nonces', async () => {
      server.badNonces = 3
      const before = await program.total('turnpike_acme_orders_total', { outcome: 'failed' })
      await reloadWith(['shop.test', 'three.test'])
      await issued(program, 'three.test')
      assert.equal(server.badNonces, 0)
      assert.equal(await program.total('turnpike_acme_orders_total', { outcome: 'failed' }), before)
    })
    await t.test('a server that is down, and a config that is broken meanwhile', async () => {
      const { port } = server
      await server.close()
      await reloadWith(['shop.test', 'four.test'])
      assert.match(await failed(program, 'four.test'), /ECONNREFUSED/)
      await program.rewrite({ routes: 'none' })
      assert.equal((await program.admin('/reload', { method: 'POST' })).status, 422)
      await server.listen(port)
      await issued(program, 'four.test')
      await issued(program, 'shop.test')
    })
  })

  test('URLs that the server names are guarded; an external account is bound', async () => {
    const hmacKey = Buffer.from('a key of thirty-two bytes or more').toString('base64url')
    await using made = await world({ externalAccounts: { me: hmacKey } }, { before: nameAnother }, { hmac: hmacKey })
    const { program, server } = made
    assert.match(await failed(program), /192\.168\.254\.254 is in a private network, and a server named it/)
    assert.ok(server.requests.every(request => request === 'GET /directory'))
    server.directoryOrigin = null
    await until(
      async () => (await statusOf(program)).lastError.includes('an external account is needed'),
      () => 'the server to ask for an external account',
    )
    const acme = { externalAccount: { keyId: 'me', hmacKey: '${file:hmac}' } }
    await program.rewrite(configOf(made, { acme }))
    assert.equal((await program.admin('/reload', { method: 'POST' })).status, 200)
    await issued(program)
  })

  test('a hostile server: what it gives is refused, the certificate of before is served, reloads and restarts go on', async t => {
    await using made = await world()
    const { program, server } = made
    const good = await issued(program)
    let round = 0
    for (const [what, at, twist, reason] of hostile) {
      await t.test(what, async () => {
        server.twist = (path, body) => (path.startsWith(at) ? twist(body, server) : body)
        const name = `n${++round}.test`
        await program.rewrite(configOf(made, { tls: { acme: ['shop.test', name] } }))
        assert.equal((await program.admin('/reload', { method: 'POST' })).status, 200)
        assert.match(await failed(program, name), reason)
        assert.equal((await shown(program))?.serialNumber, good.serialNumber)
      })
    }
    server.twist = null
    program.signal('SIGTERM')
    await program.exited()
    await using again = await Program.open(program.folder, program.configFile)
    assert.equal((await shown(again))?.serialNumber, good.serialNumber)
  })
})

const noCertificate = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'

const hostile: readonly (readonly [
  what: string,
  at: string,
  twist: (body: string, server: AcmeServer) => string,
  reason: RegExp,
])[] = [
  ['a chain of garbage', '/certificate', body => body + noCertificate, /cannot be served/],
  [
    'a chain without end',
    '/certificate',
    (body, { authority }) => body + authority.cert.repeat(500),
    /are longer than/,
  ],
  [
    'a certificate that is over',
    '/certificate',
    (body, server) => signAnew(body, server, -20),
    /the certificate ended/,
  ],
  ['one that begins in a month', '/certificate', (body, server) => signAnew(body, server, 30), /certificate begins/],
  ['another key', '/certificate', body => selfSigned([namesIn(body)]).cert, /not of this key/],
  ['no certificate', '/certificate', () => '<html>', /./],
  ['a proof of another name', '/authorization', body => body.replace(/n\d+\.test/, 'bank.test'), /to prove bank\.test/],
  ['no end of proofs', '/new-order', body => body.replace(/"authorizations":\["([^"]+)"/, manyProofs), /other proofs/],
  [
    'a token that is a path',
    '/authorization',
    body => body.replace(/"token":"/, '"token":"../'),
    /a token that is none/,
  ],
  ['an endless reply', '/new-order', body => body + ' '.repeat(2_000_000), /larger than 1000000 bytes/],
  ['null', '/new-order', () => 'null', /./],
  [
    'an address of this cloud',
    '/new-order',
    body => body.replace(/127\.0\.0\.1/, '[::ffff:169.254.169.254]'),
    /link-local, multicast or reserved, and a server named it/,
  ],
]

function manyProofs(all: string, url: string): string {
  return all + `,"${url}"`.repeat(1000)
}

function namesIn(cert: string): string {
  return /DNS:(\S+)/.exec(new X509Certificate(cert).subjectAltName ?? '')?.[1] ?? ''
}

/** The same name and key, good for ten days from so many days from now. */
function signAnew(body: string, { authority }: AcmeServer, days: number): string {
  const key = new X509Certificate(body).publicKey.export({ type: 'spki', format: 'pem' })
  const from = Date.now() + days * 86_400_000
  return certify(authority, key, [namesIn(body)], new Date(from), new Date(from + 10 * 86_400_000))
}
