// Who calls, over HTTP/2: each credential that is good, bad, doubled or late comes to the same answer as over HTTP/1.1.

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import { after, before, describe, test } from 'node:test'
import { Authorizer, type CheckRequestSeen } from '../tools/authorizer.ts'
import { BothVersions, type Question } from '../tools/both-versions.ts'
import { manage } from '../tools/manage.ts'
import { echo, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { claims, encode, head, keyFile, pair, publicJwk, signed } from '../tools/tokens.ts'
import { until } from '../tools/until.ts'

const own = 'a-key-from-outside-0123'
const exp = Math.floor(Date.now() / 1000) + 600
const token = (more: object = {}, first: object = head) => signed(first, { ...claims, exp, ...more })
const bearer = (text: string) => ({ authorization: `Bearer ${text}` })
const basic = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
})

let origin: Origin
let authorizer: Authorizer
let program: Program
let clients: BothVersions
/** What the services were told last. */
let told: CheckRequestSeen['attributes']['request']['http'] | null = null
let askedFields: NodeJS.Dict<string | string[]> = {}

before(async () => {
  origin = await Origin.start((request, response, body) => {
    if (request.url === '/introspect') {
      const isActive = body.toString().includes('opaque-and-good')
      response.setHeader('content-type', 'application/json')
      return response.end(JSON.stringify(isActive ? { active: true, sub: 'alice', scope: 'read' } : { active: false }))
    }
    if (request.url === '/check') {
      askedFields = request.headers
      const isKnown = request.headers.authorization === 'Bearer known'
      return response.writeHead(isKnown ? 200 : 402, { 'x-user': 'alice', 'x-why': 'unpaid' }).end('pay first')
    }
    return echo(request, response, body)
  })
  authorizer = await Authorizer.start(request => {
    told = request.attributes.request.http
    const overwriting = { header: { key: 'x-user', value: 'alice' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' }
    if (told.headers?.['authorization'] === 'Bearer known') {
      return { status: { code: 0 }, ok_response: { headers: [overwriting] } }
    }
    const headers = [{ header: { key: 'x-why', value: 'unpaid' } }]
    return { status: { code: 7 }, denied_response: { status: { code: 402 }, headers, body: 'pay first' } }
  })
  program = await Program.start(config(), {
    'keys.json': keyFile,
    secret: 'secret',
    'bolt.key': own,
    ann: 'horse battery',
  })
  clients = await BothVersions.connect(program.port)
})
after(async () => {
  clients?.[Symbol.dispose]()
  await program?.stop()
  authorizer?.[Symbol.dispose]()
  await origin?.[Symbol.asyncDispose]()
})

function config(): object {
  const who = { forward: { 'x-who': 'consumer.name' } }
  const jwt = { keys: { file: 'keys.json' }, issuer: claims.iss, audience: 'api', forward: { 'x-who': 'claims.sub' } }
  const client = { id: 'gateway', secret: '${file:secret}' }
  const asking = { timeout: '5s', upstreamHeaders: ['x-user'] }
  const policies: Readonly<Record<string, readonly object[]>> = {
    key: [{ 'api-key': who }],
    cookie: [{ 'api-key': { ...who, header: [], cookie: 'key' } }],
    basic: [{ basic: who }],
    jwt: [{ jwt: { ...jwt, scopes: 'read' } }],
    'jwt-cookie': [{ jwt: { ...jwt, from: { cookie: 'token' }, keep: false } }],
    admin: [{ jwt: { ...jwt, scopes: 'admin' } }],
    introspection: [{ introspection: { url: `${origin.url}/introspect`, client, forward: { 'x-who': 'claims.sub' } } }],
    http: [{ external: { url: `${origin.url}/check`, replyHeaders: 'x-why', ...asking } }],
    'http-body': [{ external: { url: `${origin.url}/check`, replyHeaders: 'x-why', body: '100B', ...asking } }],
    grpc: [{ external: { url: `grpc://127.0.0.1:${authorizer.port}`, body: '100B', ...asking } }],
    any: [{ 'any-of': [{ 'api-key': who }, { basic: who }, { jwt }] }],
    all: [{ 'all-of': [{ basic: who }, { 'api-key': { keep: true } }] }],
    deny: [{ 'api-key': who }, { deny: { by: 'consumer', lists: 'late-payers' } }, { deny: { by: 'agent' } }],
  }
  const credentials = [{ key: '${file:bolt.key}' }, { basic: { user: 'ann', password: '${file:ann}' } }]
  return {
    ...{ data: 'state', upstreams: { origin: { targets: [origin.url] } } },
    telemetry: { accessLog: { to: '{folder}/access.log' } },
    consumers: [{ name: 'bolt', credentials }],
    routes: Object.entries(policies).map(([name, list]) => ({
      match: { path: `/${name}` },
      policies: list,
      forward: 'origin',
    })),
  }
}

/** The name that the upstream was told in place of the one that the client claims. */
async function whoIs(path: string, headers: Question['headers'], more: Partial<Question> = {}): Promise<unknown> {
  const { seen } = await clients.ask({ path, headers: { 'x-who': 'root', x_who: 'root', ...headers }, ...more }, 200)
  assert.equal(seen?.headers['x_who'], undefined)
  return seen?.headers['x-who']
}

async function refused(path: string, attempts: Readonly<Record<string, Partial<Question>>>): Promise<void> {
  const before = origin.targets.get(path)
  for (const [name, attempt] of Object.entries(attempts)) {
    const { headers } = await clients.ask({ path, ...attempt }, 401, 'unauthenticated')
    assert.ok(headers['www-authenticate'], name)
  }
  assert.equal(origin.targets.get(path), before)
}

describe('credentials over HTTP/2', () => {
  test('api-key: from a field and from one cookie of several, doubled, late, unknown and revoked', async () => {
    assert.equal(await whoIs('/key', { 'x-api-key': own }), 'bolt')
    assert.equal(await whoIs('/cookie', { cookie: ['a=1', `key=${own}`, 'b=2'] }), 'bolt')
    const { seen } = await clients.ask({ path: '/cookie', headers: { cookie: ['a=1', `key=${own}`, 'b=2'] } }, 200)
    assert.equal(seen?.headers['cookie'], 'a=1; b=2')
    await manage(program, '/consumers', { name: 'acme' })
    const made = await manage(program, '/keys', { consumer: 'acme' })
    const headers = { 'x-api-key': made.key }
    const isNow = async (status: number) => (await clients.overHttp2({ path: '/key', headers })).status === status
    await until(
      () => isNow(200),
      () => 'the new key to be good',
    )
    await manage(program, `/keys/${made.id}/revoke`, {})
    await until(
      () => isNow(401),
      () => 'the key to be void',
    )
    await refused('/key', {
      none: {},
      revoked: { headers },
      unknown: { headers: { 'x-api-key': `${own}4` } },
      long: { headers: { 'x-api-key': 'x'.repeat(2_000) } },
      doubled: { headers: { 'x-api-key': [own, own] } },
      joined: { headers: { 'x-api-key': `${own}, ${own}` } },
      late: { method: 'POST', body: 'a', trailers: { 'x-api-key': own } },
    })
    await refused('/cookie', { doubled: { headers: { cookie: [`key=${own}`, `key=${own}`] } } })
  })

  test('basic: right and wrong passwords, two fields, and one in the trailers', async () => {
    assert.equal(await whoIs('/basic', basic('ann', 'horse battery')), 'bolt')
    const good = basic('ann', 'horse battery').authorization
    await refused('/basic', {
      none: {},
      wrong: { headers: basic('ann', 'guess') },
      nobody: { headers: basic('bob', 'horse battery') },
      doubled: { headers: { authorization: [good, good] } },
      second: { headers: { authorization: ['Basic !', good] } },
      late: { method: 'POST', body: 'a', trailers: { authorization: good } },
      long: { headers: basic('ann', 'x'.repeat(3_000)) },
    })
  })

  test('jwt: from the field and from a cookie, with a scope missing, and forged', async () => {
    assert.equal(await whoIs('/jwt', bearer(token())), 'alice')
    const cookie = ['a=1', `token=${token()}`]
    assert.equal(await whoIs('/jwt-cookie', { cookie }), 'alice')
    const { seen } = await clients.ask({ path: '/jwt-cookie', headers: { cookie } }, 200)
    assert.equal(seen?.headers['cookie'], 'a=1')
    await clients.ask({ path: '/admin', headers: bearer(token()) }, 403, 'insufficient-scope')
    const [h, p, s = ''] = token().split('.')
    const confused = `${encode({ alg: 'HS256', kid: 'ec' })}.${p}`
    const publicKey = pair.publicKey.export({ type: 'spki', format: 'pem' })
    const mac = createHmac('sha256', publicKey).update(confused).digest('base64url')
    await refused('/jwt', {
      none: {},
      unsigned: { headers: bearer(`${encode({ alg: 'none' })}.${p}.`) },
      'signed by the public key': { headers: bearer(`${confused}.${mac}`) },
      'with a key of its own': { headers: bearer(token({}, { alg: 'ES256', jwk: publicJwk })) },
      changed: { headers: bearer(`${h}.${encode({ ...claims, exp, sub: 'root' })}.${s}`) },
      expired: { headers: bearer(token({ exp: exp - 3600 })) },
      'for others': { headers: bearer(token({ aud: 'other' })) },
      'of others': { headers: bearer(token({ iss: 'https://evil.test' })) },
      long: { headers: bearer(`${h}.${'A'.repeat(9_000)}.${s}`) },
      doubled: { headers: { authorization: [`Bearer ${token()}`, `Bearer ${token()}`] } },
      'behind another': { headers: { authorization: ['Basic YTpi', `Bearer ${token()}`] } },
      late: { method: 'POST', body: 'a', trailers: bearer(token()) },
    })
  })

  test('introspection: active, not active, doubled and late', async () => {
    assert.equal(await whoIs('/introspection', bearer('opaque-and-good')), 'alice')
    const { seen } = await clients.ask({ path: '/introspection', headers: bearer('opaque-and-good') }, 200)
    assert.equal(seen?.headers['authorization'], undefined)
    await refused('/introspection', {
      none: {},
      bad: { headers: bearer('opaque-and-bad') },
      'no token': { headers: bearer('opaque-and-good"') },
      long: { headers: bearer('x'.repeat(9_000)) },
      doubled: { headers: { authorization: ['Bearer opaque-and-good', 'Bearer opaque-and-good'] } },
      late: { method: 'POST', body: 'a', trailers: bearer('opaque-and-good') },
    })
  })
})

describe('several policies over HTTP/2', () => {
  test('any-of: each credential alone; without any, all challenges', async () => {
    assert.equal(await whoIs('/any', { 'x-api-key': own }), 'bolt')
    assert.equal(await whoIs('/any', basic('ann', 'horse battery')), 'bolt')
    assert.equal(await whoIs('/any', bearer(token())), 'alice')
    const { headers } = await clients.ask({ path: '/any' }, 401, 'unauthenticated')
    assert.match(String(headers['www-authenticate']), /ApiKey .*Basic .*Bearer /)
  })

  test('all-of: both, and not one alone', async () => {
    const both = { ...basic('ann', 'horse battery'), 'x-api-key': own }
    assert.equal(await whoIs('/all', both), 'bolt')
    await refused('/all', {
      key: { headers: { 'x-api-key': own } },
      password: { headers: basic('ann', 'horse battery') },
    })
  })

  test('deny: an agent and a consumer on a list', async () => {
    const headers = { 'x-api-key': own }
    assert.equal(await whoIs('/deny', headers), 'bolt')
    await manage(program, '/denials/agent', { value: 'evil/1.0' })
    const evil = { path: '/deny', headers: { ...headers, 'user-agent': ['good/1.0', 'evil/1.0'] } }
    await until(
      async () => (await clients.overHttp2(evil)).status === 403,
      () => 'the agent to be denied',
    )
    await clients.ask(evil, 403, 'denied')
    assert.equal(await whoIs('/deny', headers), 'bolt')
    await manage(program, '/denials/late-payers', { value: 'bolt' })
    const asked = { path: '/deny', headers }
    await until(
      async () => (await clients.overHttp2(asked)).status === 403,
      () => 'the consumer to be denied',
    )
    await clients.ask(asked, 403, 'denied')
  })
})

describe('a service that decides about calls over HTTP/2', () => {
  const call = { method: 'POST', headers: { ...bearer('known'), 'x-user': 'root', cookie: ['a=1', 'b=2'] } }

  for (const path of ['/http', '/http-body']) {
    test(`${path}: is told the same, and its answers do the same`, async () => {
      const asked: object[] = []
      for (const over of [clients.overHttp1.bind(clients), clients.overHttp2.bind(clients)]) {
        await over({ ...call, path, body: 'sent' })
        asked.push(askedFields)
      }
      assert.deepEqual(asked[1], asked[0])
      assert.equal(askedFields['cookie'], 'a=1; b=2')
      const { seen } = await clients.ask(
        { ...call, path, body: 'sent', trailers: { 'x-user': 'root', 'x-sum': '1' } },
        200,
      )
      assert.deepEqual([seen?.headers['x-user'], seen?.body, seen?.trailers], ['alice', 'sent', { 'x-sum': '1' }])
      const { headers, text } = await clients.ask({ path, headers: bearer('unknown') }, 402)
      assert.deepEqual([headers['x-why'], text], ['unpaid', 'pay first'])
    })
  }

  test('over gRPC: is told the same but for the version, and its answers do the same', async () => {
    const asked: object[] = []
    for (const over of [clients.overHttp1.bind(clients), clients.overHttp2.bind(clients)]) {
      await over({ ...call, path: '/grpc', body: 'sent' })
      const { id: _, headers, ...rest } = told ?? assert.fail('nobody was asked')
      const { via: __, 'x-version': ___, 'x-request-id': ____, ...fields } = headers ?? {}
      asked.push({ ...rest, fields })
    }
    const [old, current] = asked
    assert.deepEqual(current, { ...old, protocol: 'HTTP/2' })
    assert.equal(told?.headers?.['cookie'], 'a=1; b=2')
    const { seen } = await clients.ask(
      { ...call, path: '/grpc', body: 'sent', trailers: { 'x-user': 'root', 'x-sum': '1' } },
      200,
    )
    assert.deepEqual([seen?.headers['x-user'], seen?.body, seen?.trailers], ['alice', 'sent', { 'x-sum': '1' }])
    const { headers, text } = await clients.ask({ path: '/grpc', headers: bearer('unknown') }, 402)
    assert.deepEqual([headers['x-why'], text], ['unpaid', 'pay first'])
    await clients.ask({ ...call, path: '/grpc', body: 'x'.repeat(101) }, 413, 'body-too-large')
  })
})

describe('beside the answer', () => {
  const calls: readonly (Partial<Question> & {
    readonly path: string
    readonly status: number
    readonly detail?: string
  })[] = [
    { path: '/key', headers: { 'x-api-key': own }, status: 200 },
    { path: '/key', headers: { 'x-api-key': [own, own] }, status: 401, detail: 'more than one key' },
    { path: '/key', status: 401, detail: 'no key' },
    { path: '/basic', headers: basic('ann', 'guess'), status: 401, detail: 'the password is wrong' },
    { path: '/jwt', headers: bearer(token({ exp: exp - 3600 })), status: 401, detail: 'expired' },
    { path: '/admin', headers: bearer(token()), status: 403, detail: 'the token lacks the scope admin' },
    { path: '/introspection', headers: bearer('opaque-and-bad'), status: 401, detail: 'the token is not active' },
    { path: '/http', headers: bearer('unknown'), status: 402, detail: 'external: the service answered 402' },
    { path: '/grpc', method: 'POST', body: 'x'.repeat(101), status: 413, detail: 'The request body is too large.' },
    { path: '/any', method: 'POST', headers: bearer(token()), body: 'sent', status: 200 },
  ]

  test('the access log says the same of both', async () => {
    for (const [index, { status, detail: _, ...call }] of calls.entries()) {
      const asked = { ...call, path: `${call.path}?call=${index}` }
      assert.equal((await clients.overHttp1(asked)).status, status)
      assert.equal((await clients.overHttp2(asked)).status, status)
    }
    let lines: readonly Record<string, unknown>[] = []
    await until(
      async () => {
        const text = await readFile(program.file('access.log'), 'utf8').catch(() => '')
        const whole = text
          .slice(0, text.lastIndexOf('\n') + 1)
          .split('\n')
          .slice(0, -1)
        lines = whole
          .map(line => JSON.parse(line) as Record<string, unknown>)
          .filter(({ query }) => String(query).startsWith('?call='))
        return lines.length === calls.length * 2
      },
      () => `${calls.length * 2} lines; there are ${lines.length}`,
    )
    for (const [index, { status, detail }] of calls.entries()) {
      const [old, current, ...more] = lines.filter(({ query }) => query === `?call=${index}`).map(plainLine)
      assert.deepEqual([old?.['status'], old?.['detail'], more.length], [status, detail, 0])
      assert.deepEqual(current, old)
    }
  })

  test('a body is not asked for before the caller is known', async () => {
    for (const [credential, wanted] of [
      [{}, '401'],
      [bearer(token()), '100 200'],
    ] as const) {
      const headers = { ...credential, expect: '100-continue', 'content-length': '1' }
      const old = { host: '127.0.0.1', port: program.port, method: 'POST', path: '/jwt', headers, agent: false }
      const asked = { ':method': 'POST', ':path': '/jwt', ':authority': 'api.acme.test' }
      for (const begin of [() => http.request(old), () => clients.session.request({ ...asked, ...headers })]) {
        const call = begin()
        if (call instanceof http.ClientRequest) call.flushHeaders()
        let said = ''
        call.on('continue', () => {
          said = '100 '
          call.end('a')
        })
        const [reply] = (await once(call, 'response')) as [{ statusCode?: number; ':status'?: number }]
        assert.equal(`${said}${reply.statusCode ?? reply[':status']}`, wanted)
        call.on('error', () => {})
        call.destroy()
      }
    }
  })
})

/** Without what belongs to the version or the moment. */
function plainLine(line: Record<string, unknown>): Record<string, unknown> {
  const dropped = ['time', 'id', 'protocol', 'durationMs', 'upstreamMs', 'bytesOut']
  return Object.fromEntries(Object.entries(line).filter(([name]) => !dropped.includes(name)))
}

test('afterwards there is no call and no connection left', async () => {
  clients.session.close()
  await program.untilQuiet()
})
