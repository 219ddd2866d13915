// An HTTP/2 connection without its socket (RFC 9113): bytes in, calls of its owner and bytes out; client or server.

import type { Failure } from '../core/failure.ts'
import type { Headers } from '../core/headers.ts'
import type { Clock } from '../core/ports.ts'
import type { HeadLimits } from '../http/limits.ts'
import type { RequestHead } from '../http/request.ts'
import { takeConnectionFrame } from './connection-frames.ts'
import { type Flood, type FloodBounds, FloodCounts } from './flood.ts'
import { FrameReader, type FrameTaker } from './frame-reader.ts'
import { HeadIntake } from './head-intake.ts'
import { connectionWindowOf, Inflow } from './inflow.ts'
import { Outbox, type OutboxOptions } from './outbox.ts'
import { ErrorCode, errorName, Flag, FrameType, initialWindow, preface, Setting, windowMax } from './protocol.ts'
import { PeerSettings } from './settings.ts'
import { Stream, type StreamHandler } from './stream.ts'

export interface SessionOptions extends OutboxOptions {
  readonly role: 'server' | 'client'
  readonly clock: Clock
  readonly limits: HeadLimits
  /** Streams that the peer may have open at once. */
  readonly streamsMax: number
  /** Octets that the peer may send on a stream before they were passed on; at least 65,535. */
  readonly window: number
  /** Received bytes are lent: what is handed on of them is copied. */
  readonly isLent: boolean
  readonly bounds: FloodBounds
}

/** What a bound is called that a peer hit, for metrics. */
export type Ceiling = Flood | 'streams' | 'heldFrames'

export interface SessionOwner {
  /** A request has come; who takes the rest of it is to be set as the stream's handler. `isEnd`: there is no rest. */
  request(stream: Stream, head: RequestHead, isEnd: boolean): void
  /** A request came that is not to be taken; it may be answered. */
  requestRefused(stream: Stream, failure: Failure): void
  /** A stream is over; there is room for another. */
  streamClosed(stream: Stream): void
  /** The peer said GOAWAY; streams above `lastStreamId` are broken already. */
  goneAway(lastStreamId: number, code: number): void
  /** The peer has changed its settings. */
  settingsCame(): void
  /** Nothing more goes over this connection. What is in the outbox is still to be flushed. */
  over(code: number, why: string): void
  hit(ceiling: Ceiling): void
}

/** Streams that we reset are remembered for the frames that were under way then. */
const rememberedMax = 64

export class Session implements FrameTaker {
  readonly outbox: Outbox
  readonly owner: SessionOwner
  /** The first SETTINGS of the peer came. */
  hasSettings = false
  readonly peer: PeerSettings = new PeerSettings()
  readonly streams: Map<number, Stream> = new Map()
  isOver = false
  /** GOAWAY was sent: later streams of the peer are ignored. */
  isLeaving = false
  /** The peer has said GOAWAY. */
  isPeerLeaving = false
  /** The number of the next stream of ours. */
  nextId = 1
  /** The highest stream of the peer that was looked at. */
  lastStreamId = 0
  readonly #options: SessionOptions
  readonly isServer: boolean
  readonly #reader: FrameReader
  readonly #heads: HeadIntake
  readonly #inflow: Inflow
  readonly #floods: FloodCounts
  readonly #resets: number[] = []
  /** What the last GOAWAY of ours named. */
  #leftAtId = 0
  #prefaceLeft: number

  constructor(options: SessionOptions, owner: SessionOwner) {
    this.#options = options
    this.owner = owner
    this.isServer = options.role === 'server'
    this.#prefaceLeft = this.isServer ? preface.length : 0
    this.outbox = new Outbox(options, stream => this.closeIfDone(stream))
    this.#reader = new FrameReader(this)
    this.#heads = new HeadIntake(this, options)
    this.#inflow = new Inflow(this, options.window, options.isLent)
    this.#floods = new FloodCounts(options.bounds, options.clock)
  }

  /** Says what must be said first. */
  start(): void {
    const { limits, role, window, streamsMax } = this.#options
    if (!this.isServer) this.outbox.bytes(preface)
    const settings = [Setting.maxHeaderListSize, limits.headBytes]
    if (window > initialWindow) settings.push(Setting.initialWindowSize, window)
    if (this.isServer) settings.push(Setting.maxConcurrentStreams, streamsMax, Setting.enableConnectProtocol, 1)
    else settings.push(Setting.enablePush, 0)
    this.outbox.settings(settings)
    this.outbox.windowUpdate(0, connectionWindowOf(role) - initialWindow)
  }

  /** Whether the peer has begun a frame or a header block and owes the rest of it; the data of a body is not meant. */
  get isMidFrame(): boolean {
    return this.#reader.isPartial || this.#heads.openStreamId !== 0
  }

  receive(chunk: Buffer): void {
    if (this.isOver) return
    const from = this.#prefaceLeft > 0 ? this.#readPreface(chunk) : 0
    if (from < chunk.length && !this.isOver) this.#reader.read(chunk, from)
    if (this.outbox.isFlooded && !this.isOver) this.calm('heldFrames')
  }

