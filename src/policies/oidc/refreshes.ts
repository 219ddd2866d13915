// Newer tokens for sessions: once for calls that come together, whichever worker they come to.

import { createHash } from 'node:crypto'
import type { Closable, PolicyPorts } from '../../core/policy.ts'
import { sparingWarning } from '../../core/sparing-warning.ts'
import type { SharedCounter, Timed } from '../../core/ports.ts'
import type { Session } from './session.ts'

interface Entry {
  /** The session with newer tokens; null where they could not be had. */
  readonly renewed: Promise<Session | null>
  /** Taken from all workers until the entry is dropped. */
  readonly turn: SharedCounter
  endsMs: number
}

/** Refreshes remembered, per provider and worker. */
const entriesMax = 4_096
/** How long calls with the cookie of before may still come. */
const graceMs = 30_000
/** After a refresh that failed. */
const retryMs = 1_000
const sweepMs = 1_000

/**
 * A provider may take a second use of a refresh token for theft, and end the session of whoever has it. So one worker has the
 * turn, and keeps it as long as calls with the cookie of before may come; the others go on with the access token that they have.
 */
export class Refreshes implements Closable, Timed {
  dueMs = Infinity
  slot = -1
  readonly #ports: PolicyPorts
  readonly #issuer: string
  readonly #hits: { add(amount: number): void }
  readonly #warn: (fields: object) => void
  readonly #entries = new Map<string, Entry>()

  constructor(ports: PolicyPorts, issuer: string) {
    this.#ports = ports
    this.#issuer = issuer
    this.#hits = ports.meter.counter('turnpike_ceiling_hits', { ceiling: 'oidc-refreshes', name: issuer })
    this.#warn = sparingWarning(ports, 'a session could not be refreshed')
    ports.deadlines.add(this)
  }

  /** Null where the session cannot be had with newer tokens now, or another worker sees to it. Never rejects. */
  once(session: Session, renew: () => Promise<Session>): Promise<Session | null> {
    const { clock, shared } = this.#ports
    const key = keyOf(session)
    const known = this.#entries.get(key)
    if (known !== undefined && known.endsMs > clock.now()) return known.renewed
    this.#drop(key)
    const turn = shared.counter(`oidc refresh ${key}`)
    if (!turn.tryTake(1)) return Promise.resolve(null)
    this.#makeRoom()
    const renewed = renew().catch((error: unknown) => this.#failed(key, error))
    this.#entries.set(key, { renewed, turn, endsMs: clock.now() + graceMs })
    this.dueMs = Math.min(this.dueMs, clock.now() + sweepMs)
    return renewed
  }

  due(nowMs: number): void {
    for (const [key, { endsMs }] of this.#entries) if (endsMs <= nowMs) this.#drop(key)
    this.dueMs = this.#entries.size === 0 ? Infinity : nowMs + sweepMs
  }

  close(): void {
    this.#ports.deadlines.remove(this)
    for (const key of [...this.#entries.keys()]) this.#drop(key)
  }

  /** While the access token lives the session does, whatever is wrong with the provider. Asked again soon. */
  #failed(key: string, error: unknown): null {
    const { clock } = this.#ports
    this.#warn({ issuer: this.#issuer, reason: String(error) })
    const entry = this.#entries.get(key)
    if (entry !== undefined) entry.endsMs = clock.now() + retryMs
    return null
  }

  #makeRoom(): void {
    const [oldest] = this.#entries.keys()
    if (this.#entries.size < entriesMax || oldest === undefined) return
    this.#hits.add(1)
    this.#drop(oldest)
  }

  #drop(key: string): void {
    this.#entries.get(key)?.turn.give()
    this.#entries.delete(key)
  }
}

/** One refresh token may serve several times: what else the session holds tells them apart. */
function keyOf({ tokens }: Session): string {
  return createHash('sha256').update(`${tokens.accessEndsMs} ${tokens.refresh}`).digest('base64')
}
