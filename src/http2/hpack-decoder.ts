// Header blocks to fields (RFC 7541).

import { valueOctets } from '../http/octets.ts'
import { type FieldName, fieldName, malformed } from './field-names.ts'
import { decodeHuffman } from './huffman.ts'
import { headerTableBytes } from './protocol.ts'
import type { SharedMemory } from './shared-memory.ts'
import { staticEntries, staticNames, staticValues } from './static-table.ts'

/** What an entry costs besides its octets (RFC 7541 §4.1). */
const entryOverhead = 32
/** No more entries fit into the dynamic table; a power of two. */
const slotCount = headerTableBytes / entryOverhead

/**
 * One direction of one connection. After `decode`, `names` and `values` hold `count` fields, until the next call.
 *
 * Hot path: names and values of a table are kept as they are handed on, so that a repeated field costs no text at all.
 */
export class HpackDecoder {
  readonly names: FieldName[] = []
  readonly values: string[] = []
  count = 0
  /** The fields were larger than allowed, or more: the rest was read for the table's sake and not kept. */
  isTooLarge = false
  /** Names and values with 32 octets for each field (RFC 9113 §6.5.2). */
  listBytes = 0
  readonly #memory: SharedMemory
  readonly #listBytesMax: number
  /** Entries in a ring; the newest stands before `#next`. */
  #slotNames: FieldName[] | null = null
  #slotValues: string[] = []
  #slotSizes: number[] = []
  #next = 0
  #entries = 0
  #tableBytes = 0
  #tableBytesMax = headerTableBytes
  #at = 0
  /** Octets of the string that was read last, decoded, and whether it may be a value. */
  #stringBytes = 0
  #isValueGood = true

  constructor(listBytesMax: number, memory: SharedMemory) {
    this.#listBytesMax = listBytesMax
    this.#memory = memory
  }

