// One connection to an upstream: bytes to reply heads and bodies, one exchange at a time.

import type { Socket } from 'node:net'
import { Failure } from '../core/failure.ts'
import type { Timed } from '../core/ports.ts'
import { Found, HeadBuffer } from '../http/head-buffer.ts'
import { decodeReplyHead, Framing, type ReplyHead, replyFraming } from '../http/reply.ts'
import { HeldWrites } from '../http/write-batch.ts'
import type { Exchange } from './exchange.ts'
import type { Pool } from './pool.ts'

/** Owned by its pool. It is idle, or has one exchange, or is closed. */
export class UpstreamConnection implements Timed {
  readonly pool: Pool
  readonly socket: Socket
  readonly writes: HeldWrites
  /** Some call ended well on it before the one at hand. */
  isReused = false
  /** Bytes of a reply to the call at hand have come. */
  hasReplyBytes = false
  idleSinceMs = 0
  /** The gateway itself closed it. */
  isRetired = false
  /** When bytes were last read. */
  readMs: number
  dueMs = Infinity
  slot = -1
  readonly #heads: HeadBuffer
  #exchange: Exchange | null = null
  #readsBody = false
  #keepsAlive = true
  #isClosed = false
  #isReading = false
  /** The socket was given away; what comes is pushed into its stream. */
  #isReleased = false
  #isDone = false

  /** The socket is connected. */
  constructor(pool: Pool, socket: Socket) {
    this.pool = pool
    this.socket = socket
    this.writes = new HeldWrites(socket, pool.writes)
    this.readMs = pool.clock.now()
    this.#heads = new HeadBuffer(pool.headLimits.headBytes, 'reply')
    // Plain sockets hand their bytes to `received` directly (see Pool); for them this only starts the reading.
    socket.on('data', (chunk: Buffer) => this.received(chunk))
    socket.on('drain', () => this.#exchange?.drained())
    socket.on('end', () => this.#ended())
    socket.on('error', error => this.#exchange?.connectionFailed(error))
    socket.on('close', () => this.#closed())
  }

  get isUsable(): boolean {
    return !this.#isClosed && !this.socket.destroyed && this.socket.writable
  }

  /** Starts an exchange that was made for this connection. */
  begin(exchange: Exchange): void {
    this.#exchange = exchange
    this.hasReplyBytes = false
    this.#readsBody = false
    try {
      exchange.begin()
    } catch (thrown) {
      // As where a policy used the body up: the listener is told of it, and the connection is not left to an exchange of nothing.
      exchange.fail(Failure.from(thrown))
    }
  }

  /** Both messages have ended. What was received is read to its end first: bytes behind a reply spoil the connection. */
  exchangeEnded(): void {
    this.#exchange = null
    this.pool.exchangeOver()
    if (this.#isReading) this.#isDone = true
    else this.#free()
  }

  #free(): void {
    this.#isDone = false
    if (!this.#keepsAlive || !this.isUsable) return void this.socket.destroy()
    this.isReused = true
    this.pool.freed(this)
  }

  /** Nothing more can be sent or read here. */
  exchangeBroke(): void {
    this.#exchange = null
    this.pool.exchangeOver()
    this.socket.destroy()
  }

  /** Gives the socket away after an upgrade. The pool counts it until it closes. */
  release(): Socket {
    const { socket } = this
    this.#exchange = null
    this.#isReleased = true
    this.pool.deadlines.remove(this)
    for (const event of ['data', 'drain', 'end', 'error']) socket.removeAllListeners(event)
    socket.pause()
    socket.once('close', () => this.pool.exchangeOver())
    return socket
  }

  /** Closes it while it is idle, of the gateway's own accord. */
  retire(): void {
    this.isRetired = true
    this.socket.destroy()
  }

  due(nowMs: number): void {
    if (this.#exchange === null) this.retire()
    else this.#exchange.due(nowMs)
  }

  /** Takes what was read. The bytes are lent: they may be overwritten after this returns. `false`: read no more for now. */
  received(chunk: Buffer): boolean {
    if (this.#isReleased) return this.socket.push(Buffer.from(chunk))
    this.#read(chunk)
    return true
  }

  #read(chunk: Buffer): void {
    const exchange = this.#exchange
    // A server that speaks unasked, or on behind the end of its reply, is not to be trusted with a next call.
    if (exchange === null) return void this.socket.destroy()
    this.readMs = this.pool.clock.now()
    this.hasReplyBytes = true
    this.#isReading = true
    try {
      const end = this.#readsBody ? this.#readBody(exchange, chunk, 0) : this.#readHead(exchange, chunk)
      if (end < chunk.length) this.#keepsAlive = false
    } catch (thrown) {
      this.#keepsAlive = false
      if (this.#exchange === exchange) exchange.fail(Failure.from(thrown))
    }
    this.#isReading = false
    if (this.#isDone) this.#free()
    else if (!this.#keepsAlive && this.#exchange === null) this.socket.destroy()
  }

  #readBody(exchange: Exchange, chunk: Buffer, from: number): number {
    this.dueMs = this.readMs + this.pool.timeouts.idle
    return exchange.readBody(chunk, from)
  }

  /** Reads heads until a final one. Returns how far the chunk was understood. */
  #readHead(exchange: Exchange, chunk: Buffer): number {
    const heads = this.#heads
    let from = 0
    while (from < chunk.length) {
      const found = heads.take(chunk, from)
      if (found === Found.incomplete) return chunk.length
      if (found !== Found.complete) {
        const what = found === Found.tooLarge ? 'reply head too large' : heads.problem
        throw new Failure('upstream-malformed-reply', { detail: `${this.pool.label}: ${what}` })
      }
      // The head may stand in the buffer's own memory: where it ends in `chunk` is counted from the chunk's end.
      from = chunk.length - (heads.bytes.length - heads.end)
      const head = decodeReplyHead(heads.bytes, heads.start, heads.end, this.pool.headLimits)
      heads.reset()
      if (head.status === 101) {
        exchange.upgraded(head, Buffer.from(chunk.subarray(from)))
        return chunk.length
      }
      if (head.status >= 200) {
        this.#keepsAlive =
          head.keepsAlive && !(head.status === 204 && (head.contentLength > 0 || head.transferEncoding !== ''))
        return this.#readFinal(exchange, head, chunk, from)
      }
      exchange.informed(head)
      // The body that it asked for may have broken at once: nobody is there for what follows.
      if (this.#exchange !== exchange) return chunk.length
    }
    return from
  }

  #readFinal(exchange: Exchange, head: ReplyHead, chunk: Buffer, from: number): number {
    this.#readsBody = true
    const framing = replyFraming(head, exchange.call.method)
    const end = from + head.contentLength
    const isWhole = framing === Framing.length && end <= chunk.length
    const whole = isWhole ? Buffer.from(chunk.subarray(from, end)) : null
    const hasBody = exchange.replied(head, framing, whole)
    if (isWhole) return end
    if (!hasBody || from === chunk.length) return from
    return this.#readBody(exchange, chunk, from)
  }

  #ended(): void {
    this.#keepsAlive = false
    if (this.#exchange === null) this.socket.destroy()
    else this.#exchange.ended()
  }

  #closed(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.pool.deadlines.remove(this)
    this.#exchange?.ended()
    this.#exchange = null
    this.pool.lost(this)
  }
}
