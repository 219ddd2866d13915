// Those who try to get in, or to lead others out, against a real OpenID provider: changed cookies, callbacks of others and paths that
// lead elsewhere.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { Browser } from '../tools/browser.ts'
import { LoginWorld } from '../tools/login-world.ts'

let world: LoginWorld<'shop' | 'big'>
before(async () => {
  world = await LoginWorld.start({ shop: {}, big: {} })
})
after(() => world?.[Symbol.asyncDispose]())

/** The names of the cookies that a login in a browser left. */
const loginsOf = (browser: Browser) =>
  [...browser.cookies(world.gateway).keys()].filter(name => name.includes('-login-'))
const flip = (text: string, at: number) => text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)

test('a session cookie that was changed is none: in any place, cut, swapped, of another use or client', async () => {
  const browser = await world.login(new Browser(), 'big', 'big1000')
  const cookies = browser.cookies(world.gateway)
  const [first = '', second = ''] = ['big', 'big.1'].map(name => cookies.get(name))
  assert.ok(first.startsWith('2.') && second !== '')
  const other = await world.login(new Browser(), 'shop')
  const shop = other.cookies(world.gateway).get('shop') ?? ''
  const begun = new Browser()
  await begun.ask(world.urlOf('big'))
  const [pending = ''] = begun.cookies(world.gateway).values()
  const changed: Record<string, string>[] = [
    { big: first },
    { 'big.1': second },
    { big: second, 'big.1': first },
    { big: first.replace('2.', '1.'), 'big.1': second },
    { big: first.replace('2.', '3.'), 'big.1': second },
    { big: first.replace('2.', '9.'), 'big.1': second },
    { big: first.slice(0, -1), 'big.1': second },
    { big: first, 'big.1': `${second}A` },
    { big: first, 'big.1': `${second}=` },
    { big: shop },
    { big: `1.${pending}` },
    { big: '1.' },
    { big: '1' },
    { big: '' },
    ...Array.from({ length: 20 }, (_, i) => ({ big: flip(first, 2 + 31 * i), 'big.1': second })),
    ...Array.from({ length: 20 }, (_, i) => ({ big: first, 'big.1': flip(second, 31 * i) })),
  ]
  for (const entries of changed) {
    const thief = new Browser()
    thief.setCookies(world.gateway, new Map(Object.entries(entries)))
    assert.equal(await world.statusOf(thief, 'big'), 401, JSON.stringify(entries).slice(0, 80))
  }
  assert.equal(await world.statusOf(browser, 'big'), 200)
})

test('a session too large for one cookie is split, one too large for cookies is refused, and neither breaks a call', async () => {
  const split = await world.login(new Browser(), 'big', 'big5000')
  assert.equal([...split.cookies(world.gateway).keys()].filter(name => name.startsWith('big')).length >= 2, true)
  for (const [, value] of split.cookies(world.gateway)) assert.ok(value.length < 4096)
  const seen = (await (await split.call(world.urlOf('big', 'api'))).json()) as { headers: Record<string, string> }
  assert.equal(seen.headers['x-user'], 'big5000')
  assert.equal(seen.headers['cookie'], undefined)
  const bye = await split.ask(world.urlOf('big', 'logout'))
  assert.equal(bye.status, 302)
  assert.deepEqual([...split.cookies(world.gateway).keys()], [])

  const large = new Browser()
  const reply = await large.ask(await world.callbackOf(large, 'big', 'big11500'))
  assert.equal(reply.status, 503)
  assert.deepEqual([...large.cookies(world.gateway).keys()], [])
})

describe('logins of others', () => {
  test('a callback of another browser logs nobody in, also in the middle of a login of one’s own', async () => {
    const attacker = new Browser()
    const theirs = new URL(await world.callbackOf(attacker, 'shop', 'eve'))
    const victim = new Browser()
    assert.equal((await victim.ask(theirs.href)).status, 401)
    const ours = new URL(await world.callbackOf(victim, 'shop', 'ada'))
    const kept = victim.cookies(world.gateway)
    // Their state with our code, our state with their code, and theirs whole.
    for (const [state, code] of [
      [theirs, ours],
      [ours, theirs],
      [theirs, theirs],
    ] as const) {
      const mixed = new URL(ours)
      mixed.searchParams.set('state', state.searchParams.get('state') ?? '')
      mixed.searchParams.set('code', code.searchParams.get('code') ?? '')
      victim.setCookies(world.gateway, kept)
      assert.equal((await victim.ask(mixed.href)).status, 401)
      assert.equal(await world.statusOf(victim, 'shop'), 401)
    }
  })

  test('a callback serves once, also with the cookies of before', async () => {
    const browser = new Browser()
    const callback = await world.callbackOf(browser, 'shop')
    const kept = browser.cookies(world.gateway)
    assert.equal((await browser.ask(callback)).status, 302)
    for (const cookies of [browser.cookies(world.gateway), kept]) {
      browser.setCookies(world.gateway, cookies)
      const again = await browser.ask(callback)
      assert.equal(again.status, 401)
      assert.deepEqual(
        again.headers.getSetCookie().filter(text => text.startsWith('shop=')),
        [],
      )
    }
  })

  test('a callback with an error, with anything twice, without a code or of another policy is none', async () => {
    const browser = new Browser()
    const callback = new URL(await world.callbackOf(browser, 'shop'))
    const kept = browser.cookies(world.gateway)
    const changes: ((url: URL) => void)[] = [
      url => url.searchParams.set('error', 'access_denied'),
      url => url.searchParams.append('code', 'x'),
      url => url.searchParams.append('state', 'x'),
      url => url.searchParams.append('iss', world.idp.issuer),
      url => url.searchParams.delete('code'),
      url => url.searchParams.delete('state'),
      url => url.searchParams.delete('iss'),
      url => url.searchParams.set('iss', `${world.idp.issuer}/`),
      url => void (url.pathname = '/big/callback'),
    ]
    for (const change of changes) {
      const url = new URL(callback)
      change(url)
      browser.setCookies(world.gateway, kept)
      assert.equal((await browser.ask(url.href)).status, 401, url.search)
    }
    browser.setCookies(world.gateway, kept)
    assert.equal((await browser.ask(callback.href)).status, 302)
  })

  test('many logins under way in one browser do not fill it with cookies', async () => {
    const browser = new Browser()
    for (let i = 0; i < 20; i++) {
      assert.equal((await browser.ask(world.urlOf('shop', `tab${i}`))).status, 302)
      assert.ok(loginsOf(browser).length <= 6)
    }
    await world.login(browser, 'shop')
  })
})

