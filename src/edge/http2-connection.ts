// One downstream HTTP/2 connection: a session and its socket, with a turn for each stream, and all their deadlines.

import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Call, Peer } from '../core/call.ts'
import type { FailureCode } from '../core/codes.ts'
import type { Failure } from '../core/failure.ts'
import { isGrpc, readGrpcTimeout } from '../core/grpc.ts'
import type { Timed } from '../core/ports.ts'
import type { RequestHead } from '../http/request.ts'
import { ErrorCode, errorName } from '../http2/protocol.ts'
import { type Ceiling, Session, type SessionOwner } from '../http2/session.ts'
import type { Stream } from '../http2/stream.ts'
import type { Gate } from './gate.ts'
import { Http2Turn } from './http2-turn.ts'
import { lendReads } from './lent-reads.ts'
import { receiveCall } from './receive.ts'

/** How long input is read and thrown away behind a GOAWAY that ends the connection, so that it is not lost to a reset. */
const lingerMs = 1_000
/** Names no stream: a first GOAWAY says that there is to be a second, so that calls under way are not lost (RFC 9113 §6.8). */
const anyStream = 0x7fffffff

/** Owned by the gate of its listener; ends itself when the socket closes. */
export class Http2Connection implements Timed, SessionOwner {
  readonly socket: Socket
  readonly peer: Peer
  readonly gate: Gate
  readonly session: Session
  dueMs: number
  slot = -1
  readonly #turns: Set<Http2Turn> = new Set()
  /** When the frame or header block that has begun must have come; Infinity while there is none. */
  #frameDueMs = Infinity
  /** When the second GOAWAY is sent; Infinity while the connection does not drain. */
  #leaveDueMs = Infinity
  #idleDueMs: number
  #isLingering = false
  #isClosed = false

  constructor(socket: Socket, peer: Peer, gate: Gate) {
    this.socket = socket
    this.peer = peer
    this.gate = gate
    this.#idleDueMs = gate.idleDueMs
    this.dueMs = this.#idleDueMs
    // Where reads cannot be lent after all, their bytes are copied in vain.
    this.session = new Session(
      {
        role: 'server',
        clock: gate.clock,
        limits: gate.limits,
        streamsMax: gate.http2.streams,
        window: gate.http2.window,
        isLent: peer.scheme === 'http',
        bounds: gate.http2,
        output: socket,
        memory: gate.http2Memory,
        isEncrypted: peer.scheme === 'https',
      },
      this,
    )
  }

  get isIdle(): boolean {
    return this.#turns.size === 0
  }

  /** Says what must be said first, and starts to read. */
  read(): void {
    this.session.start()
    if (this.peer.scheme === 'http') lendReads(this.socket, this.gate.scratch, bytes => this.received(bytes))
    // Where reads are lent, this only starts them.
    this.socket.on('data', (chunk: Buffer) => this.received(chunk))
  }

