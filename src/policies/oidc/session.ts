// The session of a browser: what its cookies hold, how long it lives, and how its tokens are refreshed.

import type { Call } from '../../core/call.ts'
import type { Headers } from '../../core/headers.ts'
import type { Clock } from '../../core/ports.ts'
import { cookieOf } from '../../core/cookie.ts'
import { sealedCookie } from '../../identity/cookies.ts'
import type { Claims } from './id-token.ts'
import type { Options } from './options.ts'
import type { Provider, Tokens } from './provider.ts'
import type { Refreshes } from './refreshes.ts'
import { chunkNames, join, type Seal, split } from './seal.ts'

export interface Session {
  readonly claims: Claims
  readonly tokens: Tokens
  /** Milliseconds since the Unix epoch. */
  readonly startedMs: number
  readonly seenMs: number
}

export function createSessions(options: Options, clock: Clock, seal: Seal, provider: Provider, refreshes: Refreshes) {
  const isDue = ({ tokens }: Session): boolean =>
    tokens.refresh !== '' && tokens.refreshAtMs !== null && clock.wall() >= tokens.refreshAtMs
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
      if (!isDue(session)) return session
      const renewed = await refreshes.once(session, () => renew(session, provider, () => clock.wall()))
      const current = renewed ?? session
      return isOver(current, options, clock.wall()) ? null : current
    },
    /**
     * Whether cookies should follow a call that came with `before` and went on with `session`. One that is due may have been
     * refreshed by another call meanwhile, and older cookies must not take the place of newer ones.
     */
    isToBeWritten(before: Session, session: Session): boolean {
      return (session !== before || clock.wall() - session.seenMs > options.idle / 10) && !isDue(session)
    },
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

async function renew(session: Session, provider: Provider, wall: () => number): Promise<Session> {
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
  return { ...session, claims, tokens, seenMs: wall() }
}
