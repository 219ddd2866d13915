// Keeps certificates for a set of names: gets those that are missing, renews them in time, waits longer after each failure.

import type { CertificateStatus } from '../core/certificate-status.ts'
import type { Clock, Counter, Gauge, Log, Meter } from '../core/ports.ts'
import { IssueFailed, type Issue } from './issuer.ts'
import { judgePair, type Pair, type Validity } from './pair.ts'
import type { Vault } from './vault.ts'

export interface KeeperPorts {
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
  readonly meter: Meter
  readonly vault: Vault
  readonly issue: Issue
  /** Told when there are other pairs; resolves when they are served. */
  changed(): Promise<void>
  /** Calls back once, unless what it returns is called before. */
  startTimer(ms: number, callback: () => void): () => void
}

export interface KeeperTimes {
  /** Null: a third of the certificate's life. */
  readonly renewBeforeMs: number | null
  /** After the first failure. */
  readonly retryMs: number
}

const retryMsMax = 6 * 3_600_000
/** A certificate may begin later than now by so much: clocks differ. */
const earlyMsMax = 86_400_000
/** Timers do not go as far as certificates, and clocks are set. */
const lookMsMax = 3_600_000

/** Times are those of the wall: certificates end by it. */
interface Kept {
  readonly name: string
  pair: Pair | null
  validity: Validity | null
  dueMs: number
  failures: number
  lastError: string
  readonly expiry: Gauge
  readonly issued: Counter
  readonly failed: Counter
}

/** Owns its timer until `close`. */
export class CertificateKeeper {
  readonly #ports: KeeperPorts
  readonly #times: KeeperTimes
  /** All that was read, also of a config that was refused then. */
  readonly #kept = new Map<string, Kept>()
  #wanted: ReadonlySet<string> = new Set()
  /** Names whose pairs are to be put in force, as that failed, and when that is tried again. */
  readonly #unserved = new Set<Kept>()
  #unservedDueMs = Infinity
  #unservedFailures = 0
  #stopTimer: (() => void) | null = null
  #isAtWork = false
  #isClosed = false

  constructor(times: KeeperTimes, ports: KeeperPorts) {
    this.#ports = ports
    this.#times = times
  }

  /** The pair of a name, once there is one; also of a name that is not wanted, if it is kept. */
  pair(name: string): Pair | null {
    let kept = this.#kept.get(name)
    if (kept === undefined) {
      kept = this.#read(name)
      this.#kept.set(name, kept)
    }
    return kept.pair
  }

