// One worker's way to a Valkey or Redis server: runs scripts within a time, and knows when the server is not to be asked.
//
// There are two states, alive and dead, and one proof: a heartbeat that was written. Whatever goes wrong with a command or a
// heartbeat (silence, a closed connection, any answer that is an error) makes the store dead; the next heartbeat that is written
// makes it alive. A connection that is older than a second when a heartbeat fails on it is given up, and the server is looked for
// anew: its name may lead elsewhere by now, or the sentinels may.

import { createHash, randomBytes } from 'node:crypto'
import type { StoreBlueprint } from '../../core/blueprint.ts'
import type { Clock, Counter, Gauge, Log, Meter } from '../../core/ports.ts'
import { type Address, Connection, type ConnectionSettings } from './connection.ts'
import { type Beat, heartbeatScript, readBeat } from './beat.ts'
import { placeOf, settingsOf, type StorePlace } from './place.ts'
import { Presence } from './presence.ts'
import type { Script } from './script.ts'
import { clusterText, storeFailureOf } from './store-failure.ts'

/** How often a gateway says that it is alive, and after how long without it is taken for gone; milliseconds. */
const heartbeatMs = 1_000
export const goneMs = 5_000
/** How often a store that failed is tried, and how seldom at most where no connection can be opened; milliseconds. */
const probeMs = 100
const probeMsMax = 500
const giveUpMs = 1_000
/** A failure for another reason than the one in the log is logged too, this long after it. */
const newsMs = 5_000

export interface LinkOptions {
  readonly name: string
  readonly definition: StoreBlueprint
  /** PEM texts of the files that the definition names. */
  readonly files: Readonly<Record<string, string>>
  /** Of this gateway: the same in all its workers, another in every other gateway. */
  readonly gatewayId: string
  readonly clock: Clock
  readonly log: Log
  readonly meter: Meter
}

/** Owns the connections. */
export class StoreLink {
  readonly name: string
  readonly prefix: string
  readonly timeoutMs: number
  /** Names this worker as a holder of permits. */
  readonly holder = randomBytes(6).toString('base64url')
  readonly presence = new Presence()
  /** Gateways that were last seen alive, this one included. */
  gateways = 1
  /** When counts that this gateway knew of were found lost, by its own clock; before all time for never. */
  lossMs = -Infinity
  readonly #options: LinkOptions
  /** Where keys are called out whose permits somebody lacks. */
  readonly #channel: string
  /** The set of the names of workers that are alive. */
  readonly #present: string
  readonly #settings: ConnectionSettings
  readonly #place: StorePlace
  readonly #alive: Gauge
  readonly #failures = new Map<string, Counter>()
  readonly #recalls = new Set<(key: string) => void>()
  #connection: Connection | null = null
  #address: Address | null = null
  #openedMs = 0
  /** When the last heartbeat was sent that was written. */
  #heardMs = -Infinity
  /** When as many gateways as that were seen. */
  #gatewaysMs = 0
  #isSubscribed = false
  /** Whether a heartbeat went through on this connection. */
  #isProven = false
  /** Until the first heartbeat went through, the store is taken for dead. */
  #isAlive = false
  #isLooking = false
  #isClosed = false
  #hasLeft = false
  #timer: NodeJS.Timeout | undefined
  #failedOpens = 0
  /** What the log says is wrong; null for nothing. */
  #told: { readonly reason: string; readonly atMs: number } | null = null
  /** Names the data that this gateway counted in. */
  #epoch = ''
  #evicts = ''
  #copying: Promise<unknown> | null = null

  constructor(options: LinkOptions) {
    this.#options = options
    this.name = options.name
    this.prefix = options.definition.keyPrefix
    this.#channel = `${this.prefix}recall`
    this.#present = `${this.prefix}present`
    this.timeoutMs = options.definition.timeout
    this.#settings = settingsOf(options.definition, options.files)
    this.#place = placeOf(options.definition, this.#settings)
    this.#alive = options.meter.gauge('turnpike_store_alive', { store: this.name })
    this.#alive.set(0)
    this.#schedule(0)
  }

  /** Whether it makes sense to ask. */
  get isAlive(): boolean {
    return this.#isAlive
  }

