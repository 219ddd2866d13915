// Signed calls over the wire, by a signer that others wrote: keys given to a running gateway, bodies, replays, and the manual's client.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { constants, createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { createSigner, httpbis, type SigningKey } from 'http-message-signatures'
import { findTool } from '../../scripts/tools.ts'
import { type Answer, ask } from '../tools/ask.ts'
import { Origin } from '../tools/origin.ts'
import { Program, runTurnpike } from '../tools/program.ts'
import { noServer, RedisServer } from '../tools/redis.ts'
import { until } from '../tools/until.ts'

const root = path.join(import.meta.dirname, '..', '..')
const secret = randomBytes(48)
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pairs = {
  ed25519: generateKeyPairSync('ed25519'),
  'ecdsa-p256-sha256': generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  'ecdsa-p384-sha384': generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  'rsa-pss-sha512': rsa,
  'rsa-v1_5-sha256': rsa,
}
const body = '{"amount": 12}'
const cover = ['@method', '@authority', '@path', '@query']

let origin: Origin
let program: Program
const seen: { url: string; body: string; who: unknown }[] = []

before(async () => {
  origin = await Origin.start((request, response, received) => {
    seen.push({ url: request.url ?? '', body: received.toString(), who: request.headers['x-who'] })
    response.end('paid')
  })
  const hmac = { forward: { 'X-Who': 'consumer.name' } }
  const signatures = Object.keys(pairs).map(algorithm => ({
    signature: { keyId: algorithm, publicKey: `{folder}/${algorithm}.pem`, algorithm },
  }))
  const config = {
    ...{ data: 'state', workers: 2, upstreams: { app: { targets: [origin.url] } } },
    consumers: [
      {
        name: 'bolt',
        credentials: [
          { signature: { keyId: 'shared', secret: '${file:secret.txt}', secretEncoding: 'base64' } },
          { key: '${file:bolt.key}' },
          ...signatures,
        ],
      },
    ],
    routes: [
      { match: { path: '/either/**' }, policies: [{ 'any-of': ['api-key', { hmac }] }], forward: 'app' },
      { match: { path: '/both' }, policies: [{ 'all-of': [{ hmac }, 'api-key'] }], forward: 'app' },
      { match: { path: '/nonce' }, policies: [{ hmac: { replay: 'nonce', tag: 'pay' } }], forward: 'app' },
      { match: { path: '/**' }, policies: [{ hmac }], forward: { to: 'app', path: '/v2/{rest}' } },
    ],
  }
  const files = Object.entries(pairs).map(([name, { publicKey }]) => {
    return [`${name}.pem`, publicKey.export({ type: 'spki', format: 'pem' })] as const
  })
  program = await Program.start(config, {
    ...Object.fromEntries(files),
    ...{ 'secret.txt': secret.toString('base64'), 'bolt.key': 'a-key-from-outside-0123' },
  })
})

after(async () => {
  await program.stop()
  await origin[Symbol.asyncDispose]()
})

interface Call {
  readonly method?: string
  readonly path?: string
  readonly body?: string
  readonly fields?: readonly string[]
  readonly tag?: string
  readonly nonce?: string
}

/** The fields of a call, signed by the peer. */
async function signed(key: SigningKey, { method = 'GET', path: target = '/orders/1?a=b', ...more }: Call = {}) {
  const url = `http://127.0.0.1:${program.port}${target}`
  const hash = createHash('sha256')
    .update(more.body ?? '')
    .digest('base64')
  const digest = more.body === undefined ? {} : { 'Content-Digest': `sha-256=:${hash}:` }
  const { tag, nonce } = more
  const message = await httpbis.signMessage(
    {
      key,
      fields: [...(more.fields ?? cover), ...(more.body === undefined ? [] : ['content-digest'])],
      params: [
        'created',
        'keyid',
        'alg',
        ...(tag === undefined ? [] : ['tag']),
        ...(nonce === undefined ? [] : ['nonce']),
      ],
      paramValues: { ...(tag !== undefined && { tag }), ...(nonce !== undefined && { nonce }) },
    },
    { method, url, headers: { Host: `127.0.0.1:${program.port}`, ...digest } },
  )
  return message.headers as Record<string, string>
}

