// The connections to one address of an upstream that is told by PROXY headers who the client is.

import type { Call } from '../core/call.ts'
import type { Ports } from '../core/ports.ts'
import { type ProxiedEnds, writeProxyHeader } from '../http/proxy-header.ts'
import type { Endpoint, EndpointAddress, TryListener } from './endpoint.ts'
import { Pool, type PoolOptions } from './pool.ts'

export interface ProxiedPoolOptions extends Omit<PoolOptions, 'preface'> {
  readonly version: 'v1' | 'v2'
}

/** Fewer pools than this are not looked through for unused ones. */
const sweepMin = 64

/**
 * A connection says of all its calls that they are of the one client named in its header, so each client has a pool of its own.
 * A client is an address and port: with keep-alive a connection of a client has its connection to the upstream.
 */
export class ProxiedPools implements Endpoint {
  readonly id: string
  weight: number
  /** Until the heads of their replies: adding up the pools at each choice of a target would cost more than bodies count for. */
  active = 0
  readonly #address: EndpointAddress
  readonly #options: ProxiedPoolOptions
  readonly #ports: Ports
  /** The one used last stands at the end. */
  readonly #pools = new Map<string, Pool>()
  #sweepAt = sweepMin

  constructor(address: EndpointAddress, weight: number, options: ProxiedPoolOptions, ports: Ports) {
    this.id = address.id
    this.weight = weight
    this.#address = address
    this.#options = options
    this.#ports = ports
  }

  send(call: Call, isFresh: boolean, listener: TryListener): void {
    const { share } = this.#options
    const pool = this.#poolFor(endsOf(call))
    // Connections of clients that left are of no use to others: they make room.
    if (share.connections >= share.connectionsMax && !pool.hasIdle) this.#closeOneIdle()
    this.active++
    pool.send(call, isFresh, {
      answered: reply => {
        this.active--
        listener.answered(reply)
      },
      failed: failure => {
        this.active--
        listener.failed(failure)
      },
    })
  }

  close(): void {
    for (const pool of this.#pools.values()) pool.close()
  }

  #poolFor(ends: ProxiedEnds): Pool {
    const { source, destination } = ends
    const key = `${source.address} ${source.port} ${destination.address} ${destination.port}`
    const found = this.#pools.get(key)
    if (found !== undefined) {
      this.#pools.delete(key)
      this.#pools.set(key, found)
      return found
    }
    if (this.#pools.size >= this.#sweepAt) this.#sweep()
    const preface = writeProxyHeader(this.#options.version, ends)
    const pool = new Pool(this.#address, this.weight, { ...this.#options, preface }, this.#ports)
    this.#pools.set(key, pool)
    return pool
  }

  /** Those in use are bounded by the ceilings of the upstream; there are never more than twice as many, or a few. */
  #sweep(): void {
    for (const [key, pool] of this.#pools) {
      if (!pool.isUnused) continue
      pool.close()
      this.#pools.delete(key)
    }
    this.#sweepAt = Math.max(sweepMin, 2 * this.#pools.size)
  }

  #closeOneIdle(): void {
    for (const pool of this.#pools.values()) if (pool.closeOneIdle()) return
  }
}

/** Who the call is of by the trusted-proxy rule. Of a client behind another proxy only the address is known. */
function endsOf({ clientAddress, peer }: Call): ProxiedEnds {
  const port = clientAddress === peer.address ? peer.port : 0
  return { source: { address: clientAddress, port }, destination: peer.local }
}
