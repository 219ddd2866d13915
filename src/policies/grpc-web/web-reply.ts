// The body of a gRPC reply for gRPC-Web: the trailers become the last frame, and with text all of it base64.

import type { Call } from '../../core/call.ts'
import { grpcStatusOf, noteGrpcStatus, setGrpcStatus } from '../../core/grpc.ts'
import { Headers } from '../../core/headers.ts'
import type { Outlet, Transform } from '../../core/transform-body.ts'

/** First octet of a frame that holds trailers. */
const trailerFlag = 0x80

export function webReply(call: Call, isText: boolean): Transform {
  // Each piece is padded for itself, so that none of a message waits for the next.
  const written = (piece: Buffer) => (isText ? Buffer.from(piece.toString('base64'), 'latin1') : piece)
  const finish = (trailers: Headers, out: Outlet) => {
    noteGrpcStatus(call, trailers)
    out.pass(written(trailerFrame(trailers)))
    out.finish(null)
  }
  return {
    write: (chunk, out) => out.pass(written(chunk)),
    end: (trailers, out) => finish(trailers ?? Headers.of({ 'grpc-status': '2' }), out),
    // The last frame says how a call ended, so that it need not break.
    fail({ code, status, publicText }, out) {
      const trailers = new Headers()
      setGrpcStatus(trailers, grpcStatusOf(code, status), publicText)
      finish(trailers, out)
    },
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
