// Reads IP addresses and CIDRs in text into 32-bit words, strictly: no octal, no short forms, no white space.

/** One word and 32 bits for IPv4, four words and 128 bits for IPv6. */
export type Family = 4 | 6

export interface AddressReader {
  /** The address last read, most significant word first. Reused: copy what must last. */
  readonly words: Uint32Array
  /**
   * Reads an address. IPv4-mapped IPv6 addresses (`::ffff:192.0.2.1`) are IPv4; a zone (`%eth0`) is ignored. Null for
   * anything that is no address.
   */
  read(text: string): Family | null
}

/** Hot path: called once per call, so it neither splits the text nor makes objects. */
export function createAddressReader(): AddressReader {
  const words = new Uint32Array(4)
  const groups = new Uint16Array(8)
  return {
    words,
    read(text) {
      if (!text.includes(':')) {
        const word = readIpv4(text, 0)
        if (word < 0) return null
        words[0] = word
        return 4
      }
      if (!readGroups(text, groups)) return null
      for (let i = 0; i < 4; i++) words[i] = (group(groups, 2 * i) << 16) | group(groups, 2 * i + 1)
      if (words[0] !== 0 || words[1] !== 0 || words[2] !== 0xffff) return 6
      words[0] = words[3] as number
      return 4
    },
  }
}

export interface Cidr {
  readonly family: Family
  readonly words: Uint32Array
  /** Length of the prefix in bits. */
  readonly bits: number
}

/** An address or CIDR, or what is wrong with it and how to mend it. */
export function readCidr(text: string): Cidr | { readonly problem: string; readonly hint: string } {
  const slash = text.indexOf('/')
  const address = slash < 0 ? text : text.slice(0, slash)
  const reader = createAddressReader()
  const family = address.includes('%') ? null : reader.read(address)
  if (family === null) {
    return {
      problem: 'is not an IP address or CIDR',
      hint: 'Write it such as `192.0.2.7`, `10.0.0.0/8` or `2001:db8::/32`.',
    }
  }
  const isMapped = family === 4 && address.includes(':')
  const widest = family === 4 && !isMapped ? 32 : 128
  const length = slash < 0 ? String(widest) : text.slice(slash + 1)
  const bits = /^\d{1,3}$/.test(length) ? Number(length) - (isMapped ? 96 : 0) : -1
  if (bits < 0 || bits > widest || bits > (family === 4 ? 32 : 128)) {
    return { problem: 'has an invalid prefix length', hint: `Write a number from ${isMapped ? 96 : 0} to ${widest}.` }
  }
  const words = reader.words.slice(0, family === 4 ? 1 : 4)
  if (maskWords(words, bits)) {
    return { problem: 'has bits set behind its prefix', hint: `Write \`${formatAddress(family, words)}/${bits}\`.` }
  }
  return { family, words, bits }
}

function group(groups: Uint16Array, index: number): number {
  return groups[index] as number
}

/** The address from `from` to the end as an unsigned number, or -1. */
function readIpv4(text: string, from: number): number {
  let word = 0
  let octet = 0
  let digits = 0
  let dots = 0
  for (let i = from; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x2e) {
      if (digits === 0 || ++dots > 3) return -1
      word = word * 256 + octet
      octet = 0
      digits = 0
      continue
    }
    const digit = code - 0x30
    // A leading zero would be octal to some and decimal to others.
    if (digit < 0 || digit > 9 || (digits > 0 && octet === 0)) return -1
    octet = octet * 10 + digit
    digits++
    if (octet > 255) return -1
  }
  return dots === 3 && digits > 0 ? word * 256 + octet : -1
}

/** The eight groups of an IPv6 address (RFC 4291 section 2.2). */
function readGroups(text: string, groups: Uint16Array): boolean {
  const zone = text.indexOf('%')
  const end = zone < 0 ? text.length : zone
  let count = 0
  let gap = -1
  let i = 0
  if (text.startsWith('::')) {
    gap = 0
    i = 2
  }
  while (i < end) {
    if (count === 8) return false
    const start = i
    let value = 0
    for (let digit = hexDigit(text, i); digit >= 0 && i < end; digit = hexDigit(text, i)) {
      value = value * 16 + digit
      i++
    }
    if (i < end && text.charCodeAt(i) === 0x2e) {
      const word = readIpv4(zone < 0 ? text : text.slice(0, end), start)
      if (word < 0 || count > 6) return false
      groups[count++] = word >>> 16
      groups[count++] = word & 0xffff
      break
    }
    if (i === start || i - start > 4) return false
    groups[count++] = value
    if (i === end) break
    if (text.charCodeAt(i++) !== 0x3a || i === end) return false
    if (text.charCodeAt(i) === 0x3a) {
      if (gap >= 0) return false
      gap = count
      i++
    }
  }
  if (gap < 0) return count === 8
  if (count === 8) return false
  groups.copyWithin(8 - (count - gap), gap, count)
  groups.fill(0, gap, 8 - (count - gap))
  return true
}

function hexDigit(text: string, index: number): number {
  const code = text.charCodeAt(index)
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}

/** Clears what stands behind the prefix; true when that changed anything. */
function maskWords(words: Uint32Array, bits: number): boolean {
  let hasChanged = false
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number
    const kept = Math.min(32, Math.max(0, bits - 32 * i))
    const masked = kept === 0 ? 0 : (word & (-1 << (32 - kept))) >>> 0
    if (masked !== word) hasChanged = true
    words[i] = masked
  }
  return hasChanged
}

/** The canonical text of an address; the words may go on behind those of its family. */
export function formatAddress(family: Family, words: Uint32Array): string {
  if (family === 4) {
    const [word = 0] = words
    return [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255].join('.')
  }
  const hex = [...words.subarray(0, 4)].flatMap(word => [(word >>> 16).toString(16), (word & 0xffff).toString(16)])
  return URL.parse(`http://[${hex.join(':')}]`)?.hostname.slice(1, -1) ?? hex.join(':')
}