function signer(algorithm: keyof typeof pairs): SigningKey {
  const { privateKey } = pairs[algorithm]
  const key = createSigner(privateKey.export({ type: 'pkcs8', format: 'pem' }), algorithm, algorithm)
  if (algorithm !== 'rsa-pss-sha512') return key
  // The peer takes the longest salt there is; RFC 9421 §3.3.1 says 64 octets.
  const pss = { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 }
  return { ...key, sign: data => Promise.resolve(sign('sha512', data, pss)) }
}

function send(
  headers: Record<string, string>,
  { method = 'GET', path: target = '/orders/1?a=b', body: given }: Call = {},
) {
  return ask(program.port, { method, path: target, headers, ...(given !== undefined && { body: given }) })
}

const statusOf = async (answer: Promise<Answer>) => (await answer).status

test('calls signed by an independent signer pass, with every algorithm, and reach the service with their body', async () => {
  const keys = [
    ...Object.keys(pairs).map(algorithm => signer(algorithm as keyof typeof pairs)),
    createSigner(secret, 'hmac-sha256', 'shared'),
  ]
  for (const key of keys) {
    assert.equal(await statusOf(send({ ...(await signed(key)), 'X-Who': 'root' })), 200, String(key.id))
    assert.deepEqual(seen.at(-1), { url: '/v2/orders/1?a=b', body: '', who: 'bolt' })
    const call = { method: 'POST', path: '/pay', body }
    assert.equal(await statusOf(send(await signed(key, call), call)), 200, String(key.id))
    assert.deepEqual(seen.at(-1), { url: '/v2/pay', body, who: 'bolt' })
    const fields = ['@target-uri', '@method']
    assert.equal(await statusOf(send(await signed(key, { fields }))), 200, String(key.id))
  }
})

test('a key that is given to the running gateway is good within a second, and void within one when revoked', async () => {
  const admin = `http://127.0.0.1:${program.adminPort}`
  const { publicKey, privateKey } = rsa
  const key = createSigner(privateKey.export({ type: 'pkcs8', format: 'pem' }), 'rsa-v1_5-sha256', 'new')
  const asks = async (status: number) => {
    const headers = await signed(key, { nonce: randomBytes(8).toString('hex') })
    return (await statusOf(send(headers))) === status
  }
  assert.ok(await asks(401))
  const file = program.file('new.pem')
  await writeFile(file, publicKey.export({ type: 'spki', format: 'pem' }))
  assert.equal((await runTurnpike(['consumers', 'create', 'acme', '--admin', admin])).code, 0)
  const words = [
    'credentials',
    'create',
    'acme',
    '--key-id',
    'new',
    '--public-key',
    file,
    '--algorithm',
    'rsa-v1_5-sha256',
  ]
  const made = await runTurnpike([...words, '--json', '--admin', admin])
  assert.equal(made.code, 0, made.stderr)
  const { id, hint } = JSON.parse(made.stdout) as { id: string; hint: string }
  await until(
    () => asks(200),
    () => 'the new key to be good',
    1_000,
  )
  assert.equal(hint, 'rsa-v1_5-sha256')
  assert.ok(!made.stdout.includes('PUBLIC KEY'))
  assert.ok((await program.admin(`/credentials/${id}/revoke`, { method: 'POST' })).ok)
  await until(
    () => asks(401),
    () => 'the key to be void',
    1_000,
  )
})

