// The PROXY header that a proxy puts before the first byte of a connection, versions 1 and 2: read strictly, and written.
//
// The protocol is described by haproxy.org/download/3.2/doc/proxy-protocol.txt; sections are of that text.

import { createAddressReader, formatAddress } from '../core/address.ts'
import { crc32c } from './crc32c.ts'

/** One end of a connection. IPv4 addresses stand in their dotted form. */
export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** Who connected to the proxy, and where. */
export interface ProxiedEnds {
  readonly source: Endpoint
  readonly destination: Endpoint
}

export type ProxyHeader =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'malformed'; readonly problem: string }
  /** `ends` is null where the proxy speaks for itself or does not know: the ends of the socket hold then. */
  | { readonly kind: 'complete'; readonly bytes: number; readonly ends: ProxiedEnds | null }

/** §2.1: the longest line, CRLF included. */
const lineBytesMax = 107
const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const prefixBytes = 16
/** What follows the first sixteen bytes of version 2. Senders need a few hundred, the certificates of a client some thousand. */
const restBytesMax = 4096

const incomplete: ProxyHeader = { kind: 'incomplete' }

/** Reads the header at the beginning of `bytes`. Says `malformed` as soon as no further byte could mend it. */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  const [first] = bytes
  if (first === undefined) return incomplete
  if (first === signature[0]) return readBinary(bytes)
  if (first === 0x50) return readLine(bytes)
  return malformed('no PROXY header')
}

function malformed(problem: string): ProxyHeader {
  return { kind: 'malformed', problem }
}

/** Version 1, §2.1. */
function readLine(bytes: Buffer): ProxyHeader {
  const start = bytes.toString('latin1', 0, lineBytesMax)
  const end = start.indexOf('\r\n')
  if (!'PROXY '.startsWith(start.slice(0, 6))) return malformed('no PROXY header')
  if (end === -1) {
    if (bytes.length >= lineBytesMax) return malformed(`a line of more than ${lineBytesMax} bytes`)
    return /\n|\r./.test(start) ? malformed('a bare CR or LF') : incomplete
  }
  const line = start.slice(0, end)
  if (/[\r\n]/.test(line)) return malformed('a bare CR or LF')
  // What follows UNKNOWN is to be ignored.
  if (/^PROXY UNKNOWN( |$)/.test(line)) return { kind: 'complete', bytes: end + 2, ends: null }
  const [, family, from = '', to = '', fromPort = '', toPort = ''] =
    /^PROXY (TCP4|TCP6) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (\d{1,5}) (\d{1,5})$/.exec(line) ?? []
  if (family === undefined) return malformed('a line that is none of version 1')
  const source = writtenEnd(from, fromPort, family === 'TCP6')
  const destination = writtenEnd(to, toPort, family === 'TCP6')
  if (source === null || destination === null) return malformed('an address or port that is none')
  return { kind: 'complete', bytes: end + 2, ends: { source, destination } }
}

function writtenEnd(text: string, portText: string, isSix: boolean): Endpoint | null {
  const port = Number(portText)
  if (text.includes(':') !== isSix || port > 65535 || String(port) !== portText) return null
  const reader = createAddressReader()
  const family = reader.read(text)
  return family === null ? null : { address: formatAddress(family, reader.words), port }
}

/** Version 2, §2.2. */
function readBinary(bytes: Buffer): ProxyHeader {
  const signed = Math.min(bytes.length, signature.length)
  if (bytes.compare(signature, 0, signed, 0, signed) !== 0) return malformed('no PROXY header')
  if (bytes.length < prefixBytes) return incomplete
  const command = bytes.readUInt8(12)
  const kind = bytes.readUInt8(13)
  const rest = bytes.readUInt16BE(14)
  if (command !== commands.local && command !== commands.proxy) return malformed('an unknown version or command')
  if (rest > restBytesMax) return malformed(`a header of more than ${prefixBytes + restBytesMax} bytes`)
  if (bytes.length < prefixBytes + rest) return incomplete
  const whole = bytes.subarray(0, prefixBytes + rest)
  const complete = (ends: ProxiedEnds | null): ProxyHeader => ({ kind: 'complete', bytes: whole.length, ends })
  // LOCAL: the proxy itself, such as for a health check. Whatever it says of addresses is to be ignored.
  if (command === commands.local) return complete(null)
  const addressBytes = blocks.get(kind)
  if (addressBytes === undefined) return malformed('a family of addresses that is no stream')
  if (kind === kinds.unknown) return complete(null)
  if (rest < addressBytes) return malformed('a block of addresses that is too short')
  const problem = judgeExtensions(whole, prefixBytes + addressBytes)
  if (problem !== '') return malformed(problem)
  if (kind === kinds.unix) return complete(null)
  const isSix = kind === kinds.tcp6
  const width = isSix ? 16 : 4
  const ports = prefixBytes + 2 * width
  return complete({
    source: { address: addressAt(whole, prefixBytes, isSix), port: whole.readUInt16BE(ports) },
    destination: { address: addressAt(whole, prefixBytes + width, isSix), port: whole.readUInt16BE(ports + 2) },
  })
}

