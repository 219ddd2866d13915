// The body of a gRPC reply for gRPC-Web: the trailers become the last frame, and with text all of it base64.

import type { Body, BodySource, Sink } from '../../core/body.ts'
import type { Failure } from '../../core/failure.ts'
import { grpcStatusOf, setGrpcStatus } from '../../core/grpc.ts'
import { Headers } from '../../core/headers.ts'

/** First octet of a frame that holds trailers. */
const trailerFlag = 0x80

export class WebReplySource implements BodySource, Sink {
  readonly #body: Body
  readonly #isText: boolean
  #sink: Sink | null = null

  constructor(body: Body, isText: boolean) {
    this.#body = body
    this.#isText = isText
  }

  start(sink: Sink): void {
    this.#sink = sink
    this.#body.pipe(this)
  }

  resume(): void {
    this.#body.resume()
  }

  cancel(): void {
    this.#sink = null
    this.#body.cancel()
  }

  write(chunk: Buffer): boolean {
    return this.#sink?.write(this.#written(chunk)) ?? false
  }

  end(trailers: Headers | null): void {
    const sink = this.#sink
    if (sink === null) return
    sink.write(this.#written(trailerFrame(trailers ?? Headers.of({ 'grpc-status': '2' }))))
    sink.end(null)
  }

  /** The last frame says how a call ended, so that it need not break. */
  fail(failure: Failure): void {
    const trailers = new Headers()
    setGrpcStatus(trailers, grpcStatusOf(failure.code, failure.status), failure.publicText)
    this.end(trailers)
  }

  /** Each piece is padded for itself, so that none of a message waits for the next. */
  #written(piece: Buffer): Buffer {
    return this.#isText ? Buffer.from(piece.toString('base64'), 'latin1') : piece
  }
}

function trailerFrame(trailers: Headers): Buffer {
  let text = ''
  for (const [name, value] of trailers) text += `${name.toLowerCase()}: ${value}\r\n`
  const frame = Buffer.allocUnsafe(5 + text.length)
  frame[0] = trailerFlag
  frame.writeUInt32BE(text.length, 1)
  frame.write(text, 5, 'latin1')
  return frame
}
