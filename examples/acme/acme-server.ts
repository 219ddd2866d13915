// An ACME server (RFC 8555) for trying things out: it proves names by HTTP-01 on this machine and signs with an authority of its own.

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { calculateJwkThumbprint, type FlattenedJWSInput, flattenedVerify, importJWK, type JWK } from 'jose'
import { authority, type Authority, certify } from '../tls/certificate.ts'

export interface AcmeServerOptions {
  readonly port?: number
  /** Port of 127.0.0.1 that names are proven on, in place of port 80 of the name. */
  readonly challengePort: number
  readonly by?: Authority
  /** How long certificates are good. */
  readonly lifeMs?: number
  /** Connections over which each name is looked at. */
  readonly looks?: number
  /** Keys of external accounts by their id, base64url; with any, an account needs one. */
  readonly externalAccounts?: Readonly<Record<string, string>>
}

interface Order {
  readonly account: string
  readonly name: string
  readonly token: string
  status: 'pending' | 'ready' | 'valid' | 'invalid'
  problem: Problem | null
  cert: string
}

interface Problem {
  readonly type: string
  readonly detail: string
  readonly status: number
}

interface Asked {
  readonly payload: Record<string, unknown> | null
  readonly account: string
  readonly jwk: JWK
}

/** §6.7. */
class Refusal extends Error {
  readonly problem: Problem

  constructor(word: string, detail: string, status = 400) {
    super(detail)
    this.problem = { type: `urn:ietf:params:acme:error:${word}`, detail, status }
  }
}

/** Owns its port until `close`. */
export class AcmeServer {
  readonly authority: Authority
  /** Requests by method and path. */
  readonly requests: string[] = []
  /** Names that certificates were given for, in their order. */
  readonly given: string[] = []
  /** Answers so many of the next signed requests with badNonce (RFC 8555 §6.5). */
  badNonces = 0
  /** Answers so many of the next orders with rateLimited (§6.6). */
  rateLimits = 0
  retryAfter = '1'
  /** Names that are found unproven, whatever they answer. */
  readonly distrusted: Set<string> = new Set()
  /** For tests: what is said in place of the body of a reply, by the path that was asked for; null for no reply at all. */
  twist: ((path: string, body: string) => string | null) | null = null
  /** Goes into the directory in place of the own URLs. */
  directoryOrigin: string | null = null
  readonly #options: AcmeServerOptions
  readonly #server = http.createServer((request, response) => void this.#serve(request, response))
  readonly #nonces = new Set<string>()
  readonly #accounts = new Map<string, JWK>()
  readonly #orders = new Map<string, Order>()

  private constructor(options: AcmeServerOptions) {
    this.#options = options
    this.authority = options.by ?? authority('Acme of this machine')
  }

  static async start(options: AcmeServerOptions): Promise<AcmeServer> {
    const server = new AcmeServer(options)
    await server.listen(options.port ?? 0)
    return server
  }

  get accounts(): number {
    return this.#accounts.size
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get isListening(): boolean {
    return this.#server.listening
  }

  get directory(): string {
    return `${this.#origin}/directory`
  }

  get #origin(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async listen(port: number): Promise<void> {
    this.#server.listen(port, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? ''
    this.requests.push(`${request.method} ${path}`)
    const nonce = randomBytes(16).toString('base64url')
    this.#nonces.add(nonce)
    response.setHeader('replay-nonce', nonce)
    response.setHeader('cache-control', 'no-store')
    try {
      await this.#answer(request, path, response)
    } catch (thrown) {
      const { problem } = thrown instanceof Refusal ? thrown : new Refusal('serverInternal', String(thrown), 500)
      if (problem.status === 429) response.setHeader('retry-after', this.retryAfter)
      this.#send(response, problem.status, problem, 'application/problem+json')
    }
  }

