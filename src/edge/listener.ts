// A port that accepts calls, in one worker.

import { createHash } from 'node:crypto'
import net, { type Server, type Socket } from 'node:net'
import tls from 'node:tls'
import type { Blueprint, ListenerBlueprint, PathsBlueprint } from '../core/blueprint.ts'
import type { Peer } from '../core/call.ts'
import type { Counter, Gauge, Meter, SharedCounter, SharedCounters } from '../core/ports.ts'
import { Connection } from './connection.ts'
import { plainAddress } from './forwarded.ts'
import { type EdgePorts, Gate } from './gate.ts'
import { readClientCertificate } from './client-certificate.ts'
import { type TicketMemory, useTicketKeys } from './ticket-keys.ts'
import { type Certificates, clientTrust, handshakeOptions, loadCertificates } from './tls.ts'
import { compileTrust } from './trust.ts'

export interface ListenerPorts extends EdgePorts {
  readonly meter: Meter
  readonly shared: SharedCounters
  /** Keys of TLS session tickets, the same in every worker, so that a session resumes on any of them. */
  readonly tickets: TicketMemory
}

/** All that a listener is made of, prepared from a blueprint; making it finds the mistakes, using it cannot fail. */
export interface ListenerSettings {
  readonly blueprint: ListenerBlueprint
  readonly paths: PathsBlueprint
  readonly certificates: Certificates | null
  readonly isTrusted: (address: string) => boolean
  /** Authorities of client certificates, as options of a secure context. */
  readonly clientTrust: tls.SecureContextOptions & { readonly sessionIdContext?: string }
  readonly sessionLifetimeMs: number
}

/** Throws an Error where a certificate cannot be used. */
export function prepareListener(
  blueprint: ListenerBlueprint,
  { paths, tlsSessions }: Pick<Blueprint, 'paths' | 'tlsSessions'>,
  files: Readonly<Record<string, string>>,
): ListenerSettings {
  return {
    blueprint,
    paths,
    certificates: blueprint.tls === null ? null : loadCertificates(blueprint.tls, files),
    isTrusted: compileTrust(blueprint.trustedProxies),
    clientTrust: blueprint.tls === null ? {} : sessionsBoundTo(clientTrust(blueprint.tls, files)),
    sessionLifetimeMs: tlsSessions.lifetime,
  }
}

/** A session that began under other authorities does not resume: the client is asked for its certificate anew. */
function sessionsBoundTo(trust: ReturnType<typeof clientTrust>): ListenerSettings['clientTrust'] {
  if (trust.ca === undefined) return {}
  const context = createHash('sha256')
    .update(trust.ca)
    .update(trust.crl ?? '')
    .digest('hex')
  return { ...trust, sessionIdContext: context.slice(0, 32) }
}

/** What makes two listeners the same socket: a change of anything else is taken over while it is open. */
export function listenerKey({ host, port, tls: secure }: ListenerBlueprint): string {
  const clientCa = secure?.clientCa ?? null
  const clients = clientCa === null ? '' : ` ${clientCa.mode}`
  return `${host ?? '*'} ${port} ${secure === null ? 'plain' : 'tls'}${clients}`
}

/** Turns of the event loop in which the queue of a port that closes is looked at; and a turn without other work, milliseconds. */
const queueTurnsMax = 400
const calmTurnMs = 0.1

/** Accepts nothing before `start`: connections that come earlier wait. */
export class Listener {
  readonly gate: Gate
  readonly #ports: ListenerPorts
  readonly #server: Server
  readonly #openSockets: SharedCounter
  readonly #gauges: Gauges
  readonly #opened: Counter
  readonly #ceilingHits: Counter
  #settings: ListenerSettings
  #early: Socket[] | null = []
  /** Connections whose TLS handshake is under way, by the address of the client. */
  readonly #handshaking = new Map<string, Socket>()