/** One request with exactly this head, and the fields of its answer. */
async function raw(head: string): Promise<{ status: number; cookies: string[]; location: string }> {
  const socket = connect(world.program.port, '127.0.0.1')
  socket.end(`${head}\r\nHost: 127.0.0.1:${world.program.port}\r\nAccept: text/html\r\nConnection: close\r\n\r\n`)
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  await once(socket, 'close')
  const fields = (name: string) => [...text.matchAll(new RegExp(`^${name}: (.*)\\r$`, 'gim'))].map(([, it]) => it ?? '')
  return {
    status: Number(text.slice(9, 12)),
    cookies: fields('set-cookie'),
    location: fields('location')[0] ?? '',
  }
}

test('no path that is asked for leads out of the site after a login', async () => {
  const paths = [
    ...['//evil.test/', '/shop//evil.test', '/shop/?to=//evil.test', '/shop/@evil.test', '/shop/..//evil.test'],
    ...['/shop/%2f%2fevil.test', '/shop/%5cevil.test', '/shop/\\evil.test', `http://evil.test/shop/x`, '@evil.test/'],
    ...[
      'http://127.0.0.1@evil.test/shop/',
      '.evil.test/',
      '/shop/%0d%0aLocation:%20http://evil.test',
      '/shop/#@evil.test',
    ],
    ...[
      `http://127.0.0.1:${world.program.port}/shop/x`,
      '/shop/;@evil.test',
      '/shop/%00',
      '/shop/?a=%0d%0aSet-Cookie:a=b',
    ],
  ]
  let begun = 0
  for (const path of paths) {
    const { status, cookies, location } = await raw(`GET ${path} HTTP/1.1`)
    if (status !== 302) {
      assert.ok([400, 401, 404].includes(status), `${path}: ${status}`)
      continue
    }
    begun++
    assert.equal(new URL(location).origin, world.idp.issuer)
    assert.equal(new URL(location).searchParams.get('redirect_uri'), world.urlOf('shop', 'callback'))
    const browser = new Browser()
    const pairs = cookies.map(text => /^([^=]+)=([^;]*)/.exec(text) ?? [])
    browser.setCookies(world.gateway, new Map(pairs.map(([, name = '', value = '']) => [name, value])))
    const back = await browser.ask(await browser.goUntil(location, world.urlOf('shop', 'callback')))
    assert.equal(back.status, 302, path)
    assert.equal(new URL(back.headers.get('location') ?? '').origin, world.gateway, path)
  }
  assert.ok(begun >= 3, String(begun))
  const browser = new Browser()
  for (const host of ['evil.test', `127.0.0.1:${world.program.port}.evil.test`, '127.0.0.1']) {
    const reply = await browser.ask(world.urlOf('shop'), {
      headers: { host, 'x-forwarded-host': `127.0.0.1:${world.program.port}` },
    })
    assert.ok([400, 401].includes(reply.status), `${host}: ${reply.status}`)
  }
})

test('no logout leads where the config does not, and no other site can cause one', async () => {
  const browser = await world.login(new Browser(), 'shop')
  const targets = ['http://evil.test/', '//evil.test', '/bye/../..//evil.test', 'javascript:alert(1)', '/BYE', '%2fbye']
  const crossSite = await browser.ask(world.urlOf('shop', 'logout'), { headers: { 'sec-fetch-site': 'cross-site' } })
  assert.equal(crossSite.status, 403)
  assert.equal(await world.statusOf(browser, 'shop'), 200)
  const kept = browser.cookies(world.gateway)
  for (const to of targets) {
    browser.setCookies(world.gateway, kept)
    const reply = await browser.ask(world.urlOf('shop', `logout?to=${encodeURIComponent(to)}`))
    const url = new URL(reply.headers.get('location') ?? '')
    assert.equal(url.origin, world.idp.issuer)
    assert.equal(url.searchParams.get('post_logout_redirect_uri'), `${world.gateway}/bye`)
    assert.equal(await world.statusOf(browser, 'shop'), 401)
  }
})
