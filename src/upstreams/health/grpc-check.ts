// Asks a target by grpc.health.v1 how it is (https://github.com/grpc/grpc/blob/master/doc/health-checking.md).

import http2, { type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2'
import net, { type Socket } from 'node:net'
import tls, { type ConnectionOptions } from 'node:tls'
import type { HealthBlueprint } from '../../core/health-schema.ts'
import type { Ports, Timed } from '../../core/ports.ts'
import { throughPreface } from '../dial.ts'
import { type EndpointAddress, hostFieldOf } from '../endpoint.ts'
import { type Check, type Finding, findingOf } from './overseer.ts'

const method = '/grpc.health.v1.Health/Check'
/** A HealthCheckResponse has one small field. */
const replyBytesMax = 4_096
/** Members of HealthCheckResponse.ServingStatus. */
const servingStatuses = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN']

/** How the upstream is connected to. */
export interface ConnectionSettings {
  /** For targets with https; without ALPN. */
  readonly tlsOptions: ConnectionOptions
  /** Goes before everything else; null for nothing. */
  readonly preface: Buffer | null
}

export function createGrpcCheck(
  address: EndpointAddress,
  health: HealthBlueprint,
  { tlsOptions, preface }: ConnectionSettings,
  { clock, deadlines }: Pick<Ports, 'clock' | 'deadlines'>,
): Check {
  const port = health.port ?? address.port
  const question = encodeRequest(health.grpc?.service ?? '')
  const target = { host: address.address, port }
  const connect = (): Socket => {
    if (address.scheme === 'https') {
      return tls.connect({ ...tlsOptions, ...throughPreface(target, preface), ALPNProtocols: ['h2'] })
    }
    const socket = net.connect(target)
    if (preface !== null) socket.write(preface)
    return socket
  }
  const authority = health.host ?? hostFieldOf({ hostname: address.hostname, port })
  async function run(): Promise<Finding> {
    const session = http2.connect(`${address.scheme}://${authority}`, { createConnection: connect })
    const entry: Timed = {
      dueMs: clock.now() + health.timeout,
      slot: -1,
      due: () => session.destroy(new Error('no answer in time')),
    }
    deadlines.add(entry)
    try {
      const headers = { ...health.headers, ':authority': authority }
      return { problem: await ask(session, headers, question, health.timeout), isOwnFault: false }
    } finally {
      deadlines.remove(entry)
      session.destroy()
    }
  }

  return { run: () => run().catch(findingOf), close: () => {} }
}

function ask(
  session: ClientHttp2Session,
  headers: Readonly<Record<string, string>>,
  question: Buffer,
  timeoutMs: number,
): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    let status = ''
    let httpStatus = 0
    const statusOf = (fields: IncomingHttpHeaders) => {
      const value = fields['grpc-status']
      if (typeof value === 'string') status = value
    }
    session.on('error', reject)
    session.on('close', () => reject(new Error('closed the connection')))
    const stream = session.request({
      ...headers,
      ':method': 'POST',
      ':path': method,
      ...{ 'content-type': 'application/grpc', te: 'trailers', 'grpc-timeout': `${Math.ceil(timeoutMs)}m` },
      'user-agent': 'turnpike-health-check',
    })
    stream.on('error', reject)
    stream.on('response', fields => {
      httpStatus = Number(fields[':status'])
      statusOf(fields)
    })
    stream.on('trailers', statusOf)
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > replyBytesMax) stream.destroy(new Error('a reply that is too long'))
      else chunks.push(chunk)
    })
    stream.on('end', () => resolve(judge(httpStatus, status, Buffer.concat(chunks))))
    stream.end(question)
  })
}

function judge(httpStatus: number, grpcStatus: string, message: Buffer): string | null {
  if (httpStatus !== 200) return `status ${httpStatus}`
  if (grpcStatus !== '0') return grpcStatus === '' ? 'no grpc-status' : `grpc-status ${grpcStatus}`
  const serving = decodeReply(message)
  return serving === 1 ? null : `not serving: ${servingStatuses[serving] ?? serving}`
}

/** HealthCheckRequest { string service = 1 } as a gRPC message: a flag, its length, itself. */
function encodeRequest(service: string): Buffer {
  const text = Buffer.from(service)
  const field = text.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a]), varint(text.length), text])
  const head = Buffer.alloc(5)
  head.writeUInt32BE(field.length, 1)
  return Buffer.concat([head, field])
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  return Buffer.from([...bytes, rest])
}

/** The status in a gRPC message with a HealthCheckResponse { ServingStatus status = 1 }; 0, unknown, where it has none. */
function decodeReply(message: Buffer): number {
  // The default value of a field is not written; a compressed message was not asked for.
  if (message.length < 7 || message[0] !== 0 || message[5] !== 0x08) return 0
  return message[6] ?? 0
}