  constructor(settings: ListenerSettings, ports: ListenerPorts) {
    const { blueprint } = settings
    this.#settings = settings
    this.#ports = ports
    this.gate = new Gate(blueprint, settings.paths, settings.isTrusted, ports)
    this.#openSockets = ports.shared.counter(`listener ${listenerKey(blueprint)}`)
    const listener = blueprint.name
    this.#opened = ports.meter.counter('turnpike_downstream_connections_opened', { listener })
    this.#ceilingHits = ports.meter.counter('turnpike_ceiling_hits', { ceiling: 'connections', name: listener })
    this.#gauges = createGauges(ports.meter, listener)
    this.#server = this.#createServer()
  }

  get isBound(): boolean {
    return this.#server.listening
  }

  /** Binds the port. Rejects where it cannot be bound. */
  listen(): Promise<void> {
    const { host, port } = this.#settings.blueprint
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(
        { port, ...(host !== null && { host }), reusePort: process.platform === 'linux', backlog: 4096 },
        () => {
          this.#server.off('error', reject)
          this.#server.on('error', error => this.#ports.log.error({ err: error }, 'a listener failed'))
          resolve()
        },
      )
    })
  }

  /** Serves the connections that waited, and from now on all. */
  start(): void {
    const early = this.#early ?? []
    this.#early = null
    for (const socket of early) if (!socket.destroyed) this.#serve(socket)
  }

  /** Takes over changed settings of the same socket. */
  adopt(settings: ListenerSettings): void {
    this.#settings = settings
    this.gate.adopt(settings.blueprint, settings.paths, settings.isTrusted)
    if (this.#server instanceof tls.Server && settings.certificates !== null) {
      this.#server.setSecureContext(secureOptions(settings))
      useTicketKeys(this.#server, this.#ports.tickets)
    }
  }

  /** Stops accepting; idle connections close, the others after their call. Resolves when all are gone. */
  async drain(): Promise<void> {
    this.gate.isDraining = true
    for (const socket of [...(this.#early ?? []), ...this.#handshaking.values()]) socket.destroy()
    for (const connection of this.gate.connections) connection.drain()
    await this.#acceptQueued()
    await new Promise<void>(resolve => this.#server.close(() => resolve()))
  }

  /** Ends what is still open; resolves when the port is closed. */
  async destroy(): Promise<void> {
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    for (const socket of [...(this.#early ?? []), ...this.#handshaking.values()]) socket.destroy()
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
  }

  /**
   * Closing a port resets the connections that the system has queued for it, so they are taken first, one in each turn of the
   * event loop. After a turn without a connection and without other work hardly any time is left for another to queue.
   */
  async #acceptQueued(): Promise<void> {
    if (!this.isBound) return
    let isQueueEmpty = false
    const taken = () => {
      isQueueEmpty = false
    }
    this.#server.on('connection', taken)
    for (let turn = 0; turn < queueTurnsMax; turn++) {
      isQueueEmpty = turn > 0
      const startedMs = performance.now()
      await new Promise(resolve => setImmediate(resolve))
      if (isQueueEmpty && performance.now() - startedMs < calmTurnMs) break
    }
    this.#server.off('connection', taken)
  }

  #createServer(): Server {
    const { certificates, blueprint } = this.#settings
    const options = { allowHalfOpen: true, noDelay: true, pauseOnConnect: false }
    if (certificates === null) {
      return net.createServer(options, socket => {
        if (this.#admit(socket)) this.#accepted(socket)
      })
    }
    const server = tls.createServer(
      {
        ...options,
        // Node shows the end of a client that leaves in its handshake only without this; it is set again behind it.
        allowHalfOpen: false,
        ALPNProtocols: ['http/1.1'],
        SNICallback: (name, done) => done(null, this.#certificatesNow().contextFor(name)),
        handshakeTimeout: blueprint.timeouts.head,
        requestCert: (blueprint.tls?.clientCa ?? null) !== null,
        // A bad certificate is refused below, so that the log can say why; a missing one where it is required, here.
        rejectUnauthorized: blueprint.tls?.clientCa?.mode === 'required',
        ...secureOptions(this.#settings),
      },
      socket => {
        this.#handshaking.delete(clientOf(socket))
        socket.allowHalfOpen = true
        // With `optional` the handshake ends well also for a certificate that nobody vouches for.
        if (!isClientGood(socket)) {
          socket.destroy()
          return
        }
        this.#accepted(socket)
      },
    )
    useTicketKeys(server, this.#ports.tickets)
    server.on('connection', (socket: Socket) => this.#handshakeBegins(socket))
    // A handshake that fails is the client's affair; without a listener it would end the worker.
    server.on('tlsClientError', (_, socket) => socket.destroy())
    return server
  }

  #certificatesNow(): Certificates {
    const { certificates } = this.#settings
    if (certificates === null) throw new Error('a TLS listener without certificates')
    return certificates
  }

  /** Counts a connection, or closes it where there are as many as there may be. */
  #admit(socket: Socket): boolean {
    socket.on('error', ignore)
    if (!this.#openSockets.tryTake(this.#settings.blueprint.limits.connections)) {
      this.#ceilingHits.add(1)
      socket.destroy()
      return false
    }
    this.#opened.add(1)
    socket.on('close', () => this.#openSockets.give())
    return true
  }

  #handshakeBegins(socket: Socket): void {
    if (!this.#admit(socket)) return
    const client = clientOf(socket)
    this.#handshaking.set(client, socket)
    socket.on('close', () => {
      if (this.#handshaking.get(client) === socket) this.#handshaking.delete(client)
    })
  }

  #accepted(socket: Socket): void {
    socket.on('error', ignore)
    if (this.#early === null) this.#serve(socket)
    else this.#early.push(socket)
  }

  #serve(socket: Socket): void {
    const { gate } = this
    const address = plainAddress(socket.remoteAddress)
    const peer: Peer = {
      address,
      port: socket.remotePort ?? 0,
      // Asked of the system only where something wants it.
      get local() {
        return { address: plainAddress(socket.localAddress), port: socket.localPort ?? 0 }
      },
      isTrusted: gate.isTrusted(address),
      scheme: this.#settings.certificates === null ? 'http' : 'https',
      certificate: readClientCertificate(socket, this.#settings.blueprint.tls?.clientCa?.chain === true),
      // A reload may give the listener another name.
      get listener() {
        return gate.name
      },
    }
    const connection = new Connection(socket, peer, gate)
    gate.connections.add(connection)
    gate.deadlines.add(connection)
    connection.read()
    socket.on('end', () => connection.ended())
    socket.on('drain', () => connection.drained())
    socket.on('close', () => {
      gate.connections.delete(connection)
      gate.deadlines.remove(connection)
      connection.closed()
    })
    if (gate.isDraining) connection.drain()
  }
}

/** Whether the client showed either no certificate or one that is vouched for. */
function isClientGood(socket: tls.TLSSocket): boolean {
  return socket.authorized || socket.getPeerX509Certificate() === undefined
}

function clientOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}

function secureOptions(settings: ListenerSettings): tls.SecureContextOptions {
  const { blueprint, certificates, sessionLifetimeMs } = settings
  return {
    ...certificates?.fallbackPem,
    ...settings.clientTrust,
    ...(blueprint.tls !== null && handshakeOptions(blueprint.tls)),
    sessionTimeout: Math.max(1, Math.round(sessionLifetimeMs / 1000)),
  }
}

interface Gauges {
  readonly idle: Gauge
  readonly active: Gauge
  readonly upgraded: Gauge
  readonly calls: Gauge
}

function createGauges(meter: Meter, listener: string): Gauges {
  const connections = (state: string) => meter.gauge('turnpike_downstream_connections', { listener, state })
  return {
    idle: connections('idle'),
    active: connections('active'),
    upgraded: connections('upgraded'),
    calls: meter.gauge('http_server_active_requests', { listener }),
  }
}

function ignore(): void {}
