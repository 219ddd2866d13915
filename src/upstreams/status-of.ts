// The status of a reply, also where it is one of gRPC.

import type { Reply } from '../core/reply.ts'

/**
 * The status of HTTP that says the same as one of gRPC, for those that are the server's fault: UNKNOWN, DEADLINE_EXCEEDED,
 * UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
 */
const statusesByGrpc: Readonly<Record<string, number>> = { 2: 500, 4: 504, 12: 501, 13: 500, 14: 503, 15: 500 }

/** A call of gRPC that fails at once has its status among the fields of the head. */
export function statusOf({ status, headers }: Reply): number {
  if (status !== 200) return status
  const grpcStatus = headers.get('grpc-status')
  return grpcStatus === undefined ? status : (statusesByGrpc[grpcStatus] ?? status)
}