  /** Whether there are numbers left for streams of ours, and the peer takes any. */
  get canOpen(): boolean {
    return !this.isOver && !this.isPeerLeaving && this.nextId <= windowMax
  }

  /** Opens a stream; null where the connection can take no more for good. To be followed by a head. */
  open(handler: StreamHandler): Stream | null {
    if (!this.canOpen) return null
    const stream = new Stream(this.nextId, this.outbox.streamWindow, this.#options.window)
    this.nextId += 2
    stream.handler = handler
    this.streams.set(stream.id, stream)
    return stream
  }

  /** Our side of the stream is to end, behind what was sent. */
  end(stream: Stream, trailers: Headers | null): void {
    if (stream.isClosed) return
    this.outbox.end(stream, trailers)
    this.closeIfDone(stream)
  }

  /** To be called when a side of the stream has ended in another way than by `end`. */
  closeIfDone(stream: Stream): void {
    if (stream.isLocalEnded && stream.isRemoteEnded) this.#close(stream)
  }

  /** Ends a stream at once. Its handler is not told: it is the one who asks. */
  reset(stream: Stream, code: number): void {
    if (stream.isClosed) return
    this.outbox.reset(stream.id, code)
    this.remember(stream.id)
    this.#close(stream)
  }

  /** Takes no further streams; those that were begun go on. */
  leave(lastStreamId: number = this.lastStreamId): void {
    if (lastStreamId === this.lastStreamId) {
      this.isLeaving = true
      this.#leftAtId = lastStreamId
    }
    this.outbox.goAway(lastStreamId)
  }

  /** Ends everything, after a fault of the peer or for want of time. */
  fail(code: number, why: string): void {
    if (this.isOver) return
    this.isOver = true
    this.outbox.goAway(this.isLeaving ? this.#leftAtId : this.lastStreamId, code)
    this.lost(code, why)
    this.owner.over(code, why)
  }

  /** The connection is gone: tells all that were on it. */
  lost(code: number, why: string): void {
    this.isOver = true
    for (const stream of [...this.streams.values()]) this.#broke(stream, code, false, why)
  }

  frame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (this.isMisplaced(type, streamId)) return
    switch (type) {
      case FrameType.headers:
        return this.#heads.headers(flags, streamId, bytes, start, end)
      case FrameType.continuation:
        return this.#heads.continuation(flags, streamId, bytes, start, end)
      case FrameType.resetStream:
        return this.#resetCame(streamId, bytes, start, end)
      case FrameType.windowUpdate:
        return this.#windowUpdate(streamId, bytes, start, end)
      default:
        return takeConnectionFrame(this, type, flags, streamId, bytes, start, end)
    }
  }

  dataBegins(flags: number, streamId: number, length: number, payloadLength: number): void {
    this.#inflow.begins(flags, streamId, length, payloadLength)
  }

  dataPiece(chunk: Buffer, start: number, end: number): void {
    this.#inflow.piece(chunk, start, end)
  }

  dataEnds(): void {
    this.#inflow.ends()
  }

  /** So many octets of the stream's data were passed on. */
  consumed(stream: Stream, bytes: number): void {
    this.#inflow.consumed(stream, bytes)
  }

  frameTooLarge(): void {
    this.fail(ErrorCode.frameSizeError, 'a frame larger than allowed')
  }

  paddingTooLong(): void {
    this.protocolError('padding longer than its frame')
  }

  protocolError(why: string): void {
    this.fail(ErrorCode.protocolError, why)
  }

  frameSizeError(what: string): void {
    this.fail(ErrorCode.frameSizeError, `${what} of a wrong size`)
  }

  /** Counts what a peer may not do too often; past the bound the connection ends. */
  count(flood: Flood): boolean {
    if (this.#floods.count(flood)) return true
    this.calm(flood)
    return false
  }

  /** Counts a frame on a stream that is over: without data it costs the peer next to nothing. */
  countLate(): void {
    if (!this.#floods.countLate()) this.calm('emptyFrames')
  }

  /** The peer's settings hold from now on. */
  applySettings(): void {
    const { peer, outbox } = this
    outbox.encoder.resize(peer.headerTableBytes)
    const change = peer.window - outbox.streamWindow
    outbox.streamWindow = peer.window
    if (change !== 0) {
      for (const stream of this.streams.values()) {
        stream.sendWindow += change
        // §6.9.2: a window may become negative by this, but not larger than a window can be.
        if (stream.sendWindow > windowMax) return this.fail(ErrorCode.flowControlError, 'a window past its limit')
      }
    }
    outbox.control(FrameType.settings, Flag.ack, 0)
    this.hasSettings = true
    if (change > 0) outbox.pump()
    this.owner.settingsCame()
  }

  /** GOAWAY came: what the peer has not seen is broken, and can be sent elsewhere. */
  peerLeaves(lastStreamId: number, code: number): void {
    this.isPeerLeaving = true
    if (!this.isServer) {
      for (const stream of [...this.streams.values()]) {
        if (stream.id > lastStreamId) this.#broke(stream, ErrorCode.refusedStream, true, 'the server is leaving')
      }
    }
    this.owner.goneAway(lastStreamId, code)
  }

  calm(ceiling: Ceiling): void {
    this.owner.hit(ceiling)
    this.fail(ErrorCode.enhanceYourCalm, `too many ${ceiling}`)
  }

  #readPreface(chunk: Buffer): number {
    const at = preface.length - this.#prefaceLeft
    const length = Math.min(chunk.length, this.#prefaceLeft)
    if (preface.compare(chunk, 0, length, at, at + length) !== 0) {
      this.protocolError('no HTTP/2 preface')
      return chunk.length
    }
    this.#prefaceLeft -= length
    return length
  }

  /** §3.4: SETTINGS comes first. §6.10: nothing stands between the frames of a header block. */
  isMisplaced(type: number, streamId: number): boolean {
    if (!this.hasSettings && type !== FrameType.settings) this.protocolError('a first frame that is not SETTINGS')
    else if (
      this.#heads.openStreamId !== 0 &&
      (type !== FrameType.continuation || streamId !== this.#heads.openStreamId)
    ) {
      this.protocolError('a frame inside a header block')
    }
    return this.isOver
  }

  remoteEnded(stream: Stream, trailers: Headers | null): void {
    if (stream.owed > 0) return this.streamError(stream, ErrorCode.protocolError, 'a body shorter than announced')
    stream.isRemoteEnded = true
    stream.handler?.ended(trailers)
    this.closeIfDone(stream)
  }

  #resetCame(streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId === 0) return this.protocolError('RST_STREAM without a stream')
    if (end - start !== 4) return this.frameSizeError('RST_STREAM')
    const stream = this.streams.get(streamId)
    if (stream === undefined) {
      return this.#isIdle(streamId) ? this.protocolError('RST_STREAM on an idle stream') : this.countLate()
    }
    const code = bytes.readUInt32BE(start)
    this.#broke(stream, code, code === ErrorCode.refusedStream, `reset by the peer: ${errorName(code)}`)
    this.count('resets')
  }

  #windowUpdate(streamId: number, bytes: Buffer, start: number, end: number): void {
    if (end - start !== 4) return this.frameSizeError('WINDOW_UPDATE')
    const { outbox } = this
    this.#floods.dataSent(outbox.fairFrames)
    outbox.fairFrames = 0
    if (!this.count('windowUpdates')) return
    const amount = bytes.readUInt32BE(start) & 0x7fffffff
    if (streamId === 0) {
      if (amount === 0) return this.protocolError('WINDOW_UPDATE of nothing')
      outbox.window += amount
      if (outbox.window > windowMax) return this.fail(ErrorCode.flowControlError, 'a window past its limit')
      return outbox.pump()
    }
    const stream = this.streams.get(streamId)
    if (stream === undefined) {
      if (this.#isIdle(streamId)) this.protocolError('WINDOW_UPDATE on an idle stream')
      return
    }
    if (amount === 0) return this.streamError(stream, ErrorCode.protocolError, 'WINDOW_UPDATE of nothing')
    stream.sendWindow += amount
    if (stream.sendWindow > windowMax) {
      return this.streamError(stream, ErrorCode.flowControlError, 'a window past its limit')
    }
    if (stream.isWaiting) outbox.pump()
  }

  /** A frame on a stream that is over, or never was. */
  afterClose(streamId: number, hasData: boolean): void {
    if (this.#isIdle(streamId)) return this.protocolError('a frame on an idle stream')
    // §5.1: what was under way when we reset the stream is ignored.
    if (this.isLeaving || this.#resets.includes(streamId)) return hasData ? undefined : this.countLate()
    this.remember(streamId)
    this.outbox.reset(streamId, ErrorCode.streamClosed)
    this.count('resets')
  }

  #isIdle(streamId: number): boolean {
    const isOurs = (streamId % 2 === 1) !== this.isServer
    return isOurs ? streamId >= this.nextId : streamId > this.lastStreamId
  }

  /** The peer broke a rule on one stream. Counted like its own resets: making us reset costs as much (CVE-2025-8671). */
  streamError(stream: Stream, code: number, why: string): void {
    this.remember(stream.id)
    this.outbox.reset(stream.id, code)
    this.#broke(stream, code, false, why)
    this.count('resets')
  }

  #broke(stream: Stream, code: number, isUnseen: boolean, why: string): void {
    if (stream.isClosed) return
    this.#close(stream)
    stream.handler?.broke(code, isUnseen, why)
  }

  #close(stream: Stream): void {
    stream.isClosed = true
    stream.queue = null
    this.streams.delete(stream.id)
    this.#floods.streamEnded()
    this.owner.streamClosed(stream)
  }

  remember(streamId: number): void {
    if (this.#resets.length >= rememberedMax) this.#resets.shift()
    this.#resets.push(streamId)
  }
}
