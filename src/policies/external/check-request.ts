// What a gRPC service is told of a call: `envoy.service.auth.v3.CheckRequest`, written field by field as published.

import { isUtf8 } from 'node:buffer'
import type { Call, ClientCertificate } from '../../core/call.ts'
import type { Clock } from '../../core/ports.ts'
import { principal } from '../../core/principal.ts'
import { toldFields } from './told-fields.ts'
import { bytesField, mapField, numberField, octetsOf, textField, utf8 } from './wire.ts'

export interface CheckRequestOptions {
  /** Names of the header fields that are told, null for all. */
  readonly send: readonly string[] | null
  /** Told of every call, as `context_extensions`. */
  readonly context: Readonly<Record<string, string>>
}

/** `body` is null where it is not told. */
export function compileCheckRequest(
  { send, context }: CheckRequestOptions,
  clock: Clock,
): (call: Call, body: Buffer | null) => Buffer {
  const extensions = mapField(
    10,
    Object.entries(context).map(([key, value]) => [octetsOf(key), octetsOf(value)]),
  )
  return (call, body) => {
    const attributes =
      bytesField(1, peer(call.peer.address, call.peer.port, principalOf(call.peer.certificate))) +
      bytesField(2, peer(call.peer.local.address, call.peer.local.port, '')) +
      bytesField(4, bytesField(1, timestamp(clock, call.startedMs)) + bytesField(2, http(call, send, body))) +
      extensions +
      bytesField(11, provenCaller(call)) +
      bytesField(13, metadata('turnpike.route', [['name', text(call.route)]]))
    return Buffer.from(bytesField(1, attributes), 'latin1')
  }
}

/** AttributeContext.Peer with the SocketAddress of its end of the connection. */
function peer(address: string, port: number, name: string): string {
  const socket = textField(2, octetsOf(address)) + numberField(3, port)
  return bytesField(1, bytesField(1, socket)) + textField(4, octetsOf(name))
}

/** The name of URI, else of DNS, else the subject: in this order by the published contract. */
function principalOf(certificate: ClientCertificate | null): string {
  if (certificate === null) return ''
  for (const kind of ['uri:', 'dns:']) {
    const name = certificate.names.find(text => text.startsWith(kind))
    if (name !== undefined) return name.slice(kind.length)
  }
  return certificate.subject
}

function timestamp(clock: Clock, startedMs: number): string {
  const atMs = clock.wall() - (clock.now() - startedMs)
  const seconds = Math.floor(atMs / 1000)
  return numberField(1, seconds) + numberField(2, Math.floor((atMs - seconds * 1000) * 1e6))
}

/** AttributeContext.HttpRequest. Query and fragment are always empty by the contract: `path` holds the target. */
function http(call: Call, send: readonly string[] | null, body: Buffer | null): string {
  const host = utf8(call.headers.get('host') ?? call.host)
  const headers = toldFields(call, send, body !== null)
  if (send === null) {
    const pseudo = { ':authority': host, ':method': call.method, ':path': call.received, ':scheme': call.peer.scheme }
    for (const [key, value] of Object.entries(pseudo)) headers.set(key, value)
  }
  return (
    textField(1, utf8(call.id)) +
    textField(2, call.method) +
    mapField(
      3,
      [...headers].map(([key, value]) => [key, utf8(value)] as const),
    ) +
    textField(4, utf8(call.received)) +
    textField(5, host) +
    textField(6, call.peer.scheme) +
    numberField(9, body?.length ?? call.body.length) +
    textField(10, call.protocol) +
    (body === null ? '' : bodyFields(body))
  )
}

/** A text must be UTF-8. Where the body is not, the service has it with U+FFFD in the text, and as it is in `raw_body`. */
function bodyFields(body: Buffer): string {
  const octets = body.toString('latin1')
  return isUtf8(body) ? textField(11, octets) : textField(11, utf8(octets)) + textField(12, octets)
}

/** Whom an authentication policy proved: the filter metadata `turnpike.principal`, empty where none did. */
function provenCaller(call: Call): string {
  const proven = call.facts.get(principal)
  if (proven === undefined) return ''
  return metadata('turnpike.principal', [
    ['method', text(proven.method)],
    ['id', text(proven.id)],
    ['consumer', text(proven.consumer?.name ?? '')],
    ['application', text(proven.application?.name ?? '')],
    ['credential', text(proven.credential)],
    ['scopes', list(proven.scopes.map(text))],
  ])
}

/** Metadata of one filter: a map to google.protobuf.Struct, which itself is a map to Values. */
function metadata(name: string, values: readonly (readonly [string, string])[]): string {
  return mapField(1, [[name, mapField(1, values)]])
}

/** google.protobuf.Value. */
function text(value: string): string {
  return bytesField(3, octetsOf(value))
}

function list(values: readonly string[]): string {
  return bytesField(6, values.map(value => bytesField(1, value)).join(''))
}
