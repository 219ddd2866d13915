// One connection to a server that speaks the protocol of Valkey and Redis: opened once, and closed for good once.

import { isIP } from 'node:net'
import { Redis, type RedisOptions } from 'ioredis'
import type { Script } from './script.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

/** What holds for every connection of a store. */
export interface ConnectionSettings {
  readonly username: string | null
  readonly password: string | null
  readonly database: number
  /** Null for a connection without TLS; texts are PEM. */
  readonly tls: TlsSettings | null
  /** Of one command, milliseconds. */
  readonly timeoutMs: number
}

export interface TlsSettings {
  readonly serverName: string | null
  readonly ca: string | null
  readonly cert: string | null
  readonly key: string | null
}

/** Until a connection is open, TLS included. */
const connectMsMin = 1_000
/** How long a server that was told goodbye may take to close. */
const disconnectMs = 100

/** Owns the socket until `close`. */
export class Connection {
  readonly #redis: Redis

  private constructor(redis: Redis) {
    this.#redis = redis
  }

  /** Rejects with the cause where the server cannot be reached or does not let this gateway in. `onEnd` is called once. */
  static async open(address: Address, settings: ConnectionSettings, onEnd: () => void): Promise<Connection> {
    const redis = new Redis(optionsOf(address, settings))
    let cause: Error | null = null
    redis.on('error', (error: Error) => {
      cause = error
    })
    try {
      await redis.connect()
    } catch (error) {
      redis.disconnect()
      // What the client rejects with says only that it is closed.
      throw cause ?? error
    }
    redis.once('end', onEnd)
    return new Connection(redis)
  }

  command(name: string, ...values: (string | number)[]): Promise<unknown> {
    return this.#redis.call(name, ...values)
  }

  /** A restarted server has forgotten its scripts. */
  async run({ text, sha }: Script, keys: readonly string[], values: readonly (string | number)[]): Promise<unknown> {
    try {
      return await this.#redis.evalsha(sha, keys.length, ...keys, ...values)
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
      return this.#redis.eval(text, keys.length, ...keys, ...values)
    }
  }

  async subscribe(channel: string, onMessage: (message: string) => void): Promise<void> {
    this.#redis.on('message', (_channel: string, message: string) => onMessage(message))
    await this.#redis.subscribe(channel)
  }

  close(): void {
    this.#redis.disconnect()
  }
}

function optionsOf(address: Address, settings: ConnectionSettings): RedisOptions & { replyMapping: 'legacy' } {
  const { username, password, database, tls, timeoutMs } = settings
  return {
    ...address,
    ...(username !== null && { username }),
    ...(password !== null && { password }),
    ...(tls !== null && { tls: tlsOf(address, tls) }),
    db: database,
    // Subscriptions and commands share the connection.
    protocol: 3,
    replyMapping: 'legacy',
    connectTimeout: Math.max(connectMsMin, timeoutMs),
    commandTimeout: timeoutMs,
    disconnectTimeout: disconnectMs,
    // A call is decided now or not at all: nothing waits for a connection, nothing is sent twice, and who owns this decides when
    // there is another one. Whether the server is ready is for the first command to find out.
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    enableReadyCheck: false,
    disableClientInfo: true,
  }
}

function tlsOf({ host }: Address, { serverName, ca, cert, key }: TlsSettings): NonNullable<RedisOptions['tls']> {
  // An address is no name of SNI (RFC 6066 §3); the certificate is then checked against the address.
  const name = serverName ?? (isIP(host) === 0 ? host : null)
  return {
    ...(name !== null && { servername: name }),
    ...(ca !== null && { ca }),
    ...(cert !== null && key !== null && { cert, key }),
  }
}
