// A port that accepts calls, in one worker.

import type { Socket } from 'node:net'
import type { Gauge, Meter } from '../core/ports.ts'
import type { ProxiedEnds } from '../http/proxy-header.ts'
import { attach, letGo, turnBack } from './attach.ts'
import { readClientCertificate } from './client-certificate.ts'
import { ConnectedPeer } from './connected-peer.ts'
import { Entrance, type EntrancePorts } from './entrance.ts'
import { type EdgePorts, Gate } from './gate.ts'
import { createHttp2Hits } from './http2-hits.ts'
import type { ListenerSettings } from './listener-settings.ts'

export interface ListenerPorts extends EdgePorts, EntrancePorts {}

/** A connection that is through the entrance. */
interface Arrival {
  readonly socket: Socket
  readonly ends: ProxiedEnds | null
  readonly isStray: boolean
}

/** Serves nothing before `start`: connections that come earlier wait. */
export class Listener {
  readonly gate: Gate
  readonly #entrance: Entrance
  readonly #gauges: Gauges
  #settings: ListenerSettings
  #early: Arrival[] | null = []

  constructor(settings: ListenerSettings, ports: ListenerPorts) {
    this.#settings = settings
    const hitHttp2 = createHttp2Hits(ports.meter, settings.blueprint.name)
    this.gate = new Gate(settings.blueprint, settings.paths, settings.isTrusted, ports, hitHttp2)
    this.#gauges = createGauges(ports.meter, settings)
    this.#entrance = new Entrance(settings, ports, (socket, ends, isStray) => this.#arrived({ socket, ends, isStray }))
  }

  get isBound(): boolean {
    return this.#entrance.isBound
  }

  /** Binds the port. Rejects where it cannot be bound. */
  listen(): Promise<void> {
    return this.#entrance.listen()
  }

  /** Serves the connections that waited, and from now on all. */
  start(): void {
    const early = this.#early ?? []
    this.#early = null
    for (const each of early) if (!each.socket.destroyed) this.#serve(each)
  }

  /** Takes over changed settings of the same socket. */
  adopt(settings: ListenerSettings): void {
    const { sessionIdContext } = this.#settings.clientTrust
    this.#settings = settings
    this.gate.adopt(settings.blueprint, settings.paths, settings.isTrusted)
    this.#entrance.adopt(settings)
    if (sessionIdContext === settings.clientTrust.sessionIdContext) return
    // A certificate may be revoked by now. Handshakes that began are judged by what was in force.
    this.#entrance.cutUnderWay()
    for (const connection of this.gate.connections) letGo(connection, this.gate)
  }

  /** Stops accepting; idle connections close, the others after their call. Resolves when all are gone. */
  async drain(): Promise<void> {
    this.gate.isDraining = true
    this.#cutEarly()
    for (const connection of this.gate.connections) connection.drain()
    await this.#entrance.acceptQueued()
    await this.#entrance.close()
  }

  /** Ends what is still open; resolves when the port is closed. */
  async destroy(): Promise<void> {
    const closed = this.#entrance.close()
    this.#cutEarly()
    for (const connection of [...this.gate.connections, ...this.gate.tunnels]) connection.closed()
    await closed
  }

  /** Brings the gauges up to date; called every second or so. */
  report(): void {
    const { connections, tunnels, activeCalls } = this.gate
    let idle = 0
    for (const connection of connections) if (connection.isIdle) idle++
    this.#gauges.idle.set(idle)
    this.#gauges.active.set(connections.size - idle)
    this.#gauges.upgraded.set(tunnels.size)
    this.#gauges.calls.set(activeCalls)
    this.#gauges.waiting?.set(this.#entrance.waiting)
  }

  #cutEarly(): void {
    for (const { socket } of this.#early ?? []) socket.destroy()
    this.#entrance.cutUnderWay()
  }

  #arrived(arrival: Arrival): void {
    arrival.socket.on('error', ignore)
    if (this.#early === null) this.#serve(arrival)
    else this.#early.push(arrival)
  }

  #serve({ socket, ends, isStray }: Arrival): void {
    const { gate } = this
    const { certificates, blueprint, authorities } = this.#settings
    const peer = new ConnectedPeer(socket, ends, gate, {
      scheme: certificates === null || isStray ? 'http' : 'https',
      certificate: readClientCertificate(socket, blueprint.tls?.clientCa?.chain === true, authorities),
    })
    if (isStray) turnBack(socket, peer, gate)
    else attach(socket, peer, gate)
    // It was stopped behind what was read of it at the entrance.
    if (socket.isPaused()) socket.resume()
  }
}

interface Gauges {
  readonly idle: Gauge
  readonly active: Gauge
  readonly upgraded: Gauge
  readonly calls: Gauge
  /** Null where no connection has to wait. */
  readonly waiting: Gauge | null
}

function createGauges(meter: Meter, { blueprint, pace }: ListenerSettings): Gauges {
  const listener = blueprint.name
  const connections = (state: string) => meter.gauge('turnpike_downstream_connections', { listener, state })
  return {
    idle: connections('idle'),
    active: connections('active'),
    upgraded: connections('upgraded'),
    waiting: pace === null ? null : connections('waiting'),
    calls: meter.gauge('http_server_active_requests', { listener }),
  }
}

function ignore(): void {}
