// Header fields: bytes to Headers, with everything about framing and the connection taken out on the way.

import { codeAt } from '../core/code-at.ts'
import type { Headers } from '../core/headers.ts'
import { Kind, knownNames, nameOf } from './names.ts'
import { COLON, CR, LF, SP, TAB, tokenOctets, valueOctets } from './octets.ts'

/**
 * What the header fields of one message say about the message itself. The fields that said it are not in `headers`.
 *
 * Hot path: the heads of requests and of replies both repeat these members, as a base class made reading a head 3 % slower, and an
 * object of their own would be one more for each message.
 */
export interface FieldFacts {
  readonly headers: Headers
  /** Value of Host; `hostCount` says how often the field stood there. */
  host: string
  hostCount: number
  /** -1 without Content-Length. */
  contentLength: number
  /** Value of Transfer-Encoding in lower case, empty without one. */
  transferEncoding: string
  /** What the Connection options and the version say; the caller initialises it by version. */
  keepsAlive: boolean
  /** Connection names `upgrade`. */
  connectionUpgrade: boolean
  /** Value of Upgrade. */
  upgrade: string
  /** Value of Expect in lower case. */
  expect: string
  acceptsTrailers: boolean
  /** Some X-Forwarded-* or Forwarded field is among the headers. */
  hasForwarding: boolean
}

/** Why fields were refused: a text for the log, or that they were too many. */
export type FieldsProblem = string | null

export const tooManyFields = 'too many header fields'

/**
 * Reads the field lines from `start` to `end` (just behind the last line's CRLF). `text` is the latin1 text of the bytes from
 * `textStart` on. Returns null, or what is wrong.
 *
 * Hot path: one pass over the octets with two tables (RFC 9112 §5, strict: no obs-fold, no space before the colon).
 */
export function readFields(
  bytes: Buffer,
  text: string,
  textStart: number,
  start: number,
  end: number,
  fieldsMax: number,
  facts: FieldFacts,
): FieldsProblem {
  const list = facts.headers.list
  let connection = ''
  let count = 0
  let i = start
  while (i < end) {
    const nameStart = i
    while (tokenOctets[bytes[i] as number] === 1) i++
    if (bytes[i] !== COLON || i === nameStart) return 'malformed field name'
    const nameEnd = i++
    while (bytes[i] === SP || bytes[i] === TAB) i++
    const valueStart = i
    while (valueOctets[bytes[i] as number] === 1) i++
    if (bytes[i] !== CR || bytes[i + 1] !== LF) return 'control character or bare line end in a field value'
    let valueEnd = i
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === TAB)) valueEnd--
    i += 2
    if (++count > fieldsMax) return tooManyFields
    const value = text.slice(valueStart - textStart, valueEnd - textStart)
    const known =
      knownNames.find(bytes, nameStart, nameEnd) ?? nameOf(text.slice(nameStart - textStart, nameEnd - textStart))
    if (known.kind === Kind.plain) list.push(known.name, known.key, value)
    else if (known.kind === Kind.connection) connection = connection === '' ? value : `${connection},${value}`
    else {
      const problem = readSpecialField(known.kind, known.name, value, facts)
      if (problem !== null) return problem
    }
  }
  return connection === '' ? null : applyConnection(connection, facts)
}

/** What a field says that the codec treats on its own; null, or what is wrong with it. */
export function readSpecialField(kind: number, name: string, value: string, facts: FieldFacts): FieldsProblem {
  switch (kind) {
    case Kind.host:
      facts.hostCount++
      facts.host = value
      facts.headers.list.push(name, 'host', value)
      return null
    case Kind.contentLength:
      if (facts.contentLength !== -1) return 'more than one Content-Length'
      facts.contentLength = plainNumber(value)
      return facts.contentLength === -1 ? 'Content-Length is not a plain number' : null
    case Kind.transferEncoding:
      if (facts.transferEncoding !== '') return 'more than one Transfer-Encoding'
      if (value === '') return 'empty Transfer-Encoding'
      facts.transferEncoding = value.toLowerCase()
      return null
    case Kind.disguised:
      return 'a framing field spelled with underscores'
    case Kind.upgrade:
      facts.upgrade = facts.upgrade === '' ? value : `${facts.upgrade}, ${value}`
      return null
    case Kind.expect:
      if (facts.expect !== '') return 'more than one Expect'
      facts.expect = value.toLowerCase()
      return null
    case Kind.te:
      if (/(^|[,\s])trailers($|[,;\s])/i.test(value)) facts.acceptsTrailers = true
      return null
    case Kind.forwarding:
      facts.hasForwarding = true
      facts.headers.list.push(name, name.toLowerCase(), value)
      return null
    default:
      return null
  }
}

/** Fifteen digits keep the number exact; a longer body is nobody's honest intention. */
const digitsMax = 15

/** One digit to `digitsMax` as a number; -1 for any other text. Hot path: a pattern and `Number` cost 40 ns more. */
function plainNumber(text: string): number {
  const { length } = text
  if (length === 0 || length > digitsMax) return -1
  let number = 0
  for (let i = 0; i < length; i++) {
    const digit = codeAt(text, i) - 48
    if (digit < 0 || digit > 9) return -1
    number = number * 10 + digit
  }
  return number
}

/** Fields that may not be called hop-by-hop: dropping them would change where a message ends or goes. */
const unremovable = new Set(['host', 'content-length', 'transfer-encoding'])

/** RFC 9110 §7.6.1: fields named in Connection end here. */
function applyConnection(value: string, facts: FieldFacts): FieldsProblem {
  if (value === 'keep-alive' || value === 'Keep-Alive') {
    facts.keepsAlive = true
    return null
  }
  let closes = false
  for (const part of value.split(',')) {
    const option = part.trim().toLowerCase()
    if (option === 'close') closes = true
    else if (option === 'keep-alive') facts.keepsAlive = true
    else if (option === 'upgrade') facts.connectionUpgrade = true
    else if (unremovable.has(option)) return `Connection names ${option}`
    else if (option !== '') facts.headers.delete(option)
  }
  if (closes) facts.keepsAlive = false
  return null
}
