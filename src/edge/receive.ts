// A request head becomes a Call: its path judged, its body attached, the fields about who calls made by the trust rule.

import { Body, type BodySource } from '../core/body.ts'
import { Call, type Peer } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import { readPath } from '../http/path.ts'
import type { RequestHead } from '../http/request.ts'
import { applyForwarding } from './forwarded.ts'
import type { Gate } from './gate.ts'

/** Throws a Failure for a request that is HTTP, but not to be taken: `unsafe-path`, `malformed-request`. */
export function receiveCall(
  head: RequestHead,
  incoming: BodySource | null,
  peer: Peer,
  gate: Gate,
  startedMs: number,
  protocol: Call['protocol'] = 'HTTP/1.1',
): Call {
  // RFC 9110 §7.4: what is asked for as https must come over TLS, here or at a proxy that is trusted to say so.
  if (head.scheme === 'https' && peer.scheme !== 'https' && !peer.isTrusted) {
    throw new Failure('malformed-request', { detail: 'an https target on a connection without TLS' })
  }
  const path = head.target === '*' ? serverWide : readPath(head.target, gate.paths)
  if (!path.isSafe) {
    const publicText = `The path of the request is ambiguous: ${path.detail}.`
    throw new Failure(path.code, { detail: path.detail, publicText })
  }
  const call = new Call({
    method: head.method,
    target: path.target,
    path: path.path,
    query: path.query,
    host: gate.hostOf(head.host),
    headers: head.headers,
    body: incoming === null ? Body.empty : new Body(head.contentLength, incoming),
    peer,
    startedMs,
  })
  if (head.minor === 0) call.protocol = 'HTTP/1.0'
  else if (protocol !== 'HTTP/1.1') call.protocol = protocol
  // With a body the request would not be over when the protocol changes (RFC 9110 §7.8); no handshake in use has one.
  const mayUpgrade = head.connectionUpgrade && head.minor === 1 && incoming === null
  if (head.upgrade !== '' && mayUpgrade) call.upgrade = head.upgrade.toLowerCase()
  if (head.expect !== '' && head.minor === 1 && incoming !== null) call.expectsContinue = true
  call.acceptsTrailers = head.acceptsTrailers
  applyForwarding(call, head.host, head.hasForwarding, gate.isTrusted)
  return call
}

/** `OPTIONS *` asks about the server as a whole: no pattern matches it. */
const serverWide = { isSafe: true, path: '*', target: '*', query: '' } as const
