// The fields of a request become a RequestHead, by the same rules as over HTTP/1 and those of RFC 9113 §8.

import { Failure } from '../core/failure.ts'
import { readSpecialField } from '../http/fields.ts'
import type { HeadLimits } from '../http/limits.ts'
import { Kind } from '../http/names.ts'
import { targetOctets, tokenOctets } from '../http/octets.ts'
import { checkHost, malformedRequest, RequestHead } from '../http/request.ts'
import { isConnectionField } from './connection-fields.ts'
import { type FieldName, PseudoKind } from './field-names.ts'
import type { HpackDecoder } from './hpack-decoder.ts'

/**
 * Reads what the decoder holds. `isEnd`: no body follows.
 *
 * Throws the same Failures as `decodeRequestHead`. The block was read whole, so that the connection can go on.
 */
export function readRequestHead(fields: HpackDecoder, isEnd: boolean, limits: HeadLimits): RequestHead {
  if (fields.isTooLarge) throw new Failure('headers-too-large')
  const { names, values, count } = fields
  const head = new RequestHead()
  const list = head.headers.list
  let at = 0
  while (at < count && (names[at] as FieldName).kind >= PseudoKind.method) {
    readPseudoField(names[at] as FieldName, values[at] as string, head)
    at++
  }
  checkPseudoFields(head, limits)
  // RFC 9113 §8.3.1: toward HTTP/1.1 Host is made of :authority.
  if (head.host !== '') list.push('host', 'host', head.host)
  let cookie = ''
  let crumbs = 0
  for (let i = at; i < count; i++) {
    const name = names[i] as FieldName
    const value = values[i] as string
    if (name.key === 'cookie') {
      // §8.2.3: the crumbs of a Cookie field are put together where HTTP/2 ends.
      cookie = cookie === '' ? value : `${cookie}; ${value}`
      crumbs++
    } else if (name.kind === Kind.plain) list.push(name.name, name.key, value)
    else readUnusualField(name, value, head)
  }
  // Where :authority says it, Host may be left out.
  if (head.host !== '' && head.hostCount === 0) head.hostCount = 1
  if (crumbs > 0) list.push('cookie', 'cookie', cookie)
  if (count - at - Math.max(0, crumbs - 1) > limits.fields) throw new Failure('headers-too-large')
  checkMessage(head, isEnd)
  return head
}

/** RFC 9113 §8.3, §8.3.1: each once, and none is empty. */
function readPseudoField(name: FieldName, value: string, head: RequestHead): void {
  if (value === '' && name.kind !== PseudoKind.malformed) throw malformedRequest(`empty ${name.name}`)
  switch (name.kind) {
    case PseudoKind.method:
      if (head.method !== '') throw malformedRequest('more than one :method')
      head.method = value
      return
    case PseudoKind.path:
      if (head.target !== '') throw malformedRequest('more than one :path')
      head.target = value
      return
    case PseudoKind.scheme:
      if (head.scheme !== '') throw malformedRequest('more than one :scheme')
      head.scheme = value
      return
    case PseudoKind.authority:
      if (head.host !== '') throw malformedRequest('more than one :authority')
      head.host = value
      return
    case PseudoKind.protocol:
      if (head.protocol !== '') throw malformedRequest('more than one :protocol')
      head.protocol = value
      return
    case PseudoKind.malformed:
      throw malformedRequest(name.key)
    default:
      throw malformedRequest(`${name.name} in a request`)
  }
}

/** RFC 9113 §8.3.1, RFC 8441 §4. */
function checkPseudoFields(head: RequestHead, limits: HeadLimits): void {
  if (!isToken(head.method)) throw malformedRequest(head.method === '' ? 'no :method' : 'malformed method')
  if (head.method === 'CONNECT' && head.protocol === '') {
    throw new Failure('method-not-implemented', { detail: 'CONNECT' })
  }
  if (head.protocol !== '' && head.method !== 'CONNECT') throw malformedRequest(':protocol without CONNECT')
  if (head.scheme === '') throw malformedRequest('no :scheme')
  if (head.scheme !== 'http' && head.scheme !== 'https')
    throw malformedRequest('a :scheme that is neither http nor https')
  const { target } = head
  if (target === '') throw malformedRequest('no :path')
  if (target.length > limits.targetBytes) throw new Failure('target-too-long')
  if (!isTarget(target)) throw malformedRequest('malformed request target')
  if (target.charCodeAt(0) !== 47 && !(target === '*' && head.method === 'OPTIONS')) {
    throw malformedRequest('the request target is not a path')
  }
}

function readUnusualField(name: FieldName, value: string, head: RequestHead): void {
  const { kind, key } = name
  if (kind >= PseudoKind.method) {
    throw malformedRequest(kind === PseudoKind.malformed ? key : 'a pseudo-header field behind other fields')
  }
  if (isConnectionField(key)) throw malformedRequest(`${key} in HTTP/2`)
  // §8.2.2: TE may be there, and then says nothing but this.
  if (kind === Kind.te && value !== 'trailers') throw malformedRequest('a TE that is not trailers')
  if (kind === Kind.host && head.host !== '') {
    // §8.3.1: what names another host than :authority is malformed; the same is said once.
    if (value.toLowerCase() !== head.host.toLowerCase()) throw malformedRequest('Host is not :authority')
    head.hostCount++
    return
  }
  const problem = readSpecialField(kind, name.name, value, head)
  if (problem !== null) throw malformedRequest(problem)
}

function checkMessage(head: RequestHead, isEnd: boolean): void {
  checkHost(head)
  if (head.contentLength > 0 && isEnd) throw malformedRequest('Content-Length without a body')
  if (head.method === 'TRACE' && !isEnd) throw malformedRequest('TRACE with a body')
  if (head.expect !== '' && head.expect !== '100-continue') throw new Failure('expectation-failed')
}

function isToken(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (tokenOctets[text.charCodeAt(i)] !== 1) return false
  return text.length > 0
}

function isTarget(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (targetOctets[text.charCodeAt(i)] !== 1) return false
  return true
}
