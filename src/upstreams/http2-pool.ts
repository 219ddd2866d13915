// The HTTP/2 connections of one worker to one address: few, shared by many calls.

import type { Socket } from 'node:net'
import type { Abandonable, Call } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import type { Clock, Deadlines, Log, Ports, Timed } from '../core/ports.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import { defaultLimits, type HeadLimits } from '../http/limits.ts'
import type { SharedMemory } from '../http2/shared-memory.ts'
import { Dialer } from './dial.ts'
import { type Endpoint, type EndpointAddress, hostFieldOf, labelOf, type TryListener } from './endpoint.ts'
import { upgradeRefusal } from './extended-connect.ts'
import { Http2UpstreamConnection } from './http2-connection.ts'
import type { PoolOptions } from './pool.ts'
import { agreedProtocol, connectFailure, whenConnected } from './when-connected.ts'

/** How many calls a connection that is being opened will take for certain (RFC 9113 §6.5.2): so many may wait for it besides. */
export const streamsExpected = 100

/** The endpoint of one address. Calls go to the first connection with room, so that there are no more than are needed. */
export class Http2Pool implements Endpoint {
  readonly id: string
  readonly scheme: 'http' | 'https'
  /** For log texts. */
  readonly label: string
  /** What stands for Host where a call has none (HTTP/1.0). */
  readonly hostField: string
  weight: number
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly log: Log
  readonly timeouts: UpstreamBlueprint['timeouts']
  readonly headLimits: HeadLimits = defaultLimits
  readonly memory: SharedMemory
  readonly #options: PoolOptions
  readonly #dialer: Dialer
  readonly #connections: Http2UpstreamConnection[] = []
  readonly #waiting: Waiting[] = []
  #exchanges = 0
  /** Connections so far. */
  #opened = 0
  #connecting = 0
  #isClosed = false

  constructor(address: EndpointAddress, weight: number, options: PoolOptions, ports: Ports) {
    this.id = address.id
    this.scheme = address.scheme
    this.weight = weight
    this.label = labelOf(address)
    this.hostField = hostFieldOf(address)
    this.clock = ports.clock
    this.deadlines = ports.deadlines
    this.log = ports.log
    this.timeouts = options.blueprint.timeouts
    this.memory = options.share.http2Memory
    this.#options = options
    this.#dialer = new Dialer(address, options, ['h2'])
  }

  get active(): number {
    return this.#exchanges + this.#waiting.length
  }

  send(call: Call, isFresh: boolean, listener: TryListener): void {
    if (call.stopReason !== null) return listener.failed(call.stopReason)
    // What asks for an upgrade takes the place of a GET (RFC 8441 §5); other calls go on without it (RFC 9110 §7.8).
    if (call.upgrade !== '' && call.method !== 'GET') call.upgrade = ''
    const connection = isFresh || this.#isQueued ? undefined : this.#withRoom()
    if (connection === undefined) this.#wait(call, isFresh, listener)
    else this.#start(connection, call, listener)
  }

  close(): void {
    this.#isClosed = true
    this.#options.share.starved.delete(this)
    for (const connection of [...this.#connections]) connection.retire()
  }

  exchangeOver(): void {
    this.#exchanges--
  }

  /** A connection has room for a call, or there is room for a connection. */
  roomMade(): void {
    while (this.#waiting.length > 0) {
      const started = this.#waiting.find(waiting => this.#startWaiting(waiting))
      if (started === undefined) break
    }
    this.#connectForWaiting()
  }

  /** A connection is closed. */
  lost(connection: Http2UpstreamConnection): void {
    const { share } = this.#options
    const place = this.#connections.indexOf(connection)
    if (place !== -1) this.#connections.splice(place, 1)
    this.deadlines.remove(connection)
    share.connections--
    share.idle--
    if (!connection.isReady) this.#connectFailed(this.#notHttp2())
    this.#connectForWaiting()
    for (const pool of share.starved) pool.roomMade()
  }

  /** A connection has lost its last call, or got its first. */
  idleChanged(change: 1 | -1): void {
    this.#options.share.idle += change
  }

  /** The server did what no server should do so often. */
  hitBound(): void {
    this.#options.share.http2Hit.add(1)
  }

  /** Calls that any connection would do for wait already. */
  get #isQueued(): boolean {
    return this.#waiting.some(({ from }) => from === 0)
  }

  #withRoom(): Http2UpstreamConnection | undefined {
    return this.#connections.find(({ room }) => room > 0)
  }