  /** Reads a whole block. `false`: it cannot be read, and with it everything that would follow (COMPRESSION_ERROR). */
  decode(bytes: Buffer, start: number, end: number): boolean {
    this.count = 0
    this.listBytes = 0
    this.isTooLarge = false
    this.#at = start
    while (this.#at < end) {
      const octet = bytes[this.#at] as number
      if (octet >= 0x80) {
        if (!this.#addIndexed(this.#readInteger(bytes, end, 7))) return false
      } else if (octet >= 0x40) {
        if (!this.#readLiteral(bytes, end, 6)) return false
      } else if (octet < 0x20) {
        if (!this.#readLiteral(bytes, end, 4)) return false
      } else {
        // §4.2: a change of size stands at the beginning of a block.
        const size = this.#readInteger(bytes, end, 5)
        if (this.count > 0 || size < 0 || size > headerTableBytes) return false
        this.#tableBytesMax = size
        this.#evict(0)
      }
    }
    return true
  }

  #addIndexed(index: number): boolean {
    if (index <= 0) return false
    if (index <= staticEntries) {
      const name = staticNames[index] as FieldName
      const value = staticValues[index] as string
      this.#add(name, value, name.name.length + value.length + entryOverhead)
      return true
    }
    const slot = this.#slotOf(index)
    if (slot === -1 || this.#slotNames === null) return false
    this.#add(this.#slotNames[slot] as FieldName, this.#slotValues[slot] as string, this.#slotSizes[slot] as number)
    return true
  }

  #readLiteral(bytes: Buffer, end: number, prefix: number): boolean {
    const index = this.#readInteger(bytes, end, prefix)
    if (index < 0) return false
    let nameBytes = 0
    let name: FieldName | null
    if (index === 0) {
      name = this.#readName(bytes, end)
      nameBytes = this.#stringBytes
    } else if (index <= staticEntries) {
      name = staticNames[index] as FieldName
      nameBytes = name.name.length
    } else {
      const slot = this.#slotOf(index)
      if (slot === -1 || this.#slotNames === null) return false
      name = this.#slotNames[slot] as FieldName
      nameBytes = name.name.length
    }
    if (name === null) return false
    const value = this.#readString(bytes, end)
    if (value === null) return false
    if (!this.#isValueGood) name = malformed(name.name, 'malformed field value')
    const size = nameBytes + this.#stringBytes + entryOverhead
    this.#add(name, value, size)
    if (prefix === 6) this.#insert(name, value, size)
    return true
  }

  #readName(bytes: Buffer, end: number): FieldName | null {
    const isHuffman = ((bytes[this.#at] as number) & 0x80) !== 0
    const length = this.#readInteger(bytes, end, 7)
    const from = this.#at
    if (length < 0 || length > end - from) return null
    this.#at = from + length
    this.#stringBytes = length
    if (!isHuffman) return fieldName(bytes, from, from + length)
    const room = this.#memory.roomFor(length * 2)
    const decoded = decodeHuffman(bytes, from, from + length, room)
    if (decoded === -1) return null
    this.#stringBytes = decoded
    return fieldName(room, 0, decoded)
  }

  #readString(bytes: Buffer, end: number): string | null {
    if (this.#at >= end) return null
    const isHuffman = ((bytes[this.#at] as number) & 0x80) !== 0
    const length = this.#readInteger(bytes, end, 7)
    const from = this.#at
    if (length < 0 || length > end - from) return null
    this.#at = from + length
    if (!isHuffman) return this.#valueOf(bytes, from, from + length)
    const room = this.#memory.roomFor(length * 2)
    const decoded = decodeHuffman(bytes, from, from + length, room)
    return decoded === -1 ? null : this.#valueOf(room, 0, decoded)
  }

  /** RFC 9113 §8.2.1: no control characters, and no white space at either end. */
  #valueOf(bytes: Buffer, start: number, end: number): string {
    let isGood = true
    for (let i = start; i < end; i++) if (valueOctets[bytes[i] as number] === 0) isGood = false
    if (end > start && (isBlank(bytes[start] as number) || isBlank(bytes[end - 1] as number))) isGood = false
    this.#isValueGood = isGood
    this.#stringBytes = end - start
    return bytes.toString('latin1', start, end)
  }

  /** RFC 7541 §5.1; -1 for one that breaks off, or larger than anything could be. */
  #readInteger(bytes: Buffer, end: number, prefix: number): number {
    if (this.#at >= end) return -1
    const mask = (1 << prefix) - 1
    let value = (bytes[this.#at++] as number) & mask
    if (value < mask) return value
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= end) return -1
      const octet = bytes[this.#at++] as number
      value += (octet & 0x7f) << shift
      if (octet < 0x80) return value
    }
    return -1
  }

  #add(name: FieldName, value: string, size: number): void {
    this.listBytes += size
    if (this.listBytes > this.#listBytesMax) {
      this.isTooLarge = true
      return
    }
    this.names[this.count] = name
    this.values[this.count++] = value
  }

  #slotOf(index: number): number {
    const age = index - staticEntries
    return age > this.#entries ? -1 : (this.#next - age) & (slotCount - 1)
  }

  #insert(name: FieldName, value: string, size: number): void {
    this.#evict(size)
    if (size > this.#tableBytesMax) return
    this.#slotNames ??= []
    const slot = this.#next
    this.#slotNames[slot] = name
    this.#slotValues[slot] = value
    this.#slotSizes[slot] = size
    this.#next = (slot + 1) & (slotCount - 1)
    this.#entries++
    this.#tableBytes += size
  }

  /** Makes room for so many octets (§4.3, §4.4). */
  #evict(size: number): void {
    while (this.#entries > 0 && this.#tableBytes + size > this.#tableBytesMax) {
      const slot = (this.#next - this.#entries) & (slotCount - 1)
      this.#tableBytes -= this.#slotSizes[slot] as number
      this.#slotValues[slot] = ''
      this.#entries--
    }
  }
}

function isBlank(octet: number): boolean {
  return octet === 32 || octet === 9
}