test('one of many equal calls at once passes, over two workers, in every round', async () => {
  const key = signer('ed25519')
  for (let round = 0; round < 20; round++) {
    const headers = await signed(key, { path: `/round/${round}` })
    const calls = Array.from({ length: 16 }, () => statusOf(send(headers, { path: `/round/${round}` })))
    const statuses = await Promise.all(calls)
    assert.deepEqual(
      statuses.sort((a, b) => a - b),
      [200, ...Array<number>(15).fill(401)],
    )
    assert.equal(origin.targets.get(`/v2/round/${round}`), 1)
  }
})

test('another body, a body that is too large, and one without a digest never reach the service', async () => {
  const before = origin.calls
  // A path of its own: a signature made within one second of an equal one is the same, and so a replay.
  const call = { method: 'POST', path: '/pay/once', body }
  const headers = await signed(signer('ed25519'), call)
  assert.equal(await statusOf(send(headers, { ...call, body: body.replace('12', '99') })), 401)
  const large = { ...call, body: 'x'.repeat(1_500_000) }
  const signedLarge = await signed(signer('ed25519'), large)
  assert.equal(await statusOf(send(signedLarge, large)), 413)
  const chunked = { ...large, headers: signedLarge, isChunked: true }
  assert.equal(await statusOf(ask(program.port, chunked)), 413)
  const { 'Content-Digest': _, ...without } = headers
  assert.equal(await statusOf(send(without, call)), 401)
  assert.equal(origin.calls, before)
  // The right call was not used up by the wrong ones.
  assert.equal(await statusOf(send(headers, call)), 200)
})

test('beside an API key: either lets in, and both together where both are asked for', async () => {
  const key = { 'x-api-key': 'a-key-from-outside-0123' }
  const path = '/either/1'
  assert.equal(await statusOf(send(key, { path })), 200)
  const headers = await signed(signer('ed25519'), { path })
  assert.equal(await statusOf(send(headers, { path })), 200)
  assert.equal(await statusOf(send(headers, { path })), 401)
  assert.equal(await statusOf(send({ ...headers, ...key }, { path })), 200)
  const refused = await send({}, { path })
  assert.match(refused.headers['www-authenticate'] ?? '', /ApiKey .*Signature /)
  const both = await signed(signer('ed25519'), { path: '/both' })
  assert.equal(await statusOf(send(key, { path: '/both' })), 401)
  assert.equal(await statusOf(send({ ...both, ...key }, { path: '/both' })), 200)
})

test('a nonce and a tag where they are asked for; the answer says what to sign', async () => {
  const path = '/nonce'
  const refused = await send(await signed(signer('ed25519'), { path, tag: 'pay' }), { path })
  assert.equal(refused.status, 401)
  const wanted = 'sig=("@method" "@authority" "@path" "@query");created;tag="pay"'
  assert.equal(refused.headers['accept-signature'], wanted)
  assert.equal(await statusOf(send(await signed(signer('ed25519'), { path, nonce: 'a', tag: 'other' }), { path })), 401)
  assert.equal(await statusOf(send(await signed(signer('ed25519'), { path, nonce: 'a', tag: 'pay' }), { path })), 200)
})

test('a config with a key that cannot be used is refused, with its place', async () => {
  const signature = { keyId: 'a', publicKey: 'ed25519.pem', algorithm: 'rsa-pss-sha512' }
  const file = program.file('wrong.json')
  const routes = [{ match: { path: '/ping' }, policies: ['hmac'], reply: { body: 'pong' } }]
  await writeFile(file, JSON.stringify({ consumers: [{ name: 'a', credentials: [{ signature }] }], routes }))
  const { code, stderr, stdout } = await runTurnpike(['check', file])
  assert.equal(code, 3)
  assert.match(stderr + stdout, /`rsa-pss-sha512` does not fit the public key/)
})

const at = (gateway: Program, path: string, headers: Record<string, string>) =>
  statusOf(ask(gateway.port, { path, headers }))

