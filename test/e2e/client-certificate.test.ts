// Client certificates over real handshakes: required and optional, known and unknown, revoked, resumed.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import { after, before, describe, test } from 'node:test'
import tls from 'node:tls'
import { X509Certificate } from 'node:crypto'
import { authority, selfSigned, signedBy } from '../../examples/tls/certificate.ts'
import { findTool } from '../../scripts/tools.ts'
import { CertificateFolder, type Pair } from '../tools/certificate-folder.ts'
import { echo, type Echoed, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'

const openssl = findTool('openssl')
const skip = openssl === null ? 'openssl is not installed (Debian: apt-get install openssl)' : false

let made: CertificateFolder
let origin: Origin
let program: Program
let ca: Pair
let client: Pair
let revoked: Pair
let stranger: Pair

before(async () => {
  if (skip !== false) return
  made = new CertificateFolder()
  ca = made.authority('partners')
  made.authority('others')
  client = made.client('partners', 'client')
  revoked = made.client('partners', 'revoked')
  stranger = made.client('others', 'stranger')
  const server = selfSigned(['localhost'])
  origin = await Origin.start(echo)
  const secure = { certificates: [{ cert: 'server.pem', key: 'server.key' }] }
  const clientCa = { file: 'ca.pem', crl: 'crl.pem' }
  program = await Program.start(
    {
      workers: 2,
      listeners: [
        { name: 'strict', port: 0, host: '127.0.0.1', tls: { ...secure, clientCa } },
        { name: 'open', port: 0, host: '127.0.0.1', tls: { ...secure, clientCa: { ...clientCa, mode: 'optional' } } },
      ],
      upstreams: { origin: { targets: [origin.url] } },
      routes: [
        { match: { path: '/free' }, reply: { status: 204 } },
        { match: { path: '/unasked' }, forward: 'origin' },
        {
          match: { path: '/**' },
          policies: [
            {
              'client-certificate': {
                unknown: 'accept',
                clientCertHeader: true,
                forward: { 'X-Names': 'claims.names' },
              },
            },
          ],
          forward: 'origin',
        },
      ],
    },
    {
      'server.pem': server.cert,
      'server.key': server.key,
      'ca.pem': ca.cert,
      'crl.pem': made.revocationList('partners', 'revoked'),
    },
  )
})
after(async () => {
  if (skip !== false) return
  await program[Symbol.asyncDispose]()
  await origin[Symbol.asyncDispose]()
  made[Symbol.dispose]()
})

interface Got {
  readonly status: number
  readonly text: string
}

/** Rejects where the connection ends without a reply. */
function get(
  listener: number,
  route: string,
  pair: Pair | null,
  headers: Record<string, string> = {},
  gateway: Program = program,
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const request = https.get(
      {
        ...{ host: '127.0.0.1', port: gateway.portOf(listener), path: route, headers, agent: false },
        ...{ rejectUnauthorized: false, ...pair },
      },
      response => {
        let text = ''
        response.on('data', (chunk: Buffer) => (text += chunk.toString()))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
        response.on('error', reject)
      },
    )
    request.on('error', reject)
  })
}

describe('a listener that requires client certificates', { skip }, () => {
  test('serves a client with a certificate of the authority', async () => {
    const { status, text } = await get(0, '/x', client, { 'client-cert': ':forged:', 'x-names': 'forged' })
    assert.equal(status, 200)
    const { headers } = JSON.parse(text) as Echoed
    assert.equal(headers['x-names'], 'dns:client.acme.test,uri:spiffe://acme/client,cn:client')
    assert.equal(headers['client-cert'], `:${new X509Certificate(client.cert).raw.toString('base64')}:`)
  })

  for (const [who, pair] of [
    ['no certificate', () => null],
    ['a certificate of another authority', () => stranger],
    ['a revoked certificate', () => revoked],
  ] as const) {
    test(`does not talk to a client with ${who}`, async () => {
      await assert.rejects(get(0, '/free', pair()))
    })
  }
})

describe('a listener that takes client certificates', { skip }, () => {
  test('401 without one, on routes that ask for it', async () => {
    assert.equal((await get(1, '/x', null)).status, 401)
    assert.equal((await get(1, '/free', null)).status, 204)
  })

  test('serves a client with a good one', async () => assert.equal((await get(1, '/x', client)).status, 200))

  for (const [who, pair] of [
    ['of another authority', () => stranger],
    ['that is revoked', () => revoked],
  ] as const) {
    test(`does not talk to a client with one ${who}`, async () => {
      await assert.rejects(get(1, '/free', pair()))
    })
  }
})

