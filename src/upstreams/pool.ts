// The connections of one worker to one address: kept, bounded, and opened when they are needed.

import type { Socket } from 'node:net'
import type { Abandonable, Call } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import type { Clock, Counter, Deadlines, Ports, Timed } from '../core/ports.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import { defaultLimits, type HeadLimits } from '../http/limits.ts'
import type { WriteBatch } from '../http/write-batch.ts'
import type { SharedMemory } from '../http2/shared-memory.ts'
import { isIdempotent } from './conditions.ts'
import { UpstreamConnection } from './connection.ts'
import { Dialer, type DialOptions } from './dial.ts'
import { type Endpoint, type EndpointAddress, hostFieldOf, labelOf, type TryListener } from './endpoint.ts'
import { Exchange } from './exchange.ts'
import { replayBytesMax } from './replay.ts'
import { connectFailure, whenConnected } from './when-connected.ts'

/** What the connections of one upstream in one worker share. */
export interface PoolShare {
  /** Open connections allowed here and now, over all endpoints of the upstream. */
  readonly connectionsMax: number
  readonly pendingMax: number
  connections: number
  /** Where the sockets of this worker read into. */
  readonly scratch: Buffer
  readonly writes: WriteBatch
  /** Connections without a call. */
  idle: number
  /** Calls that wait for a connection. */
  pending: number
  readonly opened: Counter
  readonly connectFailures: Counter
  /** Pools with calls that found no room under the ceiling. */
  readonly starved: Set<{ roomMade(): void }>
  /** What HTTP/2 connections of this worker share. */
  readonly http2Memory: SharedMemory
  /** A server did on an HTTP/2 connection what none should do so often. */
  readonly http2Hit: Counter
  readonly connectionsHit: Counter
  readonly pendingHit: Counter
}

export interface PoolOptions extends DialOptions {
  /** Name of the upstream. */
  readonly name: string
  readonly blueprint: UpstreamBlueprint
  readonly share: PoolShare
}

/**
 * A call that cannot safely be sent twice does not take a connection that was idle for longer: servers close idle
 * connections after some seconds, and whether the call was seen could then not be told.
 */
const trustedIdleMs = 1_000
/** How long a server that closed a connection early is remembered for it. */
const distrustMs = 60_000

/**
 * Runs when the system has been asked for events once more: what it knew of closed connections by then is known here too. It
 * leaves a call that can be sent but once only the moment between that look and the write to meet a closing connection.
 */
function afterPoll(run: () => void): void {
  setImmediate(() => setImmediate(run))
}

/** A call waiting for a connection. */
interface Waiting extends Timed, Abandonable {
  readonly call: Call
  readonly needsFresh: boolean
  connect(connection: UpstreamConnection): void
  fail(failure: Failure): void
}

/** The endpoint of one address. */
export class Pool implements Endpoint {
  readonly id: string
  readonly scheme: 'http' | 'https'
  /** For log texts. */
  readonly label: string
  /** What stands for Host where a call has none (HTTP/1.0). */
  readonly hostField: string
  weight: number
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly timeouts: UpstreamBlueprint['timeouts']
  readonly headLimits: HeadLimits = defaultLimits
  readonly writes: WriteBatch
  #exchanges = 0
  /** Calls that the system is asked for first whether an idle connection has closed. */
  #coming = 0
  readonly #options: PoolOptions
  readonly #dialer: Dialer
  readonly #idle: UpstreamConnection[] = []
  readonly #waiting: Waiting[] = []
  #connecting = 0
  #trustedIdleMs = trustedIdleMs
  readonly #trustsAgain: Timed = {
    dueMs: Infinity,
    slot: -1,
    due: () => {
      this.#trustedIdleMs = trustedIdleMs
      this.deadlines.remove(this.#trustsAgain)
    },
  }
  #isClosed = false

  constructor(address: EndpointAddress, weight: number, options: PoolOptions, ports: Ports) {
    this.id = address.id
    this.scheme = address.scheme
    this.weight = weight
    this.label = labelOf(address)
    this.hostField = hostFieldOf(address)
    this.clock = ports.clock
    this.deadlines = ports.deadlines
    this.timeouts = options.blueprint.timeouts
    this.writes = options.share.writes
    this.#options = options
    this.#dialer = new Dialer(address, options, ['http/1.1'])
  }

  /** Those without a connection count too: a target that accepts none is a busy one, and calls may come many in one moment. */
  get active(): number {
    return this.#exchanges + this.#waiting.length + this.#coming
  }