  /** The key of the store for whatever is counted under this text: hashed, as it may hold what the store need not know. */
  keyOf(text: string): string {
    return this.prefix + createHash('sha256').update(text).digest('base64url')
  }

  /** Whether what others lack is heard here. */
  get isRecallable(): boolean {
    return this.#isSubscribed
  }

  /** Whether the store was heard of so lately that nobody can have taken this worker for gone. */
  get isHeard(): boolean {
    return this.#isAlive && this.#options.clock.now() - this.#heardMs < goneMs / 2
  }

  /**
   * Resolves within about the store's timeout. Rejects for whatever keeps the store from counting. The keys of the script are `key`,
   * the channel on which it is called back, and the set of workers that are alive.
   */
  async run(script: Script, key: string, values: readonly (string | number)[]): Promise<unknown> {
    const connection = this.#connection
    if (!this.#isAlive || connection === null) throw new Error('the store is not alive')
    try {
      return await this.#evaluate(connection, script, [key, this.#channel, this.#present], values)
    } catch (error) {
      if (connection === this.#connection) this.#failed(error)
      throw error
    }
  }

  /** Calls `recalled` with keys whose permits others lack, until the function that it returns is called. */
  onRecall(recalled: (key: string) => void): () => void {
    this.#recalls.add(recalled)
    if (!this.#isSubscribed && !this.#isLooking) this.#schedule(0)
    return () => this.#recalls.delete(recalled)
  }

  /** Has the store forget all calls of this worker. To be called when the last one is over. */
  async leave(): Promise<void> {
    // Nor may a heartbeat bring it back.
    this.#hasLeft = true
    await this.#forget(this.presence.end())
  }

  close(): void {
    this.#isClosed = true
    this.#isAlive = false
    clearTimeout(this.#timer)
    this.#place.close()
    void this.leave()
    this.#drop()
    this.#alive.set(0)
  }

  async #look(): Promise<void> {
    this.#isLooking = true
    try {
      const connection = this.#connection ?? (await this.#open())
      if (!this.#isSubscribed && this.#recalls.size > 0) await this.#subscribe(connection)
      if (this.#hasLeft) return
      const beat = await this.#beat(connection)
      if (connection !== this.#connection) throw new Error('the connection was closed')
      this.#heard(beat)
      void this.#follow(connection)
    } catch (error) {
      this.#failed(error)
      if (this.#connection !== null && this.#options.clock.now() - this.#openedMs > giveUpMs) {
        this.#drop()
        this.#place.distrust()
      }
    } finally {
      this.#isLooking = false
      const failingMs = Math.min(probeMsMax, probeMs * Math.max(1, this.#failedOpens))
      this.#schedule(this.#isAlive ? heartbeatMs : failingMs)
    }
  }

  async #open(): Promise<Connection> {
    this.#failedOpens++
    this.#address = await this.#place.find()
    const connection = await Connection.open(this.#address, this.#settings, () => this.#ended(connection))
    if (this.#isClosed) {
      connection.close()
      throw new Error('the store was closed')
    }
    this.#failedOpens = 0
    this.#openedMs = this.#options.clock.now()
    this.#isSubscribed = false
    this.#isProven = false
    this.presence.begin()
    this.#connection = connection
    return connection
  }

  async #subscribe(connection: Connection): Promise<void> {
    await connection.subscribe(this.#channel, key => {
      for (const recalled of this.#recalls) recalled(key)
    })
    this.#isSubscribed = true
  }

  async #beat(connection: Connection): Promise<Beat> {
    const keys = [`${this.prefix}gateways`, `${this.prefix}store`, this.#present]
    const fresh = randomBytes(6).toString('base64url')
    const { name, old } = this.presence
    const values = [this.#options.gatewayId, goneMs, this.#epoch, fresh, this.#isProven ? 0 : 1, name, ...old]
    const sentMs = this.#options.clock.now()
    const beat = readBeat(await this.#evaluate(connection, heartbeatScript, keys, values))
    this.#heardMs = sentMs
    return beat
  }

  #heard({ gateways, epoch, sinceLossMs, isCluster, evicts, isNew }: Beat): void {
    const { log, clock } = this.#options
    if (this.#isClosed) return
    if (isCluster) throw new Error(clusterText)
    this.#isProven = true
    if (evicts !== '' && evicts !== this.#evicts) {
      this.#evicts = evicts
      log.warn({ store: this.name, policy: evicts }, 'the store drops counts when its memory is full: set noeviction')
    }
    if (this.#epoch !== '' && this.#epoch !== epoch) {
      log.warn(
        { store: this.name },
        'the store has lost its counts; limits with `onFailure: closed` wait for their windows',
      )
    }
    this.#epoch = epoch
    this.lossMs = sinceLossMs === null ? -Infinity : clock.now() - sinceLossMs
    this.#sees(Math.max(1, gateways))
    // Told by the second heartbeat in a row, so that a store at its limits does not fill the log.
    if (this.#isAlive && this.#told !== null) {
      log.info({ store: this.name }, 'the store counts again')
      this.#told = null
    }
    const wasAlive = this.#isAlive
    this.#isAlive = true
    this.#alive.set(1)
    // Which commands were run in a failure, nobody knows.
    if (isNew || !wasAlive) void this.presence.renew(names => this.#forget(names))
  }

  async #forget(names: readonly string[]): Promise<void> {
    if (names.length > 0) await this.#connection?.command('ZREM', this.#present, ...names).catch(() => {})
  }

  /** A store that came back empty is told of each gateway in turn: fewer than before are believed only after a while. */
  #sees(gateways: number): void {
    const nowMs = this.#options.clock.now()
    if (gateways < this.gateways && nowMs - this.#gatewaysMs < goneMs) return
    this.gateways = gateways
    this.#gatewaysMs = nowMs
  }

  /** Leaves a server that is the primary no more, though it may not know. */
  async #follow(connection: Connection): Promise<void> {
    if (!this.#place.moves) return
    const { host, port } = await this.#place.find().catch(() => this.#address ?? { host: '', port: 0 })
    if (this.#connection !== connection || (host === this.#address?.host && port === this.#address.port)) return
    this.#drop()
    this.#failed(new Error(`the primary moved to ${host}:${port}`))
  }

  /** With `replicas`, what was written counts when so many have it. */
  async #evaluate(
    connection: Connection,
    script: Script,
    keys: readonly string[],
    values: readonly (string | number)[],
  ): Promise<unknown> {
    const reply = await connection.run(script, keys, values)
    if (this.#options.definition.replicas > 0) await this.#copied(connection)
    return reply
  }

  /** One question for all that was written since the last one. */
  #copied(connection: Connection): Promise<unknown> {
    const { replicas, timeout } = this.#options.definition
    this.#copying ??= new Promise(resolve => setImmediate(resolve)).then(async () => {
      this.#copying = null
      const count = Number(await connection.command('WAIT', replicas, Math.ceil(timeout * waitShare)))
      if (count < replicas) throw new Error(`NOREPLICAS only ${count} of ${replicas} replicas have the count in time`)
    })
    return this.#copying
  }

  #ended(connection: Connection): void {
    if (connection !== this.#connection) return
    this.#connection = null
    this.#failed(new Error('the connection was closed'))
  }

  #drop(): void {
    const connection = this.#connection
    this.#connection = null
    connection?.close()
  }

  #failed(error: unknown): void {
    if (this.#isClosed) return
    const { reason, text } = storeFailureOf(error)
    this.#isAlive = false
    this.#alive.set(0)
    this.#counterOf(reason).add(1)
    const nowMs = this.#options.clock.now()
    if (this.#told === null || (this.#told.reason !== reason && nowMs - this.#told.atMs > newsMs)) {
      this.#told = { reason, atMs: nowMs }
      const { log } = this.#options
      log.warn({ store: this.name, reason: text }, 'the store fails; its limits go by their onFailure')
    }
    if (!this.#isLooking) this.#schedule(probeMs)
  }

  #counterOf(reason: string): Counter {
    let counter = this.#failures.get(reason)
    if (counter === undefined) {
      counter = this.#options.meter.counter('turnpike_store_failures', { store: this.name, reason })
      this.#failures.set(reason, counter)
    }
    return counter
  }

  #schedule(afterMs: number): void {
    if (this.#isClosed) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#look(), afterMs)
    this.#timer.unref()
  }
}

/** The answer must be on its way before the command itself is given up. */
const waitShare = 0.8
