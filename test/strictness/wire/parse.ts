// A small strict HTTP/1.1 reader, written apart from the gateway's: what we send on must satisfy it, or it throws.

import type { Pairs } from '../case.ts'

export interface WireMessage {
  readonly startLine: string
  readonly headers: Pairs
  readonly body: Buffer
  readonly trailers: Pairs
  /** The bytes it was read from. */
  readonly raw: Buffer
}

export class WireProblem extends Error {}

const token = "[A-Za-z0-9!#$%&'*+.^_`|~-]+"
const requestLine = new RegExp(`^${token} [!-~]+ HTTP/1\\.1$`)
const statusLine = /^HTTP\/1\.1 [1-5][0-9][0-9] [\t\x20-\x7e\x80-\xff]*$/
const fieldLine = new RegExp(`^(${token}): ?((?:[!-~\\x80-\\xff](?:[\\t\\x20-\\x7e\\x80-\\xff]*[!-~\\x80-\\xff])?)?)$`)

/** The request at the start of the bytes, null while it is not whole. */
export function readRequest(bytes: Buffer): WireMessage | null {
  return readMessage(bytes, requestLine, () => false)
}

/** The reply (interim ones too) to a request of this method at the start of the bytes, null while it is not whole. */
export function readReply(bytes: Buffer, method: string): WireMessage | null {
  return readMessage(bytes, statusLine, startLine => method === 'HEAD' || /^HTTP\/1\.1 (1..|204|304) /.test(startLine))
}

export function statusOf({ startLine }: WireMessage): number {
  return Number(startLine.slice(9, 12))
}

export function fieldOf({ headers }: WireMessage, key: string): string | undefined {
  return headers.find(([name]) => name.toLowerCase() === key)?.[1]
}

/** The fields of a head that has come whole, or null; for messages whose body never does. */
export function readHeadFields(bytes: Buffer): Pairs | null {
  const headEnd = bytes.indexOf('\r\n\r\n')
  return headEnd === -1 ? null : bytes.toString('latin1', 0, headEnd).split('\r\n').slice(1).map(readField)
}

function readMessage(
  bytes: Buffer,
  startPattern: RegExp,
  endsWithHead: (startLine: string) => boolean,
): WireMessage | null {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd === -1) return null
  const [startLine = '', ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n')
  if (!startPattern.test(startLine)) throw new WireProblem(`start line ${JSON.stringify(startLine)}`)
  const headers = lines.map(readField)
  const framing = framingOf(headers)
  const start = headEnd + 4
  const body =
    endsWithHead(startLine) || framing === 0
      ? { content: bytes.subarray(start, start), trailers: [], end: start }
      : framing === 'chunked'
        ? readChunks(bytes, start)
        : readLength(bytes, start, framing)
  if (body === null) return null
  return { startLine, headers, body: body.content, trailers: body.trailers, raw: bytes.subarray(0, body.end) }
}

function readField(line: string): [string, string] {
  const [, name, value] = fieldLine.exec(line) ?? []
  if (name === undefined || value === undefined) throw new WireProblem(`field line ${JSON.stringify(line)}`)
  return [name, value]
}

function framingOf(headers: Pairs): number | 'chunked' {
  const valuesOf = (key: string) => headers.filter(([name]) => name.toLowerCase() === key).map(([, value]) => value)
  const lengths = valuesOf('content-length')
  const codings = valuesOf('transfer-encoding')
  if (lengths.length + codings.length > 1) throw new WireProblem('more than one length')
  if (codings[0] !== undefined && codings[0] !== 'chunked') throw new WireProblem(`coding ${codings[0]}`)
  if (lengths[0] !== undefined && !/^(0|[1-9][0-9]*)$/.test(lengths[0])) throw new WireProblem(`length ${lengths[0]}`)
  return codings.length === 1 ? 'chunked' : Number(lengths[0] ?? 0)
}

interface ReadBody {
  readonly content: Buffer
  readonly trailers: Pairs
  readonly end: number
}

function readLength(bytes: Buffer, start: number, length: number): ReadBody | null {
  const end = start + length
  return bytes.length < end ? null : { content: bytes.subarray(start, end), trailers: [], end }
}

function readChunks(bytes: Buffer, start: number): ReadBody | null {
  const chunks: Buffer[] = []
  let at = start
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd === -1) return null
    const text = bytes.toString('latin1', at, lineEnd)
    if (!/^(0|[1-9a-f][0-9a-f]*)$/.test(text)) throw new WireProblem(`chunk size ${JSON.stringify(text)}`)
    const size = Number.parseInt(text, 16)
    at = lineEnd + 2
    if (size === 0) return readTrailers(bytes, at, Buffer.concat(chunks))
    if (bytes.length < at + size + 2) return null
    chunks.push(bytes.subarray(at, at + size))
    at += size
    if (bytes.toString('latin1', at, at + 2) !== '\r\n') throw new WireProblem('no line end behind a chunk')
    at += 2
  }
}

function readTrailers(bytes: Buffer, start: number, content: Buffer): ReadBody | null {
  const trailers: [string, string][] = []
  let at = start
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd === -1) return null
    const line = bytes.toString('latin1', at, lineEnd)
    at = lineEnd + 2
    if (line === '') return { content, trailers, end: at }
    trailers.push(readField(line))
  }
}