/** One call over a connection of its own, beginning with a session of an earlier one. */
async function call(servername: string, session?: Buffer, listener = 0, pair: Pair | null = client) {
  const socket = tls.connect({
    ...{ host: '127.0.0.1', port: program.portOf(listener), rejectUnauthorized: false, servername, ...pair },
    ...(session !== undefined && { session }),
  })
  const sessions: Buffer[] = []
  let text = ''
  socket.on('session', given => sessions.push(given))
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  const isReused = socket.isSessionReused()
  socket.write('GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  await once(socket, 'close')
  return { isReused, status: text.slice(9, 12), session: sessions.at(-1) }
}

/** A listener whose clients have certificates below `root.pem`. */
const chainConfig = (chain: boolean) => ({
  listeners: [
    {
      ...{ port: 0, host: '127.0.0.1' },
      tls: { certificates: [{ cert: 'server.pem', key: 'server.key' }], clientCa: { file: 'root.pem', chain } },
    },
  ],
  upstreams: { origin: { targets: [origin.url] } },
  policies: [{ 'client-certificate': { unknown: 'accept', clientCertHeader: true } }],
  routes: [{ match: { path: '/**' }, forward: 'origin' }],
})

const byteSequenceOf = (pem: string) => `:${new X509Certificate(pem).raw.toString('base64')}:`

test('the chain of a certificate goes on, also from the second connection on, and what the client wrote does not', {
  skip,
}, async () => {
  const root = authority('root')
  const below = authority('below', root)
  const leaf = signedBy(below, ['leaf.test'])
  const server = selfSigned(['localhost'])
  const files = { 'server.pem': server.cert, 'server.key': server.key, 'root.pem': root.cert }
  await using chained = await Program.start(chainConfig(true), files)
  const seen = async () => {
    const socket = tls.connect({
      ...{ host: '127.0.0.1', port: chained.port, rejectUnauthorized: false, servername: 'localhost' },
      ...{ cert: leaf.cert + below.cert, key: leaf.key, session },
    })
    socket.on('session', given => (session = given))
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nClient-Cert-Chain: :Zm9yZ2Vk:\r\nConnection: close\r\n\r\n')
    let text = ''
    for await (const chunk of socket) text += String(chunk)
    const { headers } = JSON.parse(text.slice(text.indexOf('{'))) as Echoed
    return [headers['client-cert'], headers['client-cert-chain']]
  }
  let session: Buffer | undefined
  for (let i = 0; i < 3; i++) assert.deepEqual(await seen(), [byteSequenceOf(leaf.cert), byteSequenceOf(below.cert)])
  await chained.rewrite(chainConfig(false))
  assert.equal((await chained.admin('/reload', { method: 'POST' })).status, 200)
  for (let i = 0; i < 3; i++) assert.deepEqual(await seen(), [byteSequenceOf(leaf.cert), undefined])
})

const acceptingAt = (path: string, options: object) => ({
  ...{ match: { path }, reply: { status: 204 } },
  policies: [{ 'client-certificate': { unknown: 'accept', ...options } }],
})

/** A client of this authority, which shows the certificate of that too. */
function signed(by: string): Pair {
  const { cert, key } = made.client(by, `by-${by}`)
  return { cert: cert + made.read(`${by}.pem`), key }
}

test('no authority can sign in the name of another one', { skip }, async () => {
  const [one, two] = [made.authority('one'), made.authority('two')]
  made.authorityBelow('one', 'below', 'below')
  made.authorityBelow('two', 'forged', 'one')
  const server = selfSigned(['localhost'])
  const tlsOf = { certificates: [{ cert: 'server.pem', key: 'server.key' }], clientCa: { file: 'both.pem' } }
  await using both = await Program.start(
    {
      listeners: [{ port: 0, host: '127.0.0.1', tls: tlsOf }],
      routes: [
        acceptingAt('/any', {}),
        acceptingAt('/one', { issuers: ['CN=one'] }),
        acceptingAt('/below', { issuers: ['CN=below'] }),
      ],
    },
    { 'server.pem': server.cert, 'server.key': server.key, 'both.pem': one.cert + two.cert },
  )
  const statuses = (pair: Pair) =>
    Promise.all(['/any', '/one', '/below'].map(async route => (await get(0, route, pair, {}, both)).status))
  assert.deepEqual(await statuses(signed('one')), [204, 204, 401])
  assert.deepEqual(await statuses(signed('two')), [204, 401, 401])
  assert.deepEqual(await statuses(signed('forged')), [401, 401, 401])
  // Its name could be anybody's as long as it does not stand in the file.
  assert.deepEqual(await statuses(signed('below')), [204, 401, 401])
})

test('a session without a certificate does not resume where one is required', { skip }, async () => {
  const { session, status } = await call('localhost', undefined, 1, null)
  assert.equal(status, '401')
  assert.deepEqual((await call('localhost', session, 1, null)).isReused, true)
  const without = await call('localhost', session, 0, null).catch(() => ({ status: '' }))
  assert.equal(without.status, '')
  // Who has one is asked for it, and comes in.
  const { isReused, status: later } = await call('localhost', session, 0)
  assert.deepEqual([isReused, later], [false, '200'])
})

test('who is revoked is out, also on a connection that was kept', { skip }, async () => {
  const before = readFileSync(program.file('crl.pem'), 'utf8')
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false, ...client })
  const sockets = new Set<unknown>()
  const ask = () =>
    new Promise<number>((resolve, reject) => {
      const request = https.get({ host: '127.0.0.1', port: program.portOf(0), path: '/free', agent }, response => {
        sockets.add(request.socket)
        response.resume().on('end', () => resolve(response.statusCode ?? 0))
      })
      request.on('error', reject)
    })
  for (let i = 0; i < 3; i++) assert.equal(await ask(), 204)
  assert.equal(sockets.size, 1)
  writeFileSync(program.file('crl.pem'), made.revocationList('partners', 'client'))
  assert.equal((await program.admin('/reload', { method: 'POST' })).status, 200)
  // At most one more reply, the last one.
  await ask().catch(() => 0)
  await assert.rejects(ask())
  agent.destroy()
  writeFileSync(program.file('crl.pem'), before)
  assert.equal((await program.admin('/reload', { method: 'POST' })).status, 200)
  assert.equal((await get(0, '/free', client)).status, 204)
})

