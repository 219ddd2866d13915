// Everything that a session sends: frames collected in a pen, flow control, and the streams that wait for room.

import type { Headers } from '../core/headers.ts'
import { fairFrameBytes } from './flood.ts'
import { HpackEncoder } from './hpack-encoder.ts'
import { ErrorCode, Flag, frameHeadBytes, framePayloadMax, FrameType, initialWindow } from './protocol.ts'
import { penBytes, type SharedMemory } from './shared-memory.ts'
import type { Stream } from './stream.ts'

/** Where the bytes go: a socket, or what stands for one. */
export interface ByteOutput {
  write(bytes: Buffer): boolean
  /** Bytes that were written, but not taken by the system yet. */
  readonly writableLength: number
}

export interface OutboxOptions {
  readonly output: ByteOutput
  readonly memory: SharedMemory
  /** The output looks at the bytes later, so that they must be its own (TLS). */
  readonly isEncrypted: boolean
}

/** Frames that answer the peer's, held for a peer that does not read; more is an attack (CVE-2019-9512, CVE-2019-9515). */
const heldFramesMax = 1_000

/**
 * Hot path: frames of one turn of the event loop leave in one write. The last DATA frame of a stream is made its last by setting
 * its flag where it still stands in the pen.
 */
export class Outbox {
  readonly encoder: HpackEncoder = new HpackEncoder()
  /** Of the connection. */
  window: number = initialWindow
  /** Of streams that begin from now on. */
  streamWindow: number = initialWindow
  /** The socket takes no more for now. */
  isBlocked = false
  isClosed = false
  /** DATA frames of a fair size that were sent since the session last looked; it sets them to 0. */
  fairFrames = 0
  readonly #options: OutboxOptions
  readonly #localEnded: (stream: Stream) => void
  #pen: Buffer | null = null
  #length = 0
  #isScheduled = false
  #heldFrames = 0
  /** The stream whose DATA frame was written last into the pen, and where it stands. */
  #lastData: Stream | null = null
  #lastDataAt = 0
  #waiting: Stream[] = []

  /** `localEnded` is told when our side of a stream ended that had to wait for room. */
  constructor(options: OutboxOptions, localEnded: (stream: Stream) => void) {
    this.#options = options
    this.#localEnded = localEnded
  }

  /** The peer makes us answer and does not read the answers. */
  get isFlooded(): boolean {
    return this.#heldFrames > heldFramesMax
  }

