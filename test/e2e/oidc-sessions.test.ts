// Sessions of browsers over time, against a real OpenID provider: they end, tokens are refreshed, calls come together, keys change,
// and the provider is down.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Browser } from '../tools/browser.ts'
import { LoginWorld, quickMs } from '../tools/login-world.ts'
import { until } from '../tools/until.ts'

const policies = { shop: {}, quick: {}, idle: { idle: '3s' }, brief: { lifetime: '5s' } }
type Name = keyof typeof policies
const names = Object.keys(policies) as Name[]

let world: LoginWorld<Name>
before(async () => {
  world = await LoginWorld.start(policies, { isDown: true })
})
after(() => world?.[Symbol.asyncDispose]())

test('a provider that was never reached: 503, and logins work as soon as it is there', async () => {
  const browser = new Browser()
  const reply = await browser.ask(world.urlOf('shop'))
  assert.equal(reply.status, 503)
  assert.equal(((await reply.json()) as { code: string }).code, 'login-unavailable')
  assert.deepEqual(browser.cookies(world.gateway).size, 0)
  await world.idp.comeBack()
  // Each worker asks for itself, at most once a second.
  const isThere = async (name: Name) => {
    let inRow = 0
    await until(
      async () => {
        inRow = (await new Browser().ask(world.urlOf(name))).status === 302 ? inRow + 1 : 0
        return inRow >= 12
      },
      () => `logins of ${name} to begin`,
    )
  }
  await Promise.all(names.map(isThere))
  await world.login(browser, 'shop')
})

describe('sessions', { concurrency: true }, () => {
  test('end after `idle` without a call, and live on with calls', async () => {
    const browser = await world.login(new Browser(), 'idle')
    const first = browser.cookies(world.gateway)
    for (let i = 0; i < 5; i++) {
      await pause(1_000)
      assert.equal(await world.statusOf(browser, 'idle'), 200)
    }
    const copy = new Browser()
    copy.setCookies(world.gateway, first)
    assert.equal(await world.statusOf(copy, 'idle'), 401)
    await pause(3_200)
    assert.equal(await world.statusOf(browser, 'idle'), 401)
    assert.equal((await browser.ask(world.urlOf('idle'))).status, 302)
  })

  test('end after `lifetime`, whatever is called, also for a client that keeps its cookies', async () => {
    const browser = await world.login(new Browser(), 'brief')
    const keeping = new Browser()
    keeping.setCookies(world.gateway, browser.cookies(world.gateway))
    const startedMs = performance.now()
    let lastMs = 0
    while ((await world.statusOf(keeping, 'brief')) === 200) {
      lastMs = performance.now() - startedMs
      assert.ok(lastMs < 12_000)
      await pause(200)
    }
    assert.ok(lastMs > 1_500, String(lastMs))
    assert.deepEqual([...browser.cookies(world.gateway).keys()], [])
    assert.equal((await keeping.ask(world.urlOf('brief'))).status, 302)
  })

  test('tabs that call together refresh once over all workers, and none of them loses the session', async () => {
    const browser = await world.login(new Browser(), 'quick', 'tabs')
    for (let round = 0; round < 2; round++) {
      const before = browser.cookies(world.gateway).get('quick')
      await pause(quickMs / 2 + 100)
      // As tabs do: all send the cookies of before, whatever the answers of the others bring.
      const old = browser.cookies(world.gateway)
      const tabs = await Promise.all(
        Array.from({ length: 24 }, async () => {
          const tab = new Browser()
          tab.setCookies(world.gateway, old)
          assert.equal(await world.statusOf(tab, 'quick'), 200)
          return tab.cookies(world.gateway).get('quick') ?? ''
        }),
      )
      const renewed = tabs.filter(cookie => cookie !== before)
      assert.ok(renewed.length > 0)
      assert.equal(world.idp.granted.filter(grant => grant === 'refresh_token tabs').length, round + 1)
      browser.setCookies(world.gateway, new Map([['quick', renewed.at(-1) ?? '']]))
      // Which cookie is left does not matter: all that were given are good.
      for (const cookie of renewed) {
        const tab = new Browser()
        tab.setCookies(world.gateway, new Map([['quick', cookie]]))
        assert.equal(await world.statusOf(tab, 'quick'), 200)
      }
    }
  })

  test('outlive the keys of the provider, and take the new ones when they refresh', async () => {
    const browser = await world.login(new Browser(), 'quick', 'rotation')
    world.idp.rotate()
    await pause(quickMs / 2 + 100)
    const before = browser.cookies(world.gateway).get('quick')
    assert.equal(await world.statusOf(browser, 'quick'), 200)
    assert.notEqual(browser.cookies(world.gateway).get('quick'), before)
    assert.equal(await world.statusOf(browser, 'quick'), 200)
  })

  test('end with their access token where the refresh token was taken back, and a page load logs in anew', async () => {
    const browser = await world.login(new Browser(), 'quick', 'revoked')
    await world.revoke('revoked', 'quick')
    await pause(quickMs / 2 + 100)
    assert.equal(await world.statusOf(browser, 'quick'), 200)
    await until(
      async () => (await world.statusOf(browser, 'quick')) === 401,
      () => 'the session to be over',
    )
    await world.program.untilSaid(/invalid_grant.*a session could not be refreshed/)
    // The provider still knows who it is, and asks nothing.
    await world.login(browser, 'quick')
  })
})

test('a provider that drops its keys at once: sessions go on, and logins take the new ones', async () => {
  const browser = await world.login(new Browser(), 'shop')
  world.idp.rotate({ isDropping: true })
  assert.equal(await world.statusOf(browser, 'shop'), 200)
  // A worker asks for keys that it does not know once a second.
  await pause(1_100)
  await world.login(new Browser(), 'shop')
})

test('while the provider is down sessions go on and end, logins wait, and everybody can leave', async () => {
  const [shop, quick, leaving] = [new Browser(), new Browser(), new Browser()]
  await world.login(shop, 'shop')
  await world.login(leaving, 'shop')
  await world.login(quick, 'quick', 'outage')
  const late = await world.callbackOf(new Browser(), 'shop')
  const waiting = new Browser()
  const callback = await world.callbackOf(waiting, 'shop')
  const loggedInMs = performance.now()
  await world.idp.goDown()
  try {
    assert.equal(await world.statusOf(shop, 'shop'), 200)
    // What the provider says of itself is remembered, so that the browser is sent there; a code cannot be redeemed.
    assert.equal((await new Browser().ask(world.urlOf('shop'))).status, 302)
    assert.equal((await waiting.ask(callback)).status, 503)
    assert.equal((await new Browser().ask(late)).status, 401)
    const bye = await leaving.ask(world.urlOf('shop', 'logout'))
    assert.equal(bye.status, 302)
    assert.deepEqual([...leaving.cookies(world.gateway).keys()], [])
    assert.equal(await world.statusOf(leaving, 'shop'), 401)
    // It is time to refresh, which is not possible; the access token is still good.
    await pause(Math.max(0, quickMs / 2 + 100 - (performance.now() - loggedInMs)))
    assert.equal(await world.statusOf(quick, 'quick'), 200)
    await until(
      async () => (await world.statusOf(quick, 'quick')) === 401,
      () => 'the session to end with its access token',
    )
    assert.equal(await world.statusOf(shop, 'shop'), 200)
  } finally {
    await world.idp.comeBack()
  }
  await world.login(quick, 'quick')
  await world.login(waiting, 'shop')
})
