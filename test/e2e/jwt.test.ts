// Tokens of an identity provider that others wrote, over the wire: rotation of its keys, and its absence.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { OAuth2Server } from 'oauth2-mock-server'
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
    if (answer === null) return
    response.setHeader('content-type', 'application/json')
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer))
  })
  const { port } = issuer.address()
  const jwt = { issuer: issuer.issuer.url, audience: [] }
  const url = `http://127.0.0.1:${port}/jwks`
  program = await Program.start({
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
              client: { id: 'gateway', secret: 'secret' },
              timeout: '500ms',
              refusedTtl: '1ms',
            },
          },
        ],
        forward: 'origin',
      },
    ],
  })
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
  assert.match(program.stderr, /169\.254\.169\.254 is link-local.*outbound/)
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
