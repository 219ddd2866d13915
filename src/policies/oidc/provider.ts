// The identity provider: what it says of itself (cached, kept through outages), its keys, and its token endpoint.

import type { OutsideReply } from '../../core/outside.ts'
import type { Closable, PolicyPorts } from '../../core/policy.ts'
import { RemoteKeySet } from '../../identity/key-set.ts'
import { type Claims, createIdTokenVerifier, type IdTokenVerifier } from './id-token.ts'
import type { Options } from './options.ts'

export interface Metadata {
  readonly authorizationEndpoint: string
  readonly tokenEndpoint: string
  /** Empty where there is none. */
  readonly endSessionEndpoint: string
  readonly keysUrl: string
  /** Whether its answers always name it (RFC 9207). */
  readonly isNamingItself: boolean
}

export interface Tokens {
  readonly access: string
  /** Empty where there is none. */
  readonly refresh: string
  readonly id: string
  /** Milliseconds since the Unix epoch; null where the provider does not say. */
  readonly accessEndsMs: number | null
  /** When it is time for newer ones; null where it never is. */
  readonly refreshAtMs: number | null
  /** Null where the provider gave what was asked for. */
  readonly scopes: readonly string[] | null
}

/** The provider refused, for good: a code or a refresh token is not worth anything. */
export class Refused extends Error {
  override readonly name = 'Refused'
}

const freshMs = 3_600_000
const retryMs = 1_000
const replyBytesMax = 262_144

export class Provider implements Closable {
  readonly #options: Options
  readonly #ports: PolicyPorts
  #metadata: Metadata | null = null
  #keys: { readonly set: RemoteKeySet; readonly verify: IdTokenVerifier } | null = null
  #triedMs = -Infinity
  #readMs = -Infinity
  #underWay: Promise<void> | null = null
  #isClosed = false

  constructor(options: Options, ports: PolicyPorts) {
    this.#options = options
    this.#ports = ports
    void this.#read().catch(() => {})
  }

  /** What was read last stays in force while the provider is down. @throws Error where nothing was ever read. */
  async metadata(): Promise<Metadata> {
    const nowMs = this.#ports.clock.now()
    const isOld = nowMs - this.#readMs > freshMs
    if (isOld && (this.#underWay !== null || nowMs - this.#triedMs >= retryMs)) {
      const reading = this.#read()
      if (this.#metadata === null) await reading
      else void reading.catch(() => {})
    }
    if (this.#metadata === null) throw new Error('the identity provider was never reached')
    return this.#metadata
  }

  get lastMetadata(): Metadata | null {
    return this.#metadata
  }

  /** @throws Refused, IdTokenError, or another error where the provider is down. */
  async ask(parameters: Readonly<Record<string, string>>): Promise<Tokens> {
    const { issuer, clientId, clientSecret, clientAuthentication, timeout } = this.#options
    const { tokenEndpoint } = await this.metadata()
    const form = new URLSearchParams(parameters)
    const headers: Record<string, string> = {
      'content-type': 'application/x-www-form-urlencoded',
      accept: 'application/json',
    }
    if (clientAuthentication === 'basic') headers['authorization'] = basic(clientId, clientSecret ?? '')
    else {
      form.set('client_id', clientId)
      if (clientAuthentication === 'post') form.set('client_secret', clientSecret ?? '')
    }
    const reply = await this.#ports.outside.fetch({
      method: 'POST',
      url: tokenEndpoint,
      namedBy: issuer,
      headers,
      body: form.toString(),
      timeoutMs: timeout,
      bodyBytesMax: replyBytesMax,
    })
    const answer = jsonOf(reply)
    if (reply.status >= 400 && reply.status < 500 && reply.status !== 429) {
      throw new Refused(`the token endpoint answered ${reply.status} ${wordOf(answer['error'])}`)
    }
    if (reply.status !== 200) throw new Error(`the token endpoint answered ${reply.status}`)
    return this.#tokensOf(answer)
  }

  /** @throws IdTokenError, or another error where the provider or its keys are not at hand. */
  async verify(token: string, nonce: string | null, accessToken: string): Promise<Claims> {
    await this.metadata()
    if (this.#keys === null) throw new Error('the identity provider was closed')
    return this.#keys.verify(token, { nonce, accessToken, wallMs: this.#ports.clock.wall() })
  }

  close(): void {
    this.#isClosed = true
    this.#keys?.set.close()
  }

  #tokensOf(answer: Claims): Tokens {
    const { access_token: access, refresh_token: refresh, id_token: id, expires_in: expiresIn, scope } = answer
    // RFC 6749 §A.12: it may go on as a field, which nothing in it may end.
    if (typeof access !== 'string' || !/^[!-~]+$/.test(access) || !/^bearer$/i.test(String(answer['token_type']))) {
      throw new Refused('the token endpoint gave no bearer token')
    }
    const wallMs = this.#ports.clock.wall()
    const lifeMs = lifeMsOf(expiresIn)
    // Tokens of a short life are not refreshed on every call.
    const beforeMs = lifeMs === null ? 0 : Math.min(this.#options.refreshBefore, lifeMs / 2)
    return {
      access,
      refresh: typeof refresh === 'string' ? refresh : '',
      id: typeof id === 'string' ? id : '',
      accessEndsMs: lifeMs === null ? null : wallMs + lifeMs,
      refreshAtMs: lifeMs === null ? null : wallMs + lifeMs - beforeMs,
      scopes: typeof scope === 'string' ? scope.split(' ').filter(word => word !== '') : null,
    }
  }

  #read(): Promise<void> {
    this.#underWay ??= this.#load().finally(() => {
      this.#underWay = null
    })
    return this.#underWay
  }

  async #load(): Promise<void> {
    const { clock, outside, log } = this.#ports
    const { issuer, timeout } = this.#options
    this.#triedMs = clock.now()
    try {
      const reply = await outside.fetch({
        method: 'GET',
        url: `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`,
        headers: { accept: 'application/json' },
        timeoutMs: timeout,
        bodyBytesMax: replyBytesMax,
      })
      if (reply.status !== 200) throw new Error(`discovery answered ${reply.status}`)
      const metadata = metadataOf(jsonOf(reply), issuer)
      if (this.#isClosed) return
      if (metadata.keysUrl !== this.#metadata?.keysUrl) this.#useKeys(metadata.keysUrl)
      this.#metadata = metadata
      this.#readMs = clock.now()
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      log.warn({ issuer, reason }, 'the identity provider could not be asked')
      throw error
    }
  }

  #useKeys(url: string): void {
    const { issuer, clientId, clockSkew, timeout } = this.#options
    this.#keys?.set.close()
    // Only the provider itself can bring a key id that is unknown: there is nobody to guard its key set from.
    const times = { refreshMs: 600_000, cooldownMs: 1_000, staleForMs: 86_400_000, timeoutMs: timeout }
    const set = new RemoteKeySet({ url, namedBy: issuer, ...times }, this.#ports)
    this.#keys = { set, verify: createIdTokenVerifier({ issuer, clientId, skewMs: clockSkew }, set) }
  }
}

