// The way to the identity provider and back: authorization code with PKCE, state and nonce; and the way out.

import { createHash, randomBytes } from 'node:crypto'
import type { Call } from '../../core/call.ts'
import type { Clock } from '../../core/ports.ts'
import { Reply } from '../../core/reply.ts'
import { cookieOf } from '../../core/cookie.ts'
import { cookieNames, sealedCookie } from '../../identity/cookies.ts'
import { challengeOf, refuseUnauthenticated } from '../../identity/refuse.ts'
import { IdTokenError } from './id-token.ts'
import type { Options } from './options.ts'
import { type Provider, Refused, wordOf } from './provider.ts'
import type { Seal } from './seal.ts'
import type { Sessions } from './session.ts'

/** Where browsers see this gateway, and how its cookies are called there. */
export interface Site {
  readonly origin: string
  readonly isSecure: boolean
  readonly cookie: string
}

/** Logins that one browser may have under way; more and the others are forgotten. */
const loginsMax = 5
const returnCharsMax = 2_000

interface Parts {
  readonly options: Options
  readonly clock: Clock
  readonly seal: Seal
  readonly provider: Provider
  readonly sessions: Sessions
  /** What the provider is asked for. */
  readonly scope: string
}

export function createLogin(
  options: Options,
  { clock }: { readonly clock: Clock },
  seal: Seal,
  provider: Provider,
  sessions: Sessions,
) {
  const scope = [...new Set(['openid', ...options.scopes])].join(' ')
  const parts: Parts = { options, clock, seal, provider, sessions, scope }
  return {
    start: (call: Call, site: Site) => start(parts, call, site),
    finish: (call: Call, site: Site) => finish(parts, call, site),
    logout: (call: Call, site: Site) => logout(parts, call, site),
  }
}

async function start({ options, clock, seal, provider, scope }: Parts, call: Call, site: Site): Promise<Reply> {
  const metadata = await provider.metadata().catch(reasonOf)
  if (typeof metadata === 'string') return unavailable(call, metadata)
  const [state, nonce, verifier] = [token(16), token(16), token(32)]
  const url = new URL(metadata.authorizationEndpoint)
  const parameters = {
    response_type: 'code',
    client_id: options.clientId,
    redirect_uri: site.origin + options.callbackPath,
    scope,
    state,
    nonce,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  }
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  const reply = redirect(url.href)
  const name = loginCookie(site, state)
  const others = cookieNames(call.headers, other => isLoginCookie(other, site))
  if (others.length >= loginsMax) for (const other of others) forget(reply, site, other)
  const returnTo = call.received.length <= returnCharsMax ? call.received : '/'
  const endsMs = clock.wall() + options.loginTime
  const value = seal.close({ nonce, verifier, returnTo, endsMs, origin: site.origin }, `login ${state}`)
  const maxAge = Math.max(1, Math.floor(options.loginTime / 1000))
  reply.headers.add('set-cookie', sealedCookie(name, value, { isSecure: site.isSecure, maxAge }))
  return reply
}

async function finish(parts: Parts, call: Call, site: Site): Promise<Reply> {
  const query = new URLSearchParams(call.query)
  for (const name of ['state', 'code', 'iss', 'error']) {
    if (query.getAll(name).length > 1) return refuse(call, `the callback has \`${name}\` twice`)
  }
  const state = query.get('state') ?? ''
  if (!/^[\w-]{22}$/.test(state)) return refuse(call, 'the callback has no state of ours')
  const name = loginCookie(site, state)
  const login = parts.seal.open(cookieOf(call.headers, name) ?? '', `login ${state}`)
  if (login === null) return refuse(call, 'this browser began no such login')
  const reply = await complete(parts, call, site, query, login)
  forget(reply, site, name)
  return reply
}

async function complete(
  { options, clock, provider, sessions }: Parts,
  call: Call,
  site: Site,
  query: URLSearchParams,
  login: Readonly<Record<string, unknown>>,
) {
  const { nonce, verifier, returnTo, endsMs, origin } = login
  if (typeof endsMs !== 'number' || clock.wall() >= endsMs) return refuse(call, 'the login took too long')
  if (origin !== site.origin) return refuse(call, 'the login began at another host')
  const issuer = query.get('iss')
  const code = query.get('code')
  try {
    const { isNamingItself } = await provider.metadata()
    if (issuer === null ? isNamingItself : issuer !== options.issuer)
      return refuse(call, 'the callback is of another issuer')
    if (query.has('error')) return refuse(call, `the provider says ${wordOf(query.get('error'))}`)
    if (code === null || code === '') return refuse(call, 'the callback has no code')
    const tokens = await provider.ask({
      grant_type: 'authorization_code',
      code,
      redirect_uri: site.origin + options.callbackPath,
      code_verifier: String(verifier),
    })
    const claims = await provider.verify(tokens.id, String(nonce), tokens.access)
    // The path as this browser asked for it, behind an origin that is ours: it leads nowhere else.
    const reply = redirect(site.origin + String(returnTo))
    const session = { claims, tokens, startedMs: clock.wall(), seenMs: clock.wall() }
    const isWritten = sessions.write(reply.headers, session, site.cookie, site.isSecure)
    return isWritten ? reply : unavailable(call, 'the session is too large for cookies')
  } catch (error) {
    const isForGood = error instanceof Refused || error instanceof IdTokenError
    return isForGood ? refuse(call, reasonOf(error)) : unavailable(call, reasonOf(error))
  }
}

function logout({ options, provider, sessions }: Parts, call: Call, site: Site): Reply {
  const session = sessions.read(call, site.cookie)
  const wanted = new URLSearchParams(call.query).get('to')
  const [first = '/'] = options.afterLogout
  const target = wanted !== null && options.afterLogout.includes(wanted) ? wanted : first
  const home = target.startsWith('/') ? site.origin + target : target
  const reply = redirect(home)
  const endpoint = provider.lastMetadata?.endSessionEndpoint ?? ''
  if (session !== null && endpoint !== '') {
    const url = new URL(endpoint)
    url.searchParams.set('client_id', options.clientId)
    if (session.tokens.id !== '') url.searchParams.set('id_token_hint', session.tokens.id)
    url.searchParams.set('post_logout_redirect_uri', home)
    reply.headers.set('location', url.href)
  }
  sessions.clear(call, reply.headers, site.cookie, site.isSecure)
  return reply
}

/** To browsers that cannot be sent to log in, and to programs. */
export function refuse(call: Call, reason: string): Reply {
  const reply = refuseUnauthenticated(call, challengeOf('Cookie', { realm: 'login' }), reason)
  reply.headers.set('cache-control', 'no-store')
  return reply
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function unavailable(call: Call, reason: string): Reply {
  call.refusal = reason
  return Reply.problem('login-unavailable')
}

function redirect(location: string): Reply {
  const reply = Reply.empty(302)
  reply.headers.add('location', location)
  reply.headers.add('cache-control', 'no-store')
  return reply
}

function forget(reply: Reply, { isSecure }: Site, name: string): void {
  reply.headers.add('set-cookie', sealedCookie(name, '', { isSecure, maxAge: 0 }))
}

function loginCookie(site: Site, state: string): string {
  return `${site.cookie}-login-${state}`
}

export function isLoginCookie(name: string, site: Site): boolean {
  return name.startsWith(`${site.cookie}-login-`)
}

function token(bytes: number): string {
  return randomBytes(bytes).toString('base64url')
}
