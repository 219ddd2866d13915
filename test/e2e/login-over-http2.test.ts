// Logins over HTTP/2: a browser that sends each cookie in a field of its own gets as far, and no further, as one over HTTP/1.1.

import assert from 'node:assert/strict'
import http2, { type ClientHttp2Session } from 'node:http2'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { Browser } from '../tools/browser.ts'
import { BothVersions } from '../tools/both-versions.ts'
import { LoginWorld, quickMs } from '../tools/login-world.ts'
import { Program } from '../tools/program.ts'

type Name = 'shop' | 'quick'

let world: LoginWorld<Name>
let session: ClientHttp2Session
before(async () => {
  world = await LoginWorld.start<Name>({ shop: {}, quick: {} })
  session = http2.connect(world.gateway)
})
after(async () => {
  session?.destroy()
  await world?.[Symbol.asyncDispose]()
})

const current = () => new Browser({ origin: world.gateway, session })
const versions = { 'HTTP/1.1': () => new Browser(), 'HTTP/2': current }

/** What a reply says to a browser, without what is new in each login. */
async function plain(reply: Response): Promise<object> {
  const own = new Set(['date', 'x-request-id', 'connection', 'keep-alive', 'content-length', 'transfer-encoding'])
  const fields = [...reply.headers].filter(([name]) => !own.has(name)).map(([name, value]) => `${name}: ${value}`)
  const secrets = /(?<=login-|state=|nonce=|code_challenge=|code=)[\w-]+|(?<=set-cookie: [\w-]+=|hint=)[\w.-]+/g
  // How long a session may last yet, which was a moment ago.
  const left = /(?<=Max-Age=)(?:43200|4319\d)/
  return {
    status: reply.status,
    fields: fields.map(field => field.replace(secrets, '…').replace(left, '43200')),
    text: await reply.text(),
  }
}

/** Asks as a browser of each version; the replies are equal. */
async function same(ask: (browser: Browser) => Promise<Response>, status: number): Promise<void> {
  const old = await plain(await ask(new Browser()))
  assert.deepEqual(await plain(await ask(current())), old)
  assert.equal((old as { status: number }).status, status)
}

