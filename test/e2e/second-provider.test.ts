// Another provider that others wrote (oauth2-mock-server), for tokens and for logins: it comes late, changes all of its keys, goes
// down and comes back, and says what no provider should.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import { after, before, test } from 'node:test'
import { OAuth2Server } from 'oauth2-mock-server'
import { Browser } from '../tools/browser.ts'
import { freePort } from '../tools/free-port.ts'
import { echo, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

let port: number
let origin: Origin
let program: Program
let server: OAuth2Server | null = null
let listening: http.Server | null = null

/** With keys of its own, at the same address as the one before. */
async function startServer(): Promise<OAuth2Server> {
  const started = new OAuth2Server()
  await started.issuer.keys.generate('ES256')
  started.issuer.url = `http://127.0.0.1:${port}`
  // A server of our own: that of the package waits for connections to go idle before it stops.
  listening = http.createServer(started.service.requestHandler)
  listening.listen(port, '127.0.0.1')
  await once(listening, 'listening')
  server = started
  return started
}

async function stopServer(): Promise<void> {
  const running = listening
  listening = null
  running?.closeAllConnections()
  if (running !== null) await new Promise(resolve => running.close(resolve))
}

before(async () => {
  origin = await Origin.start(echo)
  port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const gatewayPort = await freePort()
  const keys = { url: `${issuer}/jwks`, cooldown: '100ms' }
  const oidc = {
    ...{ issuer, clientId: 'web', clientSecret: '${file:client-secret}', secret: '${file:cookie-secret}' },
    ...{ callbackPath: '/web/callback', logoutPath: '/web/logout', hosts: `127.0.0.1:${gatewayPort}` },
  }
  program = await Program.start(
    {
      listeners: [{ port: gatewayPort, host: '127.0.0.1' }],
      upstreams: { origin: { targets: [origin.url] } },
      routes: [
        { match: { path: '/jwt' }, policies: [{ jwt: { issuer, audience: [], keys } }], forward: 'origin' },
        { match: { path: '/web/**' }, policies: [{ oidc }], forward: 'origin' },
      ],
    },
    { 'client-secret': 'secret-of-the-client', 'cookie-secret': '0123456789abcdef0123456789abcdef' },
  )
})

after(async () => {
  await program?.stop()
  await origin?.[Symbol.asyncDispose]()
  await stopServer()
})

const makeToken = (by: OAuth2Server) =>
  by.issuer.buildToken({ scopesOrTransform: (_, claims) => void (claims['sub'] = 'alice') })
const statusOf = async (token: string) =>
  (await fetch(`${program.url}/jwt`, { headers: { authorization: `Bearer ${token}` } })).status
const becomes = (token: string, status: number) =>
  until(
    async () => (await statusOf(token)) === status,
    () => `the token to be answered ${status}`,
  )
const finish = async (browser: Browser) =>
  browser.ask(await browser.goUntil(`${program.url}/web/`, `${program.url}/web/callback`))
const isIn = async (browser: Browser) => (await browser.call(`${program.url}/web/api`)).status === 200

test('it comes late, changes all keys while it is away, and comes back', async () => {
  const browser = new Browser()
  assert.equal(await statusOf('a.b.c'), 401)
  const first = await startServer()
  const [seen, unseen, never] = [await makeToken(first), await makeToken(first), await makeToken(first)]
  await becomes(seen, 200)
  await until(
    async () => (await browser.ask(`${program.url}/web/`)).status === 302,
    () => 'logins to begin',
  )
  assert.equal((await finish(browser)).status, 302)
  assert.ok(await isIn(browser))

  await stopServer()
  for (const token of [seen, unseen]) assert.equal(await statusOf(token), 200)
  assert.ok(await isIn(browser))

  const second = await startServer()
  const [other, more] = [await makeToken(second), await makeToken(second)]
  await becomes(other, 200)
  // What the keys of before signed is void, remembered or not.
  assert.equal(await statusOf(seen), 401)
  assert.equal(await statusOf(never), 401)
  assert.ok(await isIn(browser))
  const late = new Browser()
  assert.equal((await finish(late)).status, 302)
  assert.ok(await isIn(late))

  await stopServer()
  assert.equal(await statusOf(other), 200)
  assert.equal(await statusOf(more), 200)
  await startServer()
  // A worker asks for keys that it does not know once a second.
  await until(
    async () => (await finish(new Browser())).status === 302,
    () => 'logins to work again',
  )
})

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>

test('no ID token logs anybody in but a proper one for this login', async () => {
  const bad: Record<string, (token: string) => unknown> = {
    'alg none': token => `${part({ alg: 'none' })}.${token.split('.')[1]}.`,
    'a claim twice': token => {
      const [head, body = '', signature] = token.split('.')
      const text = Buffer.from(body, 'base64url').toString().replace(/\}$/, ',"sub":"root"}')
      return [head, Buffer.from(text).toString('base64url'), signature].join('.')
    },
    'another subject under the same signature': token => {
      const [head, , signature] = token.split('.')
      return [head, part({ ...claimsOf(token), sub: 'root' }), signature].join('.')
    },
    'no text': () => ({ token: true }),
    none: () => undefined,
    garbage: () => 'garbage',
  }
  for (const [name, make] of Object.entries(bad)) {
    server?.service.once('beforeResponse', ({ body }: { body: Record<string, unknown> }) => {
      body['id_token'] = make(String(body['id_token']))
    })
    const browser = new Browser()
    assert.equal((await finish(browser)).status, 401, name)
    assert.equal(await isIn(browser), false, name)
  }
  const claims: Record<string, (payload: Record<string, unknown>) => void> = {
    'another issuer': payload => void (payload['iss'] = 'https://evil.test'),
    'another audience': payload => void (payload['aud'] = 'other'),
    'another nonce': payload => void (payload['nonce'] = 'x'),
    'no nonce': payload => void delete payload['nonce'],
    'an end in the past': payload => void (payload['exp'] = 1),
    'an end that is a text': payload => void (payload['exp'] = '9999999999'),
    'a begin in the future': payload => void (payload['nbf'] = 9_999_999_999),
  }
  for (const [name, change] of Object.entries(claims)) {
    const edit = ({ payload }: { payload: Record<string, unknown> }) => change(payload)
    server?.service.on('beforeTokenSigning', edit)
    assert.equal((await finish(new Browser())).status, 401, name)
    server?.service.off('beforeTokenSigning', edit)
  }
  const good = new Browser()
  assert.equal((await finish(good)).status, 302)
  assert.ok(await isIn(good))
})

test('a token endpoint that breaks is no refusal: 503, and the next login works', async () => {
  for (const statusCode of [500, 503, 429]) {
    server?.service.once('beforeResponse', (response: { statusCode: number }) => {
      response.statusCode = statusCode
    })
    const reply = await finish(new Browser())
    assert.equal(reply.status, 503)
    assert.equal(((await reply.json()) as { code: string }).code, 'login-unavailable')
  }
  const browser = new Browser()
  assert.equal((await finish(browser)).status, 302)
  assert.ok(await isIn(browser))
})
