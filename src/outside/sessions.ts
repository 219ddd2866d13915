// Kept HTTP/2 connections, one per origin, and when each is no longer to be used. Owns them.

import http2, { type ClientHttp2Session } from 'node:http2'
import type { LookupFunction } from 'node:net'
import type { Clock, Counter } from '../core/ports.ts'

export interface SessionOptions {
  readonly minVersion: 'TLSv1.2'
  readonly ca?: string
  /** Judges what a name leads to. */
  readonly lookup: LookupFunction
}

export interface Session {
  readonly origin: string
  readonly http2: ClientHttp2Session
  /** When the server was last heard of. */
  heardMs: number
}

const sessionsMax = 64
const idleMs = 60_000

/** More calls than the server lets be under way on a connection wait inside of node:http2, until their deadlines. */
export class Sessions {
  readonly #byOrigin = new Map<string, Session>()
  readonly #clock: Clock
  readonly #hits: Counter

  constructor(clock: Clock, hits: Counter) {
    this.#clock = clock
    this.#hits = hits
  }

  /** The connection to this origin, made where there is none; `isKept` where it was there before. */
  open(origin: string, options: SessionOptions): { readonly session: Session; readonly isKept: boolean } {
    const kept = this.#byOrigin.get(origin)
    if (kept !== undefined && !kept.http2.closed && !kept.http2.destroyed) return { session: kept, isKept: true }
    if (this.#byOrigin.size >= sessionsMax) {
      this.#hits.add(1)
      const [oldest] = this.#byOrigin.values()
      if (oldest !== undefined) this.retire(oldest)
    }
    const connection = http2.connect(origin, {
      settings: { enablePush: false },
      // Handed on to net.connect and tls.connect, which the types do not say.
      ...options,
    })
    const session = { origin, http2: connection, heardMs: -Infinity }
    this.#byOrigin.set(origin, session)
    const retire = () => this.retire(session)
    connection.on('remoteSettings', () => this.heard(session))
    // Each stream of it hears of the error too.
    connection.on('error', retire)
    connection.on('goaway', retire)
    connection.on('close', retire)
    connection.setTimeout(idleMs, () => {
      // One that was retired, and still waits for a server that says nothing.
      if (connection.closed) connection.destroy()
      else retire()
    })
    connection.unref()
    return { session, isKept: false }
  }

  heard(session: Session): void {
    session.heardMs = this.#clock.now()
  }

  /** No further call goes on it; those under way may end. */
  retire(session: Session): void {
    if (this.#byOrigin.get(session.origin) === session) this.#byOrigin.delete(session.origin)
    if (!session.http2.closed) session.http2.close()
  }

  /** A call that began then got no sign of life. Where no other did either, the connection may be dead without a sign. */
  suspect(session: Session, sinceMs: number): void {
    if (session.heardMs >= sinceMs) return
    this.retire(session)
    if (session.http2.connecting && !session.http2.destroyed) session.http2.destroy()
  }

  close(): void {
    for (const session of this.#byOrigin.values()) this.retire(session)
  }
}
