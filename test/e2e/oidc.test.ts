// Browser login against a real OpenID provider, by a client that keeps cookies and by a real browser.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
// @ts-expect-error The package brings no types.
import { Provider as UntypedProvider } from 'oidc-provider'
import { chromium } from 'playwright-core'
import { Program } from '../tools/program.ts'

const Provider = UntypedProvider as new (issuer: string, options: object) => { callback(): http.RequestListener }

let issuer: string
let idp: http.Server
let origin: http.Server
let program: Program
let gateway: string

async function listen(server: http.Server, port = 0): Promise<number> {
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

async function close(server: http.Server): Promise<void> {
  server.closeAllConnections()
  if (server.listening) await new Promise(resolve => server.close(resolve))
}

before(async () => {
  idp = http.createServer()
  issuer = `http://127.0.0.1:${await listen(idp)}`
  origin = http.createServer((request, response) => {
    response.setHeader('content-type', 'text/html')
    response.end(JSON.stringify({ url: request.url, headers: request.headers }))
  })
  const target = `http://127.0.0.1:${await listen(origin)}`
  const probe = http.createServer()
  const port = await listen(probe)
  await close(probe)
  gateway = `http://127.0.0.1:${port}`
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'shop',
        client_secret: 'shop-secret-shop-secret-shop-secret',
        redirect_uris: [`${gateway}/oidc/callback`],
        post_logout_redirect_uris: [`${gateway}/bye`],
        grant_types: ['authorization_code', 'refresh_token'],
      },
    ],
    ttl: { AccessToken: 65, IdToken: 600, Grant: 3600, Session: 3600, Interaction: 600, RefreshToken: 3600 },
    issueRefreshToken: async () => true,
  })
  idp.on('request', provider.callback())
  program = await Program.start(
    {
      listeners: [{ port, host: '127.0.0.1' }],
      upstreams: { origin: { targets: [target] } },
      routes: [
        {
          match: { path: '/**' },
          policies: [
            {
              oidc: {
                issuer,
                clientId: 'shop',
                clientSecret: '${file:client-secret}',
                secret: '${file:cookie-secret}',
                externalUrl: gateway,
                afterLogout: `${gateway}/bye`,
                forward: { 'X-User': 'claims.sub' },
              },
            },
          ],
          forward: 'origin',
        },
      ],
    },
    { 'client-secret': 'shop-secret-shop-secret-shop-secret', 'cookie-secret': '0123456789abcdef0123456789abcdef' },
  )
})

after(async () => {
  await program?.stop()
  await close(idp)
  await close(origin)
})

/** Without what `fetch` adds by itself: it would tell that no page is being loaded. */
async function send(url: string, method: string, headers: Record<string, string>, body: string): Promise<Response> {
  const request = http.request(url, {
    method,
    headers: { ...headers, 'content-length': Buffer.byteLength(body) },
    agent: false,
  })
  request.end(body)
  const [reply] = (await once(request, 'response')) as [http.IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of reply) chunks.push(chunk as Buffer)
  const fields = new Headers()
  for (let i = 0; i < reply.rawHeaders.length; i += 2) {
    fields.append(reply.rawHeaders[i] ?? '', reply.rawHeaders[i + 1] ?? '')
  }
  const text = Buffer.concat(chunks).toString('utf8')
  return new Response(text === '' ? null : text, { status: reply.statusCode ?? 0, headers: fields })
}

/** Keeps cookies as a browser does, for each origin. */
class Client {
  readonly jars = new Map<string, Map<string, string>>()

  async ask(url: string, init: RequestInit = {}): Promise<Response> {
    const jar = this.jars.get(new URL(url).origin) ?? new Map<string, string>()
    this.jars.set(new URL(url).origin, jar)
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = { accept: 'text/html', cookie, ...Object.fromEntries(new Headers(init.headers)) }
    const reply = await send(url, init.method ?? 'GET', headers, typeof init.body === 'string' ? init.body : '')
    for (const text of reply.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(text) ?? []
      if (value === '' || /max-age=0|expires=Thu, 01 Jan 1970/i.test(text)) jar.delete(name)
      else jar.set(name, value)
    }
    return reply
  }

  /** Follows redirects and fills in the provider's forms, until the gateway's callback or a page of it. */
  async loginUntilCallback(path: string): Promise<string> {
    let reply = await this.ask(gateway + path)
    let url = gateway + path
    for (let i = 0; i < 20; i++) {
      const location = reply.headers.get('location')
      if (location !== null) {
        url = new URL(location, url).href
        if (url.startsWith(`${gateway}/oidc/callback`)) return url
        reply = await this.ask(url)
        continue
      }
      const page = await reply.text()
      const [, action = ''] = /action="([^"]+)"/.exec(page) ?? []
      const isLogin = page.includes('name="login"')
      const body = isLogin ? 'prompt=login&login=ada&password=x' : 'prompt=consent'
      url = new URL(action, url).href
      reply = await this.ask(url, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      })
    }
    throw new Error(`no callback came, the last was ${reply.status} ${url}`)
  }

  async login(path: string): Promise<Response> {
    const back = await this.ask(await this.loginUntilCallback(path))
    assert.equal(back.status, 302, await back.clone().text())
    return this.ask(back.headers.get('location') ?? '')
  }
}

interface Echo {
  url: string
  headers: Record<string, string>
}

