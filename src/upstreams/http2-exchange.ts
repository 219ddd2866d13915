// One call on a stream to an upstream: the request written as frames, the reply read.

import { Body, type Sink } from '../core/body.ts'
import type { Abandonable, Call } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import { isGrpcCall, writeGrpcTimeout } from '../core/grpc.ts'
import type { Headers } from '../core/headers.ts'
import { Reply } from '../core/reply.ts'
import type { ReplyHead } from '../http/reply.ts'
import { ErrorCode } from '../http2/protocol.ts'
import { StreamBody, type StreamBodyOwner } from '../http2/stream-body.ts'
import { createStreamDuplex } from '../http2/stream-duplex.ts'
import type { Stream, StreamHandler } from '../http2/stream.ts'
import { encodeConnect, upgradedReply } from './extended-connect.ts'
import type { TryListener } from './endpoint.ts'
import { continueMs, interimRepliesMax, sendsLengthOfNothing } from './exchange-rules.ts'
import type { Http2UpstreamConnection } from './http2-connection.ts'

/** Lives from the moment the call is written until its stream is closed. */
export class Http2Exchange implements Sink, StreamHandler, StreamBodyOwner, Abandonable {
  readonly call: Call
  readonly sentMs: number
  dueMs: number
  /** When some of the request was last sent. */
  #movedMs: number
  readonly #connection: Http2UpstreamConnection
  readonly #listener: TryListener
  #stream: Stream | null = null
  #body: StreamBody | null = null
  /** Who takes the bytes of an upgraded call, once the server has agreed. */
  #tunnel: StreamHandler | null = null
  #isRequestSent = false
  #awaitsContinue = false
  #isAnswered = false
  #isOver = false
  #interimReplies = 0
  /** How often the connection had been read when the call was sent; -1 where it had never brought a reply. */
  readonly #readsBefore: number

  constructor(connection: Http2UpstreamConnection, call: Call, listener: TryListener) {
    this.#connection = connection
    this.call = call
    this.#listener = listener
    this.sentMs = connection.pool.clock.now()
    this.#movedMs = this.sentMs
    this.#readsBefore = connection.hasAnswered ? connection.reads : -1
    this.dueMs = this.sentMs + connection.pool.timeouts.response
  }

