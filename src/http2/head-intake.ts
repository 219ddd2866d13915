// The header blocks that a session receives: put together, decoded, and understood as heads or trailers.

import { Failure } from '../core/failure.ts'
import { HeaderBlock } from './header-block.ts'
import { HpackDecoder } from './hpack-decoder.ts'
import { ErrorCode, Flag } from './protocol.ts'
import { readReplyHead } from './reply-head.ts'
import { readRequestHead } from './request-head.ts'
import type { Session, SessionOptions } from './session.ts'
import { Stream } from './stream.ts'
import { readTrailers } from './trailers.ts'

export class HeadIntake {
  readonly #session: Session
  readonly #options: SessionOptions
  readonly #decoder: HpackDecoder
  readonly #block: HeaderBlock

  constructor(session: Session, options: SessionOptions) {
    this.#session = session
    this.#options = options
    this.#decoder = new HpackDecoder(options.limits.headBytes, options.memory)
    // Room for a list of fields that is too large, so that it can be answered and the connection go on.
    this.#block = new HeaderBlock(options.limits.headBytes * 2, options.bounds.continuations)
  }

  /** The stream of a block whose end has not come; 0 for none. */
  get openStreamId(): number {
    return this.#block.streamId
  }

  headers(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    const session = this.#session
    if (streamId === 0) return session.protocolError('HEADERS without a stream')
    let from = start
    let to = end
    if ((flags & Flag.padded) !== 0) {
      if (from === to) return session.frameSizeError('HEADERS')
      to -= bytes[from++] as number
    }
    if ((flags & Flag.priority) !== 0) from += 5
    if (from > to) return session.paddingTooLong()
    const isEnd = (flags & Flag.endStream) !== 0
    if ((flags & Flag.endHeaders) !== 0) return this.#blockCame(streamId, isEnd, bytes, from, to)
    this.#block.open(streamId, isEnd, bytes, from, to)
  }

  continuation(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    const session = this.#session
    const block = this.#block
    if (!block.isOpen) return session.protocolError('CONTINUATION without HEADERS')
    if (!block.append(bytes, start, end)) return session.calm('continuations')
    if ((flags & Flag.endHeaders) === 0) return
    const whole = block.bytes
    block.close()
    this.#blockCame(streamId, block.isEnd, whole, 0, block.length)
  }

  #blockCame(streamId: number, isEnd: boolean, bytes: Buffer, start: number, end: number): void {
    const session = this.#session
    // Also where nobody wants it: the table of the decoder is shared by all streams.
    if (!this.#decoder.decode(bytes, start, end)) {
      return session.fail(ErrorCode.compressionError, 'a header block that cannot be read')
    }
    const stream = session.streams.get(streamId)
    if (stream === undefined) {
      if (session.isServer && streamId > session.lastStreamId) return this.#requestCame(streamId, isEnd)
      return session.afterClose(streamId, false)
    }
    if (stream.isRemoteEnded) return session.streamError(stream, ErrorCode.streamClosed, 'HEADERS behind the end')
    if (session.isServer || stream.hasHead) this.#trailersCame(stream, isEnd)
    else this.#replyCame(stream, isEnd)
  }

  #requestCame(streamId: number, isEnd: boolean): void {
    const session = this.#session
    if (streamId % 2 === 0) return session.protocolError('a stream of a client with an even number')
    session.lastStreamId = streamId
    if (session.isLeaving) {
      session.remember(streamId)
      return session.countLate()
    }
    if (session.streams.size >= this.#options.streamsMax) {
      session.owner.hit('streams')
      session.remember(streamId)
      session.outbox.reset(streamId, ErrorCode.refusedStream)
      return void session.count('resets')
    }
    const stream = new Stream(streamId, session.outbox.streamWindow, this.#options.window)
    stream.isRemoteEnded = isEnd
    session.streams.set(streamId, stream)
    try {
      const head = readRequestHead(this.#decoder, isEnd, this.#options.limits)
      if (!isEnd) stream.owed = head.contentLength
      session.owner.request(stream, head, isEnd)
    } catch (thrown) {
      session.owner.requestRefused(stream, Failure.from(thrown))
    }
  }

  #replyCame(stream: Stream, isEnd: boolean): void {
    const session = this.#session
    try {
      const head = readReplyHead(this.#decoder, this.#options.limits.fields)
      const isInterim = head.status < 200
      if (isInterim && isEnd) throw new Failure('upstream-malformed-reply', { detail: 'nothing but an interim reply' })
      stream.hasHead = !isInterim
      stream.handler?.head(head, isEnd)
      if (isEnd && !stream.isClosed) session.remoteEnded(stream, null)
    } catch (thrown) {
      session.streamError(stream, ErrorCode.protocolError, Failure.from(thrown).message)
    }
  }

  #trailersCame(stream: Stream, isEnd: boolean): void {
    const session = this.#session
    if (!isEnd) return session.streamError(stream, ErrorCode.protocolError, 'a second head')
    const trailers = readTrailers(this.#decoder, this.#options.limits.fields)
    if (typeof trailers === 'string') return session.streamError(stream, ErrorCode.protocolError, trailers)
    session.remoteEnded(stream, trailers)
  }
}
