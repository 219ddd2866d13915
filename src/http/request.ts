// Request heads: bytes to RequestHead, strict wherever proxies get tricked (RFC 9112 §3, §6).

import { codeAt } from '../core/code-at.ts'
import { Failure } from '../core/failure.ts'
import { Headers } from '../core/headers.ts'
import { type FieldFacts, readFields, tooManyFields } from './fields.ts'
import { createLexicon } from './lexicon.ts'
import type { HeadLimits } from './limits.ts'
import { SP, targetOctets, tokenOctets } from './octets.ts'

/**
 * A request head of HTTP/1 or HTTP/2, parsed. Its headers hold what goes from end to end; the framing and hop-by-hop fields became
 * members. One class for both, so that what reads heads of both sees objects of one shape.
 */
export class RequestHead implements FieldFacts {
  method = ''
  /** Origin-form (or `*`), as received; of an absolute-form target the part behind the authority. */
  target = ''
  /** The one that the client named, in absolute-form or by :scheme, in lower case; empty where it named none. */
  scheme = ''
  /** What an extended CONNECT of HTTP/2 asks for (RFC 8441 §4); empty for all others. */
  protocol = ''
  /** Minor version of HTTP/1; 1 for HTTP/2, which can do whatever HTTP/1.1 can. */
  minor = 1
  readonly headers: Headers = new Headers()
  host = ''
  hostCount = 0
  contentLength = -1
  transferEncoding = ''
  keepsAlive = true
  connectionUpgrade = false
  upgrade = ''
  expect = ''
  acceptsTrailers = false
  hasForwarding = false

  get isChunked(): boolean {
    return this.transferEncoding !== ''
  }
}

/**
 * Reads the head in `bytes` from `start` to `end`, just behind its empty line.
 *
 * Throws a Failure: `malformed-request`, `target-too-long`, `headers-too-large`, `version-not-supported`,
 * `coding-not-implemented`, `method-not-implemented` or `expectation-failed`. The connection is to be closed after it.
 */
export function decodeRequestHead(bytes: Buffer, start: number, end: number, limits: HeadLimits): RequestHead {
  const head = new RequestHead()
  const text = bytes.toString('latin1', start, end - 2)
  const fieldsStart = readRequestLine(bytes, text, start, limits, head)
  const problem = readFields(bytes, text, start, fieldsStart, end - 2, limits.fields, head)
  if (problem !== null) throw problem === tooManyFields ? new Failure('headers-too-large') : malformedRequest(problem)
  checkFraming(head)
  if (codeAt(head.target, 0) !== 47) readUnusualTarget(head)
  checkHost(head)
  return head
}

