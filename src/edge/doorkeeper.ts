// Which connections a listener lets in: by what the process has left, by their number, and by their number from one address.

import type { Socket } from 'node:net'
import { clientOf } from '../core/client-of.ts'
import type { Counter, Meter, SharedCounter, SharedCounters } from '../core/ports.ts'
import { plainAddress } from './forwarded.ts'
import { listenerKey, type ListenerSettings } from './listener-settings.ts'

export interface DoorkeeperPorts {
  readonly meter: Meter
  readonly shared: SharedCounters
  /** Descriptors from this number on are kept from clients; Infinity where that is not known. */
  readonly overload: { readonly clientDescriptors: number }
}

/** A client with IPv6 has a network of its own. */
const ipv6Prefix = 64

type Ceiling = 'connections' | 'descriptors' | 'connections-per-address'

export class Doorkeeper {
  readonly #ports: DoorkeeperPorts
  readonly #key: string
  readonly #openSockets: SharedCounter
  readonly #opened: Counter
  readonly #hits: Readonly<Record<Ceiling, Counter>>

  constructor({ blueprint }: ListenerSettings, ports: DoorkeeperPorts) {
    const { meter } = ports
    const hits = (ceiling: Ceiling) => meter.counter('turnpike_ceiling_hits', { ceiling, name: blueprint.name })
    this.#ports = ports
    this.#key = `listener ${listenerKey(blueprint)}`
    this.#openSockets = ports.shared.counter(this.#key)
    this.#opened = meter.counter('turnpike_downstream_connections_opened', { listener: blueprint.name })
    this.#hits = {
      connections: hits('connections'),
      descriptors: hits('descriptors'),
      'connections-per-address': hits('connections-per-address'),
    }
  }

  /** Counts a connection, or closes it where there are as many as there may be. */
  admit(socket: Socket, { blueprint }: ListenerSettings): boolean {
    socket.on('error', ignore)
    // The system gives out the lowest number that is free: at this one, all below are taken.
    if (descriptorOf(socket) >= this.#ports.overload.clientDescriptors) return this.#turnAway(socket, 'descriptors')
    if (!this.#openSockets.tryTake(blueprint.limits.connections)) return this.#turnAway(socket, 'connections')
    this.#opened.add(1)
    socket.on('close', () => this.#openSockets.give())
    return true
  }

  /** The same for the connections of one client, where they are bounded; a trusted proxy speaks for many clients. */
  admitClient(socket: Socket, address: string, { blueprint, isTrusted }: ListenerSettings): boolean {
    const { connectionsPerAddress } = blueprint.limits
    if (connectionsPerAddress === null || isTrusted(address)) return true
    const counter = this.#ports.shared.counter(`${this.#key} ${clientOf(address, ipv6Prefix)}`)
    if (!counter.tryTake(connectionsPerAddress)) return this.#turnAway(socket, 'connections-per-address')
    socket.on('close', () => counter.give())
    return true
  }

  #turnAway(socket: Socket, ceiling: Ceiling): false {
    this.#hits[ceiling].add(1)
    socket.destroy()
    return false
  }
}

/** The address at the other end of the socket itself. */
export function addressOf(socket: Socket): string {
  return plainAddress(socket.remoteAddress)
}

/** -1 where it cannot be told. Node shows it to nobody but itself, so this may end with another version; a test would say so. */
function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly fd?: unknown } | null }
  return typeof handle?.fd === 'number' ? handle.fd : -1
}

function ignore(): void {}
