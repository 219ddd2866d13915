// The port of a listener: sockets are accepted, counted, and brought through the PROXY header and the TLS handshake.

import net, { type Server, type Socket } from 'node:net'
import tls from 'node:tls'
import type { Clock, Counter, Deadlines, Log } from '../core/ports.ts'
import type { ProxiedEnds } from '../http/proxy-header.ts'
import { addressOf, Doorkeeper, type DoorkeeperPorts } from './doorkeeper.ts'
import type { ListenerSettings } from './listener-settings.ts'
import { readOpening } from './opening.ts'
import { Pace } from './pace.ts'
import { takeProxyHeader } from './proxied.ts'
import { type TicketMemory, useTicketKeys } from './ticket-keys.ts'
import { type Certificates, handshakeOptions } from './tls.ts'

export interface EntrancePorts extends DoorkeeperPorts {
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly log: Log
  /** Keys of TLS session tickets, the same in every worker, so that a session resumes on any of them. */
  readonly tickets: TicketMemory
}

/**
 * Takes a connection that is through. `ends` is what a PROXY header says of it; null where none does. `isStray`: plain HTTP is spoken
 * on it, though the port is for TLS.
 */
export type Arrived = (socket: Socket, ends: ProxiedEnds | null, isStray: boolean) => void

/** Turns of the event loop in which the queue of a port that closes is looked at; and a turn without other work, milliseconds. */
const queueTurnsMax = 400
const calmTurnMs = 0.1

/** Whose connections are closed at the entrance is told in the log this often at most. */
const complaintMs = 10_000

/** Owns the port, and each socket until it has arrived. */
export class Entrance {
  readonly #ports: EntrancePorts
  readonly #arrived: Arrived
  readonly #server: Server
  /** Where handshakes are made. Null without TLS. */
  readonly #secure: tls.Server | null
  readonly #doorkeeper: Doorkeeper
  /** Null where new connections are served as they come. */
  readonly #pace: Pace | null
  readonly #headerRefusals: Counter | null
  #complainedMs = -Infinity
  #settings: ListenerSettings
  /** Connections that are not through yet, by the address of the other end. */
  readonly #underWay = new Map<string, Socket>()
  /** What PROXY headers said of connections whose TLS handshake is under way, by the address of the other end. */
  readonly #ends = new Map<string, ProxiedEnds>()

