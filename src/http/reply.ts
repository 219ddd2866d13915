// Reply heads of upstreams: bytes to ReplyHead, and how the reply's body is framed (RFC 9112 §4, §6.3).

import { codeAt } from '../core/code-at.ts'
import { Failure } from '../core/failure.ts'
import { Headers } from '../core/headers.ts'
import { type FieldFacts, readFields } from './fields.ts'
import type { HeadLimits } from './limits.ts'
import { valueOctets } from './octets.ts'

/** A reply head, parsed. As with requests, framing and hop-by-hop fields became members. */
export class ReplyHead implements FieldFacts {
  status = 0
  /** Reason phrase as received. */
  reason = ''
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
}

/** Reads the head in `bytes` from `start` to `end`, just behind its empty line. Throws `upstream-malformed-reply`. */
export function decodeReplyHead(bytes: Buffer, start: number, end: number, limits: HeadLimits): ReplyHead {
  const head = new ReplyHead()
  const text = bytes.toString('latin1', start, end - 2)
  const fieldsStart = readStatusLine(bytes, text, start, head)
  const problem = readFields(bytes, text, start, fieldsStart, end - 2, limits.fields, head)
  if (problem !== null) throw malformedReply(problem)
  const coding = head.transferEncoding
  if (coding !== '') {
    if (head.minor === 0) throw malformedReply('Transfer-Encoding in HTTP/1.0')
    if (head.contentLength !== -1) throw malformedReply('both Content-Length and Transfer-Encoding')
    if (coding !== 'chunked') throw malformedReply('Transfer-Encoding is not exactly chunked')
  }
  return head
}

function readStatusLine(bytes: Buffer, text: string, start: number, head: ReplyHead): number {
  const minor = codeAt(text, 7) - 48
  const status = statusAt(text, 9)
  if (!text.startsWith('HTTP/1.') || (minor !== 1 && minor !== 0) || codeAt(text, 8) !== 32) {
    throw malformedReply('malformed status line')
  }
  if (status === -1) throw malformedReply('malformed status')
  let i = start + 12
  while (valueOctets[bytes[i] as number] === 1) i++
  const lineEnd = i - start
  if (!text.startsWith('\r\n', lineEnd)) throw malformedReply('control character in the status line')
  // RFC 9110 §15.2: HTTP/1.0 has no interim replies; a peer that does not expect one would take it for the final one.
  if (minor === 0 && status < 200) throw malformedReply('interim reply in HTTP/1.0')
  // The space behind the status is required, but servers that leave it out with an empty phrase mislead nobody.
  if (lineEnd > 12 && codeAt(text, 12) !== 32) throw malformedReply('malformed status')
  head.status = status
  head.reason = text.slice(13, lineEnd)
  head.minor = minor
  if (minor === 0) head.keepsAlive = false
  return i + 2
}

/** Three digits, the first from 1 to 5; -1 where something else stands there. Hot path: a pattern and `Number` cost 40 ns more. */
function statusAt(text: string, at: number): number {
  const hundreds = codeAt(text, at) - 48
  const tens = codeAt(text, at + 1) - 48
  const ones = codeAt(text, at + 2) - 48
  const isStatus = hundreds >= 1 && hundreds <= 5 && tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9
  return isStatus ? hundreds * 100 + tens * 10 + ones : -1
}

/** How the body that follows a head is delimited. */
export const Framing = { none: 0, length: 1, chunked: 2, untilClose: 3 } as const
export type FramingNumber = (typeof Framing)[keyof typeof Framing]

/** RFC 9112 §6.3 for the reply to a request of this method. */
export function replyFraming(head: ReplyHead, method: string): FramingNumber {
  if (method === 'HEAD' || head.status === 204 || head.status === 304 || head.status < 200) return Framing.none
  if (head.transferEncoding !== '') return Framing.chunked
  if (head.contentLength === -1) return Framing.untilClose
  return head.contentLength === 0 ? Framing.none : Framing.length
}

export function malformedReply(detail: string): Failure {
  return new Failure('upstream-malformed-reply', { detail })
}
