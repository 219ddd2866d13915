// The DATA that a session receives: handed to its streams, and let in as far as they have passed it on (RFC 9113 §5.2, §6.9).

import { ErrorCode, Flag, FrameType, windowMax } from './protocol.ts'
import type { Session } from './session.ts'
import type { Stream } from './stream.ts'

/**
 * Octets that all streams together may hold before they were passed on. Those from a client are its own affair. Those from an
 * upstream belong to many clients, and who does not read must not hold up the others: only each stream is bounded.
 */
export function connectionWindowOf(role: 'server' | 'client'): number {
  return role === 'server' ? 1_048_576 : windowMax
}

export class Inflow {
  readonly #session: Session
  readonly #window: number
  readonly #isLent: boolean
  readonly #connectionWindow: number
  #receiveWindow: number
  #unacknowledged = 0
  /** Of the frame at hand; null where its stream is gone. */
  #stream: Stream | null = null
  #flags = 0

  /** `window` is that of each stream. `isLent`: received bytes must be copied to be handed on. */
  constructor(session: Session, window: number, isLent: boolean) {
    this.#session = session
    this.#window = window
    this.#isLent = isLent
    this.#connectionWindow = connectionWindowOf(session.isServer ? 'server' : 'client')
    this.#receiveWindow = this.#connectionWindow
  }

  begins(flags: number, streamId: number, length: number, payloadLength: number): void {
    const session = this.#session
    this.#stream = null
    this.#flags = flags
    if (session.isMisplaced(FrameType.data, streamId)) return
    if (streamId === 0) return session.protocolError('DATA without a stream')
    this.#receiveWindow -= payloadLength
    if (this.#receiveWindow < 0)
      return session.fail(ErrorCode.flowControlError, 'more DATA than the window had room for')
    const stream = session.streams.get(streamId)
    if (stream === undefined) {
      this.#credit(payloadLength)
      return session.afterClose(streamId, length > 0)
    }
    this.#stream = stream
    stream.receiveWindow -= payloadLength
    if (length < payloadLength) this.consumed(stream, payloadLength - length)
    if (stream.isRemoteEnded) return session.streamError(stream, ErrorCode.streamClosed, 'DATA behind the end')
    if (!session.isServer && !stream.hasHead)
      return session.streamError(stream, ErrorCode.protocolError, 'DATA before a head')
    if (stream.receiveWindow < 0) {
      return session.streamError(stream, ErrorCode.flowControlError, 'more DATA than the window had room for')
    }
    if (stream.owed !== -1) {
      stream.owed -= length
      // RFC 9113 §8.1.1: a body must have the length that was announced.
      if (stream.owed < 0) return session.streamError(stream, ErrorCode.protocolError, 'a body longer than announced')
    }
    if (length === 0 && (flags & Flag.endStream) === 0) session.count('emptyFrames')
  }

  piece(chunk: Buffer, start: number, end: number): void {
    const stream = this.#stream
    if (stream === null) return
    if (stream.isClosed) return this.#credit(end - start)
    if (stream.handler === null) return this.consumed(stream, end - start)
    const piece = chunk.subarray(start, end)
    stream.handler.data(this.#isLent ? Buffer.from(piece) : piece)
  }

  ends(): void {
    const stream = this.#stream
    this.#stream = null
    if (stream === null || stream.isClosed || (this.#flags & Flag.endStream) === 0) return
    this.#session.remoteEnded(stream, null)
  }

  /** So many octets of the stream's data were passed on. */
  consumed(stream: Stream, bytes: number): void {
    this.#credit(bytes)
    if (stream.isRemoteEnded || stream.isClosed) return
    stream.unacknowledged += bytes
    if (stream.unacknowledged < this.#window >> 1) return
    this.#session.outbox.windowUpdate(stream.id, stream.unacknowledged)
    stream.receiveWindow += stream.unacknowledged
    stream.unacknowledged = 0
  }

  #credit(bytes: number): void {
    this.#unacknowledged += bytes
    if (this.#unacknowledged < this.#connectionWindow >> 1) return
    this.#session.outbox.windowUpdate(0, this.#unacknowledged)
    this.#receiveWindow += this.#unacknowledged
    this.#unacknowledged = 0
  }
}