/** Interned: methods are compared and looked up at every step of a call. */
const methods = createLexicon(
  new Map(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT'].map(name => [name, name])),
)

/** Reads the start line; returns where the fields start. */
function readRequestLine(bytes: Buffer, text: string, start: number, limits: HeadLimits, head: RequestHead): number {
  let i = start
  while (tokenOctets[bytes[i] as number] === 1) i++
  if (i === start || bytes[i] !== SP) throw malformedRequest('malformed method')
  head.method = methods.find(bytes, start, i) ?? text.slice(0, i - start)
  const targetStart = ++i
  while (targetOctets[bytes[i] as number] === 1) i++
  if (i === targetStart || bytes[i] !== SP) throw malformedRequest('malformed request target')
  if (i - targetStart > limits.targetBytes) throw new Failure('target-too-long')
  head.target = text.slice(targetStart - start, i - start)
  const versionAt = i + 1 - start
  if (text.startsWith('HTTP/1.1\r\n', versionAt)) head.minor = 1
  else if (text.startsWith('HTTP/1.0\r\n', versionAt)) {
    head.minor = 0
    head.keepsAlive = false
  } else if (/^HTTP\/[0-9]\.[0-9]\r\n/.test(text.slice(versionAt, versionAt + 10)) && text[versionAt + 5] !== '1') {
    throw new Failure('version-not-supported')
  } else throw malformedRequest('malformed version')
  if (head.method === 'CONNECT') throw new Failure('method-not-implemented', { detail: 'CONNECT' })
  return start + versionAt + 10
}

/** RFC 9112 §6.1, §6.3: anything that two parsers could read in two ways is refused. */
function checkFraming(head: RequestHead): void {
  const coding = head.transferEncoding
  if (coding !== '') {
    if (head.minor === 0) throw malformedRequest('Transfer-Encoding in HTTP/1.0')
    if (head.contentLength !== -1) throw malformedRequest('both Content-Length and Transfer-Encoding')
    if (coding !== 'chunked') {
      if (/^(?!identity$|chunked *,)[a-z0-9!#$%&'*+.^_`|~-]+(, ?chunked)?$/.test(coding)) {
        throw new Failure('coding-not-implemented', { detail: coding })
      }
      throw malformedRequest('Transfer-Encoding is not exactly chunked')
    }
  }
  // RFC 9110 §9.3.8: a client must not send content in TRACE.
  if (head.method === 'TRACE' && (coding !== '' || head.contentLength > 0)) throw malformedRequest('TRACE with a body')
  if (head.expect !== '' && head.expect !== '100-continue') throw new Failure('expectation-failed')
}

/** Absolute-form (RFC 9112 §3.2.2: its authority replaces Host) and the asterisk of OPTIONS. */
function readUnusualTarget(head: RequestHead): void {
  if (head.target === '*' && head.method === 'OPTIONS') return
  const parts = /^(https?):\/\/([^/?#]+)([/?].*)?$/i.exec(head.target)
  const authority = parts?.[2]
  if (authority === undefined) throw malformedRequest('the request target is neither a path nor an http URL')
  // Replaced or not, a Host that breaks the rules is refused (RFC 9112 §3.2).
  checkHost(head)
  head.scheme = (parts?.[1] ?? '').toLowerCase()
  const rest = parts?.[3] ?? '/'
  head.target = rest.startsWith('?') ? `/${rest}` : rest
  head.host = authority
  head.hostCount = 1
  head.headers.set('Host', authority)
}

/**
 * RFC 9110 §7.2 with the grammar of RFC 3986 §3.2, without user information, escapes and sub-delimiters: no name in use has
 * them, but an escaped letter would slip past a route's host, and a `;` would add a parameter to Forwarded.
 */
const hostPattern = /^(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?$/

/** Throws where it is not exactly one host that can be matched and passed on. */
export function checkHost(head: Pick<RequestHead, 'host' | 'hostCount' | 'minor'>): void {
  if (head.hostCount === 1) {
    if (isPlainHost(head.host)) return
    const parts = hostPattern.exec(head.host)
    if (parts === null || Number(parts[1] ?? 0) > 65535) throw malformedRequest('malformed Host')
  } else if (head.hostCount !== 0 || head.minor === 1) throw malformedRequest('not exactly one Host')
}

/** Hot path: a name in lower case or an IPv4 address, with a port or none; the pattern decides about all others. */
function isPlainHost(host: string): boolean {
  const { length } = host
  let colon = length
  let port = 0
  for (let i = 0; i < length; i++) {
    const code = codeAt(host, i)
    const isDigit = code >= 48 && code <= 57
    if (colon < i) {
      if (!isDigit) return false
      port = port * 10 + code - 48
    } else if (code === 58 && i > 0) colon = i
    else if (!isDigit && !((code >= 97 && code <= 122) || code === 46 || code === 45)) return false
  }
  return length > 0 && length - colon <= 6 && port <= 65535
}

/** The name of a valid Host value for matching: lower case, without port and without the dot of the root. */
export function hostName(host: string): string {
  const lower = host.toLowerCase()
  const colon = lower.endsWith(']') ? -1 : lower.lastIndexOf(':')
  const name = colon === -1 ? lower : lower.slice(0, colon)
  return name.endsWith('.') ? name.slice(0, -1) : name
}

export function malformedRequest(detail: string): Failure {
  return new Failure('malformed-request', { detail, publicText: `The request is not valid HTTP: ${detail}.` })
}