describe('a browser that speaks HTTP/2', { concurrency: true }, () => {
  test('the whole way: to the provider, back, to the page, and out', async () => {
    const steps = await Promise.all(
      Object.values(versions).map(async open => {
        const start = world.urlOf('shop', 'orders/1?a=b')
        const asked = await open().ask(start)
        const browser = open()
        browser.setCookies(world.gateway, new Map([['theme', 'dark']]))
        const back = await browser.ask(await browser.goUntil(start, world.urlOf('shop', 'callback')))
        assert.equal(back.headers.get('location'), start)
        const page = await browser.call(start)
        const { headers, url } = (await page.clone().json()) as { url: string; headers: Record<string, string> }
        assert.equal(url, '/shop/orders/1?a=b')
        assert.deepEqual([headers['x-user'], headers['cookie']], ['ada', 'theme=dark'])
        const out = await browser.ask(world.urlOf('shop', 'logout'))
        assert.deepEqual([...browser.cookies(world.gateway).keys()], ['theme'])
        const replies = await Promise.all([asked, back, out].map(plain))
        return { replies, after: await plain(await browser.call(world.urlOf('shop'))) }
      }),
    )
    const statuses = steps.map(({ replies }) => replies.map(reply => (reply as { status: number }).status))
    assert.deepEqual(statuses, [
      [302, 302, 302],
      [302, 302, 302],
    ])
    assert.deepEqual(steps[1], steps[0])
  })

  test('a session of one version is one of the other, also where it fills several cookies', async () => {
    for (const user of ['ada', 'big5000']) {
      for (const [first, second] of [
        [new Browser(), current()],
        [current(), new Browser()],
      ] as const) {
        await world.login(first, 'shop', user)
        second.setCookies(world.gateway, new Map([['a', '1'], ...first.cookies(world.gateway), ['b', '2']]))
        const page = await second.call(world.urlOf('shop', 'api'))
        assert.equal(page.status, 200)
        const { headers } = (await page.json()) as { headers: Record<string, string> }
        assert.deepEqual([headers['x-user'], headers['cookie']], [user, 'a=1; b=2'])
      }
    }
  })

  test('what is no session and no callback of this browser is refused with the same words', async () => {
    const victim = await world.login(new Browser(), 'shop', 'big5000')
    const cookies = victim.cookies(world.gateway)
    const withCookies = (browser: Browser, change: (all: [string, string][]) => [string, string][]) => {
      browser.setCookies(world.gateway, new Map(change([...cookies])))
      return browser.call(world.urlOf('shop', 'api'))
    }
    await same(browser => browser.call(world.urlOf('shop', 'api')), 401)
    assert.equal((await withCookies(current(), all => all.toReversed())).status, 200)
    await same(browser => withCookies(browser, ([first]) => (first === undefined ? [] : [first])), 401)
    await same(browser => withCookies(browser, all => all.map(([name, value]) => [name, `${value}a`])), 401)
    await same(browser => withCookies(browser, all => all.map(([name, value]) => [name.toUpperCase(), value])), 401)
    const other = new Browser()
    const back = await world.callbackOf(other, 'shop')
    await same(browser => browser.ask(back), 401)
    await same(browser => browser.ask(`${back}&state=a`), 401)
    await same(browser => browser.ask(world.urlOf('shop', 'callback')), 401)
    const elsewhere = { 'sec-fetch-site': 'cross-site' }
    await same(browser => browser.ask(world.urlOf('shop', 'logout'), { headers: elsewhere }), 403)
    // The callback was not used up by those of others.
    assert.equal((await other.ask(back)).status, 302)
  })

  test('over TLS, by ALPN: the way to the provider begins with a cookie for this host alone', async () => {
    const own = selfSigned(['shop.acme.test'])
    const site = 'shop.acme.test'
    const secret = '0123456789abcdef0123456789abcdef'
    const oidc = { issuer: world.idp.issuer, clientId: 'shop', clientSecret: '${file:client-secret}', hosts: site }
    await using program = await Program.start(
      {
        listeners: [
          { name: 'tls', port: 0, host: '127.0.0.1', tls: { certificates: [{ cert: 'own.pem', key: 'own.key' }] } },
        ],
        routes: [{ match: {}, policies: [{ oidc: { ...oidc, secret: '${file:secret}' } }], reply: { status: 204 } }],
      },
      { 'own.pem': own.cert, 'own.key': own.key, 'client-secret': secret, secret },
    )
    using clients = await BothVersions.connect(program.port, 'no certificate')
    const page = { path: '/a?b', host: site, headers: { accept: 'text/html' } }
    const [old, current] = [await clients.overHttp1(page), await clients.overHttp2(page)].map(({ status, headers }) => {
      const { location = '', 'set-cookie': [cookie = ''] = [] } = headers
      const { origin, searchParams } = new URL(location)
      return [status, origin, searchParams.get('redirect_uri'), cookie.replace(/login-.*?;/, '')]
    })
    const cookie = '__Host-session- Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure'
    assert.deepEqual(old, [302, world.idp.issuer, `https://${site}/oidc/callback`, cookie])
    assert.deepEqual(current, old)
    // A host that nobody listed is none to come back to.
    await clients.ask({ ...page, host: 'evil.test' }, 401, 'unauthenticated')
    await clients.ask({ ...page, host: `${site}:444` }, 401, 'unauthenticated')
  })

  test('tabs of one connection that call together refresh once', async () => {
    const browser = await world.login(current(), 'quick', 'tabs')
    await pause(quickMs / 2 + 100)
    const old = browser.cookies(world.gateway)
    const tabs = await Promise.all(
      Array.from({ length: 24 }, async () => {
        const tab = current()
        tab.setCookies(world.gateway, old)
        assert.equal(await world.statusOf(tab, 'quick'), 200)
        return tab.cookies(world.gateway).get('quick') ?? ''
      }),
    )
    assert.equal(world.idp.granted.filter(grant => grant === 'refresh_token tabs').length, 1)
    const renewed = tabs.filter(cookie => cookie !== old.get('quick'))
    assert.ok(renewed.length > 0)
    for (const cookie of renewed) {
      const tab = current()
      tab.setCookies(world.gateway, new Map([['quick', cookie]]))
      assert.equal(await world.statusOf(tab, 'quick'), 200)
    }
  })
})

test('afterwards there is no call and no connection left', async () => {
  session.close()
  await world.program.untilQuiet()
})
