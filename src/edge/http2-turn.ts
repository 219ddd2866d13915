// One call on a stream of an HTTP/2 connection: its body received, its reply written as frames.

import type { Sink } from '../core/body.ts'
import type { Call } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import { grpcStatusOf, isGrpc, isGrpcCall, noteGrpcStatus, setGrpcStatus } from '../core/grpc.ts'
import { Headers } from '../core/headers.ts'
import { Reply } from '../core/reply.ts'
import { ErrorCode } from '../http2/protocol.ts'
import { StreamBody, type StreamBodyOwner } from '../http2/stream-body.ts'
import type { Stream, StreamHandler } from '../http2/stream.ts'
import type { Http2Connection } from './http2-connection.ts'
import { speakGrpc } from './grpc-reply.ts'
import { acceptTunnel } from './http2-tunnel.ts'
import { hasBody } from './turn.ts'

/** RFC 8441 §4: what is no answer yet cannot be spoken into. */
const early = 'bytes for a tunnel that is not open'

/** Owned by its connection, which forgets it when its stream is closed. */
export class Http2Turn implements Sink, StreamHandler, StreamBodyOwner {
  readonly stream: Stream
  /** Body of the request, null where there is none. */
  readonly body: StreamBody | null
  /** Status that went out, 0 before. */
  status = 0
  bytesOut = 0
  /** The client wants to be told a status of gRPC. */
  #isGrpc = false
  /** The request is an extended CONNECT: what comes behind the heads are bytes of another protocol. */
  isTunnel = false
  readonly #connection: Http2Connection
  #call: Call | null = null
  #reply: Reply | null = null
  /** Bytes that the announced Content-Length still wants; -1 where none was announced. */
  #owed = -1
  #isOver = false
  /** The reply was handed over whole, though some of it may wait for room. */
  #isWritten = false
  /** The code to reset the stream with behind the reply; -1 for none. */
  #resetCode = -1
  #progressDueMs: number
  #seenBytes = 0
  /** Who takes the bytes of a tunnel, once it is open. */
  #tunnel: StreamHandler | null = null

