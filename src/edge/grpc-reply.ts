// A reply of the gateway's own, as gRPC clients understand it.

import { Body } from '../core/body.ts'
import type { Call } from '../core/call.ts'
import { codes } from '../core/codes.ts'
import { grpcStatusOf, noteGrpcStatus, setGrpcStatus } from '../core/grpc.ts'
import type { Reply } from '../core/reply.ts'

/**
 * Keeps what the head of a reply to a call of gRPC says of its status. One of the gateway's own becomes nothing but a head that
 * tells it (Trailers-Only), with fields such as `retry-after`, unless it has one already: the policy `grpc-web` gives its own.
 */
export function speakGrpc(call: Call, reply: Reply): void {
  const { headers, code } = reply
  if (code !== null && !headers.has('grpc-status')) {
    setGrpcStatus(headers, grpcStatusOf(code, reply.status), reply.failure?.publicText ?? codes[code].text)
    headers.set('content-type', 'application/grpc')
    reply.body.cancel()
    reply.body = Body.empty
    reply.status = 200
  }
  noteGrpcStatus(call, headers)
}