test('a resumed session still has its certificate, until the authorities change', { skip }, async () => {
  const sessions = new Map<string, Buffer | undefined>()
  for (const name of ['localhost', 'unknown.test']) {
    const first = await call(name)
    assert.equal(first.status, '200')
    const second = await call(name, first.session)
    assert.deepEqual([second.isReused, second.status], [true, '200'])
    sessions.set(name, second.session)
  }
  writeFileSync(program.file('ca.pem'), made.read('others.pem'))
  const reload = await program.admin('/reload', { method: 'POST' })
  assert.equal(reload.status, 200)
  for (const [name, session] of sessions) {
    const { status } = await call(name, session)
    assert.equal(status, '', `the session with ${name} outlived the authority that vouched for it`)
  }
})

test('nobody is believed who says by `Client-Cert` who he is, also where no policy asks for certificates', {
  skip,
}, async () => {
  const forged = { 'Client-Cert': ':Zm9yZ2Vk:', 'Client-Cert-Chain': ':Zm9yZ2Vk:', Client_Cert: ':Zm9yZ2Vk:' }
  const { text } = await get(1, '/unasked', null, forged)
  const { headers } = JSON.parse(text) as Echoed
  assert.deepEqual(
    Object.keys(headers).filter(name => /client.cert/.test(name)),
    [],
  )
})

/** What openssl says of a call with this pair. */
async function attempt(gateway: Program, pair: string | null, version: string): Promise<string> {
  const args = ['s_client', '-connect', `127.0.0.1:${gateway.port}`, `-${version}`, '-ign_eof']
  if (pair !== null) args.push('-cert', `${pair}.pem`, '-key', `${pair}.key`)
  const child = spawn('openssl', args, { cwd: made.folder, stdio: ['pipe', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (output += text.toString()))
  child.stdin.on('error', () => {})
  child.stdin.end('GET /free HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  await once(child, 'close')
  return output
}

describe('openssl s_client, refused', { skip }, () => {
  for (const mode of ['required', 'optional'] as const) {
    test(`clientCa.mode: ${mode}`, async () => {
      const server = selfSigned(['localhost'])
      const secure = { certificates: [{ cert: 'server.pem', key: 'server.key' }] }
      const config = {
        listeners: [{ name: 'it', port: 0, host: '127.0.0.1', tls: { ...secure, clientCa: { file: 'ca.pem', mode } } }],
        routes: [{ match: { path: '/**' }, reply: { status: 200, body: 'welcome' } }],
      }
      const files = { 'server.pem': server.cert, 'server.key': server.key, 'ca.pem': ca.cert }
      await using gateway = await Program.start(config, files)
      const labels = { listener: 'it', reason: 'client-certificate' }
      let refused = 0
      for (const version of ['tls1_2', 'tls1_3']) {
        assert.match(await attempt(gateway, 'client', version), /welcome/)
        assert.doesNotMatch(await attempt(gateway, 'stranger', version), /welcome/)
        refused++
        const output = await attempt(gateway, null, version)
        if (mode === 'optional') assert.match(output, /welcome/)
        else {
          refused++
          assert.match(output, version === 'tls1_3' ? /alert certificate required/ : /alert handshake failure/)
        }
        await gateway.untilTotal('turnpike_tls_handshake_failures_total', labels, refused)
      }
      await gateway.untilSaid(/the client certificate is not accepted/)
      await gateway.untilSaid(/"problem":"UNABLE_TO_/)
    })
  }
})
