// One HTTP/2 connection to an upstream, with as many calls at once as the upstream takes.

import type { Socket } from 'node:net'
import type { Call } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import type { Timed } from '../core/ports.ts'
import type { FloodBounds } from '../http2/flood.ts'
import { ErrorCode, errorName } from '../http2/protocol.ts'
import { Session, type SessionOwner } from '../http2/session.ts'
import type { Stream } from '../http2/stream.ts'
import type { TryListener } from './endpoint.ts'
import { Http2Exchange } from './http2-exchange.ts'
import type { Http2Pool } from './http2-pool.ts'

/** What a server may do in ten seconds. It is one of ours: more is no haste, but a server that has gone wrong. */
const bounds: FloodBounds = {
  ...{ resets: 100_000, pings: 10_000, settings: 1_000, emptyFrames: 100_000, windowUpdates: 1_000_000 },
  continuations: 8,
}
/** Streams at once where the server has not said how many; the least that RFC 9113 §6.5.2 recommends to allow. */
const unsaidStreams = 100
/** What a server may send of one reply before it was passed on. */
const window = 65_535

/** Owned by its pool. */
export class Http2UpstreamConnection implements Timed, SessionOwner {
  readonly pool: Http2Pool
  readonly socket: Socket
  readonly session: Session
  /** Which one of its pool, counted from 1. */
  readonly number: number
  /** A reply has come on it. */
  hasAnswered = false
  /** How often bytes were read, and when last. */
  reads = 0
  readMs: number
  dueMs: number
  slot = -1
  readonly #exchanges: Set<Http2Exchange> = new Set()
  #idleSinceMs: number
  #isRetired = false
  #isClosed = false

  /** The socket is connected. */
  constructor(pool: Http2Pool, socket: Socket, number: number) {
    const isPlain = pool.scheme === 'http'
    this.pool = pool
    this.number = number
    this.socket = socket
    this.readMs = pool.clock.now()
    this.#idleSinceMs = this.readMs
    this.dueMs = this.readMs + pool.timeouts.connect
    this.session = new Session(
      {
        ...{ role: 'client', clock: pool.clock, limits: pool.headLimits, streamsMax: 0, window, bounds },
        ...{ isLent: isPlain, isEncrypted: !isPlain, output: socket, memory: pool.memory },
      },
      this,
    )
    this.session.start()
    // Plain sockets hand their bytes to `received` directly (see Dialer); for them this only starts the reading.
    socket.on('data', (chunk: Buffer) => this.received(chunk))
    socket.on('drain', () => this.session.outbox.drained())
    socket.on('end', () => this.closed())
    socket.on('error', () => {})
    socket.on('close', () => this.closed())
  }

  /** The server has said what it takes; only then calls are begun. Before, one that takes few would refuse many. */
  get isReady(): boolean {
    return this.session.hasSettings
  }

  /** How many calls can be begun on it now. */
  get room(): number {
    const { session } = this
    if (this.#isClosed || this.#isRetired || !this.isReady || !session.canOpen) return 0
    const most = session.peer.streamsMax === Infinity ? unsaidStreams : session.peer.streamsMax
    return Math.max(0, most - session.streams.size)
  }

  /** The socket is gone. */
  get isLost(): boolean {
    return this.#isClosed
  }

  get isIdle(): boolean {
    return this.session.streams.size === 0
  }

  begin(call: Call, listener: TryListener): void {
    const exchange = new Http2Exchange(this, call, listener)
    const stream = this.session.open(exchange)
    if (stream === null) throw new Error('a connection without room')
    if (this.#exchanges.size === 0) this.pool.idleChanged(-1)
    this.dueMs = 0
    this.#exchanges.add(exchange)
    try {
      exchange.begin(stream)
    } catch (thrown) {
      // As where a policy used the body up: the listener is told of it, and the stream is not left open.
      exchange.fail(Failure.from(thrown))
    }
  }

  received(chunk: Buffer): boolean {
    this.reads++
    this.readMs = this.pool.clock.now()
    this.session.receive(chunk)
    return true
  }

  /** A call found no answer in time: where nothing at all was read since it was sent, the others would not find one either. */
  suspect(sentMs: number): void {
    if (this.readMs < sentMs && !this.session.isOver) this.session.fail(ErrorCode.noError, 'the server is silent')
  }

  /** Closes it when its calls are over. */
  retire(): void {
    this.#isRetired = true
    if (this.isIdle) this.session.fail(ErrorCode.noError, 'no longer needed')
  }

  due(nowMs: number): void {
    if (!this.isReady) return this.session.fail(ErrorCode.settingsTimeout, 'the server does not speak HTTP/2')
    for (const exchange of this.#exchanges) if (nowMs > exchange.dueMs) exchange.due(nowMs)
    if (this.isIdle && nowMs > this.#idleSinceMs + this.pool.timeouts.keepAlive) {
      this.session.fail(ErrorCode.noError, 'unused for too long')
    }
  }

  /** The socket is gone, or is to go. */
  closed(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.session.outbox.isClosed = true
    this.session.lost(ErrorCode.cancel, 'closed the connection')
    this.socket.destroy()
    this.pool.lost(this)
  }

  streamClosed(stream: Stream): void {
    this.#exchanges.delete(stream.handler as Http2Exchange)
    this.pool.exchangeOver()
    if (this.#exchanges.size === 0) this.#emptied()
    if (!this.session.isOver) this.pool.roomMade()
  }

  goneAway(): void {
    if (this.isIdle) this.socket.end()
    this.pool.roomMade()
  }

  settingsCame(): void {
    if (this.isIdle) this.dueMs = this.#idleSinceMs + this.pool.timeouts.keepAlive
    this.pool.roomMade()
  }

  over(code: number, why: string): void {
    if (code !== ErrorCode.noError && this.isReady) {
      this.pool.log.warn(
        { target: this.pool.label, code: errorName(code) },
        `an HTTP/2 connection was broken off: ${why}`,
      )
    }
    this.session.outbox.flush()
    this.socket.destroySoon()
  }

  hit(): void {
    this.pool.hitBound()
  }

  request(): void {}

  requestRefused(): void {}

  #emptied(): void {
    this.pool.idleChanged(1)
    this.#idleSinceMs = this.pool.clock.now()
    this.dueMs = this.#idleSinceMs + this.pool.timeouts.keepAlive
    if (this.session.isOver) return
    // The server is leaving, or all numbers are used up: it would be of no use, and take the place of another.
    if (!this.session.canOpen) this.socket.end()
    else if (this.#isRetired) this.session.fail(ErrorCode.noError, 'no longer needed')
  }
}