test('with a store, one of many equal calls passes over two gateways; without its server none', {
  skip: noServer,
}, async () => {
  await using server = await RedisServer.start()
  const signature = { keyId: 'shared', secret: '${file:secret.txt}', secretEncoding: 'base64' }
  const config = {
    // The machine of the test may be slow; that is not to count as a failure.
    stores: { shared: { url: server.url, timeout: '5s' } },
    consumers: [{ name: 'bolt', credentials: [{ signature }] }],
    routes: [{ match: { path: '/**' }, policies: [{ hmac: { store: 'shared' } }], reply: { status: 204 } }],
  }
  const files = { 'secret.txt': secret.toString('base64') }
  await using first = await Program.start(config, files)
  await using second = await Program.start(config, files)
  const key = createSigner(secret, 'hmac-sha256', 'shared')
  const host = 'api.acme.test'
  const headersOf = async (target: string) => {
    const message = { method: 'GET', url: `http://${host}${target}`, headers: { Host: host } }
    const nonce = randomBytes(8).toString('hex')
    const config = { key, fields: cover, params: ['created', 'keyid', 'nonce'], paramValues: { nonce } }
    return (await httpbis.signMessage(config, message)).headers as Record<string, string>
  }
  for (const gateway of [first, second]) {
    await until(
      async () => (await at(gateway, '/', await headersOf('/'))) === 204,
      () => 'the gateway to reach the store',
    )
  }
  for (let round = 0; round < 10; round++) {
    const path = `/${round}`
    const headers = await headersOf(path)
    const calls = [first, second].flatMap(gateway => Array.from({ length: 6 }, () => at(gateway, path, headers)))
    const statuses = await Promise.all(calls)
    assert.deepEqual(
      statuses.sort((a, b) => a - b),
      [204, ...Array<number>(11).fill(401)],
    )
  }
  await server[Symbol.asyncDispose]()
  await until(
    async () => (await at(first, '/', await headersOf('/'))) === 503,
    () => 'calls to be answered 503',
  )
})

const missing = ['curl', 'openssl'].filter(tool => findTool(tool) === null)

test('the client of the manual works word for word', {
  skip: missing.length > 0 && `not installed: ${missing.join(', ')} (Debian: apt-get install ${missing.join(' ')})`,
}, async t => {
  const page = await readFile(path.join(root, 'docs/policies/hmac.md'), 'utf8')
  const [makeKeys = '', client = ''] = [...page.matchAll(/^```sh\n(.*?)^```/gms)].map(([, text = '']) => text)
  const folder = await mkdtemp(path.join(os.tmpdir(), 'turnpike-hmac-'))
  t.after(() => rm(folder, { recursive: true }))
  await mkdir(path.join(folder, 'bin'))
  await writeFile(path.join(folder, 'bin/turnpike'), `#!/bin/sh\nexec ${path.join(root, 'bin/turnpike')} "$@"\n`, {
    mode: 0o755,
  })
  const env = {
    ...process.env,
    TURNPIKE_ADMIN: `http://127.0.0.1:${program.adminPort}`,
  }
  // This gateway has a port of its own, and `acme` may be there from another test.
  const keys = makeKeys.replace('consumers create acme', 'consumers create shell').replaceAll(' acme ', ' shell ')
  const call = client.replace('127.0.0.1:8080', `127.0.0.1:${program.port}`)
  const run = promisify(execFile)
  await run('sh', ['-eu', '-c', keys], { cwd: folder, env })
  const calls = origin.targets.get('/v2/payments/12?notify=1') ?? 0
  await until(
    async () => (await run('sh', ['-eu', '-c', call], { cwd: folder, env })).stdout.startsWith('HTTP/1.1 200'),
    () => 'the call of the manual to pass',
    5_000,
  )
  assert.equal(origin.targets.get('/v2/payments/12?notify=1'), calls + 1)
  assert.deepEqual(seen.at(-1), { url: '/v2/payments/12?notify=1', body, who: 'shell' })
})
