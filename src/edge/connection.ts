// One downstream HTTP/1.1 connection: bytes to calls, replies to bytes, in order, with all its deadlines.

import type { Socket } from 'node:net'
import type { Call, Peer } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import type { Timed } from '../core/ports.ts'
import { Reply } from '../core/reply.ts'
import { fieldsText, statusLine } from '../http/encode.ts'
import { Found, HeadBuffer } from '../http/head-buffer.ts'
import { IncomingBody, type IncomingBodyOwner } from '../http/incoming-body.ts'
import { Framing } from '../http/reply.ts'
import { decodeRequestHead, type RequestHead } from '../http/request.ts'
import { HeldWrites } from '../http/write-batch.ts'
import type { Gate, TakeOver } from './gate.ts'
import { lendReads } from './lent-reads.ts'
import { receiveCall } from './receive.ts'
import { spliceTunnel } from './tunnel.ts'
import { Turn } from './turn.ts'

/** Bytes of pipelined requests that are kept while a call is under way; then the socket is paused. */
const heldBytesMax = 65_536
/** How long, and for how many bytes, input is read and thrown away behind a last reply, so that it is not lost to a reset. */
const lingerMs = 2_000
const lingerBytesMax = 1_048_576

/**
 * Reads one call at a time and writes its reply; later requests on the same connection wait their turn (RFC 9112 §9.3.2).
 * Owned by the gate of its listener; ends itself when the socket closes.
 */
export class Connection implements Timed, IncomingBodyOwner {
  readonly socket: Socket
  readonly peer: Peer
  readonly writes: HeldWrites
  /** Whether another call may follow on this connection. */
  keepsAlive = true
  /** Minor version of the request at hand. */
  minor = 1
  dueMs: number
  slot = -1
  readonly gate: Gate
  readonly #toHttp2: TakeOver
  readonly #heads: HeadBuffer
  /** What was read must be copied to be kept. */
  #isLent = false
  #turn: Turn | null = null
  #body: IncomingBody | null = null
  /** Received bytes that belong to later requests. */
  #held: Buffer | null = null
  /** When the first byte of the head at hand came; 0 while idle. */
  #headStartedMs = 0
  #lingeredBytes = -1
  #isBlocked = false
  /** Replies are piling up at a client that does not read them; its next requests wait. */
  #isBacklogged = false
  #isClosed = false
  #isUpgraded = false
  /** When a body that should be moving has stood still for too long. */
  #progressDueMs = Infinity

  /** `toHttp2` is shown heads of another version; it takes the socket over where HTTP/2 begins with them. */
  constructor(socket: Socket, peer: Peer, gate: Gate, toHttp2: TakeOver) {
    this.socket = socket
    this.peer = peer
    this.gate = gate
    this.writes = new HeldWrites(socket, gate.writes)
    this.#toHttp2 = toHttp2
    this.#heads = new HeadBuffer(gate.limits.headBytes)
    this.dueMs = gate.idleDueMs
  }

