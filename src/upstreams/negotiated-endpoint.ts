// A target whose protocol is asked for: HTTP/2 or HTTP/1.1, by ALPN.

import type { Call } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import type { Ports } from '../core/ports.ts'
import type { Reply } from '../core/reply.ts'
import { Dialer } from './dial.ts'
import { type Endpoint, type EndpointAddress, labelOf, sendOnce, tellWhenOver, type TryListener } from './endpoint.ts'
import { Http2Pool, streamsExpected } from './http2-pool.ts'
import { Pool, type PoolOptions } from './pool.ts'
import { agreedProtocol, connectFailure, whenConnected } from './when-connected.ts'

/** How long what a target chose holds; a server may be replaced by another. */
const askedAgainMs = 60_000

/**
 * Asks by a connection that is used for nothing else, before the first call and then once a minute while there are calls. What
 * is found out goes for new calls; those under way stay where they are.
 */
export class NegotiatedEndpoint implements Endpoint {
  readonly id: string
  weight: number
  readonly #address: EndpointAddress
  readonly #options: PoolOptions
  readonly #ports: Ports
  readonly #http1: Pool
  readonly #http2: Http2Pool
  readonly #dialer: Dialer
  #chosen: Endpoint | null = null
  #asking: Promise<Endpoint> | null = null
  #askAgainMs = 0
  #waiting = 0

  constructor(address: EndpointAddress, weight: number, options: PoolOptions, ports: Ports) {
    this.id = address.id
    this.#address = address
    this.weight = weight
    this.#options = options
    this.#ports = ports
    this.#http1 = new Pool(address, weight, options, ports)
    this.#http2 = new Http2Pool(address, weight, options, ports)
    this.#dialer = new Dialer(address, options, ['h2', 'http/1.1'])
  }

  get active(): number {
    return this.#waiting + this.#http1.active + this.#http2.active
  }

  send(call: Call, isFresh: boolean, listener: TryListener): void {
    tellWhenOver(this.#send(call, isFresh), listener)
  }

  async #send(call: Call, isFresh: boolean): Promise<Reply> {
    // Over HTTP/2 only a GET can be upgraded.
    if (call.upgrade !== '' && call.method !== 'GET') return sendOnce(this.#http1, call, isFresh)
    const chosen = this.#chosen
    if (chosen !== null && this.#ports.clock.now() > this.#askAgainMs) this.#askOnce().catch(() => {})
    const endpoint = chosen ?? (await this.#waitForChoice())
    return sendOnce(endpoint, call, isFresh).catch((thrown: unknown) => {
      const { code, retryable } = Failure.from(thrown)
      // The server has seen nothing of the call.
      if (code === 'upgrade-not-supported') return sendOnce(this.#http1, call, isFresh)
      // No connection: perhaps the target no longer speaks what it chose.
      if (retryable === 'yes') this.#askAgainMs = 0
      throw thrown
    })
  }

  close(): void {
    this.#http1.close()
    this.#http2.close()
  }

  async #waitForChoice(): Promise<Endpoint> {
    const { share } = this.#options
    if (share.pending >= share.pendingMax + streamsExpected) {
      share.pendingHit.add(1)
      const detail = `${labelOf(this.#address)}: no protocol known yet and no place to wait`
      throw new Failure('upstream-busy', { detail })
    }
    this.#waiting++
    share.pending++
    try {
      return await this.#askOnce()
    } finally {
      this.#waiting--
      share.pending--
    }
  }

  #askOnce(): Promise<Endpoint> {
    return (this.#asking ??= this.#ask().finally(() => {
      this.#asking = null
    }))
  }

  #ask(): Promise<Endpoint> {
    const { blueprint, share } = this.#options
    const { clock, deadlines } = this.#ports
    const attempt = {
      scheme: this.#address.scheme,
      label: labelOf(this.#address),
      clock,
      deadlines,
      timeouts: blueprint.timeouts,
    }
    const socket = this.#dialer.dial(() => true)
    return new Promise<Endpoint>((resolve, reject) => {
      whenConnected(socket, attempt, {
        connected: () => {
          const chosen = agreedProtocol(socket) === 'h2' ? this.#http2 : this.#http1
          this.#chosen = chosen
          this.#askAgainMs = clock.now() + askedAgainMs
          socket.on('error', () => {})
          socket.destroy()
          resolve(chosen)
        },
        failed: error => {
          share.connectFailures.add(1)
          reject(connectFailure(attempt, error))
        },
      })
    })
  }
}
