// An OpenID provider that others wrote (oidc-provider), on a port of its own: it goes down, comes back and changes its keys.

import { generateKeyPairSync } from 'node:crypto'
import { type EventEmitter, once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
// @ts-expect-error The package brings no types.
import { Provider as UntypedProvider } from 'oidc-provider'

interface Koa {
  readonly oidc: {
    readonly params: { readonly grant_type?: string }
    readonly account?: { readonly accountId: string }
  }
  readonly body: { readonly refresh_token?: string }
}

const Provider = UntypedProvider as new (
  issuer: string,
  options: object,
) => EventEmitter & { callback(): http.RequestListener }

/** What it remembers outlives its keys. */
export class IdentityProvider implements AsyncDisposable {
  readonly issuer: string
  readonly #server: http.Server
  readonly #options: object
  readonly #keys: object[] = []
  readonly #memory = new Map<string, Entry>()
  /** Grants that were given, by kind and user, such as `refresh_token ada`. */
  readonly granted: string[] = []
  /** The last refresh token of each user. */
  readonly refreshTokens: Map<string, string> = new Map()

  private constructor(server: http.Server, options: (issuer: string) => object) {
    this.#server = server
    this.issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    this.#options = options(this.issuer)
    this.rotate()
  }

  static async start(options: (issuer: string) => object): Promise<IdentityProvider> {
    const server = http.createServer()
    await listen(server, 0)
    return new IdentityProvider(server, options)
  }

  /** Signs by another key from now on. The old ones stay in its set, or are dropped from it. */
  rotate({ isDropping = false } = {}): void {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    if (isDropping) this.#keys.length = 0
    this.#keys.unshift({ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: `k${Math.random()}` })
    const provider = new Provider(this.issuer, {
      jwks: { keys: this.#keys },
      cookies: { keys: ['the same for all of them'] },
      adapter: (model: string) => new Memory(model, this.#memory),
      ...this.#options,
    })
    provider.on('grant.success', ({ oidc, body }: Koa) => {
      const user = oidc.account?.accountId ?? ''
      this.granted.push(`${oidc.params.grant_type} ${user}`)
      this.refreshTokens.set(user, body.refresh_token ?? '')
    })
    this.#server.removeAllListeners('request').on('request', provider.callback())
  }

  /** Nobody listens at its port any more. */
  async goDown(): Promise<void> {
    this.#server.closeAllConnections()
    if (this.#server.listening) await new Promise(resolve => this.#server.close(resolve))
  }

  async comeBack(): Promise<void> {
    await listen(this.#server, Number(new URL(this.issuer).port))
  }

  /** Takes a refresh token back, as its owner may (RFC 7009). */
  async revoke(token: string, client: string, secret: string): Promise<void> {
    const reply = await fetch(`${this.issuer}/token/revocation`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`${client}:${secret}`).toString('base64')}` },
      body: new URLSearchParams({ token }),
    })
    if (reply.status !== 200) throw new Error(`the revocation was answered ${reply.status}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.goDown()
  }
}

interface Entry {
  readonly uid?: string
  readonly userCode?: string
  readonly grantId?: string
  consumed?: number
}

/** What the provider keeps of one kind, in a memory that several providers share. */
class Memory {
  readonly #model: string
  readonly #entries: Map<string, Entry>

  constructor(model: string, entries: Map<string, Entry>) {
    this.#model = model
    this.#entries = entries
  }

  async upsert(id: string, payload: Entry): Promise<void> {
    this.#entries.set(`${this.#model}:${id}`, payload)
  }

  async find(id: string): Promise<Entry | undefined> {
    return this.#entries.get(`${this.#model}:${id}`)
  }

  async findByUid(uid: string): Promise<Entry | undefined> {
    return this.#own().find(entry => entry.uid === uid)
  }

  async findByUserCode(userCode: string): Promise<Entry | undefined> {
    return this.#own().find(entry => entry.userCode === userCode)
  }

  async consume(id: string): Promise<void> {
    const entry = this.#entries.get(`${this.#model}:${id}`)
    if (entry !== undefined) entry.consumed = Math.floor(Date.now() / 1000)
  }

  async destroy(id: string): Promise<void> {
    this.#entries.delete(`${this.#model}:${id}`)
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    for (const [key, entry] of this.#entries) if (entry.grantId === grantId) this.#entries.delete(key)
  }

  #own(): Entry[] {
    return [...this.#entries].filter(([key]) => key.startsWith(`${this.#model}:`)).map(([, entry]) => entry)
  }
}

async function listen(server: http.Server, port: number): Promise<void> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
}
