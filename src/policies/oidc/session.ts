// The session of a browser: what its cookies hold, how long it lives, and how its tokens are refreshed.

import { createHash } from 'node:crypto'
import type { Call } from '../../core/call.ts'
import type { Closable, PolicyPorts } from '../../core/policy.ts'
import type { Headers } from '../../core/headers.ts'
import { cookieOf, sealedCookie } from '../../identity/cookies.ts'
import type { Claims } from './id-token.ts'
import type { Options } from './options.ts'
import type { Provider, Tokens } from './provider.ts'
import { chunkNames, join, type Seal, split } from './seal.ts'

export interface Session {
  readonly claims: Claims
  readonly tokens: Tokens
  /** Milliseconds since the Unix epoch. */
  readonly startedMs: number
  readonly seenMs: number
}

/** Sessions that were refreshed lately, by what they were before: calls that come together refresh once. One per worker. */
export class Refreshes implements Closable {
  readonly entries = new Map<string, { promise: Promise<Session | null>; endsMs: number }>()
  close(): void {
    this.entries.clear()
  }
}

const refreshesMax = 10_000
/** How long calls with the cookie of before may still come. */
const graceMs = 30_000

export function createSessions(
  options: Options,
  ports: PolicyPorts,
  seal: Seal,
  provider: Provider,
  refreshes: Refreshes,
) {
  const { clock } = ports
  const refresh = createRefresh(options, ports, provider, refreshes)
  return {
    /** The session of the cookies, null where there is none that counts. */
    read(call: Call, name: string): Session | null {
      const text = join(name, part => cookieOf(call.headers, part))
      const opened = text === null ? null : seal.open(text, `session ${name}`)
      // Only this policy closes what it opens: its shape is that of a Session.
      const session = opened as unknown as Session | null
      return session === null || isOver(session, options, clock.wall()) ? null : session
    },
    /** The same, or one with newer tokens; null where it is over. */
    async current(session: Session): Promise<Session | null> {
      const { accessEndsMs, refresh: token } = session.tokens
      if (accessEndsMs === null || token === '' || clock.wall() < accessEndsMs - options.refreshBefore) return session
      const renewed = (await refresh(session)) ?? session
      return isOver(renewed, options, clock.wall()) ? null : renewed
    },
    isToBeTouched: ({ seenMs }: Session) => clock.wall() - seenMs > options.idle / 10,
    /** Whether it fits into cookies, which are then among the fields. Without ID token if need be: it is but a hint. */
    write(headers: Headers, session: Session, name: string, isSecure: boolean): boolean {
      const whole = { ...session, seenMs: clock.wall() }
      const lean = { ...whole, tokens: { ...session.tokens, id: '' } }
      const close = (value: Session) => split(name, seal.close(value, `session ${name}`))
      const parts = close(whole) ?? close(lean)
      if (parts === null) return false
      const maxAge = Math.max(1, Math.floor((session.startedMs + options.lifetime - clock.wall()) / 1000))
      for (const [part, value] of parts) headers.add('set-cookie', sealedCookie(part, value, { isSecure, maxAge }))
      return true
    },
    clear(call: Call, headers: Headers, name: string, isSecure: boolean): void {
      for (const part of chunkNames(name)) {
        if (cookieOf(call.headers, part) === undefined) continue
        headers.add('set-cookie', sealedCookie(part, '', { isSecure, maxAge: 0 }))
      }
    },
  }
}

export type Sessions = ReturnType<typeof createSessions>

function isOver({ startedMs, seenMs, tokens }: Session, { lifetime, idle }: Options, wallMs: number): boolean {
  if (wallMs >= startedMs + lifetime || wallMs >= seenMs + idle) return true
  return tokens.accessEndsMs !== null && wallMs >= tokens.accessEndsMs
}

/** Gives newer tokens to a session, once for calls that come together; null where that cannot be had now. */
function createRefresh(
  options: Options,
  ports: PolicyPorts,

  provider: Provider,
  refreshes: Refreshes,
) {
  const { clock } = ports
  const hits = ports.meter.counter('turnpike_ceiling_hits', { ceiling: 'oidc-refreshes', name: options.issuer })

  function refresh(session: Session): Promise<Session | null> {
    const key = createHash('sha256').update(session.tokens.refresh).digest('base64')
    const nowMs = clock.now()
    const known = refreshes.entries.get(key)
    if (known !== undefined && known.endsMs > nowMs) return known.promise
    for (const [old, { endsMs }] of refreshes.entries) {
      if (endsMs > nowMs && refreshes.entries.size < refreshesMax) break
      if (endsMs > nowMs) hits.add(1)
      refreshes.entries.delete(old)
    }
    const promise = renew(session).catch((error: unknown) => {
      // While the access token lives the session does, whatever is wrong with the provider. Asked again soon.
      const entry = refreshes.entries.get(key)
      if (entry?.promise === promise) entry.endsMs = clock.now() + 1_000
      ports.log.warn({ issuer: options.issuer, reason: String(error) }, 'a session could not be refreshed')
      return null
    })
    refreshes.entries.set(key, { promise, endsMs: nowMs + graceMs + options.timeout })
    return promise
  }

  async function renew(session: Session): Promise<Session> {
    const given = await provider.ask({ grant_type: 'refresh_token', refresh_token: session.tokens.refresh })
    let { claims } = session
    if (given.id !== '') {
      claims = await provider.verify(given.id, null, given.access)
      if (claims['sub'] !== session.claims['sub']) throw new Error('the refresh gave the token of somebody else')
    }
    const tokens = {
      ...given,
      refresh: given.refresh || session.tokens.refresh,
      id: given.id || session.tokens.id,
      scopes: given.scopes ?? session.tokens.scopes,
    }
    return { ...session, claims, tokens, seenMs: clock.wall() }
  }

  return refresh
}