  constructor(settings: ListenerSettings, ports: EntrancePorts, arrived: Arrived) {
    const { blueprint, certificates, isProxy } = settings
    const { meter } = ports
    const listener = blueprint.name
    this.#settings = settings
    this.#ports = ports
    this.#arrived = arrived
    this.#doorkeeper = new Doorkeeper(settings, ports)
    this.#pace = createPace(settings, ports)
    this.#headerRefusals = isProxy === null ? null : meter.counter('turnpike_proxy_header_refusals', { listener })
    this.#secure = certificates === null ? null : this.#createSecureServer()
    const isWaitedFor = isProxy !== null || this.#pace !== null || this.#secure !== null
    if (isWaitedFor) this.#server = this.#createOuterServer()
    else this.#server = net.createServer(socketOptions, socket => this.#plainArrives(socket))
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

  /** Takes over changed settings of the same socket. */
  adopt(settings: ListenerSettings): void {
    this.#settings = settings
    if (settings.pace !== null) this.#pace?.adopt(settings.pace)
    if (this.#secure === null || settings.certificates === null) return
    this.#secure.setSecureContext(secureOptions(settings))
    useTicketKeys(this.#secure, this.#ports.tickets)
  }

  /** Closes connections that are not through yet. */
  cutUnderWay(): void {
    for (const socket of this.#underWay.values()) socket.destroy()
  }

  /** Connections that wait until it is their turn. */
  get waiting(): number {
    return this.#pace?.waiting ?? 0
  }

  /**
   * Closing a port resets the connections that the system has queued for it, so they are taken first, one in each turn of the
   * event loop. After a turn without a connection and without other work hardly any time is left for another to queue.
   */
  async acceptQueued(): Promise<void> {
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

  /** Accepts no more. Resolves when all that it accepted are closed. */
  close(): Promise<void> {
    this.#pace?.close()
    return new Promise(resolve => this.#server.close(() => resolve()))
  }

  #plainArrives(socket: Socket): void {
    if (this.#doorkeeper.admit(socket, this.#settings) && this.#isWelcome(socket, addressOf(socket))) {
      this.#arrived(socket, null, false)
    }
  }

  /** Takes connections before HTTP does, where they have to wait, bring a PROXY header, or speak TLS. */
  #createOuterServer(): Server {
    const pauseOnConnect = this.#pace !== null
    return net.createServer({ ...socketOptions, allowHalfOpen: this.#secure === null, pauseOnConnect }, socket => {
      if (!this.#begins(socket)) return
      const address = addressOf(socket)
      const isProxied = this.#settings.isProxy?.(address) === true
      // Before it waits: who has too many connections takes no turn from others.
      if (!isProxied && !this.#isWelcome(socket, address)) return
      const go = () => (isProxied ? this.#takeHeader(socket) : this.#headerIsOff(socket, null))
      if (this.#pace === null) go()
      else this.#pace.enter(socket, go)
    })
  }

  #takeHeader(socket: Socket): void {
    const { blueprint } = this.#settings
    takeProxyHeader(socket, {
      ...{ clock: this.#ports.clock, deadlines: this.#ports.deadlines, timeoutMs: blueprint.timeouts.head },
      passed: ends => {
        if (this.#isWelcome(socket, ends?.source.address ?? addressOf(socket))) this.#headerIsOff(socket, ends)
      },
      refused: problem => this.#headerRefused(socket, problem),
    })
    if (socket.isPaused()) socket.resume()
  }

  #headerIsOff(socket: Socket, ends: ProxiedEnds | null): void {
    const client = clientOf(socket)
    if (this.#secure === null) {
      this.#underWay.delete(client)
      return this.#arrived(socket, ends, false)
    }
    readOpening(socket, {
      ...{ clock: this.#ports.clock, deadlines: this.#ports.deadlines },
      timeoutMs: this.#settings.blueprint.timeouts.head,
      http: () => {
        this.#underWay.delete(client)
        this.#countFailure('plain-http')
        socket.allowHalfOpen = true
        this.#arrived(socket, ends, true)
      },
      other: () => this.#beginHandshake(socket, client, ends),
      lost: reason => this.#countFailure(reason),
    })
    if (socket.isPaused()) socket.resume()
  }

  #beginHandshake(socket: Socket, client: string, ends: ProxiedEnds | null): void {
    if (ends !== null) {
      this.#ends.set(client, ends)
      socket.on('close', () => this.#ends.delete(client))
    }
    this.#secure?.emit('connection', socket)
  }

  #headerRefused(socket: Socket, problem: string): void {
    this.#headerRefusals?.add(1)
    if (!this.#mayComplain()) return
    const from = addressOf(socket)
    const listener = this.#settings.blueprint.name
    this.#ports.log.warn(
      { listener, from, problem },
      'a connection was closed: `proxyProtocol` expects a PROXY header of this sender',
    )
  }

  #createSecureServer(): tls.Server {
    const { blueprint } = this.#settings
    const server = tls.createServer(
      {
        ...socketOptions,
        // Node shows the end of a client that leaves in its handshake only without this; it is set again behind it.
        allowHalfOpen: false,
        ALPNProtocols: blueprint.http2.enabled ? ['h2', 'http/1.1'] : ['http/1.1'],
        SNICallback: (name, done) => done(null, this.#certificatesNow().contextFor(name)),
        handshakeTimeout: blueprint.timeouts.head,
        requestCert: (blueprint.tls?.clientCa ?? null) !== null,
        // A bad certificate is refused below, so that the log can say why; a missing one where it is required, here.
        rejectUnauthorized: blueprint.tls?.clientCa?.mode === 'required',
        ...secureOptions(this.#settings),
      },
      socket => this.#handshakeIsOver(socket),
    )
    useTicketKeys(server, this.#ports.tickets)
    server.on('tlsClientError', (error, socket) => {
      this.#handshakeFailed(socket, error)
      socket.destroy()
    })
    return server
  }

  #handshakeIsOver(socket: tls.TLSSocket): void {
    const client = clientOf(socket)
    const ends = this.#ends.get(client) ?? null
    this.#underWay.delete(client)
    this.#ends.delete(client)
    socket.allowHalfOpen = true
    // With `optional` the handshake ends well also for a certificate that nobody vouches for.
    if (isClientGood(socket, this.#ports.clock.wall())) return this.#arrived(socket, ends, false)
    this.#handshakeFailed(socket, null)
    socket.destroy()
  }

  /** Counted all; of clients whose certificate is refused the log tells, as it is most likely somebody who should get in. */
  #handshakeFailed(socket: tls.TLSSocket, error: (Error & { readonly code?: string }) | null): void {
    const reason = failureReason(socket, error)
    this.#countFailure(reason)
    if (reason !== 'client-certificate' || !this.#mayComplain()) return
    const listener = this.#settings.blueprint.name
    const problem = error?.code === noCertificate ? 'none was shown' : (refusalOf(socket) ?? 'CERT_HAS_EXPIRED')
    const from = addressOf(socket)
    this.#ports.log.warn({ listener, from, problem }, 'a connection was closed: the client certificate is not accepted')
  }

  #countFailure(reason: string): void {
    const listener = this.#settings.blueprint.name
    this.#ports.meter.counter('turnpike_tls_handshake_failures', { listener, reason }).add(1)
  }

  #mayComplain(): boolean {
    const nowMs = this.#ports.clock.now()
    if (nowMs - this.#complainedMs < complaintMs) return false
    this.#complainedMs = nowMs
    return true
  }

  #certificatesNow(): Certificates {
    const { certificates } = this.#settings
    if (certificates === null) throw new Error('a TLS listener without certificates')
    return certificates
  }

  #isWelcome(socket: Socket, address: string): boolean {
    return this.#doorkeeper.admitClient(socket, address, this.#settings)
  }

  /** False where it was closed. */
  #begins(socket: Socket): boolean {
    if (!this.#doorkeeper.admit(socket, this.#settings)) return false
    const client = clientOf(socket)
    this.#underWay.set(client, socket)
    socket.on('close', () => {
      if (this.#underWay.get(client) === socket) this.#underWay.delete(client)
    })
    return true
  }
}

const socketOptions = { allowHalfOpen: true, noDelay: true, pauseOnConnect: false }

/** Whether the client showed either no certificate or one that is vouched for and good now. */
function isClientGood(socket: tls.TLSSocket, wallMs: number): boolean {
  if (socket.authorized && !socket.isSessionReused()) return true
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return true
  // A session that resumes brings the verdict of its first handshake, and can be resumed for ever: each time there is a new ticket.
  return socket.authorized && Date.parse(certificate.validFrom) <= wallMs && wallMs <= Date.parse(certificate.validTo)
}

/** Why the certificate that a client showed is refused; null where that was not yet found out, or it is not refused. */
function refusalOf(socket: tls.TLSSocket): string | null {
  // Node has the code of OpenSSL there, whatever its types say.
  const code: unknown = socket.authorizationError
  return typeof code === 'string' ? code : null
}

const noCertificate = 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE'

function failureReason(socket: tls.TLSSocket, error: (Error & { readonly code?: string }) | null): string {
  if (error === null || error.code === noCertificate) return 'client-certificate'
  if (error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'timeout'
  if (error.code !== 'ECONNRESET') return 'protocol'
  return refusalOf(socket) === null ? 'closed' : 'client-certificate'
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

function createPace(settings: ListenerSettings, ports: EntrancePorts): Pace | null {
  if (settings.pace === null) return null
  const hits = (ceiling: string) =>
    ports.meter.counter('turnpike_ceiling_hits', { ceiling, name: settings.blueprint.name })
  const { clock, deadlines } = ports
  return new Pace(settings.pace, { clock, deadlines, waits: hits('accepts'), losses: hits('accepts-wait') })
}
