// One call on one upstream connection: the request written, the reply read.

import { isIdempotent } from './conditions.ts'
import { Body, type Sink } from '../core/body.ts'
import type { Abandonable, Call } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import type { Headers } from '../core/headers.ts'
import { Reply } from '../core/reply.ts'
import { writeBodyChunk } from '../http/body-writer.ts'
import { lastChunk } from '../http/chunked.ts'
import { fieldsText } from '../http/encode.ts'
import { IncomingBody, type IncomingBodyOwner } from '../http/incoming-body.ts'
import { Framing, type FramingNumber, type ReplyHead } from '../http/reply.ts'
import type { UpstreamConnection } from './connection.ts'
import type { TryListener } from './endpoint.ts'
import { continueMs, interimRepliesMax, sendsLengthOfNothing } from './exchange-rules.ts'

/** Lives from the moment the call is written until both messages have ended, or one broke. */
export class Exchange implements Sink, IncomingBodyOwner, Abandonable {
  readonly call: Call
  /** The upstream has read the request to its end. */
  isRequestSent = false
  readonly #connection: UpstreamConnection
  readonly #listener: TryListener
  readonly #sentMs: number
  /** When some of the request was last sent. */
  #movedMs: number
  #head = ''
  #isChunked = false
  #awaitsContinue = false
  #isAnswered = false
  #isOver = false
  #incoming: IncomingBody | null = null
  #interimReplies = 0

  constructor(connection: UpstreamConnection, call: Call, listener: TryListener) {
    this.#connection = connection
    this.call = call
    this.#listener = listener
    this.#sentMs = connection.pool.clock.now()
    this.#movedMs = this.#sentMs
    connection.dueMs = this.#sentMs + connection.pool.timeouts.response
    call.beginTry(this)
  }