  /** Writes the call on a new stream. */
  begin(stream: Stream): void {
    const { call } = this
    this.#stream = stream
    call.beginTry(this)
    if (this.#isOver) return
    if (call.upgrade !== '') return this.#askForUpgrade(stream)
    const isEnd = call.body.isEmpty
    this.#writeHead(stream, isEnd)
    if (isEnd) {
      this.#isRequestSent = true
      return
    }
    this.#awaitsContinue = call.expectsContinue
    if (this.#awaitsContinue) this.dueMs = this.sentMs + continueMs
    else call.body.pipe(this)
  }

  head(head: ReplyHead, isEnd: boolean): void {
    if (head.status < 200) return this.#informed(head)
    const { call } = this
    if (call.upgrade !== '' && this.#stream !== null) {
      if (head.status < 300) return this.#upgraded(this.#stream, head)
      // An ordinary reply: there will be no bytes to follow the head of the request.
      this.#connection.session.end(this.#stream, null)
    }
    const hasBody = call.method !== 'HEAD' && head.status !== 204 && head.status !== 304
    const { contentLength } = head
    let body = Body.empty
    if (!hasBody && contentLength >= 0) head.headers.add('content-length', String(contentLength))
    if (!isEnd && this.#stream !== null) {
      if (hasBody) this.#stream.owed = contentLength
      this.#body = new StreamBody(this.#connection.session, this.#stream, this)
      body = new Body(hasBody ? contentLength : -1, this.#body)
    } else if (hasBody && contentLength > 0) {
      throw new Failure('upstream-malformed-reply', { detail: 'a body that is not there' })
    }
    this.#answer(new Reply(head.status, head.headers, body))
  }

  data(chunk: Buffer): void {
    if (this.#tunnel !== null) return this.#tunnel.data(chunk)
    this.#moved()
    this.#body?.push(chunk)
  }

  ended(trailers: Headers | null): void {
    if (this.#tunnel !== null) return this.#tunnel.ended(trailers)
    this.#body?.finish(trailers)
    if (this.#isOver || this.#isRequestSent) return this.#over()
    // Answered before the request was sent whole: the rest of it is of no use.
    this.#over()
    if (!this.#awaitsContinue) this.call.body.cancel()
    if (this.#stream !== null) this.#connection.session.reset(this.#stream, ErrorCode.noError)
  }

  broke(code: number, isUnseen: boolean, why: string): void {
    if (this.#tunnel !== null) return this.#tunnel.broke(code, isUnseen, why)
    if (this.#isOver) return
    const detail = `${this.#connection.pool.label}: ${why}`
    if (this.#isAnswered) return this.#stop(new Failure('upstream-reply-cut-short', { detail }))
    // RFC 9113 §8.7: what was certainly not looked at can be sent again, whatever it is.
    if (isUnseen) return this.#stop(new Failure('upstream-stale', { detail, retryable: 'yes' }))
    this.#stop(new Failure(this.#isStale ? 'upstream-stale' : 'upstream-reset', { detail, retryable: 'if-idempotent' }))
  }

  drained(): void {
    if (this.#tunnel !== null) return this.#tunnel.drained()
    if (this.#isOver) return
    this.#moved()
    if (this.#stream?.isLocalEnded === true) this.#isRequestSent = true
    else if (!this.#isRequestSent) this.call.body.resume()
  }

  /** The connection's beat, once `dueMs` has passed. */
  due(nowMs: number): void {
    if (this.#isOver) return
    const { timeouts, label } = this.#connection.pool
    if (this.#awaitsContinue) return this.#continue()
    if (this.#body?.isHeldBack === true) {
      this.dueMs = nowMs + timeouts.idle
      return
    }
    if (!this.#isAnswered && this.#awaitsClient) {
      // It is the client that is slow to send; its own deadline is for its connection to mind.
      this.dueMs = nowMs + timeouts.response
      return
    }
    const detail = `${label}: ${this.#isAnswered ? 'the reply stopped moving' : 'no reply in time'}`
    const code = this.#isAnswered ? 'upstream-reply-cut-short' : 'upstream-timeout'
    this.fail(new Failure(code, { detail, retryable: this.#isAnswered ? 'no' : 'if-idempotent' }))
    this.#connection.suspect(this.sentMs)
  }

  abandoned(reason: Failure): void {
    this.fail(reason)
  }

  /** Sink of the request body. */
  write(chunk: Buffer): boolean {
    if (this.#isOver || this.#stream === null) return false
    if (chunk.length === 0) return true
    this.#moved()
    return this.#connection.session.outbox.data(this.#stream, chunk)
  }

  end(trailers: Headers | null): void {
    if (this.#isOver || this.#isRequestSent || this.#stream === null) return
    this.#moved()
    this.#connection.session.end(this.#stream, trailers)
    this.#isRequestSent = this.#stream.isLocalEnded
  }

  /** Breaks the exchange off: the request body failed, the call was abandoned, or its time is over. */
  fail(failure: Failure): void {
    if (this.#isOver) return
    if (this.#stream !== null) this.#connection.session.reset(this.#stream, ErrorCode.cancel)
    this.#stop(failure)
  }

  bodyWanted(): void {}

  bodyCancelled(): void {
    if (this.#isOver || this.#body?.isReceived === true) return
    this.#over()
    if (!this.#isRequestSent && !this.#awaitsContinue) this.call.body.cancel()
    if (this.#stream !== null) this.#connection.session.reset(this.#stream, ErrorCode.cancel)
  }

  /** A kept connection is gone, and nothing came from it since the call was sent: the server may have closed it before. */
  get #isStale(): boolean {
    return this.#connection.isLost && this.#connection.reads === this.#readsBefore
  }

  #answer(reply: Reply): void {
    const { call } = this
    const { clock, timeouts } = this.#connection.pool
    const nowMs = clock.now()
    this.#isAnswered = true
    this.#connection.hasAnswered = true
    call.upstreamMs += nowMs - this.sentMs
    if (this.#movedMs > this.sentMs) call.sendingMs += this.#movedMs - this.sentMs
    this.dueMs = nowMs + timeouts.idle
    this.#listener.answered(reply)
  }

  #askForUpgrade(stream: Stream): void {
    const { session, pool } = this.#connection
    encodeConnect(session.outbox.encoder, this.call, pool.scheme, this.#host)
    session.outbox.head(stream, false)
    this.#isRequestSent = true
  }

  /** From now on the stream is the caller's, with no deadline but that of its tunnel. */
  #upgraded(stream: Stream, head: ReplyHead): void {
    const { duplex, handler } = createStreamDuplex(this.#connection.session, stream)
    this.#tunnel = handler
    this.#over()
    this.#answer(upgradedReply(this.call, head, duplex))
    this.dueMs = Infinity
  }

  get #host(): string {
    return this.call.headers.get('host') ?? this.#connection.pool.hostField
  }

  #writeHead(stream: Stream, isEnd: boolean): void {
    const { call } = this
    const { session, pool } = this.#connection
    const { encoder } = session.outbox
    const { list } = call.headers
    encoder.start()
    encoder.field(':method', call.method)
    encoder.field(':scheme', pool.scheme)
    encoder.field(':path', call.target)
    encoder.field(':authority', this.#host)
    const saysDeadline = isGrpcCall(call)
    for (let i = 1; i < list.length; i += 3) {
      if (list[i] === 'host' || (saysDeadline && list[i] === 'grpc-timeout')) continue
      encoder.field(list[i] as string, list[i + 1] as string)
    }
    if (saysDeadline && call.deadlineMs !== Infinity) {
      encoder.field('grpc-timeout', writeGrpcTimeout(call.deadlineMs - this.sentMs))
    }
    if (call.acceptsTrailers) encoder.field('te', 'trailers')
    if (!isEnd && call.body.length >= 0) encoder.field('content-length', String(call.body.length))
    else if (isEnd && sendsLengthOfNothing(call.method)) encoder.field('content-length', '0')
    if (!isEnd && call.expectsContinue) encoder.field('expect', '100-continue')
    session.outbox.head(stream, isEnd)
  }

  #informed(head: ReplyHead): void {
    if (++this.#interimReplies > interimRepliesMax) {
      throw new Failure('upstream-malformed-reply', { detail: 'too many interim replies' })
    }
    if (head.status === 100) this.#continue()
    else this.call.inform?.(head.status, head.headers)
  }

  #continue(): void {
    if (!this.#awaitsContinue) return
    this.#awaitsContinue = false
    this.#moved()
    this.call.body.pipe(this)
  }

  /** The request or the reply is moving: what is to come next is waited for from here on. */
  #moved(): void {
    const { clock, timeouts } = this.#connection.pool
    const nowMs = clock.now()
    if (!this.#isAnswered) this.#movedMs = nowMs
    this.dueMs = nowMs + (this.#isAnswered ? timeouts.idle : timeouts.response)
  }

  /** There would be room for more of the request, but it has not come. */
  get #awaitsClient(): boolean {
    return !this.#isRequestSent && this.#stream?.isWaiting !== true
  }

  #stop(failure: Failure): void {
    this.#over()
    if (!this.#isRequestSent && failure.source === 'upstream' && !this.#awaitsContinue) this.call.body.cancel()
    if (this.#isAnswered) return this.#body?.fail(failure)
    this.#isAnswered = true
    const nowMs = this.#connection.pool.clock.now()
    this.call.upstreamMs += nowMs - this.sentMs
    this.call.sendingMs += (this.#awaitsClient ? nowMs : this.#movedMs) - this.sentMs
    this.#listener.failed(failure)
  }

  #over(): void {
    this.#isOver = true
    this.call.endTry(this)
  }
}