  bytes(bytes: Buffer): void {
    bytes.copy(this.#room(bytes.length), this.#length)
    this.#length += bytes.length
  }

  /** A frame other than DATA and HEADERS: its payload as 32-bit numbers. */
  control(type: number, flags: number, streamId: number, first?: number, second?: number): void {
    if (this.isBlocked) this.#heldFrames++
    const size = first === undefined ? 0 : second === undefined ? 4 : 8
    const pen = this.#frame(size, type, flags, streamId)
    if (first !== undefined) this.#length = pen.writeUInt32BE(first >>> 0, this.#length)
    if (second !== undefined) this.#length = pen.writeUInt32BE(second >>> 0, this.#length)
  }

  /** `pairs` holds identifiers and values in turn. */
  settings(pairs: readonly number[]): void {
    const pen = this.#frame(pairs.length * 3, FrameType.settings, 0, 0)
    for (let i = 0; i < pairs.length; i += 2) {
      this.#length = pen.writeUInt16BE(pairs[i] as number, this.#length)
      this.#length = pen.writeUInt32BE((pairs[i + 1] as number) >>> 0, this.#length)
    }
  }

  /** The block that stands in the encoder. */
  head(stream: Stream, isEnd: boolean): void {
    const { bytes, length } = this.encoder
    let flags = isEnd ? Flag.endStream : 0
    let type: number = FrameType.headers
    let from = 0
    do {
      const size = Math.min(framePayloadMax, length - from)
      if (from + size === length) flags |= Flag.endHeaders
      const pen = this.#frame(size, type, flags, stream.id)
      bytes.copy(pen, this.#length, from, from + size)
      this.#length += size
      from += size
      type = FrameType.continuation
      flags = 0
    } while (from < length)
    if (isEnd) stream.isLocalEnded = true
  }

  /** Sends a chunk as far as there is room, and keeps the rest. False asks for no more until the handler is `drained`. */
  data(stream: Stream, chunk: Buffer): boolean {
    let from = 0
    if (stream.queue === null) {
      from = this.#sendNow(stream, chunk, 0)
      if (from === chunk.length && !this.isBlocked) return true
    }
    if (from < chunk.length) {
      if (stream.queue === null) {
        stream.queue = [chunk]
        stream.queueStart = from
      } else stream.queue.push(chunk)
    }
    this.#wait(stream)
    return false
  }

  /** Ends our side of a stream behind what was sent. */
  end(stream: Stream, trailers: Headers | null): void {
    if (stream.queue !== null) {
      stream.pendingEnd = trailers
      return
    }
    stream.isLocalEnded = true
    if (trailers !== null) {
      this.encoder.start()
      this.encoder.fields(trailers.list)
      this.head(stream, true)
    } else if (this.#lastData === stream && this.#pen !== null) {
      this.#pen[this.#lastDataAt + 4] = Flag.endStream
      this.#lastData = null
    } else this.#frame(0, FrameType.data, Flag.endStream, stream.id)
  }

  /** Sends what waits, a frame of each stream in turn, as far as there is room. */
  pump(): void {
    let hasMoved = true
    while (hasMoved && !this.isBlocked && this.#waiting.length > 0) {
      hasMoved = false
      const round = this.#waiting
      this.#waiting = []
      for (const stream of round) {
        stream.isWaiting = false
        if (stream.isClosed) continue
        if (this.#sendOneFrame(stream)) hasMoved = true
        if (stream.queue !== null || this.isBlocked) this.#wait(stream)
        else this.#emptied(stream)
      }
    }
  }

  /** The socket has room again. */
  drained(): void {
    this.isBlocked = false
    this.#heldFrames = 0
    this.pump()
  }

  /** Writes what was collected. */
  flush(): void {
    this.#isScheduled = false
    const pen = this.#pen
    if (pen === null) return
    const { output, memory, isEncrypted } = this.#options
    const bytes = pen.subarray(0, this.#length)
    this.#pen = null
    this.#length = 0
    this.#lastData = null
    if (this.isClosed) return memory.givePen(pen)
    const isCopied = isEncrypted || output.writableLength > 0
    if (!output.write(isCopied ? Buffer.from(bytes) : bytes)) this.isBlocked = true
    // Where the system took all of it at once, nobody reads the pen any more; else it is the socket's.
    if (isCopied || output.writableLength === 0) memory.givePen(pen)
  }

  #sendNow(stream: Stream, chunk: Buffer, start: number): number {
    let from = start
    while (from < chunk.length && !this.isBlocked) {
      const sent = this.#sendFrame(stream, chunk, from)
      if (sent === 0) return from
      from += sent
    }
    return from
  }

  /** One DATA frame of a chunk; returns its size, 0 where the windows are shut. */
  #sendFrame(stream: Stream, chunk: Buffer, from: number): number {
    const size = Math.min(chunk.length - from, framePayloadMax, this.window, stream.sendWindow)
    if (size <= 0) return 0
    this.window -= size
    stream.sendWindow -= size
    stream.sentBytes += size
    if (size >= fairFrameBytes) this.fairFrames++
    const pen = this.#frame(size, FrameType.data, 0, stream.id)
    this.#lastData = stream
    this.#lastDataAt = this.#length - frameHeadBytes
    chunk.copy(pen, this.#length, from, from + size)
    this.#length += size
    return size
  }

  #sendOneFrame(stream: Stream): boolean {
    const { queue } = stream
    const chunk = queue?.[0]
    if (queue === null || chunk === undefined) return false
    const sent = this.#sendFrame(stream, chunk, stream.queueStart)
    stream.queueStart += sent
    if (stream.queueStart === chunk.length) {
      stream.queueStart = 0
      if (queue.length === 1) stream.queue = null
      else queue.shift()
    }
    return sent > 0
  }

  #emptied(stream: Stream): void {
    const { pendingEnd } = stream
    if (pendingEnd === undefined) return stream.handler?.drained()
    stream.pendingEnd = undefined
    this.end(stream, pendingEnd)
    stream.handler?.drained()
    this.#localEnded(stream)
  }

  #wait(stream: Stream): void {
    if (stream.isWaiting) return
    stream.isWaiting = true
    this.#waiting.push(stream)
  }

  /** The head of a frame; the payload goes to `#length` in the pen that is returned. */
  #frame(size: number, type: number, flags: number, streamId: number): Buffer {
    const pen = this.#room(frameHeadBytes + size)
    let at = this.#length
    pen[at++] = size >> 16
    pen[at++] = size >> 8
    pen[at++] = size
    pen[at++] = type
    pen[at++] = flags
    this.#length = pen.writeUInt32BE(streamId, at)
    return pen
  }

  #room(bytes: number): Buffer {
    if (this.#pen !== null && penBytes - this.#length < bytes) this.flush()
    if (this.#pen !== null) return this.#pen
    if (!this.#isScheduled) {
      this.#options.memory.flushSoon(this)
      this.#isScheduled = true
    }
    // Not before: room for another one may just have been made by flushing this one.
    this.#pen = this.#options.memory.takePen()
    return this.#pen
  }

  /** RST_STREAM. */
  reset(streamId: number, code: number): void {
    this.control(FrameType.resetStream, 0, streamId, code)
  }

  /** GOAWAY: streams up to this one were or will be served. */
  goAway(lastStreamId: number, code: number = ErrorCode.noError): void {
    this.control(FrameType.goAway, 0, 0, lastStreamId, code)
  }

  windowUpdate(streamId: number, amount: number): void {
    this.control(FrameType.windowUpdate, 0, streamId, amount)
  }
}