  /** `length` is that of the body of the request: null where there is none, -1 where it was not said. */
  constructor(connection: Http2Connection, stream: Stream, length: number | null, nowMs: number) {
    this.#connection = connection
    this.stream = stream
    this.body = length === null ? null : new StreamBody(connection.session, stream, this)
    this.#progressDueMs = nowMs + connection.gate.timeouts.body
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** The call of this turn; there is one from the moment its head was understood. */
  get call(): Call {
    if (this.#call === null) throw new Error('a turn without a call')
    return this.#call
  }

  /** Asks for the answer of a call. */
  begin(call: Call): void {
    this.#call = call
    call.inform = (status, headers) => this.#inform(status, headers)
    this.#connection.gate.answer(call).then(
      reply => this.reply(reply),
      thrown => this.failed(thrown),
    )
  }

  /** Answers a request that is not to be taken. `code` resets its stream behind the reply (RFC 9113 §8.1.1). */
  refuse(call: Call, failure: Failure, code: number): void {
    this.#call = call
    this.#resetCode = code
    this.reply(Reply.ofFailure(failure))
  }

  /** The final reply of the call. Late ones, of a call that was answered otherwise, are thrown away. */
  reply(reply: Reply): void {
    if (this.#isOver || this.status !== 0) {
      reply.body.cancel()
      reply.tunnel?.socket.destroy()
      return
    }
    if (this.isTunnel && (reply.tunnel !== null || (reply.status >= 200 && reply.status < 300))) {
      return this.#open(reply)
    }
    const { call } = this
    // A reply of the gateway's own speaks the client's language.
    this.#isGrpc = isGrpcCall(call)
    if (this.#isGrpc) speakGrpc(call, reply)
    this.#reply = reply
    this.status = reply.status
    const isFollowed = hasBody(reply.status, call.method) && !reply.body.isEmpty
    this.#writeHead(reply, isFollowed)
    if (isFollowed) return reply.body.pipe(this)
    reply.body.cancel()
    this.#connection.session.closeIfDone(this.stream)
    this.#written()
  }

  write(chunk: Buffer): boolean {
    if (this.#isOver) return false
    if (chunk.length === 0) return true
    this.bytesOut += chunk.length
    if (this.#owed !== -1) {
      this.#owed -= chunk.length
      if (this.#owed < 0) {
        this.fail(new Failure('internal', { detail: 'a reply body longer than its announced length' }))
        return false
      }
    }
    return this.#connection.session.outbox.data(this.stream, chunk)
  }

  end(trailers: Headers | null): void {
    if (this.#isOver || this.#isWritten) return
    if (this.#owed > 0) return this.fail(new Failure('upstream-reply-cut-short'))
    this.#isWritten = true
    if (this.#isGrpc && trailers !== null) noteGrpcStatus(this.call, trailers)
    this.#connection.session.end(this.stream, trailers)
    if (this.stream.isLocalEnded) this.#written()
  }

  /** The body of the reply broke off behind the head: a stream that is reset is no whole reply (RFC 9113 §8.1). */
  fail(failure: Failure): void {
    const { call } = this
    const reply = this.#reply
    // The trailers of gRPC say how a call ended, so that it need not break.
    if (reply !== null && call.acceptsTrailers && isGrpc(reply.headers)) this.#endBadly(reply, failure)
    else this.#giveUp(ErrorCode.internalError, failure)
  }

  head(): void {}

  data(chunk: Buffer): void {
    this.#moved()
    if (this.#tunnel !== null) this.#tunnel.data(chunk)
    else if (this.body !== null) this.body.push(chunk)
    else if (this.isTunnel) this.#giveUp(ErrorCode.protocolError, new Failure('client-closed', { detail: early }))
    else this.#connection.session.consumed(this.stream, chunk.length)
  }

  ended(trailers: Headers | null): void {
    this.#tunnel?.ended(trailers)
    this.body?.finish(trailers)
  }

  broke(code: number, isUnseen: boolean, why: string): void {
    if (this.#tunnel !== null) return this.#tunnel.broke(code, isUnseen, why)
    if (this.#isOver) return
    this.#stop(new Failure('client-closed', { detail: why }))
  }

  drained(): void {
    this.#moved()
    if (this.#tunnel !== null) return this.#tunnel.drained()
    if (this.#isOver) return
    if (!this.#isWritten) this.#reply?.body.resume()
    else if (this.stream.isLocalEnded) this.#written()
  }

  bodyWanted(): void {
    const { call } = this
    if (!call.expectsContinue || this.status !== 0 || this.#isOver) return
    call.expectsContinue = false
    const { encoder } = this.#connection.session.outbox
    encoder.start()
    encoder.status(100)
    this.#connection.session.outbox.head(this.stream, false)
  }

  bodyCancelled(): void {}

  /** On every beat: its deadlines are as those of a call over HTTP/1. */
  due(nowMs: number): void {
    const { call } = this
    const { gate } = this.#connection
    if (this.#isOver || this.#tunnel !== null) return
    if (nowMs > call.deadlineMs) return this.#callDue(call)
    if (this.stream.sentBytes !== this.#seenBytes) {
      this.#seenBytes = this.stream.sentBytes
      this.#moved()
    }
    if (nowMs <= this.#progressDueMs) return
    // A client that opens no window, or does not read.
    if (this.stream.isWaiting) {
      this.#connection.hit('stalls')
      return this.#giveUp(ErrorCode.cancel, new Failure('client-closed', { detail: 'the reply stopped moving' }))
    }
    const { body } = this
    if (body === null || body.isReceived || body.isHeldBack || body.isCancelled || this.isTunnel) return
    // The messages of a gRPC stream come when there is something to say.
    if (isGrpcCall(call) && nowMs <= this.#progressDueMs + gate.timeouts.tunnel) return
    const failure = new Failure('request-timeout', { detail: 'the request body stopped moving' })
    if (this.status !== 0) return this.#giveUp(ErrorCode.cancel, failure)
    body.fail(failure)
    call.abandon(failure)
    this.reply(Reply.ofFailure(failure))
  }

  /** For what no route answered: its end makes replies of failures inside the policies. */
  failed(thrown: unknown): void {
    if (this.#isOver || this.status !== 0) return
    const failure = Failure.from(thrown)
    if (failure.code === 'internal') this.#logBroken(failure)
    if (failure.status === 0) this.#giveUp(ErrorCode.cancel, failure)
    else this.reply(Reply.ofFailure(failure))
  }

  #logBroken(failure: Failure): void {
    const { route } = this.call
    this.#connection.gate.log.error({ err: failure.cause ?? failure, route }, 'a call failed')
  }

  #moved(): void {
    const { clock, timeouts } = this.#connection.gate
    this.#progressDueMs = clock.now() + timeouts.body
  }

  /** First the call is told, so that its layers can answer; a beat later it is answered here. */
  #callDue(call: Call): void {
    const failure = new Failure('call-timeout')
    if (this.status !== 0) return this.#callLate(failure)
    if (call.abandonReason === null) call.abandon(failure)
    else this.failed(call.abandonReason)
  }

  /** The head is out: the source of the body is stopped, and the client told in its way. */
  #callLate(failure: Failure): void {
    const reply = this.#reply
    reply?.body.cancel()
    this.call.abandon(failure)
    this.fail(failure)
  }

  #inform(status: number, headers: Headers): void {
    if (this.#isOver || this.status !== 0) return
    const { outbox } = this.#connection.session
    outbox.encoder.start()
    outbox.encoder.status(status)
    outbox.encoder.fields(headers.list)
    outbox.head(this.stream, false)
  }

  #writeHead(reply: Reply, isFollowed: boolean): void {
    const { outbox } = this.#connection.session
    const { encoder } = outbox
    const { headers, body } = reply
    const { id, method } = this.call
    encoder.start()
    encoder.status(reply.status)
    encoder.fields(headers.list)
    if (!headers.has('date')) encoder.field('date', this.#connection.gate.date())
    if (id !== '' && !headers.has('x-request-id')) encoder.field('x-request-id', id)
    if (isFollowed ? body.length >= 0 : method === 'HEAD' && !body.isEmpty && body.length >= 0) {
      if (isFollowed) this.#owed = body.length
      encoder.field('content-length', String(body.length))
    }
    outbox.head(this.stream, !isFollowed)
  }

  /** The reply is out; what is left of the request is not worth waiting for (RFC 9113 §8.1). */
  #written(): void {
    if (this.#isOver) return
    const { stream } = this
    this.#isOver = true
    const isLeft = !stream.isRemoteEnded && !stream.isClosed
    this.#connection.turnOver(this, this.#reply?.failure ?? null, this.#reply?.code ?? null)
    if (isLeft) this.body?.cancel()
    if (this.#resetCode !== -1) this.#connection.resetBehindReply(stream, this.#resetCode)
    else if (isLeft) this.#connection.session.reset(stream, ErrorCode.noError)
  }

  #endBadly(reply: Reply, failure: Failure): void {
    if (this.#isOver || this.#isWritten) return
    const trailers = new Headers()
    setGrpcStatus(trailers, grpcStatusOf(failure.code, failure.status), failure.publicText)
    reply.failure = failure
    this.#owed = -1
    this.end(trailers)
  }

  #giveUp(code: number, failure: Failure): void {
    if (this.#isOver) return
    this.#connection.session.reset(this.stream, code)
    this.#stop(failure)
  }

  #stop(failure: Failure): void {
    this.#isOver = true
    this.#reply?.body.cancel()
    this.call.abandon(failure)
    this.body?.fail(new Failure('client-closed'))
    this.#connection.turnOver(this, failure, null)
  }

  #open(reply: Reply): void {
    if (reply.tunnel === null) {
      reply.body.cancel()
      const failure =
        this.call.upstream === ''
          ? new Failure('upgrade-not-supported', { detail: 'the end of the route is no upstream' })
          : new Failure('upstream-malformed-reply', { detail: 'the upstream did not upgrade' })
      return this.reply(Reply.ofFailure(failure))
    }
    this.#reply = reply
    this.status = 200
    this.#tunnel = acceptTunnel(this.#connection, this, reply, moved => {
      this.#isOver = true
      this.bytesOut = moved.toClient
      this.#connection.turnOver(this, null, null, moved.fromClient)
    })
  }
}
