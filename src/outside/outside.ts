// What the gateway itself asks of other servers: guarded HTTP and gRPC on kept connections. Owns its sockets.

import http from 'node:http'
import https from 'node:https'
import { type Outside, OutsideError, type OutsideReply, type OutsideRequest, type OutsideRpc } from '../core/outside.ts'
import type { Clock, Deadlines, Meter } from '../core/ports.ts'
import { Exchange, outsideErrorOf } from './deadline.ts'
import { exchangeHttp } from './fetch.ts'
import { exchangeRpc } from './rpc.ts'
import { createRules, type Resolve, type Rules, type Trust } from './rules.ts'
import { Sessions } from './sessions.ts'

export interface OutsideSettings {
  /** Addresses and CIDRs that may be asked although they are not public. */
  readonly allow: readonly string[]
  /** Authorities to trust instead of the system's, as PEM; null for the system's. */
  readonly ca: string | null
}

export interface OutsidePorts {
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly meter: Meter
  /** For tests; the system's resolver where it is not given. */
  readonly resolve?: Resolve
}

/** At once, per worker; a further one fails. */
const exchangesMax = 2048
/** Connections per origin and worker; further requests wait for one. */
const socketsPerOrigin = 64
/** Below the five seconds after which many servers close an idle connection. */
const idleMs = 4_000

interface Agents {
  readonly http: http.Agent
  readonly https: https.Agent
}

/** One per worker; outlives reloads. */
export class OutsideClient implements Outside {
  readonly #ports: OutsidePorts
  readonly #sessions: Sessions
  readonly #hits
  #settings = ''
  #rules: Rules
  #ca: string | null = null
  #agents: Readonly<Record<Trust, Agents>>
  #underWay = 0

  constructor(ports: OutsidePorts) {
    this.#ports = ports
    const hits = (ceiling: string) => ports.meter.counter('turnpike_ceiling_hits', { ceiling, name: 'all' })
    this.#hits = hits('outside-exchanges')
    this.#sessions = new Sessions(ports.clock, hits('outside-sessions'))
    this.#rules = createRules([], ports.resolve)
    this.#agents = this.#makeAgents()
  }

  /** Goes by other rules from now on. Connections that were made by the old ones are not used again. */
  adopt(settings: OutsideSettings): void {
    const text = JSON.stringify(settings)
    if (text === this.#settings) return
    this.#settings = text
    this.#closeIdle()
    this.#rules = createRules(settings.allow, this.#ports.resolve)
    this.#ca = settings.ca
    this.#agents = this.#makeAgents()
  }

  async fetch(request: OutsideRequest): Promise<OutsideReply> {
    const trust = trustOf(request)
    const url = this.#judged(request.url, trust)
    return this.#run<OutsideReply>(request.timeoutMs, exchange => {
      exchangeHttp(request, url, this.#agents[trust][url.protocol === 'https:' ? 'https' : 'http'], exchange)
    })
  }

  async rpc(rpc: OutsideRpc): Promise<Uint8Array> {
    const { origin } = this.#judged(rpc.url, 'written')
    return this.#run<Uint8Array>(rpc.timeoutMs, exchange => this.#send(rpc, origin, exchange, false))
  }

  close(): void {
    this.#closeIdle()
  }

  #send(rpc: OutsideRpc, origin: string, exchange: Exchange<Uint8Array>, isSecond: boolean): void {
    const startedMs = this.#ports.clock.now()
    const lookup = this.#rules.lookup('written')
    const { session, isKept } = this.#sessions.open(origin, { ...this.#tls(), lookup })
    exchangeRpc(rpc, session.http2, exchange, exchange.dueMs - startedMs, {
      heard: () => this.#sessions.heard(session),
      broke: isRefused => {
        const isDead = session.http2.closed || session.http2.destroyed
        // The server closed a kept connection in the moment it was used again.
        const mayRepeat = isRefused || (isKept && isDead && rpc.isRepeatable === true)
        if (isSecond || !mayRepeat) return false
        this.#send(rpc, origin, exchange, true)
        return true
      },
      timedOut: () => this.#sessions.suspect(session, startedMs),
    })
  }

  async #run<T>(timeoutMs: number, start: (exchange: Exchange<T>) => void): Promise<T> {
    if (this.#underWay >= exchangesMax) {
      this.#hits.add(1)
      throw new OutsideError('unreachable', `${exchangesMax} requests of the gateway's own are under way`)
    }
    this.#underWay++
    const exchange = new Exchange<T>(timeoutMs, this.#ports.clock, this.#ports.deadlines)
    try {
      start(exchange)
      return await exchange.promise
    } catch (error) {
      const failure = outsideErrorOf(error)
      exchange.fail(failure)
      throw failure
    } finally {
      this.#underWay--
    }
  }

  #judged(text: string, trust: Trust): URL {
    const url = URL.parse(text)
    if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
      throw new OutsideError('refused-address', 'the URL is not one of http or https')
    }
    if (url.username !== '' || url.password !== '') {
      throw new OutsideError('refused-address', 'the URL has user information')
    }
    this.#rules.judge(url.hostname, trust)
    return url
  }

  #makeAgents(): Readonly<Record<Trust, Agents>> {
    const make = (trust: Trust): Agents => {
      const lookup = this.#rules.lookup(trust)
      const options = { keepAlive: true, maxSockets: socketsPerOrigin, maxFreeSockets: 8, timeout: idleMs, lookup }
      return { http: new http.Agent(options), https: new https.Agent({ ...options, ...this.#tls() }) }
    }
    return { written: make('written'), named: make('named') }
  }

  #tls(): { minVersion: 'TLSv1.2'; ca?: string } {
    return { minVersion: 'TLSv1.2', ...(this.#ca !== null && { ca: this.#ca }) }
  }

  #closeIdle(): void {
    for (const { http, https } of Object.values(this.#agents)) {
      for (const agent of [http, https]) {
        for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
      }
    }
    this.#sessions.close()
  }
}

/** A server may name URLs on its own host: the operator wrote that one. */
function trustOf({ url, namedBy }: OutsideRequest): Trust {
  if (namedBy === undefined) return 'written'
  const host = URL.parse(url)?.host
  return host !== undefined && host === URL.parse(namedBy)?.host ? 'written' : 'named'
}
