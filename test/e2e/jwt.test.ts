// Tokens of identity providers that others wrote, over the wire: rotation of their keys, their absence, and bad answers.

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { OAuth2Server } from 'oauth2-mock-server'
// @ts-expect-error The package brings no types.
import { Provider as UntypedProvider } from 'oidc-provider'
import { echo, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

let issuer: OAuth2Server
let origin: Origin
let program: Program
let introspect: (token: string) => unknown = () => ({ active: false })
before(async () => {
  issuer = new OAuth2Server()
  await issuer.issuer.keys.generate('RS256')
  await issuer.start(0, '127.0.0.1')
  origin = await Origin.start(async (request, response, body) => {
    if (request.url !== '/introspect') return echo(request, response, body)
    const answer = introspect(new URLSearchParams(body.toString()).get('token') ?? '')
    if (answer === null) return null
    response.setHeader('content-type', 'application/json')
    return response.end(typeof answer === 'string' ? answer : JSON.stringify(answer))
  })
  const { port } = issuer.address()
  const jwt = { issuer: issuer.issuer.url, audience: [] }
  const url = `http://127.0.0.1:${port}/jwks`
  program = await Program.start(
    {
      upstreams: { origin: { targets: [origin.url] } },
      routes: [
        {
          match: { path: '/jwt' },
          policies: [{ jwt: { ...jwt, keys: { url, cooldown: '100ms' }, forward: { 'x-user': 'claims.sub' } } }],
          forward: 'origin',
        },
        {
          match: { path: '/metadata' },
          policies: [{ jwt: { ...jwt, keys: { url: 'http://169.254.169.254/keys' } } }],
          forward: 'origin',
        },
        {
          match: { path: '/introspection' },
          policies: [
            {
              introspection: {
                url: `${origin.url}/introspect`,
                client: { id: 'gateway', secret: '${file:client-secret}' },
                timeout: '2s',
                refusedTtl: '1ms',
              },
            },
          ],
          forward: 'origin',
        },
      ],
    },
    { 'client-secret': 'secret' },
  )
})
after(async () => {
  await program.stop()
  await origin[Symbol.asyncDispose]()
  if (issuer.listening) await issuer.stop()
})

const ask = (path: string, token: string) =>
  fetch(`${program.url}${path}`, { headers: { authorization: `Bearer ${token}`, 'x-user': 'root' } })
const statusOf = async (path: string, token: string) => (await ask(path, token)).status
const makeToken = () => issuer.issuer.buildToken({ scopesOrTransform: (_, claims) => void (claims.sub = 'alice') })

test('introspection: active, not active, garbage, and no answer in time', async () => {
  introspect = token => (token === 'good' ? { active: true, sub: 'alice' } : { active: false })
  assert.equal(await statusOf('/introspection', 'good'), 200)
  assert.equal(await statusOf('/introspection', 'bad'), 401)
  introspect = () => 'garbage'
  assert.equal(await statusOf('/introspection', 'other'), 503)
  introspect = () => null
  assert.equal(await statusOf('/introspection', 'other'), 503)
  assert.equal(await statusOf('/introspection', 'good'), 200)
})

test('a key set at an address that is never asked: 503, and the log says what to write', async () => {
  assert.equal(await statusOf('/metadata', await makeToken()), 503)
  await program.untilSaid(/169\.254\.169\.254 is link-local.*outbound/)
})

test('a token passes; keys may rotate; the old ones outlive their server', async () => {
  const first = await makeToken()
  await until(
    async () => (await statusOf('/jwt', first)) === 200,
    () => 'the key set to be there',
  )
  const reply = (await (await ask('/jwt', first)).json()) as { headers: Record<string, string> }
  assert.match(JSON.stringify(reply), /alice/)
  assert.doesNotMatch(JSON.stringify(reply), /root/)
  assert.equal(await statusOf('/jwt', `${first.slice(0, -4)}AAAA`), 401)
  await issuer.issuer.keys.generate('ES256')
  const tokens = [await makeToken(), await makeToken()]
  await new Promise(resolve => setTimeout(resolve, 150))
  for (const token of tokens) assert.equal(await statusOf('/jwt', token), 200)
  const unseen = await makeToken()
  await issuer.stop()
  assert.equal(await statusOf('/jwt', unseen), 200)
})

const secret = 'gateway-secret-gateway-secret-gateway'
const basic = `Basic ${Buffer.from(`gateway:${secret}`).toString('base64')}`

const Provider = UntypedProvider as new (issuer: string, options: object) => { callback(): http.RequestListener }

/** An OpenID provider on a port of its own that gives tokens to programs: JWTs for the resource, opaque ones without it. */
class Idp implements AsyncDisposable {
  readonly #server = http.createServer()
  readonly #resource = 'https://api.acme.test'
  issuer = ''

  static async start(): Promise<Idp> {
    const idp = new Idp()
    idp.#server.listen(0, '127.0.0.1')
    await once(idp.#server, 'listening')
    idp.issuer = `http://127.0.0.1:${(idp.#server.address() as AddressInfo).port}`
    idp.rotate()
    return idp
  }

  /** From now on there are other keys, and nobody remembers the tokens that were given. */
  rotate(): void {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const key = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: `k${Math.random()}` }
    const server = { scope: 'read write', audience: this.#resource, accessTokenFormat: 'jwt' }
    const provider = new Provider(this.issuer, {
      jwks: { keys: [key] },
      clients: [
        {
          ...{ client_id: 'gateway', client_secret: secret, grant_types: ['client_credentials'] },
          ...{ redirect_uris: [], response_types: [], scope: 'read write' },
        },
      ],
      scopes: ['read', 'write'],
      features: {
        ...{
          devInteractions: { enabled: false },
          clientCredentials: { enabled: true },
          introspection: { enabled: true },
        },
        resourceIndicators: {
          ...{ enabled: true, defaultResource: () => undefined },
          getResourceServerInfo: () => ({ ...server, jwt: { sign: { alg: 'RS256' } } }),
        },
        revocation: { enabled: true },
      },
    })
    this.#server.removeAllListeners('request').on('request', provider.callback())
  }

  async token(scope = 'read', isJwt = true): Promise<string> {
    const form = { grant_type: 'client_credentials', scope, ...(isJwt && { resource: this.#resource }) }
    const reply = await this.#post('/token', form)
    return ((await reply.json()) as { access_token: string }).access_token
  }

  async revoke(token: string): Promise<void> {
    assert.equal((await this.#post('/token/revocation', { token })).status, 200)
  }

  #post(path: string, form: Record<string, string>): Promise<Response> {
    return fetch(`${this.issuer}${path}`, {
      ...{ method: 'POST', headers: { authorization: basic } },
      body: new URLSearchParams(form),
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise(resolve => this.#server.close(resolve))
  }
}

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

test('oidc-provider: JWTs by its key set, opaque tokens by introspection, each until it is void', async () => {
  await using idp = await Idp.start()
  const audience = 'https://api.acme.test'
  const jwt = {
    ...{ issuer: idp.issuer, audience, type: 'at+jwt', scopes: ['read'], algorithms: ['RS256'] },
    ...{ keys: { url: `${idp.issuer}/jwks`, cooldown: '100ms' }, forward: { 'x-client': 'claims.client_id' } },
  }
  const introspection = {
    ...{
      url: `${idp.issuer}/token/introspection`,
      client: { id: 'gateway', secret: '${file:client-secret}' },
      scopes: ['read'],
    },
    ...{ ttl: '1ms', refusedTtl: '1ms', forward: { 'x-client': 'claims.client_id' } },
  }
  await using gateway = await Program.start(
    {
      upstreams: { origin: { targets: [origin.url] } },
      routes: [
        { match: { path: '/jwt' }, policies: [{ jwt }], forward: 'origin' },
        { match: { path: '/introspection' }, policies: [{ introspection }], forward: 'origin' },
      ],
    },
    { 'client-secret': secret },
  )
  const send = (path: string, token: string) => fetch(`${gateway.url}${path}`, bearer(token))
  const status = async (path: string, token: string) => (await send(path, token)).status

  const signed = await idp.token()
  assert.equal(signed.split('.').length, 3)
  await until(
    async () => (await status('/jwt', signed)) === 200,
    () => 'the key set to be there',
  )
  const seen = (await (await send('/jwt', signed)).json()) as { headers: unknown }
  assert.match(JSON.stringify(seen.headers), /x-client[^\w]+gateway/i)
  assert.equal(await status('/jwt', await idp.token('write')), 403)

  const opaque = await idp.token('read', false)
  assert.equal(opaque.split('.').length, 1)
  assert.equal(await status('/jwt', opaque), 401)
  const asked = (await (await send('/introspection', opaque)).json()) as { headers: unknown }
  assert.match(JSON.stringify(asked.headers), /x-client[^\w]+gateway/i)
  assert.doesNotMatch(JSON.stringify(asked.headers), /authorization/i)
  assert.equal(await status('/introspection', await idp.token('write', false)), 403)
  assert.equal(await status('/introspection', `${opaque.slice(0, -2)}xx`), 401)
  await idp.revoke(opaque)
  assert.equal(await status('/introspection', opaque), 401)

  idp.rotate()
  await new Promise(resolve => setTimeout(resolve, 150))
  assert.equal(await status('/jwt', signed), 200)
  assert.equal(await status('/jwt', await idp.token()), 200)
  assert.equal(await status('/jwt', signed), 401)
})

/** All but those that are slow have time for their mistakes. */
const timeoutOf = (name: string) => (name === 'slow' || name === 'dripping' ? '300ms' : '10s')

test('key sets that are slow, garbage, too large, redirected or empty: 503 within the timeout, and the log says why', async () => {
  const keys = JSON.stringify({ keys: [] })
  await using server = await Origin.start((request, response) => {
    const { url = '' } = request
    if (url === '/slow') return
    if (url === '/dripping') {
      const timer = setInterval(() => response.write(' '), 50)
      response.on('close', () => clearInterval(timer))
    } else if (url === '/redirected') response.writeHead(302, { location: `${issuer.issuer.url}/jwks` }).end()
    else if (url === '/huge') response.end(`{"keys":[],"a":"${'x'.repeat(300_000)}"}`)
    else if (url === '/endless') {
      const pour = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
      }
      response.on('drain', pour)
      pour()
    } else response.end(url === '/empty' ? keys : '<html>')
  })
  const reasons: Readonly<Record<string, RegExp>> = {
    slow: /no whole reply came in time/,
    dripping: /no whole reply came in time/,
    redirected: /the server answered 302/,
    huge: /larger than 262144 bytes/,
    endless: /larger than 262144 bytes/,
    garbage: /is not valid JSON/,
    empty: /the set has no usable key/,
  }
  await using gateway = await Program.start({
    upstreams: { origin: { targets: [origin.url] } },
    routes: Object.keys(reasons).map(name => ({
      match: { path: `/${name}` },
      policies: [
        { jwt: { issuer: 'i', audience: [], keys: { url: `${server.url}/${name}`, timeout: timeoutOf(name) } } },
      ],
      forward: 'origin',
    })),
  })
  const token = [{ alg: 'RS256' }, { iss: 'i', exp: 4e9 }, {}].map(part =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  for (const [name, reason] of Object.entries(reasons)) {
    const startedMs = performance.now()
    const reply = await fetch(`${gateway.url}/${name}`, bearer(token.join('.')))
    assert.equal(reply.status, 503, name)
    assert.ok(performance.now() - startedMs < 8_000, name)
    assert.doesNotMatch(await reply.text(), /127\.0\.0\.1/)
    const line = () => gateway.stderr.split('\n').find(text => text.includes(`/${name}"`) && reason.test(text))
    await until(
      () => line() !== undefined,
      () => `the log to say why ${name} failed: ${gateway.stderr}`,
    )
  }
})