  received(chunk: Buffer): void {
    if (this.#isLingering) return
    this.session.receive(chunk)
    if (!this.session.isMidFrame) this.#frameDueMs = Infinity
    else if (this.#frameDueMs === Infinity) this.#frameDueMs = this.gate.clock.now() + this.gate.timeouts.head
    this.#watch()
  }

  drained(): void {
    this.session.outbox.drained()
  }

  /** The client has sent its last byte. As with HTTP/1, calls under way are given up then. */
  ended(): void {
    if (this.isIdle && !this.#isLingering) this.socket.end()
    else this.closed()
  }

  /** The socket is gone, or is to go. */
  closed(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.session.outbox.isClosed = true
    this.session.lost(ErrorCode.cancel, 'the connection closed')
    this.socket.destroy()
  }

  /** To be called when the gate drains: calls that are on their way to us are still taken, and then no more. */
  drain(): void {
    if (this.#leaveDueMs !== Infinity || this.session.isOver) return
    this.session.leave(anyStream)
    this.#leaveDueMs = this.gate.clock.now() + this.gate.partingMs
    this.#watch()
  }

  due(nowMs: number): void {
    if (this.#isLingering) return this.closed()
    for (const turn of this.#turns) turn.due(nowMs)
    if (nowMs > this.#leaveDueMs && !this.session.isLeaving) this.session.leave()
    if (nowMs > this.#frameDueMs) {
      return this.session.fail(ErrorCode.enhanceYourCalm, 'a frame that did not come in time')
    }
    if (this.isIdle && nowMs > this.#idleDueMs) return this.session.fail(ErrorCode.noError, 'idle for too long')
    this.#watch()
  }

  request(stream: Stream, head: RequestHead, isEnd: boolean): void {
    const { gate } = this
    const nowMs = gate.clock.now()
    const isTunnel = head.protocol !== ''
    if (isTunnel) askForUpgrade(head)
    const turn = new Http2Turn(this, stream, isEnd || isTunnel ? null : head.contentLength, nowMs)
    const call = receiveCall(head, turn.body, this.peer, gate, nowMs, 'HTTP/2')
    turn.isTunnel = isTunnel
    // Every gRPC client says that it takes trailers, and hardly anyone else does.
    if (head.acceptsTrailers && isGrpc(head.headers)) keepDeadline(call)
    this.#add(stream, turn)
    turn.begin(call)
  }

  requestRefused(stream: Stream, failure: Failure): void {
    const { gate } = this
    const nowMs = gate.clock.now()
    const turn = new Http2Turn(this, stream, null, nowMs)
    this.#add(stream, turn)
    const code = failure.code === 'malformed-request' ? ErrorCode.protocolError : -1
    turn.refuse(gate.refusedCall(this.peer, nowMs, 'HTTP/2'), failure, code)
  }

  streamClosed(stream: Stream): void {
    this.#turns.delete(stream.handler as Http2Turn)
    if (this.#turns.size > 0) return
    this.#idleDueMs = this.gate.idleDueMs
    this.#watch()
  }

  goneAway(): void {}

  settingsCame(): void {}

  /** The session has said its last word. */
  over(code: number, why: string): void {
    this.gate.log.debug({ client: this.peer.address, code: errorName(code) }, `an HTTP/2 connection ended: ${why}`)
    this.#linger()
  }

  hit(ceiling: Ceiling | 'stalls'): void {
    this.gate.hitHttp2(ceiling)
  }

  /** The account of a call: its reply was handed over whole, or it broke. */
  turnOver(turn: Http2Turn, failure: Failure | null, code: FailureCode | null, bytesIn = turn.body?.bytes ?? 0): void {
    this.gate.activeCalls--
    this.gate.finished(turn.call, turn.status, failure, code, bytesIn, turn.bytesOut)
  }

  /** Resets a stream whose reply was sent. The client made us do it, so that it counts (CVE-2025-8671). */
  resetBehindReply(stream: Stream, code: number): void {
    if (stream.isClosed) this.session.outbox.reset(stream.id, code)
    else this.session.reset(stream, code)
    this.session.count('resets')
  }

  #add(stream: Stream, turn: Http2Turn): void {
    stream.handler = turn
    this.#turns.add(turn)
    this.gate.activeCalls++
  }

  /** Says when to look next: at every beat while there are calls, because layers may set their deadlines at any time. */
  #watch(): void {
    if (this.#isLingering) return
    if (this.#turns.size > 0) this.dueMs = 0
    else if (this.session.isLeaving || this.session.isPeerLeaving) this.#linger()
    else this.dueMs = Math.min(this.#idleDueMs, this.#frameDueMs, this.#leaveDueMs)
  }

  #linger(): void {
    this.#isLingering = true
    this.dueMs = this.gate.clock.now() + lingerMs
    this.session.outbox.flush()
    this.socket.end()
  }
}

/** PROTOCOL-HTTP2.md of gRPC, Timeout: how long the client waits. The upstream is told what is left of it. */
function keepDeadline(call: Call): void {
  const timeoutMs = readGrpcTimeout(call.headers.get('grpc-timeout') ?? '')
  if (timeoutMs !== null) call.deadlineMs = call.startedMs + timeoutMs
}

/** An extended CONNECT asks for what an upgrade asks for over HTTP/1.1 (RFC 8441 §5), and is routed and forwarded as one. */
function askForUpgrade(head: RequestHead): void {
  head.method = 'GET'
  head.connectionUpgrade = true
  head.upgrade = head.protocol
  // The key proves to the client that the server speaks WebSocket; over HTTP/2 there is none, and the upstream wants one.
  if (head.protocol === 'websocket') head.headers.set('sec-websocket-key', randomBytes(16).toString('base64'))
}
