// A gateway with two workers whose routes log browsers in, the provider that they log in at, and what stands behind.

import assert from 'node:assert/strict'
import { Browser } from './browser.ts'
import { freePort } from './free-port.ts'
import { IdentityProvider } from './identity-provider.ts'
import { Origin } from './origin.ts'
import { Program } from './program.ts'

const secret = 'shop-secret-shop-secret-shop-secret'
/** How long access tokens of the client `quick` live; they are refreshed after half of that. */
export const quickMs = 6_000

/** Each name is a client of the provider, and a policy on paths of its own, with cookies of its own. */
export class LoginWorld<Name extends string> implements AsyncDisposable {
  readonly idp: IdentityProvider
  readonly program: Program
  readonly gateway: string
  readonly #origin: Origin

  private constructor(idp: IdentityProvider, program: Program, origin: Origin) {
    this.idp = idp
    this.program = program
    this.gateway = program.url
    this.#origin = origin
  }

  /** `options` of each policy, beside those that all have. */
  static async start<Name extends string>(
    options: Readonly<Record<Name, object>>,
    { isDown = false } = {},
  ): Promise<LoginWorld<Name>> {
    const names = Object.keys(options)
    const origin = await Origin.start((request, response) => {
      response.end(JSON.stringify({ url: request.url, headers: request.headers }))
    })
    const port = await freePort()
    const idp = await IdentityProvider.start(() => providerOptions(names, `http://127.0.0.1:${port}`))
    if (isDown) await idp.goDown()
    const routes = Object.entries<object>(options).map(([name, more]) => {
      const oidc = {
        ...{ issuer: idp.issuer, clientId: name, clientSecret: '${file:client-secret}', timeout: '2s' },
        ...{ secret: '${file:cookie-secret}', hosts: `127.0.0.1:${port}`, afterLogout: '/bye', cookie: name },
        ...{ callbackPath: `/${name}/callback`, logoutPath: `/${name}/logout`, forward: { 'X-User': 'claims.sub' } },
        ...more,
      }
      return { match: { path: `/${name}/**` }, policies: [{ oidc }], forward: 'origin' }
    })
    const listeners = [{ port, host: '127.0.0.1' }]
    const program = await Program.start(
      { workers: 2, listeners, upstreams: { origin: { targets: [origin.url] } }, routes },
      { 'client-secret': secret, 'cookie-secret': '0123456789abcdef0123456789abcdef' },
    )
    return new LoginWorld<Name>(idp, program, origin)
  }

  urlOf(name: Name, path = ''): string {
    return `${this.gateway}/${name}/${path}`
  }

  /** The callback with which a login of a page of `name` comes back. */
  callbackOf(browser: Browser, name: Name, user?: string): Promise<string> {
    return browser.goUntil(this.urlOf(name), this.urlOf(name, 'callback'), user)
  }

  async login(browser: Browser, name: Name, user?: string): Promise<Browser> {
    const back = await browser.ask(await this.callbackOf(browser, name, user))
    assert.equal(back.status, 302, await back.clone().text())
    assert.equal(await this.statusOf(browser, name), 200)
    return browser
  }

  /** Of a call that is never sent to log in. */
  async statusOf(browser: Browser, name: Name): Promise<number> {
    return (await browser.call(this.urlOf(name, 'api'))).status
  }

  /** A browser with exactly these cookies. */
  browserWith(cookies: ReadonlyMap<string, string>): Browser {
    const browser = new Browser()
    browser.setCookies(this.gateway, cookies)
    return browser
  }

  /** Takes back the refresh token that a user was given last. */
  async revoke(user: string, name: Name): Promise<void> {
    await this.idp.revoke(this.idp.refreshTokens.get(user) ?? '', name, secret)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program.stop()
    await this.idp[Symbol.asyncDispose]()
    await this.#origin[Symbol.asyncDispose]()
  }
}

function providerOptions(names: readonly string[], gateway: string): object {
  return {
    clients: names.map(name => ({
      ...{ client_id: name, client_secret: secret, redirect_uris: [`${gateway}/${name}/callback`] },
      ...{ grant_types: ['authorization_code', 'refresh_token'], post_logout_redirect_uris: [`${gateway}/bye`] },
    })),
    ttl: {
      AccessToken: (_: unknown, __: unknown, { clientId }: { clientId: string }) =>
        clientId === 'quick' ? quickMs / 1000 : 3600,
      ...{ IdToken: 600, Grant: 3600, Session: 3600, Interaction: 600, RefreshToken: 3600 },
    },
    issueRefreshToken: async () => true,
    // A refresh token that is used twice is taken for stolen, and the grant is revoked.
    rotateRefreshToken: true,
    features: { revocation: { enabled: true } },
    claims: { openid: ['sub', 'filler'] },
    // The user `big5000` has a claim of so many characters.
    findAccount: (_: unknown, id: string) => ({
      accountId: id,
      claims: async () => ({ sub: id, filler: 'x'.repeat(Number(/\d+/.exec(id)?.[0] ?? 0)) }),
    }),
  }
}