  #start(connection: Http2UpstreamConnection, call: Call, listener: TryListener): void {
    if (call.upgrade !== '') {
      // Only here it is known what the server takes: its SETTINGS came.
      const refusal = upgradeRefusal(call, connection.session.peer.takesConnect, this.label)
      if (refusal !== null) return listener.failed(refusal)
    }
    this.#exchanges++
    call.upstream = this.#options.name
    connection.begin(call, listener)
  }

  #startWaiting(waiting: Waiting): boolean {
    const { share } = this.#options
    // Where there can be no further connection, one of before must do.
    const from = share.connections < share.connectionsMax ? waiting.from : 0
    const connection = this.#connections.find(({ room, number }) => room > 0 && number >= from)
    if (connection === undefined) return false
    this.#leave(waiting)
    this.#start(connection, waiting.call, waiting.listener)
    return true
  }

  #wait(call: Call, isFresh: boolean, listener: TryListener): void {
    const { share } = this.#options
    const isFull = share.connections >= share.connectionsMax && !this.#isOpening
    if (isFull) {
      share.starved.add(this)
      share.connectionsHit.add(1)
    }
    if (share.pending >= share.pendingMax + (isFull ? 0 : streamsExpected)) {
      share.pendingHit.add(1)
      return listener.failed(
        new Failure('upstream-busy', { detail: `${this.label}: no connection and no place to wait` }),
      )
    }
    const late = `${this.label}: waited too long for a connection`
    const waiting: Waiting = {
      ...{
        call,
        from: isFresh ? this.#freshNumber : 0,
        listener,
        slot: -1,
        dueMs: this.clock.now() + this.timeouts.response,
      },
      due: () => this.#failWaiting(waiting, new Failure('upstream-busy', { detail: late })),
      abandoned: reason => this.#failWaiting(waiting, reason),
    }
    share.pending++
    this.#waiting.push(waiting)
    this.deadlines.add(waiting)
    call.beginTry(waiting)
    // At the ceiling of connections one that is there may have room at once.
    if (isFresh) this.roomMade()
    else this.#connectForWaiting()
  }

  /** Of the connection that no call was sent on yet: one that is being opened, or the next. */
  get #freshNumber(): number {
    return this.#connections.find(({ isReady }) => !isReady)?.number ?? this.#opened + 1
  }

  #failWaiting(waiting: Waiting, failure: Failure): void {
    this.#leave(waiting)
    waiting.listener.failed(failure)
  }

  #leave(waiting: Waiting): void {
    const { share } = this.#options
    share.pending--
    this.deadlines.remove(waiting)
    waiting.call.endTry(waiting)
    this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
    if (this.#waiting.length === 0) share.starved.delete(this)
  }

  /** One connection at a time: the first that is there may have room for all that wait. */
  #connectForWaiting(): void {
    const { share } = this.#options
    if (this.#waiting.length === 0 || share.connections >= share.connectionsMax || this.#isOpening) return
    this.#connect()
  }

  /** A connection is on its way, until its server has said what it takes. */
  get #isOpening(): boolean {
    return this.#connecting > 0 || this.#connections.some(({ isReady }) => !isReady)
  }

  #connect(): void {
    const { share } = this.#options
    let connection: Http2UpstreamConnection | null = null
    this.#connecting++
    share.connections++
    const socket = this.#dialer.dial(bytes => connection?.received(bytes) ?? true)
    whenConnected(socket, this, {
      connected: () => {
        this.#connecting--
        if (this.scheme === 'https' && agreedProtocol(socket) !== 'h2') return this.#isNotHttp2(socket)
        connection = new Http2UpstreamConnection(this, socket, ++this.#opened)
        share.opened.add(1)
        share.idle++
        this.#connections.push(connection)
        this.deadlines.add(connection)
        this.roomMade()
        if (this.#isClosed) connection.retire()
      },
      failed: error => {
        this.#connecting--
        share.connections--
        share.connectFailures.add(1)
        this.#connectFailed(connectFailure(this, error))
      },
    })
  }

  #isNotHttp2(socket: Socket): void {
    const { share } = this.#options
    socket.on('error', () => {})
    socket.destroy()
    share.connections--
    share.connectFailures.add(1)
    this.#connectFailed(this.#notHttp2())
  }

  /** No call was sent to such a server. */
  #notHttp2(): Failure {
    const detail = `${this.label}: the server does not speak HTTP/2`
    return new Failure('upstream-connect-failed', { detail, retryable: 'yes' })
  }

  /** Nobody who waited for it has another. */
  #connectFailed(failure: Failure): void {
    for (const waiting of [...this.#waiting]) this.#failWaiting(waiting, failure)
    for (const pool of this.#options.share.starved) pool.roomMade()
  }
}

/** A call waiting for a connection. */
interface Waiting extends Timed, Abandonable {
  readonly call: Call
  /** The first connection that will do. A server that leaves does so on all that it has: those of before are no place to go. */
  readonly from: number
  readonly listener: TryListener
}
