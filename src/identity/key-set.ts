// The public keys of an issuer (RFC 7517): fetched, refreshed ahead, fetched again for unknown ids, and kept through outages.

import type { KeyObject } from 'node:crypto'
import type { Outside } from '../core/outside.ts'
import type { Closable } from '../core/policy.ts'
import type { Clock, Deadlines, Log, Meter, Timed } from '../core/ports.ts'
import { importKeys } from './jwk.ts'

/** A public key for signatures, imported once. */
export interface SignatureKey {
  /** Empty where the set gives none. */
  readonly id: string
  readonly algorithms: readonly string[]
  readonly key: KeyObject
  /** False from the moment on when the issuer's set has it no more: what it signed is then void. */
  isLive: boolean
  /** Says whether a key of a newer set is the same. */
  readonly thumbprint: string
}

export interface KeySet {
  /** Keys that may have made a signature of this algorithm; all such keys for a token without id. Empty for none. */
  candidates(id: string | undefined, algorithm: string): readonly SignatureKey[]
  /** Whether keys are at hand that are not too old. */
  isUsable(): boolean
  /**
   * Asks for newer keys, because there is none of an id, or none at all. Null where that would be too soon after the last time;
   * else resolves when the fetch is over, whatever came of it.
   */
  renew(): Promise<void> | null
}

export interface KeySetOptions {
  readonly url: string
  /** The server that named the URL; left out where the config did. */
  readonly namedBy?: string
  /** How often the keys are fetched again, milliseconds. */
  readonly refreshMs: number
  /** The least time between two fetches because of unknown ids. */
  readonly cooldownMs: number
  /** How long old keys are good while the server does not answer. */
  readonly staleForMs: number
  readonly timeoutMs: number
}

export interface KeySetPorts {
  readonly outside: Outside
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly random: () => number
  readonly log: Log
  readonly meter: Meter
}

const keySetBytesMax = 262_144
const retryMs = 1_000
const retryMsMax = 60_000

/** To be had by `ports.keep`, under a key that says all of `options`. It starts to fetch at once. */
export class RemoteKeySet implements KeySet, Closable, Timed {
  dueMs = Infinity
  slot = -1
  readonly #options: KeySetOptions
  readonly #ports: KeySetPorts
  readonly #count: Readonly<Record<'ok' | 'failed', { add(amount: number): void }>>
  readonly #fetchedAt: { set(value: number): void }
  #keys: readonly SignatureKey[] = []
  #fetchedMs = -Infinity
  #triedMs = -Infinity
  #renewedMs = -Infinity
  #failures = 0
  #underWay: Promise<void> | null = null
  #isClosed = false

  constructor(options: KeySetOptions, ports: KeySetPorts) {
    this.#options = options
    this.#ports = ports
    const name = nameOf(options.url)
    const counter = (outcome: string) => ports.meter.counter('turnpike_key_set_fetches', { name, outcome })
    this.#count = { ok: counter('ok'), failed: counter('failed') }
    this.#fetchedAt = ports.meter.gauge('turnpike_key_set_fetched_timestamp_seconds', { name })
    ports.deadlines.add(this)
    void this.#fetch()
  }

  candidates(id: string | undefined, algorithm: string): readonly SignatureKey[] {
    if (!this.isUsable()) return []
    return candidatesOf(this.#keys, id, algorithm)
  }

  isUsable(): boolean {
    return this.#keys.length > 0 && this.#ports.clock.now() - this.#fetchedMs <= this.#options.staleForMs
  }

  renew(): Promise<void> | null {
    if (this.#underWay !== null) return this.#underWay
    const nowMs = this.#ports.clock.now()
    const { cooldownMs } = this.#options
    // While no keys are at hand the pause is that of the retries: nobody can call until they come. Else only fetches of this kind
    // count: a key may come a moment after the set was fetched ahead of time.
    const isTooSoon = this.isUsable()
      ? nowMs - this.#renewedMs < cooldownMs
      : nowMs - this.#triedMs < Math.min(cooldownMs, retryMs)
    if (isTooSoon) return null
    this.#renewedMs = nowMs
    return this.#fetch()
  }

  due(): void {
    this.dueMs = Infinity
    // Keys that are too old are let go, and with them what was verified by them.
    if (!this.isUsable()) this.#replace([])
    void this.#fetch()
  }

  close(): void {
    this.#isClosed = true
    this.#ports.deadlines.remove(this)
    this.#replace([])
  }

  #fetch(): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    this.#underWay ??= this.#load().finally(() => {
      this.#underWay = null
    })
    return this.#underWay
  }

  async #load(): Promise<void> {
    const { clock, outside, random, log } = this.#ports
    const { url, namedBy, refreshMs, timeoutMs } = this.#options
    this.#triedMs = clock.now()
    try {
      const reply = await outside.fetch({
        method: 'GET',
        url,
        headers: { accept: 'application/jwk-set+json, application/json' },
        timeoutMs,
        bodyBytesMax: keySetBytesMax,
        ...(namedBy !== undefined && { namedBy }),
      })
      if (reply.status !== 200) throw new Error(`the server answered ${reply.status}`)
      const { keys, refused } = importKeys(reply.body.toString('utf8'))
      if (keys.length === 0) throw new Error(`the set has no usable key${refused.map(text => `; ${text}`).join('')}`)
      if (this.#isClosed) return
      this.#replace(keys)
      this.#fetchedMs = clock.now()
      this.#fetchedAt.set(Math.floor(clock.wall() / 1000))
      this.#count.ok.add(1)
      if (this.#failures > 0) log.info({ keySet: nameOf(url) }, 'the key set answers again')
      this.#failures = 0
      // Ahead of time and not all workers at once.
      this.dueMs = clock.now() + refreshMs * (0.8 + 0.2 * random())
    } catch (error) {
      this.#count.failed.add(1)
      this.#failures++
      const reason = error instanceof Error ? error.message : String(error)
      log.warn({ keySet: nameOf(url), reason, failures: this.#failures }, 'a key set could not be fetched')
      const pauseMs = Math.min(retryMsMax, retryMs * 2 ** Math.min(10, this.#failures - 1))
      this.dueMs = clock.now() + pauseMs * (0.5 + 0.5 * random())
    }
  }

  /** Keys that stay are the same objects, so that what they signed stays verified. */
  #replace(keys: readonly SignatureKey[]): void {
    const before = new Map(this.#keys.map(key => [key.thumbprint, key]))
    this.#keys = keys.map(key => before.get(key.thumbprint) ?? key)
    const kept = new Set(this.#keys)
    for (const key of before.values()) if (!kept.has(key)) key.isLive = false
  }
}

/** Keys that stand in the config. @throws Error for a text that is no key set, or has none that can be used. */
export function fixedKeySet(text: string): KeySet {
  const { keys, refused } = importKeys(text)
  if (keys.length === 0) throw new Error(['the set has no usable key', ...refused].join('; '))
  return { candidates: (id, algorithm) => candidatesOf(keys, id, algorithm), isUsable: () => true, renew: () => null }
}

/** A token without id may be of any key; one with an id only of keys of that id, or of a set that gives none. */
function candidatesOf(keys: readonly SignatureKey[], id: string | undefined, algorithm: string) {
  return keys.filter(key => key.algorithms.includes(algorithm) && (id === undefined || key.id === '' || key.id === id))
}

/** Without the query, which may hold secrets. */
function nameOf(url: string): string {
  const { origin, pathname } = URL.parse(url) ?? { origin: '', pathname: '' }
  return `${origin}${pathname}`
}