/** RFC 6749 §2.3.1: both parts are form-encoded first. */
function basic(id: string, secret: string): string {
  return `Basic ${Buffer.from(`${formEncoded(id)}:${formEncoded(secret)}`).toString('base64')}`
}

function formEncoded(text: string): string {
  return new URLSearchParams({ x: text }).toString().slice(2)
}

function jsonOf({ body }: OutsideReply): Claims {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

/** OpenID Connect Discovery §4.3: a document of another issuer is worth nothing. */
function metadataOf(document: Claims, issuer: string): Metadata {
  if (document['issuer'] !== issuer) throw new Error('discovery names another issuer')
  const endpoint = (name: string, isNeeded: boolean) => {
    const url = document[name]
    if (url === undefined && !isNeeded) return ''
    const protocol = typeof url === 'string' ? URL.parse(url)?.protocol : undefined
    const isFine = protocol === 'https:' || (protocol === 'http:' && issuer.startsWith('http:'))
    if (typeof url !== 'string' || !isFine) throw new Error(`discovery has no usable ${name}`)
    return url
  }
  return {
    authorizationEndpoint: endpoint('authorization_endpoint', true),
    tokenEndpoint: endpoint('token_endpoint', true),
    endSessionEndpoint: endpoint('end_session_endpoint', false),
    keysUrl: endpoint('jwks_uri', true),
    isNamingItself: document['authorization_response_iss_parameter_supported'] === true,
  }
}

/** An error code of the provider, for the log. */
export function wordOf(value: unknown): string {
  return typeof value === 'string' ? value.replace(/[^\w.-]/g, '?').slice(0, 60) : ''
}

/** RFC 6749 §5.1 wants a number of seconds; some providers send it as text. Null where nothing that helps is said. */
export function lifeMsOf(expiresIn: unknown): number | null {
  const isSaid = typeof expiresIn === 'number' || (typeof expiresIn === 'string' && /^\d{1,12}$/.test(expiresIn))
  const seconds = isSaid ? Number(expiresIn) : 0
  return seconds > 0 && Number.isFinite(seconds) ? seconds * 1000 : null
}