  async #answer(request: IncomingMessage, path: string, response: ServerResponse): Promise<void> {
    if (path === '/directory') return this.#send(response, 200, this.#directory())
    if (path === '/new-nonce') return this.#send(response, request.method === 'HEAD' ? 200 : 204, null)
    if (request.method !== 'POST') throw new Refusal('malformed', 'only POST here', 405)
    const asked = await this.#verified(request, path)
    const [, kind, id = ''] = path.split('/')
    switch (kind) {
      case 'new-account':
        return this.#newAccount(asked, response)
      case 'account':
        return this.#send(response, 200, { status: 'valid' })
      case 'new-order':
        return this.#newOrder(asked, response)
      default:
        return this.#ofOrder(kind ?? '', id, asked, response)
    }
  }

  #directory(): object {
    const at = (path: string) => `${this.directoryOrigin ?? this.#origin}${path}`
    return {
      ...{ newNonce: at('/new-nonce'), newAccount: at('/new-account'), newOrder: at('/new-order') },
      meta: { termsOfService: at('/terms'), externalAccountRequired: this.#options.externalAccounts !== undefined },
    }
  }

  /** §6.2: signed by the account's key, for this URL, with a nonce that was not used. */
  async #verified(request: IncomingMessage, path: string): Promise<Asked> {
    if (request.headers['content-type'] !== 'application/jose+json') {
      throw new Refusal('malformed', 'the content type is not application/jose+json', 415)
    }
    let text = ''
    for await (const chunk of request) text += String(chunk)
    const jws = JSON.parse(text) as FlattenedJWSInput
    const header = JSON.parse(Buffer.from(jws.protected ?? '', 'base64url').toString()) as {
      readonly nonce?: string
      readonly url?: string
      readonly kid?: string
      readonly jwk?: JWK
    }
    if ((header.kid === undefined) === (header.jwk === undefined)) throw new Refusal('malformed', 'either kid or jwk')
    if ((header.jwk !== undefined) !== (path === '/new-account'))
      throw new Refusal('malformed', 'jwk and kid are mixed up')
    const account = header.kid ?? ''
    const jwk = header.jwk ?? this.#accounts.get(account)
    if (jwk === undefined) throw new Refusal('accountDoesNotExist', 'no such account')
    try {
      await flattenedVerify(jws, await importJWK(jwk, 'ES256'), { algorithms: ['ES256'] })
    } catch {
      throw new Refusal('unauthorized', 'the signature is wrong', 401)
    }
    if (header.url !== `${this.#origin}${path}`) throw new Refusal('unauthorized', 'signed for another URL', 401)
    const isFresh = this.#nonces.delete(header.nonce ?? '')
    if (!isFresh || this.badNonces > 0) {
      this.badNonces = Math.max(0, this.badNonces - 1)
      throw new Refusal('badNonce', 'another nonce, please')
    }
    const payload = Buffer.from(String(jws.payload), 'base64url').toString()
    return { account, jwk, payload: payload === '' ? null : (JSON.parse(payload) as Record<string, unknown>) }
  }

  async #newAccount({ jwk, payload }: Asked, response: ServerResponse): Promise<void> {
    const url = `${this.#origin}/account/${await calculateJwkThumbprint(jwk)}`
    response.setHeader('location', url)
    if (this.#accounts.has(url)) return this.#send(response, 200, { status: 'valid' })
    if (payload?.['termsOfServiceAgreed'] !== true) throw new Refusal('userActionRequired', 'agree to the terms', 403)
    await this.#checkExternal(payload, jwk)
    this.#accounts.set(url, jwk)
    this.#send(response, 201, { status: 'valid' })
  }

  /** §7.3.4. */
  async #checkExternal(payload: Record<string, unknown>, jwk: JWK): Promise<void> {
    const keys = this.#options.externalAccounts
    if (keys === undefined) return
    const binding = payload['externalAccountBinding'] as FlattenedJWSInput | undefined
    if (binding === undefined) throw new Refusal('externalAccountRequired', 'an external account is needed', 403)
    const { kid } = JSON.parse(Buffer.from(binding.protected ?? '', 'base64url').toString()) as { readonly kid: string }
    try {
      const { payload: bound } = await flattenedVerify(binding, Buffer.from(keys[kid] ?? '', 'base64url'))
      if (
        (await calculateJwkThumbprint(JSON.parse(Buffer.from(bound).toString()) as JWK)) ===
        (await calculateJwkThumbprint(jwk))
      )
        return
    } catch {
      // Falls through: whatever is wrong with it, it binds nothing.
    }
    throw new Refusal('unauthorized', 'the external account is not bound', 403)
  }

  #newOrder({ account, payload }: Asked, response: ServerResponse): void {
    if (this.rateLimits > 0) {
      this.rateLimits--
      throw new Refusal('rateLimited', 'too many certificates already issued', 429)
    }
    const [identifier] = (payload?.['identifiers'] ?? []) as { readonly type: string; readonly value: string }[]
    if (identifier?.type !== 'dns') throw new Refusal('rejectedIdentifier', 'names alone')
    const id = randomBytes(8).toString('hex')
    const token = randomBytes(24).toString('base64url')
    this.#orders.set(id, { account, name: identifier.value, token, status: 'pending', problem: null, cert: '' })
    response.setHeader('location', `${this.#origin}/order/${id}`)
    this.#send(response, 201, this.#orderOf(id))
  }

  async #ofOrder(kind: string, id: string, asked: Asked, response: ServerResponse): Promise<void> {
    const order = this.#orders.get(id)
    if (order === undefined || order.account !== asked.account) throw new Refusal('malformed', 'no such order', 404)
    switch (kind) {
      case 'order':
        return this.#send(response, 200, this.#orderOf(id))
      case 'authorization':
        return this.#send(response, 200, this.#authorizationOf(id))
      case 'challenge':
        if (asked.payload !== null && order.status === 'pending') void this.#prove(order, asked.jwk)
        return this.#send(response, 200, this.#challengeOf(id))
      case 'finalize':
        if (order.status !== 'ready') throw new Refusal('orderNotReady', 'the name is not proven', 403)
        this.#sign(order, String(asked.payload?.['csr']))
        return this.#send(response, 200, this.#orderOf(id))
      case 'certificate':
        return this.#send(response, 200, order.cert, 'application/pem-certificate-chain')
      default:
        throw new Refusal('malformed', 'there is nothing here', 404)
    }
  }

  #orderOf(id: string): object {
    const { name, status, problem } = this.#orders.get(id) as Order
    const at = (kind: string) => `${this.#origin}/${kind}/${id}`
    return {
      ...{ status, identifiers: [{ type: 'dns', value: name }], authorizations: [at('authorization')] },
      ...{ finalize: at('finalize'), ...(status === 'valid' && { certificate: at('certificate') }) },
      ...(problem !== null && { error: problem }),
    }
  }

  #authorizationOf(id: string): object {
    const { name, status } = this.#orders.get(id) as Order
    const proven = status === 'ready' ? 'valid' : status
    return { status: proven, identifier: { type: 'dns', value: name }, challenges: [this.#challengeOf(id)] }
  }

  #challengeOf(id: string): object {
    const { token, status, problem } = this.#orders.get(id) as Order
    const proven = status === 'ready' ? 'valid' : status
    const url = `${this.#origin}/challenge/${id}`
    return { type: 'http-01', url, token, status: proven, ...(problem !== null && { error: problem }) }
  }

  /** §8.3. */
  async #prove(order: Order, jwk: JWK): Promise<void> {
    const expected = `${order.token}.${await calculateJwkThumbprint(jwk)}`
    try {
      for (let look = 0; look < (this.#options.looks ?? 1); look++) {
        const said = await this.#look(order)
        if (said !== expected) throw new Error(`it says ${JSON.stringify(said.slice(0, 100))}`)
      }
      if (this.distrusted.has(order.name)) throw new Error('it is distrusted')
      order.status = 'ready'
    } catch (error) {
      order.status = 'invalid'
      const detail = `${order.name} is not proven: ${(error as Error).message}`
      order.problem = new Refusal('unauthorized', detail, 403).problem
    }
  }

  #look({ name, token }: Order): Promise<string> {
    return new Promise((resolve, reject) => {
      const path = `/.well-known/acme-challenge/${token}`
      const options = {
        host: '127.0.0.1',
        port: this.#options.challengePort,
        path,
        headers: { host: name },
        agent: false,
      }
      const request = http.get({ ...options, timeout: 5_000 }, response => {
        let text = ''
        response.on('data', (chunk: Buffer) => (text += chunk.toString()))
        response.on('end', () => {
          if (response.statusCode === 200) resolve(text)
          else reject(new Error(`status ${response.statusCode}`))
        })
      })
      request.on('timeout', () => request.destroy(new Error('no answer in time')))
      request.on('error', reject)
    })
  }

  /** The request is read by openssl, which also checks that it is signed by the key in it. */
  #sign(order: Order, csr: string): void {
    const der = Buffer.from(csr, 'base64url')
    const openssl = (...args: string[]) =>
      execFileSync('openssl', ['req', '-inform', 'DER', '-noout', ...args], {
        input: der,
        encoding: 'utf8',
        stdio: ['pipe', 'pipe', 'ignore'],
      })
    let text: string
    let publicKey: string
    try {
      text = openssl('-verify', '-text')
      publicKey = openssl('-pubkey')
    } catch {
      throw new Refusal('badCSR', 'the request cannot be read')
    }
    const names = [...text.matchAll(/DNS:([^,\s]+)/g)].map(match => match[1])
    if (names.length !== 1 || names[0] !== order.name) throw new Refusal('badCSR', `the request names ${names.join()}`)
    const from = new Date()
    const until = new Date(from.getTime() + (this.#options.lifeMs ?? 90 * 86_400_000))
    order.cert = certify(this.authority, publicKey, [order.name], from, until) + this.authority.cert
    order.status = 'valid'
    this.given.push(order.name)
  }

  #send(response: ServerResponse, status: number, body: object | string | null, type = 'application/json'): void {
    if (body === null) return void response.writeHead(status).end()
    const honest = typeof body === 'string' ? body : JSON.stringify(body)
    const text = this.twist === null ? honest : this.twist(response.req.url ?? '', honest)
    if (text === null) return
    response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) }).end(text)
  }
}
