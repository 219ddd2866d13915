// Browser login against a real OpenID provider, by a client that keeps cookies and by a real browser.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'
import { Browser } from '../tools/browser.ts'
import { freePort } from '../tools/free-port.ts'
import { IdentityProvider } from '../tools/identity-provider.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'

const secret = 'shop-secret-shop-secret-shop-secret'
let idp: IdentityProvider
let issuer: string
let origin: Origin
let program: Program
let gateway: string

before(async () => {
  origin = await Origin.start((request, response) => {
    response.setHeader('content-type', 'text/html')
    response.end(JSON.stringify({ url: request.url, headers: request.headers }))
  })
  const port = await freePort()
  gateway = `http://127.0.0.1:${port}`
  idp = await IdentityProvider.start(() => ({
    clients: [
      {
        client_id: 'shop',
        client_secret: secret,
        redirect_uris: [`${gateway}/oidc/callback`],
        post_logout_redirect_uris: [`${gateway}/bye`],
        grant_types: ['authorization_code', 'refresh_token'],
      },
    ],
    ttl: { AccessToken: 65, IdToken: 600, Grant: 3600, Session: 3600, Interaction: 600, RefreshToken: 3600 },
    issueRefreshToken: async () => true,
  }))
  issuer = idp.issuer
  program = await Program.start(
    {
      listeners: [{ port, host: '127.0.0.1' }],
      upstreams: { origin: { targets: [origin.url] } },
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
    { 'client-secret': secret, 'cookie-secret': '0123456789abcdef0123456789abcdef' },
  )
})

after(async () => {
  await program?.stop()
  await idp?.[Symbol.asyncDispose]()
  await origin?.[Symbol.asyncDispose]()
})

const untilCallback = (client: Browser, path: string) => client.goUntil(gateway + path, `${gateway}/oidc/callback`)

async function login(client: Browser, path: string): Promise<Response> {
  const back = await client.ask(await untilCallback(client, path))
  assert.equal(back.status, 302, await back.clone().text())
  return client.ask(back.headers.get('location') ?? '')
}

interface Echo {
  url: string
  headers: Record<string, string>
}

test('login leads back to the deep link, with the user and without the cookies', async () => {
  const client = new Browser()
  const reply = await login(client, '/deep/link?a=1&b=%2F')
  assert.equal(reply.status, 200)
  const seen = (await reply.json()) as Echo
  assert.equal(seen.url, '/deep/link?a=1&b=%2F')
  assert.equal(seen.headers['x-user'], 'ada')
  assert.equal(seen.headers['cookie'], undefined)
})

test('programs and unsafe methods get 401, whatever they claim', async () => {
  const client = new Browser()
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
  const client = new Browser()
  const callback = await untilCallback(client, '/')
  const thief = new Browser()
  await thief.ask(`${gateway}/`)
  assert.equal((await thief.ask(callback)).status, 401)
  const tampered = new URL(callback)
  tampered.searchParams.set('state', 'A'.repeat(22))
  assert.equal((await client.ask(tampered.href)).status, 401)
  const other = new URL(callback)
  other.searchParams.set('iss', 'http://evil.test')
  const copy = client.cookies(gateway)
  assert.equal((await client.ask(other.href)).status, 401)
  client.setCookies(gateway, copy)
  assert.equal((await client.ask(callback)).status, 302)
  assert.equal((await client.ask(callback)).status, 401)
  client.setCookies(gateway, copy)
  assert.equal((await client.ask(callback)).status, 401)
})

test('logout ends the session here and asks the provider to', async () => {
  const client = new Browser()
  await login(client, '/')
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
