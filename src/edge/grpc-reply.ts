// A reply of the gateway's own, as gRPC clients understand it.

import { Body } from '../core/body.ts'
import type { Call } from '../core/call.ts'
import { codes, type FailureCode } from '../core/codes.ts'
import { grpcStatusOf, isGrpc, setGrpcStatus } from '../core/grpc.ts'
import type { Reply } from '../core/reply.ts'

/** Whether the client wants a status of gRPC, and has none yet: the policy `grpc-web` gives its own. */
export function speaksGrpc(call: Call, reply: Reply): boolean {
  return isGrpc(call.headers) && !reply.headers.has('grpc-status')
}

/** Makes it a reply of nothing but a head that tells the status (Trailers-Only). Fields such as `retry-after` stay. */
export function speakGrpc(reply: Reply, code: FailureCode): void {
  setGrpcStatus(reply.headers, grpcStatusOf(code, reply.status), reply.failure?.publicText ?? codes[code].text)
  reply.headers.set('content-type', 'application/grpc')
  reply.body.cancel()
  reply.body = Body.empty
  reply.status = 200
}