  read(): void {
    // A tunnel takes what it reads from the stream.
    const take = (bytes: Buffer) => (this.#isUpgraded ? this.socket.push(Buffer.from(bytes)) : this.received(bytes))
    this.#isLent = this.peer.scheme === 'http' && lendReads(this.socket, this.gate.scratch, take)
    // Where reads are lent, this only starts them.
    this.socket.on('data', (chunk: Buffer) => this.received(chunk))
  }

  get isIdle(): boolean {
    return this.#turn === null && !this.#heads.isPartial
  }

  /** To be called when the gate drains: the next reply says that it is the last, and without one the connection soon closes. */
  drain(): void {
    if (this.isIdle && this.#lingeredBytes === -1) this.dueMs = Math.min(this.dueMs, this.gate.idleDueMs)
  }

  received(chunk: Buffer): void {
    if (this.#lingeredBytes !== -1) return this.#discard(chunk)
    let from = 0
    const body = this.#body
    if (body !== null && !body.isReceived) {
      this.#moved()
      try {
        from = body.read(chunk, 0)
      } catch (thrown) {
        return this.#bodyRefused(Failure.from(thrown))
      }
      if (from === chunk.length) return
    }
    if (this.#turn !== null || this.#isBacklogged) this.#hold(chunk, from)
    else this.#readHead(chunk, from)
  }

  /** The client has sent its last byte. As with other gateways, a call under way is given up then. */
  ended(): void {
    if (this.#turn === null) this.socket.end()
    else this.closed()
    if (this.#lingeredBytes !== -1) this.socket.destroy()
  }

  closed(): void {
    if (this.#isClosed) return
    const turn = this.#turn
    this.#isClosed = true
    const failure = new Failure('client-closed')
    if (turn !== null && !turn.isOver) {
      // First the turn, for it would take the end of the body that the abandoned call brings as its own end.
      turn.cut()
      turn.call.abandon(failure)
      this.#finish(turn, turn.status, failure)
    }
    this.#body?.fail(failure)
    this.#turn = null
    this.socket.destroy()
  }

  drained(): void {
    this.#isBlocked = false
    this.#moved()
    this.#turn?.drained()
    if (this.#isBacklogged) this.#next()
  }

  /** To be called with what every write of a body returned; minds the deadline of a client that does not read. */
  wrote(hasRoom: boolean): boolean {
    if (!hasRoom && !this.#isBlocked) {
      this.#isBlocked = true
      this.#moved()
    }
    return hasRoom
  }

  /** On every beat while a call is under way, because layers may set its deadline at any time; else when idle for too long. */
  due(nowMs: number): void {
    const turn = this.#turn
    if (turn === null) return this.#lingeredBytes === -1 ? this.#idleOrHeadDue() : void this.socket.destroy()
    if (nowMs > turn.call.deadlineMs) return this.#callDue(turn)
    if (nowMs <= this.#progressDueMs) return
    const body = this.#body
    const awaitsBody = body !== null && !body.isReceived && !body.isHeldBack && !body.isCancelled
    if (!awaitsBody && !this.#isBlocked) return
    if (this.#isBlocked || turn.status !== 0) return this.closed()
    const failure = new Failure('request-timeout', { detail: 'the request body stopped moving' })
    this.keepsAlive = false
    body?.fail(failure)
    turn.call.abandon(failure)
    if (turn.status === 0) turn.reply(Reply.ofFailure(failure))
  }

  bodyWanted(): void {
    const turn = this.#turn
    if (turn?.call.expectsContinue !== true || turn.status !== 0) return
    turn.call.expectsContinue = false
    this.socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1')
  }

  bodyReceived(): void {
    if (this.#turn === null) this.#next()
  }

  bodyCancelled(): void {}

  pauseReading(): void {
    this.socket.pause()
  }

  resumeReading(): void {
    this.socket.resume()
  }

  malformedBody(problem: string): Failure {
    return new Failure('malformed-request', {
      detail: problem,
      publicText: `The request is not valid HTTP: ${problem}.`,
    })
  }

  /** The end of a reply head: the Connection field where one is needed, and the empty line. */
  persistenceField(): string {
    if (this.gate.isDraining) this.keepsAlive = false
    const body = this.#body
    // A client that still waits for 100 Continue may send its body or not: only closing is clear to both.
    if (body !== null && !body.isReceived && (body.isCancelled || this.#turn?.call.expectsContinue === true)) {
      this.keepsAlive = false
    }
    if (!this.keepsAlive) return 'connection: close\r\n\r\n'
    return this.minor === 0 ? 'connection: keep-alive\r\n\r\n' : '\r\n'
  }

  /** The reply was handed to the socket whole. */
  turnEnded(turn: Turn): void {
    this.#finish(turn, turn.status, null)
    const body = this.#body
    this.#turn = null
    if (body !== null && !body.isReceived) {
      // What is left of the request is not worth waiting for.
      body.cancel()
      this.keepsAlive = false
    }
    this.#next()
  }

  turnBroke(turn: Turn, failure: Failure): void {
    this.#finish(turn, turn.status, failure)
    this.#turn = null
    this.#isClosed = true
    this.#body?.fail(new Failure('client-closed'))
    turn.call.abandon(failure)
    // The client is to see the head at least.
    this.writes.flush()
    this.socket.resetAndDestroy()
  }

  turnUpgraded(turn: Turn, head: string, reply: Reply): void {
    const { socket } = this
    this.#isUpgraded = true
    this.gate.deadlines.remove(this)
    for (const event of ['data', 'end', 'drain']) socket.removeAllListeners(event)
    socket.write(head, 'latin1')
    const held = this.#held
    this.#held = null
    if (reply.tunnel === null) return void socket.destroy()
    this.#turn = null
    this.gate.connections.delete(this)
    this.gate.tunnels.add(this)
    spliceTunnel(socket, held, reply.tunnel, this.gate, moved => {
      this.gate.tunnels.delete(this)
      turn.bytesOut = moved.toClient
      this.#isClosed = true
      this.#finish(turn, 101, null, moved.fromClient)
    })
  }

  #readHead(chunk: Buffer, from: number): void {
    if (this.#headStartedMs === 0) {
      this.#headStartedMs = this.gate.clock.now()
      this.dueMs = this.#headStartedMs + this.gate.timeouts.head
    }
    const heads = this.#heads
    switch (heads.take(chunk, from)) {
      case Found.incomplete:
        return
      case Found.malformed:
        return this.refuse(new Failure('malformed-request', { detail: heads.problem }))
      case Found.tooLarge: {
        const lineEnd = heads.bytes.indexOf('\r\n', heads.start)
        const lineBytes = (lineEnd === -1 ? heads.end : lineEnd) - heads.start
        return this.refuse(
          new Failure(lineBytes > this.gate.limits.targetBytes ? 'target-too-long' : 'headers-too-large'),
        )
      }
      case Found.complete:
    }
    const { bytes, start, end } = heads
    heads.reset()
    try {
      this.#begin(decodeRequestHead(bytes, start, end, this.gate.limits), bytes, end)
    } catch (thrown) {
      const failure = Failure.from(thrown)
      if (failure.code === 'version-not-supported' && this.#toHttp2(bytes, start, end)) this.#isClosed = true
      else this.refuse(failure)
    }
  }

  #begin(head: RequestHead, bytes: Buffer, end: number): void {
    this.minor = head.minor
    this.keepsAlive &&= head.keepsAlive
    const framing = head.isChunked ? Framing.chunked : Framing.length
    const hasBody = head.isChunked || head.contentLength > 0
    const body = hasBody ? new IncomingBody(this, framing, head.contentLength, this.#isLent) : null
    const call = receiveCall(head, body, this.peer, this.gate, this.#headStartedMs)
    this.#body = body
    this.#answer(call, bytes, end)
  }

  #answer(call: Call, bytes: Buffer, end: number): void {
    const turn = new Turn(this, call)
    this.#turn = turn
    this.#headStartedMs = 0
    this.dueMs = 0
    this.#progressDueMs = call.startedMs + this.gate.timeouts.body
    if (this.minor === 1) call.inform = (status, headers) => this.#inform(turn, status, headers)
    this.gate.activeCalls++
    this.gate.answer(call).then(
      reply => turn.reply(reply),
      thrown => this.#failed(turn, thrown),
    )
    if (end < bytes.length) this.received(end === 0 ? bytes : bytes.subarray(end))
  }

  /** For what no route answered: its end makes replies of failures inside the policies. */
  #failed(turn: Turn, thrown: unknown): void {
    if (turn.isOver || turn.status !== 0) return
    const failure = Failure.from(thrown)
    if (failure.code === 'internal')
      this.gate.log.error({ err: failure.cause ?? failure, route: turn.call.route }, 'a call failed')
    if (failure.source === 'client' && this.#body !== null && !this.#body.isReceived) this.keepsAlive = false
    if (failure.status === 0) return this.closed()
    turn.reply(Reply.ofFailure(failure))
  }

  #inform(turn: Turn, status: number, headers: Reply['headers']): void {
    if (turn.isOver || turn.status !== 0) return
    this.socket.write(`${statusLine(status, '')}${fieldsText(headers)}\r\n`, 'latin1')
  }

  #finish(turn: Turn, status: number, failure: Failure | null, bytesIn = this.#body?.bytes ?? 0): void {
    this.gate.activeCalls--
    this.gate.finished(turn.call, status, failure ?? turn.failure, turn.code, bytesIn, turn.bytesOut)
  }

  /** After a call: on to the next, or to the end of the connection. */
  #next(): void {
    if (this.#turn !== null || this.#isClosed) return
    const body = this.#body
    if (!this.keepsAlive) return this.#linger()
    if (body !== null && !body.isReceived) return
    this.#body = null
    this.dueMs = this.gate.idleDueMs
    this.#isBacklogged = this.socket.writableNeedDrain
    const held = this.#held
    if (held === null || this.#isBacklogged) return
    this.#held = null
    if (this.socket.isPaused()) this.socket.resume()
    this.#readHead(held, 0)
  }

  /** Bytes of a body have moved. */
  #moved(): void {
    this.#progressDueMs = this.gate.clock.now() + this.gate.timeouts.body
  }

  #hold(chunk: Buffer, from: number): void {
    const rest = from === 0 ? chunk : chunk.subarray(from)
    if (this.#held !== null) this.#held = Buffer.concat([this.#held, rest])
    else this.#held = this.#isLent ? Buffer.from(rest) : rest
    if (this.#held.length >= heldBytesMax) this.socket.pause()
  }

  /** For a request that is no HTTP, or no HTTP we take: answered and closed. */
  refuse(failure: Failure): void {
    const gate = this.gate
    this.keepsAlive = false
    const call = gate.refusedCall(this.peer, this.#headStartedMs || gate.clock.now())
    const turn = new Turn(this, call)
    this.#body = null
    this.#turn = turn
    gate.activeCalls++
    turn.reply(Reply.ofFailure(failure))
  }

  /** The framing of the body is broken: the call is given up, and where nothing was answered yet it is answered here. */
  #bodyRefused(failure: Failure): void {
    this.keepsAlive = false
    const turn = this.#turn
    this.#body?.fail(failure)
    if (turn === null || turn.isOver) return void this.socket.destroy()
    if (turn.status !== 0) return this.turnBroke(turn, failure)
    turn.call.abandon(failure)
    if (turn.status === 0) turn.reply(Reply.ofFailure(failure))
  }

  #idleOrHeadDue(): void {
    if (this.#headStartedMs === 0) return void this.socket.destroy()
    this.refuse(new Failure('request-timeout', { detail: 'the request head did not come in time' }))
  }

  /** First the call is told, so that its layers can answer; a beat later it is answered here. */
  #callDue(turn: Turn): void {
    const failure = new Failure('call-timeout')
    if (turn.status !== 0) return this.turnBroke(turn, failure)
    if (turn.call.abandonReason === null) turn.call.abandon(failure)
    else this.#failed(turn, turn.call.abandonReason)
  }

  #linger(): void {
    if (this.#lingeredBytes !== -1) return
    this.#lingeredBytes = 0
    this.#held = null
    this.dueMs = this.gate.clock.now() + lingerMs
    if (this.socket.isPaused()) this.socket.resume()
    this.socket.end()
  }

  #discard(chunk: Buffer): void {
    this.#lingeredBytes += chunk.length
    if (this.#lingeredBytes > lingerBytesMax) this.socket.destroy()
  }
}
