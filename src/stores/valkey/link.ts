// One worker's connection to a Valkey or Redis server: runs scripts within a time, and knows when the server is not to be asked.

import { Redis, type RedisOptions } from 'ioredis'
import type { StoreBlueprint } from '../../core/blueprint.ts'
import type { Log } from '../../core/ports.ts'
import { heartbeatScript, type Script } from './script.ts'

/** How often a gateway says that it is alive, and after how long without it is taken for gone; milliseconds. */
const heartbeatMs = 1_000
const goneMs = 5_000
/** How often a store that failed is tried; milliseconds. */
const probeMs = 100
const reconnectMsMax = 500

export interface LinkOptions {
  readonly name: string
  readonly definition: StoreBlueprint
  /** Authorities to trust, as PEM. */
  readonly ca: string | null
  /** Of this gateway: the same in all its workers, another in every other gateway. */
  readonly gatewayId: string
  readonly log: Log
}

/** Owns the connection. */
export class StoreLink {
  readonly name: string
  readonly prefix: string
  /** Gateways that were last seen alive, this one included. */
  gateways = 1
  readonly #options: LinkOptions
  readonly #redis: Redis
  /** Until the first heartbeat went through, the store is taken for dead. */
  #isAlive = false
  #wasLost = false
  #isClosed = false
  #timer: NodeJS.Timeout | undefined
  #lastError = ''

  constructor(options: LinkOptions) {
    this.#options = options
    this.name = options.name
    this.prefix = options.definition.keyPrefix
    this.#redis = new Redis(connectionOf(options))
    this.#redis.on('error', (error: Error) => {
      this.#lastError = plain(error)
    })
    this.#redis.on('ready', () => void this.#beat())
    this.#redis.on('close', () => this.#lost(this.#lastError || 'the connection was closed'))
    this.#schedule(probeMs)
  }

  /** Whether it makes sense to ask. */
  get isAlive(): boolean {
    return this.#isAlive
  }

  /** Resolves within the store's timeout. Rejects for whatever keeps the store from counting. */
  async run(script: Script, key: string, values: readonly (string | number)[]): Promise<unknown> {
    if (!this.#isAlive) throw new Error('the store is not alive')
    try {
      return await this.#evaluate(script, key, values)
    } catch (error) {
      this.#lost(plain(error))
      throw error
    }
  }

  close(): void {
    this.#isClosed = true
    this.#isAlive = false
    clearTimeout(this.#timer)
    this.#redis.disconnect()
  }

  /** A restarted server has forgotten its scripts. */
  async #evaluate({ text, sha }: Script, key: string, values: readonly (string | number)[]): Promise<unknown> {
    try {
      return await this.#redis.evalsha(sha, 1, key, ...values)
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
      return this.#redis.eval(text, 1, key, ...values)
    }
  }

  async #beat(): Promise<void> {
    if (this.#isClosed || this.#redis.status !== 'ready') return
    try {
      const { gatewayId } = this.#options
      const count = await this.#evaluate(heartbeatScript, `${this.prefix}gateways`, [gatewayId, goneMs])
      if (this.#isClosed) return
      this.gateways = Math.max(1, Number(count))
      if (!this.#isAlive) this.#found()
    } catch (error) {
      this.#lost(plain(error))
    }
  }

  #schedule(afterMs: number): void {
    if (this.#isClosed) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      void this.#beat().finally(() => this.#schedule(this.#isAlive ? heartbeatMs : probeMs))
    }, afterMs)
    this.#timer.unref()
  }

  #found(): void {
    this.#isAlive = true
    if (this.#wasLost) this.#options.log.info({ store: this.name }, 'the store counts again')
    this.#wasLost = false
  }

  #lost(reason: string): void {
    if (this.#isClosed) return
    const isNews = this.#isAlive || !this.#wasLost
    this.#isAlive = false
    this.#wasLost = true
    if (!isNews) return
    this.#options.log.warn({ store: this.name, reason }, 'the store fails; its limits go by their onFailure')
    this.#schedule(probeMs)
  }
}

function connectionOf({ definition, ca }: LinkOptions): RedisOptions & { replyMapping: 'legacy' } {
  const { url, sentinels, master, username, password, timeout } = definition
  const common: RedisOptions & { replyMapping: 'legacy' } = {
    replyMapping: 'legacy',
    connectTimeout: Math.max(1_000, timeout),
    commandTimeout: timeout,
    // A call is decided now or not at all: nothing waits for a connection, and nothing is sent twice.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    disableClientInfo: true,
    retryStrategy: times => Math.min(50 * times, reconnectMsMax),
    // After a failover the old primary cannot be written to, and the name or the sentinels lead to the new one.
    reconnectOnError: error => /^(READONLY|MOVED|MASTERDOWN)/.test(error.message),
  }
  const tls = ca === null ? {} : { ca }
  const login = { ...(username !== null && { username }), ...(password !== null && { password }) }
  if (url === null) {
    const nodes = sentinels.map(hostAndPort)
    return {
      ...common,
      ...login,
      sentinels: nodes,
      name: master ?? '',
      failoverDetector: true,
      sentinelCommandTimeout: 1_000,
      sentinelRetryStrategy: times => Math.min(50 * times, reconnectMsMax),
      ...(ca !== null && { tls, sentinelTLS: tls, enableTLSForSentinelMode: true }),
    }
  }
  const { protocol, hostname, port, username: user, pathname } = new URL(url)
  return {
    ...common,
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? 6379 : Number(port),
    ...(user !== '' && { username: decodeURIComponent(user) }),
    ...login,
    db: Number(pathname.slice(1) || 0),
    ...(protocol === 'rediss:' && { tls: { ...tls, servername: hostname } }),
  }
}

function hostAndPort(text: string): { host: string; port: number } {
  const { hostname, port } = new URL(`redis://${text}`)
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 26_379 : Number(port) }
}

/** Without the arguments of the command, which the client puts on its errors. */
function plain(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.slice(0, 200)
}