  /** Writes the call. */
  begin(): void {
    const { call } = this
    if (this.#isOver) return
    let head = `${call.method} ${call.target} HTTP/1.1\r\n${fieldsText(call.headers)}`
    if (!call.headers.has('host')) head += `host: ${this.#connection.pool.hostField}\r\n`
    if (call.upgrade !== '') head += `connection: upgrade\r\nupgrade: ${call.upgrade}\r\n`
    else if (call.acceptsTrailers) head += 'connection: te\r\nte: trailers\r\n'
    if (call.body.isEmpty) {
      if (sendsLengthOfNothing(call.method)) head += 'content-length: 0\r\n'
      this.isRequestSent = true
      // A call that can be sent but once is to meet no connection that closes meanwhile.
      if (isIdempotent(call.method)) this.#connection.writes.hold()
      this.#connection.socket.write(`${head}\r\n`, 'latin1')
      return
    }
    this.#isChunked = call.body.length < 0
    head += this.#isChunked ? 'transfer-encoding: chunked\r\n' : `content-length: ${call.body.length}\r\n`
    if (call.expectsContinue) return this.#beginWithExpectation(head)
    this.#head = `${head}\r\n`
    this.#sendBody()
  }

  /**
   * A reply head was read, and `framing` follows from it. `whole` is the body where it came with the head, for short replies are
   * the most. Returns whether a body is to be read through `readBody`.
   */
  replied(head: ReplyHead, framing: FramingNumber, whole: Buffer | null): boolean {
    if (framing === Framing.none && (this.call.method === 'HEAD' || head.status === 304) && head.contentLength >= 0) {
      head.headers.add('content-length', String(head.contentLength))
    }
    let body = Body.empty
    if (whole !== null) body = Body.of(whole)
    else if (framing !== Framing.none) {
      this.#incoming = new IncomingBody(this, framing, head.contentLength, true)
      body = new Body(framing === Framing.length ? head.contentLength : -1, this.#incoming)
    }
    const reply = new Reply(head.status, head.headers, body)
    reply.reason = head.reason
    this.#answer(reply)
    if (this.#incoming !== null) return true
    this.#replyEnded()
    return false
  }

  /** An interim reply (1xx but 101) was read. */
  informed(head: ReplyHead): void {
    if (++this.#interimReplies > interimRepliesMax) {
      throw new Failure('upstream-malformed-reply', { detail: 'too many interim replies' })
    }
    if (head.status === 100) this.#continue()
    else this.call.inform?.(head.status, head.headers)
  }

  /** 101: the connection is the caller's from now on. */
  upgraded(head: ReplyHead, rest: Buffer): void {
    if (this.call.upgrade === '') throw new Failure('upstream-malformed-reply', { detail: '101 that nobody asked for' })
    const reply = new Reply(101, head.headers, Body.empty)
    reply.reason = head.reason
    if (head.upgrade !== '') reply.headers.set('upgrade', head.upgrade)
    reply.tunnel = { socket: this.#connection.release(), head: rest }
    this.#isOver = true
    this.call.endTry(this)
    this.#answer(reply)
  }

  readBody(chunk: Buffer, from: number): number {
    const body = this.#incoming
    if (body === null) return from
    return body.read(chunk, from)
  }

  /** The upstream closed the connection in order. */
  ended(): void {
    if (this.#incoming?.connectionEnded() !== true) this.#broke('closed the connection')
  }

  /** The connection broke, or closed before its time. */
  #broke(what: string, cause?: unknown): void {
    if (this.#isOver) return
    const detail = `${this.#connection.pool.label}: ${what}`
    if (this.#isAnswered) this.fail(new Failure('upstream-reply-cut-short', { detail, cause }))
    else if (this.#connection.isReused && !this.#connection.hasReplyBytes) {
      this.fail(new Failure('upstream-stale', { detail, cause, retryable: 'if-idempotent' }))
    } else {
      // In TLS 1.3 a server says that it will not have our certificate when for us the handshake is over.
      const code = isAlert(cause) ? 'upstream-tls-failed' : 'upstream-reset'
      this.fail(new Failure(code, { detail, cause, retryable: 'if-idempotent' }))
    }
  }

  connectionFailed(error: Error): void {
    this.#broke(error.message, error)
  }

  /** The connection's deadline has passed. */
  due(nowMs: number): void {
    const { timeouts, label } = this.#connection.pool
    if (this.#awaitsContinue) return this.#continue()
    if (this.#incoming?.isHeldBack === true) {
      this.#connection.dueMs = nowMs + timeouts.idle
      return
    }
    if (!this.#isAnswered && this.#awaitsClient) {
      // It is the client that is slow to send; its own deadline is for its connection to mind.
      this.#connection.dueMs = nowMs + timeouts.response
      return
    }
    const detail = `${label}: ${this.#isAnswered ? 'the reply stopped moving' : 'no reply in time'}`
    if (this.#isAnswered) this.fail(new Failure('upstream-reply-cut-short', { detail }))
    else this.fail(new Failure('upstream-timeout', { detail, retryable: 'if-idempotent' }))
  }

  abandoned(reason: Failure): void {
    this.fail(reason)
  }

  /** Sink of the request body. */
  write(chunk: Buffer): boolean {
    if (this.#isOver) return false
    if (chunk.length === 0) return true
    const head = this.#head
    this.#head = ''
    this.#moved()
    return writeBodyChunk(this.#connection.socket, head, chunk, this.#isChunked)
  }

  end(trailers: Headers | null): void {
    if (this.#isOver || this.isRequestSent) return
    const rest = this.#head + (this.#isChunked ? lastChunk(trailers) : '')
    this.#head = ''
    this.isRequestSent = true
    if (rest !== '') this.#connection.socket.write(rest, 'latin1')
    this.#moved()
    this.#endIfBothDone()
  }

  /** Breaks the exchange off: the request body failed, the call was abandoned, or the upstream went away. */
  fail(failure: Failure): void {
    if (this.#isOver) return
    this.#isOver = true
    this.call.endTry(this)
    if (!this.isRequestSent && failure.source === 'upstream') this.#stopSending()
    const incoming = this.#incoming
    this.#connection.exchangeBroke()
    if (!this.#isAnswered) {
      this.#isAnswered = true
      const nowMs = this.#connection.pool.clock.now()
      this.call.upstreamMs += nowMs - this.#sentMs
      this.call.sendingMs += (this.#awaitsClient ? nowMs : this.#movedMs) - this.#sentMs
      this.#listener.failed(failure)
    } else incoming?.fail(failure)
  }

  drained(): void {
    if (this.#isOver || this.isRequestSent) return
    this.#moved()
    this.call.body.resume()
  }

  pauseReading(): void {
    if (!this.#isOver) this.#connection.socket.pause()
  }

  resumeReading(): void {
    if (this.#isOver) return
    this.#connection.dueMs = this.#connection.pool.clock.now() + this.#connection.pool.timeouts.idle
    this.#connection.socket.resume()
  }

  bodyWanted(): void {}

  bodyReceived(): void {
    this.#replyEnded()
  }

  bodyCancelled(): void {
    if (this.#isOver || this.#incoming?.isReceived === true) return
    this.#isOver = true
    this.call.endTry(this)
    if (!this.isRequestSent) this.#stopSending()
    this.#connection.exchangeBroke()
  }

  malformedBody(problem: string): Failure {
    return new Failure('upstream-malformed-reply', { detail: `${this.#connection.pool.label}: ${problem}` })
  }

  #answer(reply: Reply): void {
    const { pool } = this.#connection
    const { readMs } = this.#connection
    this.#isAnswered = true
    this.call.upstreamMs += readMs - this.#sentMs
    if (this.#movedMs > this.#sentMs) this.call.sendingMs += this.#movedMs - this.#sentMs
    this.#connection.dueMs = readMs + pool.timeouts.idle
    this.#listener.answered(reply)
  }

  #beginWithExpectation(head: string): void {
    this.#awaitsContinue = true
    this.#connection.socket.write(`${head}expect: 100-continue\r\n\r\n`, 'latin1')
    this.#connection.dueMs = this.#sentMs + continueMs
  }

  #continue(): void {
    if (!this.#awaitsContinue) return
    this.#awaitsContinue = false
    this.#moved()
    this.#sendBody()
  }

  #sendBody(): void {
    this.call.body.pipe(this)
    if (this.#head === '' || this.#isOver) return
    const head = this.#head
    this.#head = ''
    this.#connection.socket.write(head, 'latin1')
  }

  /** The request is moving: the reply is waited for from here on. */
  #moved(): void {
    const { pool } = this.#connection
    if (this.#isAnswered) return
    this.#movedMs = pool.clock.now()
    this.#connection.dueMs = this.#movedMs + pool.timeouts.response
  }

  /** There would be room for more of the request, but it has not come. */
  get #awaitsClient(): boolean {
    return !this.isRequestSent && !this.#connection.socket.writableNeedDrain
  }

  #replyEnded(): void {
    if (this.#isOver || this.isRequestSent) return this.#endIfBothDone()
    // Answered before the request was sent whole: the rest of it is of no use, and the connection neither.
    this.#isOver = true
    this.call.endTry(this)
    this.#stopSending()
    this.#connection.exchangeBroke()
  }

  #stopSending(): void {
    if (!this.#awaitsContinue) this.call.body.cancel()
  }

  #endIfBothDone(): void {
    if (this.#isOver || !this.isRequestSent || !this.#isAnswered) return
    if (this.#incoming !== null && !this.#incoming.isReceived) return
    this.#isOver = true
    this.call.endTry(this)
    this.#connection.exchangeEnded()
  }
}

function isAlert(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^ERR_SSL_.*ALERT/.test(String(error.code))
}