test('login leads back to the deep link, with the user and without the cookies', async () => {
  const client = new Client()
  const reply = await client.login('/deep/link?a=1&b=%2F')
  assert.equal(reply.status, 200)
  const seen = (await reply.json()) as Echo
  assert.equal(seen.url, '/deep/link?a=1&b=%2F')
  assert.equal(seen.headers['x-user'], 'ada')
  assert.equal(seen.headers['cookie'], undefined)
})

test('programs and unsafe methods get 401, whatever they claim', async () => {
  const client = new Client()
  const asks: RequestInit[] = [
    { headers: { accept: 'application/json', 'x-user': 'ada' } },
    { method: 'POST' },
    { headers: { 'x-requested-with': 'XMLHttpRequest' } },
    { headers: { cookie: 'session=1.AAAA', accept: '*/*' } },
  ]
  for (const init of asks) {
    const reply = await client.ask(`${gateway}/x`, init)
    assert.equal(reply.status, 401)
    assert.match(reply.headers.get('content-type') ?? '', /problem\+json/)
  }
})

test('a code of another browser, a changed state and a replay lead nowhere', async () => {
  const client = new Client()
  const callback = await client.loginUntilCallback('/')
  const thief = new Client()
  await thief.ask(`${gateway}/`)
  assert.equal((await thief.ask(callback)).status, 401)
  const tampered = new URL(callback)
  tampered.searchParams.set('state', 'A'.repeat(22))
  assert.equal((await client.ask(tampered.href)).status, 401)
  const other = new URL(callback)
  other.searchParams.set('iss', 'http://evil.test')
  const copy = new Map(client.jars.get(gateway))
  assert.equal((await client.ask(other.href)).status, 401)
  client.jars.set(gateway, new Map(copy))
  assert.equal((await client.ask(callback)).status, 302)
  assert.equal((await client.ask(callback)).status, 401)
  client.jars.set(gateway, new Map(copy))
  assert.equal((await client.ask(callback)).status, 401)
})

test('tokens are refreshed before they end, and the cookie follows', async () => {
  const client = new Client()
  await client.login('/')
  const before = client.jars.get(gateway)?.get('session')
  // Access tokens live for 65 seconds and are refreshed 60 seconds before.
  await new Promise(resolve => setTimeout(resolve, 5_500))
  assert.equal((await client.ask(`${gateway}/later`)).status, 200)
  assert.notEqual(client.jars.get(gateway)?.get('session'), before)
  assert.equal((await client.ask(`${gateway}/later`)).status, 200)
})

test('logout ends the session here and asks the provider to', async () => {
  const client = new Client()
  await client.login('/')
  const reply = await client.ask(`${gateway}/oidc/logout?to=http://evil.test/`)
  const url = new URL(reply.headers.get('location') ?? '')
  assert.equal(url.origin, issuer)
  assert.equal(url.searchParams.get('post_logout_redirect_uri'), `${gateway}/bye`)
  assert.ok(url.searchParams.get('id_token_hint'))
  assert.equal((await client.ask(url.href)).status, 200)
  assert.equal((await client.ask(`${gateway}/x`, { headers: { accept: '*/*' } })).status, 401)
})

const executablePath = '/usr/bin/chromium'
const skip = existsSync(executablePath) ? false : 'chromium is missing: apt-get install chromium'
test('a real browser logs in, stays in, and logs out', { skip }, async () => {
  const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']
  const more = ['--disable-component-update', '--disable-sync']
  const browser = await chromium.launch({ executablePath, headless: true, args: [...args, ...more] })
  try {
    const page = await (await browser.newContext()).newPage()
    await page.goto(`${gateway}/deep?x=1`)
    await page.fill('input[name=login]', 'ada')
    await page.fill('input[name=password]', 'x')
    await page.click('button[type=submit]')
    await page.click('button[type=submit]')
    await page.waitForURL(`${gateway}/deep?x=1`)
    assert.match((await page.textContent('body')) ?? '', /"x-user":"ada"/)
    const status = await page.evaluate('fetch("/api").then(reply => reply.status)')
    assert.equal(status, 200)
    assert.equal(await page.evaluate('document.cookie.includes("session")'), false)
    await page.goto(`${gateway}/oidc/logout`)
    assert.equal(new URL(page.url()).origin, issuer)
    const later = await page.evaluate(`fetch("${gateway}/api", { mode: "no-cors" }).then(() => 1, () => 0)`)
    assert.equal(typeof later, 'number')
  } finally {
    await browser.close()
  }
})

test('while the provider is down sessions go on, and nobody can log in', async () => {
  const client = new Client()
  await client.login('/')
  const port = Number(new URL(issuer).port)
  await close(idp)
  try {
    assert.equal((await client.ask(`${gateway}/x`)).status, 200)
    const other = new Client()
    // What the provider says of itself is remembered, so that the browser is sent there; the code cannot be redeemed.
    assert.equal((await other.ask(`${gateway}/x`)).status, 302)
    const state = [...(other.jars.get(gateway) ?? new Map<string, string>()).keys()][0]?.split('-login-')[1]
    const callback = `${gateway}/oidc/callback?state=${state}&code=x&iss=${encodeURIComponent(issuer)}`
    assert.equal((await other.ask(callback)).status, 503)
  } finally {
    await listen(idp, port)
  }
})
