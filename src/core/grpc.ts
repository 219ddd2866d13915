// What a gateway must know of gRPC over HTTP/2: which calls are gRPC, their deadlines, and how a failure is told to them.

import type { Call } from './call.ts'
import type { FailureCode } from './codes.ts'
import type { Headers } from './headers.ts'

/** Whether these are the fields of a gRPC request or reply: `application/grpc`, also with a format such as `+proto`. */
export function isGrpc(headers: Headers): boolean {
  const type = headers.get('content-type')
  if (type === undefined || !type.startsWith('application/grpc')) return false
  // gRPC-Web is another protocol.
  return type.length === 16 || type[16] === '+' || type[16] === ';'
}

/** Whether a call wants to be told a status of gRPC. Every client of gRPC says that it takes trailers, and hardly any other does. */
export function isGrpcCall({ acceptsTrailers, headers }: Call): boolean {
  return acceptsTrailers && isGrpc(headers)
}

/** Status codes of gRPC that a gateway gives. */
const GrpcStatus = {
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const

/**
 * The status for a reply of the gateway's own. In the main that of the table that clients use for replies without one
 * (grpc/doc/http-grpc-status-mapping.md), and a better one where it is known what happened.
 */
export function grpcStatusOf(code: FailureCode, httpStatus: number): number {
  return byCode[code] ?? byHttpStatus[httpStatus] ?? GrpcStatus.unknown
}

const byCode: Partial<Record<FailureCode, number>> = {
  'invalid-request': GrpcStatus.invalidArgument,
  'call-timeout': GrpcStatus.deadlineExceeded,
  'upstream-timeout': GrpcStatus.deadlineExceeded,
  'method-not-allowed': GrpcStatus.unimplemented,
}

const byHttpStatus: Readonly<Record<number, number>> = {
  400: GrpcStatus.internal,
  401: GrpcStatus.unauthenticated,
  403: GrpcStatus.permissionDenied,
  404: GrpcStatus.unimplemented,
  408: GrpcStatus.deadlineExceeded,
  413: GrpcStatus.resourceExhausted,
  415: GrpcStatus.invalidArgument,
  429: GrpcStatus.resourceExhausted,
  431: GrpcStatus.resourceExhausted,
  500: GrpcStatus.internal,
  501: GrpcStatus.unimplemented,
  502: GrpcStatus.unavailable,
  503: GrpcStatus.unavailable,
  504: GrpcStatus.unavailable,
}

/** Sets the fields that end a call with a status. */
export function setGrpcStatus(headers: Headers, status: number, message: string): void {
  headers.set('grpc-status', String(status))
  headers.set('grpc-message', encodeGrpcMessage(message))
}

/** Keeps the status that fields or trailers tell a client, where they tell one. */
export function noteGrpcStatus(call: Call, fields: Headers): void {
  const status = fields.get('grpc-status')
  if (status !== undefined && /^\d{1,3}$/.test(status)) call.grpcStatus = Number(status)
}

/** Percent-encoded as UTF-8, all but printable ASCII and with `%` itself (PROTOCOL-HTTP2.md, Status-Message). */
export function encodeGrpcMessage(text: string): string {
  return text.replace(/[^ -$&-~]+/g, odd => {
    let encoded = ''
    for (const octet of Buffer.from(odd, 'utf8')) encoded += `%${octet.toString(16).toUpperCase().padStart(2, '0')}`
    return encoded
  })
}

/** Milliseconds of a `grpc-timeout` such as `250m`; null for one that is malformed. */
export function readGrpcTimeout(value: string): number | null {
  const [, digits, unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(value) ?? []
  const unitMs = unitsMs[unit]
  return digits === undefined || unitMs === undefined ? null : Number(digits) * unitMs
}

const unitsMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 }

/** The other way round, in the finest unit that has room, and never longer than it was; `0n` for what is over. */
export function writeGrpcTimeout(leftMs: number): string {
  if (leftMs <= 0) return '0n'
  for (const unit of finestFirst) {
    const count = Math.floor(leftMs / (unitsMs[unit] ?? 1))
    if (count <= 99_999_999) return `${count}${unit}`
  }
  return '99999999H'
}

const finestFirst = ['u', 'm', 'S', 'M', 'H'] as const
