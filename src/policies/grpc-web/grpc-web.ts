// The policy `grpc-web`: calls of browsers that speak gRPC-Web become gRPC calls.

import { Body } from '../../core/body.ts'
import type { Call } from '../../core/call.ts'
import { codes } from '../../core/codes.ts'
import { grpcStatusOf, isGrpc, noteGrpcStatus, readGrpcTimeout, setGrpcStatus } from '../../core/grpc.ts'
import { definePolicy } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import { Fields } from '../../core/schema.ts'
import { transformBody } from '../../core/transform-body.ts'
import { decodeBase64 } from './decode-base64.ts'
import { webReply } from './web-reply.ts'

/** What a call asks for by its Content-Type; null where it is no gRPC-Web. */
interface Kind {
  /** Base64 in both directions. */
  readonly isText: boolean
  /** `+proto` and the like, empty without one. */
  readonly format: string
}

export const grpcWeb = definePolicy({
  name: 'grpc-web',
  summary: 'Turns gRPC-Web, binary and text, into gRPC; other calls pass as they are.',
  options: Fields({}),
  build(_, { clock }) {
    return next =>
      async function grpcWeb(call) {
        const kind = kindOf(call.headers.get('content-type') ?? '')
        if (kind === null) return next(call)
        const timeoutMs = readGrpcTimeout(call.headers.get('grpc-timeout') ?? '')
        if (timeoutMs !== null) call.deadlineMs = Math.min(call.deadlineMs, clock.now() + timeoutMs)
        becomeGrpc(call, kind)
        return becomeWeb(call, await next(call), kind)
      }
  },
})

function kindOf(type: string): Kind | null {
  const parts = /^application\/grpc-web(-text)?(\+[a-z0-9.-]+)?(?:;|$)/i.exec(type)
  return parts === null ? null : { isText: parts[1] !== undefined, format: parts[2] ?? '' }
}

function becomeGrpc(call: Call, { isText, format }: Kind): void {
  call.headers.set('content-type', `application/grpc${format}`)
  call.headers.delete('x-grpc-web')
  // The client cannot say it, and its trailers come in the body.
  call.acceptsTrailers = true
  if (isText && !call.body.isEmpty) call.body = transformBody(call.body, decodeBase64(), -1)
}

function becomeWeb(call: Call, reply: Reply, { isText, format }: Kind): Reply {
  const type = `application/grpc-web${isText ? '-text' : ''}${format}`
  if (reply.code !== null) return refuse(call, reply, reply.code, type)
  if (!isGrpc(reply.headers)) return reply
  reply.headers.set('content-type', type)
  noteGrpcStatus(call, reply.headers)
  // Without a body the status stands in the head, where clients of gRPC-Web look for it, too.
  if (!reply.body.isEmpty) reply.body = transformBody(reply.body, webReply(call, isText), -1)
  return reply
}

/** A reply of the gateway's own: nothing but a head that tells the status. */
function refuse(call: Call, reply: Reply, code: NonNullable<Reply['code']>, type: string): Reply {
  const { headers } = reply
  reply.body.cancel()
  headers.set('content-type', type)
  setGrpcStatus(headers, grpcStatusOf(code, reply.status), reply.failure?.publicText ?? codes[code].text)
  noteGrpcStatus(call, headers)
  const refusal = new Reply(200, headers, Body.empty)
  refusal.code = code
  refusal.failure = reply.failure
  return refusal
}