  send(call: Call, isFresh: boolean, listener: TryListener): void {
    if (call.stopReason !== null) return listener.failed(call.stopReason)
    if (isFresh) return this.#wait(call, true, listener)
    const isOnce = !isIdempotent(call.method) || call.body.length > replayBytesMax
    if (!isOnce || this.#idle.length === 0) return this.#take(isOnce, call, listener)
    this.#coming++
    afterPoll(() => {
      this.#coming--
      this.#take(true, call, listener)
    })
  }

  /** Whether nothing is lost when it is forgotten. */
  get isUnused(): boolean {
    return this.active + this.#connecting + this.#idle.length + this.#waiting.length === 0
  }

  get hasIdle(): boolean {
    return this.#idle.length > 0
  }

  /** Some connection of the upstream has closed: opens what waits for that. */
  roomMade(): void {
    this.#connectForWaiting()
  }

  /** Makes room under the ceiling. False where every connection has a call. */
  closeOneIdle(): boolean {
    const oldest = this.#idle[0]
    // It leaves the table when it has closed; its place under the ceiling is free then.
    oldest?.retire()
    return oldest !== undefined
  }

  close(): void {
    this.#isClosed = true
    this.#options.share.starved.delete(this)
    for (const connection of this.#idle) connection.retire()
    this.deadlines.remove(this.#trustsAgain)
  }

  /** An exchange is over, well or badly. */
  exchangeOver(): void {
    this.#exchanges--
  }

  /** A connection is fit for another exchange. */
  freed(connection: UpstreamConnection): void {
    const next = this.#nextWaiting(connection)
    if (next !== null) return next.connect(connection)
    if (this.#isClosed) return void connection.socket.destroy()
    // Calls to other addresses, or of other clients, wait for its place under the ceiling.
    if (this.#options.share.starved.size > 0) return connection.retire()
    connection.idleSinceMs = connection.readMs
    connection.dueMs = connection.idleSinceMs + this.timeouts.keepAlive
    this.#idle.push(connection)
    this.#options.share.idle++
  }

  /** A connection is closed. */
  lost(connection: UpstreamConnection): void {
    const place = this.#idle.indexOf(connection)
    if (place !== -1) {
      this.#idle.splice(place, 1)
      this.#options.share.idle--
      if (!connection.isRetired) this.#closedByServer(this.clock.now() - connection.idleSinceMs)
    }
    this.#options.share.connections--
    this.#connectForWaiting()
    for (const pool of this.#options.share.starved) pool.roomMade()
  }

  /** Starts on an idle connection, or waits for one. */
  #take(isOnce: boolean, call: Call, listener: TryListener): void {
    if (call.stopReason !== null) return listener.failed(call.stopReason)
    const connection = this.#takeIdle(isOnce)
    if (connection !== undefined) this.#start(connection, call, listener)
    else this.#wait(call, isOnce && this.#trustedIdleMs < trustedIdleMs, listener)
  }

  /** The idle connection used last: the others may grow old and be closed. */
  #takeIdle(isOnce: boolean): UpstreamConnection | undefined {
    const idle = this.#idle
    for (;;) {
      const connection = idle[idle.length - 1]
      if (connection === undefined) return undefined
      if (isOnce && this.clock.now() - connection.idleSinceMs > this.#trustedIdleMs) return undefined
      idle.pop()
      this.#options.share.idle--
      if (connection.isUsable) return connection
    }
  }

  #start(connection: UpstreamConnection, call: Call, listener: TryListener): void {
    this.#exchanges++
    call.upstream = this.#options.name
    connection.begin(new Exchange(connection, call, listener))
  }

  #wait(call: Call, isFresh: boolean, listener: TryListener): void {
    const { share } = this.#options
    const isFull = share.connections >= share.connectionsMax
    if (isFull) share.starved.add(this)
    if (isFull && !this.closeOneIdle()) {
      share.connectionsHit.add(1)
      if (share.pending >= share.pendingMax) {
        share.pendingHit.add(1)
        return listener.failed(
          new Failure('upstream-busy', { detail: `${this.label}: no connection and no place to wait` }),
        )
      }
    }
    share.pending++
    const leave = () => {
      share.pending--
      this.deadlines.remove(waiting)
      call.endTry(waiting)
      const place = this.#waiting.indexOf(waiting)
      if (place !== -1) this.#waiting.splice(place, 1)
      if (this.#waiting.length === 0) share.starved.delete(this)
    }
    const waiting: Waiting = {
      call,
      needsFresh: isFresh,
      slot: -1,
      dueMs: this.clock.now() + this.timeouts.response,
      connect: connection => {
        leave()
        this.#start(connection, call, listener)
      },
      fail: failure => {
        leave()
        listener.failed(failure)
      },
      due: () =>
        waiting.fail(new Failure('upstream-busy', { detail: `${this.label}: waited too long for a connection` })),
      abandoned: reason => waiting.fail(reason),
    }
    this.#waiting.push(waiting)
    this.deadlines.add(waiting)
    call.beginTry(waiting)
    this.#connectForWaiting()
  }

  /** A server that closes connections earlier than most is trusted for half of that time, until it was quiet for a while. */
  #closedByServer(idleMs: number): void {
    if (idleMs > 2 * trustedIdleMs) return
    this.#trustedIdleMs = Math.min(this.#trustedIdleMs, idleMs / 2)
    this.#trustsAgain.dueMs = this.clock.now() + distrustMs
    this.deadlines.add(this.#trustsAgain)
  }

  /** The first waiting call that may use this connection. */
  #nextWaiting(connection: UpstreamConnection): Waiting | null {
    for (const waiting of this.#waiting) if (!waiting.needsFresh || !connection.isReused) return waiting
    return null
  }

  #connectForWaiting(): void {
    const { share } = this.#options
    while (this.#connecting < this.#waiting.length && share.connections < share.connectionsMax) this.#connect()
  }

  #connect(): void {
    this.#connecting++
    this.#options.share.connections++
    let connection: UpstreamConnection | null = null
    const socket = this.#dialer.dial(bytes => connection?.received(bytes) ?? true)
    whenConnected(socket, this, {
      connected: () => {
        this.#connecting--
        connection = this.#connected(socket)
      },
      failed: error => {
        this.#connecting--
        this.#options.share.connections--
        this.#options.share.connectFailures.add(1)
        this.#connectFailed(error)
      },
    })
  }

  #connected(socket: Socket): UpstreamConnection {
    const connection = new UpstreamConnection(this, socket)
    this.#options.share.opened.add(1)
    this.deadlines.add(connection)
    this.freed(connection)
    return connection
  }

  /** A failed attempt fails one waiting call; the others have attempts of their own. */
  #connectFailed(error: Error | null): void {
    const waiting = this.#waiting[0]
    if (waiting !== undefined && this.#waiting.length > this.#connecting) waiting.fail(connectFailure(this, error))
    this.#connectForWaiting()
    for (const pool of this.#options.share.starved) pool.roomMade()
  }
}
