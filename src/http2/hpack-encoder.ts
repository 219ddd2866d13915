// Fields to header blocks (RFC 7541). Repeated fields become one or two octets; nothing else is compressed.

import { headerTableBytes } from './protocol.ts'
import { staticEntries, staticIndexOf } from './static-table.ts'

const entryOverhead = 32
const slotCount = headerTableBytes / entryOverhead
/** Names whose last value is remembered. A peer that makes up more names gets them uncompressed. */
const namesMax = 64

/** RFC 7541 §7.1.3: what an attacker must not guess by the size of what follows; it never enters a table. */
const secretNames: ReadonlySet<string> = new Set(
  'authorization cookie set-cookie proxy-authorization x-api-key'.split(' '),
)

/** What was sent under one name before. */
interface Last {
  value: string
  /** Number of its entry in the dynamic table, -1 while it has none. */
  entry: number
  readonly staticIndex: number
  readonly isSecret: boolean
}

/**
 * One direction of one connection. `start`, then fields, then `bytes` up to `length` is the block, until the next `start`.
 *
 * A value enters the table when it is sent the second time in a row: ids and sizes that never repeat push nothing out.
 * Texts go as they are: the Huffman code saves a third of what is not repeated, for more time than those octets take.
 */
export class HpackEncoder {
  bytes: Buffer = Buffer.allocUnsafeSlow(512)
  length = 0
  readonly #last: Map<string, Last> = new Map()
  readonly #sizes: Uint16Array = new Uint16Array(slotCount)
  /** Entries ever made, and how many of them are gone. */
  #made = 0
  #gone = 0
  #tableBytes = 0
  #tableBytesMax = headerTableBytes
  /** Sizes that the peer set since the last block; the smallest and the last must be told it (§4.2). */
  #sizeToTell = -1
  #smallestToTell = -1

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  resize(bytesMax: number): void {
    const size = Math.min(bytesMax, headerTableBytes)
    if (size === this.#tableBytesMax && this.#sizeToTell === -1) return
    this.#tableBytesMax = size
    this.#evict(0)
    this.#smallestToTell = this.#smallestToTell === -1 ? size : Math.min(size, this.#smallestToTell)
    this.#sizeToTell = size
  }

  start(): void {
    this.length = 0
    if (this.#sizeToTell === -1) return
    if (this.#smallestToTell < this.#sizeToTell) this.#writeInteger(0x20, 5, this.#smallestToTell)
    this.#writeInteger(0x20, 5, this.#sizeToTell)
    this.#sizeToTell = -1
    this.#smallestToTell = -1
  }

  /** A field that stands in the static table as it is. */
  indexed(index: number): void {
    this.#reserve(1)
    this.bytes[this.length++] = 0x80 | index
  }

  status(status: number): void {
    const index = staticStatus[status]
    if (index !== undefined) this.indexed(index)
    else this.field(':status', String(status))
  }

  /** `list` as in Headers: triples, of which the key and the value are written. */
  fields(list: readonly string[]): void {
    for (let i = 1; i < list.length; i += 3) this.field(list[i] as string, list[i + 1] as string)
  }

  /** `key` is the name in lower case; both are latin1. */
  field(key: string, value: string): void {
    const last = this.#last.get(key) ?? this.#meet(key)
    if (last === null || last.isSecret)
      return this.#writeLiteral(last?.isSecret === true ? 0x10 : 0, 4, last, key, value)
    if (last.value !== value) {
      last.value = value
      last.entry = -1
      return this.#writeLiteral(0, 4, last, key, value)
    }
    if (last.entry >= this.#gone) {
      this.#reserve(4)
      return this.#writeInteger(0x80, 7, this.#indexOf(last.entry))
    }
    const size = key.length + value.length + entryOverhead
    // A large value is not worth what it would push out.
    if (size > this.#tableBytesMax >> 2) return this.#writeLiteral(0, 4, last, key, value)
    this.#writeLiteral(0x40, 6, last, key, value)
    this.#evict(size)
    this.#sizes[this.#made & (slotCount - 1)] = size
    last.entry = this.#made++
    this.#tableBytes += size
  }

  #meet(key: string): Last | null {
    if (this.#last.size >= namesMax) return null
    const last: Last = {
      value: '\0',
      entry: -1,
      staticIndex: staticIndexOf.get(key) ?? 0,
      isSecret: secretNames.has(key),
    }
    this.#last.set(key, last)
    return last
  }

  #writeLiteral(pattern: number, prefix: number, last: Last | null, key: string, value: string): void {
    this.#reserve(key.length + value.length + 16)
    const index = last?.staticIndex ?? 0
    this.#writeInteger(pattern, prefix, index)
    if (index === 0) this.#writeString(key)
    this.#writeString(value)
  }

  #writeString(text: string): void {
    this.#writeInteger(0, 7, text.length)
    this.bytes.write(text, this.length, text.length, 'latin1')
    this.length += text.length
  }

  #writeInteger(pattern: number, prefix: number, value: number): void {
    const bytes = this.bytes
    const mask = (1 << prefix) - 1
    if (value < mask) {
      bytes[this.length++] = pattern | value
      return
    }
    bytes[this.length++] = pattern | mask
    let rest = value - mask
    while (rest >= 0x80) {
      bytes[this.length++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    bytes[this.length++] = rest
  }

  #indexOf(entry: number): number {
    return staticEntries + this.#made - entry
  }

  #evict(size: number): void {
    while (this.#gone < this.#made && this.#tableBytes + size > this.#tableBytesMax) {
      this.#tableBytes -= this.#sizes[this.#gone & (slotCount - 1)] as number
      this.#gone++
    }
  }

  #reserve(bytes: number): void {
    if (this.bytes.length - this.length >= bytes) return
    const larger = Buffer.allocUnsafeSlow((this.length + bytes) * 2)
    this.bytes.copy(larger, 0, 0, this.length)
    this.bytes = larger
  }
}

const staticStatus: Readonly<Record<number, number>> = { 200: 8, 204: 9, 206: 10, 304: 11, 400: 12, 404: 13, 500: 14 }