const commands = { local: 0x20, proxy: 0x21 } as const
const kinds = { unknown: 0x00, tcp4: 0x11, tcp6: 0x21, unix: 0x31 } as const
/** Bytes of the addresses of each kind. */
const blocks: ReadonlyMap<number, number> = new Map([
  [kinds.unknown, 0],
  [kinds.tcp4, 12],
  [kinds.tcp6, 36],
  [kinds.unix, 216],
])

function addressAt(bytes: Buffer, from: number, isSix: boolean): string {
  const words = new Uint32Array(isSix ? 4 : 1)
  for (let i = 0; i < words.length; i++) words[i] = bytes.readUInt32BE(from + 4 * i)
  // An IPv4 address in the clothes of IPv6 is compared with others as IPv4.
  if (isSix && words[0] === 0 && words[1] === 0 && words[2] === 0xffff) return formatAddress(4, words.subarray(3))
  return formatAddress(isSix ? 6 : 4, words)
}

const checksumType = 0x03

/** §2.2.7: what the extensions say is not used, but they must fill the header, and a checksum must be right (§2.2.3). */
function judgeExtensions(whole: Buffer, from: number): string {
  let at = from
  let hasChecksum = false
  while (at < whole.length) {
    if (at + 3 > whole.length) return 'an extension that is cut short'
    const type = whole.readUInt8(at)
    const end = at + 3 + whole.readUInt16BE(at + 1)
    if (end > whole.length) return 'an extension that is cut short'
    if (type === checksumType) {
      if (hasChecksum || end - at !== 7) return 'a checksum that is none'
      hasChecksum = true
      const zeroed = Buffer.from(whole)
      zeroed.writeUInt32BE(0, at + 3)
      if (crc32c(zeroed) !== whole.readUInt32BE(at + 3)) return 'a checksum that is wrong'
    }
    at = end
  }
  return ''
}

const unknownLine = Buffer.from('PROXY UNKNOWN\r\n', 'latin1')

/** Writes a header. Ends of different families go as IPv6 with the IPv4 one mapped; ends that are no addresses, as unknown. */
export function writeProxyHeader(version: 'v1' | 'v2', { source, destination }: ProxiedEnds): Buffer {
  const [from, to] = [addressBytes(source.address), addressBytes(destination.address)]
  if (from === null || to === null) {
    return version === 'v1'
      ? unknownLine
      : Buffer.concat([signature, Buffer.from([commands.proxy, kinds.unknown, 0, 0])])
  }
  const isSix = from.length === 16 || to.length === 16
  if (version === 'v1') {
    const text = (bytes: Buffer) => {
      const mapped = isSix && bytes.length === 4 ? '::ffff:' : ''
      return mapped + addressAt(bytes, 0, bytes.length === 16)
    }
    const line = `PROXY ${isSix ? 'TCP6' : 'TCP4'} ${text(from)} ${text(to)} ${source.port} ${destination.port}\r\n`
    return Buffer.from(line, 'latin1')
  }
  const wide = (bytes: Buffer) => (isSix && bytes.length === 4 ? Buffer.concat([mappedPrefix, bytes]) : bytes)
  const block = Buffer.concat([wide(from), wide(to), Buffer.alloc(4)])
  block.writeUInt16BE(source.port, block.length - 4)
  block.writeUInt16BE(destination.port, block.length - 2)
  const kind = isSix ? kinds.tcp6 : kinds.tcp4
  return Buffer.concat([signature, Buffer.from([commands.proxy, kind, 0, block.length]), block])
}

/** The header of a connection that is the gateway's own affair, such as a health check. */
export function ownProxyHeader(version: 'v1' | 'v2'): Buffer {
  if (version === 'v1') return unknownLine
  return Buffer.concat([signature, Buffer.from([commands.local, kinds.unknown, 0, 0])])
}

const mappedPrefix = Buffer.from('00000000000000000000ffff', 'hex')

function addressBytes(text: string): Buffer | null {
  const reader = createAddressReader()
  const family = reader.read(text)
  if (family === null) return null
  const bytes = Buffer.alloc(family === 4 ? 4 : 16)
  for (let i = 0; i < bytes.length / 4; i++) bytes.writeUInt32BE(reader.words[i] ?? 0, 4 * i)
  return bytes
}