  get status(): CertificateStatus[] {
    return this.#wantedOnes().map(({ name, validity, dueMs, failures, lastError }) => ({
      name,
      state: failures > 0 ? 'failing' : validity === null ? 'waiting' : 'issued',
      notAfter: validity === null ? null : new Date(validity.toMs).toISOString(),
      nextAttempt: new Date(dueMs).toISOString(),
      failures,
      lastError,
    }))
  }

  /** Gets and renews for these names from now on, and for no others; to be called when challenges can be answered. */
  want(names: readonly string[]): void {
    this.#wanted = new Set(names)
    for (const name of names) {
      this.pair(name)
      this.#showExpiry(this.#kept.get(name))
    }
    for (const [name, kept] of this.#kept) {
      if (this.#wanted.has(name)) continue
      kept.expiry.set(0)
      this.#unserved.delete(kept)
      this.#kept.delete(name)
    }
    void this.#work()
  }

  close(): void {
    this.#isClosed = true
    this.#stopTimer?.()
    for (const { expiry } of this.#kept.values()) expiry.set(0)
  }

  #wantedOnes(): Kept[] {
    return [...this.#kept.values()].filter(({ name }) => this.#wanted.has(name))
  }

  #showExpiry(kept: Kept | undefined): void {
    if (kept === undefined || kept.validity === null || !this.#wanted.has(kept.name)) return
    kept.expiry.set(kept.validity.toMs / 1000)
  }

  #read(name: string): Kept {
    const { clock, log, meter, vault } = this.#ports
    const kept: Kept = {
      ...{ name, pair: null, validity: null, dueMs: clock.wall(), failures: 0, lastError: '' },
      expiry: meter.gauge('turnpike_acme_certificate_expiry_timestamp_seconds', { server_name: name }),
      issued: meter.counter('turnpike_acme_orders', { server_name: name, outcome: 'issued' }),
      failed: meter.counter('turnpike_acme_orders', { server_name: name, outcome: 'failed' }),
    }
    try {
      const pair = vault.pair(name)
      if (pair !== null) this.#take(kept, pair)
    } catch (error) {
      log.warn({ err: error, name }, `acme: what is kept for ${name} is of no use; another certificate is asked for`)
    }
    return kept
  }

  #take(kept: Kept, pair: Pair): void {
    const validity = judgePair(pair, kept.name)
    const lifeMs = validity.toMs - validity.fromMs
    // One that is renewed for most of its life would be renewed all the time.
    const beforeMs = Math.min(this.#times.renewBeforeMs ?? lifeMs / 3, lifeMs / 2)
    Object.assign(kept, { pair, validity, failures: 0, lastError: '' })
    // Up to a tenth earlier, so that gateways that began together do not renew together.
    kept.dueMs = validity.toMs - beforeMs * (1 + 0.1 * this.#ports.random())
  }

  /** One name after the other: a server counts how much is asked of it at once. */
  async #work(): Promise<void> {
    if (this.#isAtWork || this.#isClosed) return
    this.#isAtWork = true
    this.#stopTimer?.()
    if (this.#unservedDueMs <= this.#ports.clock.wall()) await this.#serve()
    for (const kept of this.#wantedOnes()) {
      if (this.#isClosed) return
      if (kept.dueMs > this.#ports.clock.wall() || !this.#wanted.has(kept.name)) continue
      await this.#renew(kept)
    }
    if (this.#isClosed) return
    this.#isAtWork = false
    const nextMs = Math.min(this.#unservedDueMs, ...this.#wantedOnes().map(({ dueMs }) => dueMs))
    const waitMs = Math.min(lookMsMax, Math.max(0, nextMs - this.#ports.clock.wall()))
    this.#stopTimer = this.#ports.startTimer(waitMs, () => void this.#work())
  }

  async #renew(kept: Kept): Promise<void> {
    const { issue, log, vault } = this.#ports
    const { name } = kept
    try {
      const pair = await issue(name)
      if (this.#isClosed) return
      this.#checkTime(judgePair(pair, name))
      this.#take(kept, pair)
      // Whatever the server gave: it is not asked again at once.
      kept.dueMs = Math.max(kept.dueMs, this.#ports.clock.wall() + this.#times.retryMs)
      this.#showExpiry(kept)
      kept.issued.add(1)
      log.info({ name, notAfter: new Date(kept.validity?.toMs ?? 0).toISOString() }, `acme: ${name} has a certificate`)
      this.#keep(vault, name, pair)
      this.#unserved.add(kept)
      await this.#serve()
    } catch (error) {
      if (!this.#isClosed) this.#failed(kept, error)
    }
  }

  /** The certificate of before is better than one that is over, or begins in a year. @throws Error */
  #checkTime({ fromMs, toMs }: Validity): void {
    const nowMs = this.#ports.clock.wall()
    if (toMs <= nowMs) throw new Error(`the certificate ended ${new Date(toMs).toISOString()}`)
    if (fromMs > nowMs + earlyMsMax) throw new Error(`the certificate begins ${new Date(fromMs).toISOString()}`)
  }

  #keep(vault: Vault, name: string, pair: Pair): void {
    try {
      vault.keepPair(name, pair)
    } catch (error) {
      const { log } = this.#ports
      log.error({ err: error, name }, `acme: the certificate of ${name} could not be written down; a restart asks anew`)
    }
  }

  /** Puts new pairs in force. Where that fails it is tried again: the server is not asked again for what it gave. */
  async #serve(): Promise<void> {
    const { clock, log } = this.#ports
    const waiting = [...this.#unserved]
    this.#unservedDueMs = Infinity
    if (waiting.length === 0) return
    try {
      await this.#ports.changed()
      this.#unservedFailures = 0
      for (const kept of waiting) {
        this.#unserved.delete(kept)
        kept.lastError = ''
      }
    } catch (error) {
      if (this.#isClosed) return
      const waitMs = this.#pauseMs(++this.#unservedFailures)
      this.#unservedDueMs = clock.wall() + waitMs
      const reason = error instanceof Error ? error.message : String(error)
      for (const kept of waiting) kept.lastError = `the new certificate could not be put in force: ${reason}`
      const names = waiting.map(({ name }) => name).join(', ')
      const nextAttempt = new Date(this.#unservedDueMs).toISOString()
      log.error({ err: error, names, nextAttempt }, `acme: the certificate of ${names} could not be put in force`)
    }
  }

  /** After so many failures in a row; give or take a fifth. */
  #pauseMs(failures: number): number {
    const grownMs = Math.min(retryMsMax, this.#times.retryMs * 2 ** Math.min(failures - 1, 30))
    return grownMs * (0.8 + 0.4 * this.#ports.random())
  }

  #failed(kept: Kept, error: unknown): void {
    const { clock, log } = this.#ports
    kept.failures++
    kept.failed.add(1)
    kept.lastError = error instanceof Error ? error.message : String(error)
    const askedMs = error instanceof IssueFailed ? error.retryAfterMs : 0
    const waitMs = Math.max(askedMs, this.#pauseMs(kept.failures))
    kept.dueMs = clock.wall() + waitMs
    const until =
      kept.validity === null ? 'it has none' : `it has one until ${new Date(kept.validity.toMs).toISOString()}`
    log.warn(
      {
        name: kept.name,
        failures: kept.failures,
        nextAttempt: new Date(kept.dueMs).toISOString(),
        reason: kept.lastError,
      },
      `acme: no certificate for ${kept.name} (${until}): ${kept.lastError}`,
    )
  }
}
