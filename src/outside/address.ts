// What kind of place an IP address is: the internet, this machine, a private network, or one that nobody should be sent to.

import { BlockList, isIP } from 'node:net'

/**
 * `never`: link-local (the metadata services of clouds among them), multicast, unspecified, reserved. Where an IPv6 address stands
 * for an IPv4 one (mapped, NAT64, 6to4), it is of that one's kind.
 */
export type AddressKind = 'public' | 'loopback' | 'private' | 'never'

/** The special-purpose registries of IANA (RFC 6890 and later), and what clouds put outside of them. */
const table: Readonly<Record<'never' | 'loopback' | 'private', readonly string[]>> = {
  never: [
    ...['0.0.0.0/8', '169.254.0.0/16', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '198.51.100.0/24'],
    ...['203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
    // Servers with secrets of the machine at Alibaba, Azure and (IPv6) Amazon.
    ...['100.100.100.200/32', '168.63.129.16/32', 'fd00:ec2::254/128'],
    ...['2001::/23', '2001:db8::/32', '3fff::/20'],
  ],
  loopback: ['127.0.0.0/8', '::1/128'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '198.18.0.0/15', 'fc00::/7'],
}

const never = rangesOf(table.never)
const loopback = rangesOf(table.loopback)
const inner = rangesOf(table.private)
const globalSix = rangesOf(['2000::/3'])

/** The kind of an address without brackets and zone; `never` for what is none. */
export function kindOf(address: string): AddressKind {
  const plain = embedded(address)
  if (isIP(plain) === 0 || contains(never, plain)) return 'never'
  if (contains(loopback, plain)) return 'loopback'
  if (contains(inner, plain)) return 'private'
  return isIP(plain) === 4 || contains(globalSix, plain) ? 'public' : 'never'
}

export type Ranges = BlockList

/** Addresses and CIDRs, IPv4 and IPv6. */
export function rangesOf(cidrs: readonly string[]): Ranges {
  const ranges = new BlockList()
  for (const cidr of cidrs) {
    const [address = '', bits] = cidr.split('/')
    const family = isIP(address)
    if (family === 0) continue
    ranges.addSubnet(
      address,
      bits === undefined ? (family === 4 ? 32 : 128) : Number(bits),
      family === 4 ? 'ipv4' : 'ipv6',
    )
  }
  return ranges
}

/** Whether the address, or the IPv4 address that it stands for, is in the ranges. */
export function contains(ranges: Ranges, address: string): boolean {
  const family = isIP(address)
  if (family === 0) return false
  if (ranges.check(address, family === 4 ? 'ipv4' : 'ipv6')) return true
  const plain = embedded(address)
  return plain !== address && ranges.check(plain, 'ipv4')
}

/** The IPv4 address that packets to this IPv6 address end at; the address itself where there is none. */
function embedded(address: string): string {
  if (isIP(address) !== 6) return address
  const words = wordsOf(address)
  const zeros = (count: number) => words.slice(0, count).every(word => word === 0)
  const fourAt = (index: number) => {
    const [high = 0, low = 0] = words.slice(index, index + 2)
    return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
  }
  const isMapped = zeros(5) && words[5] === 0xffff
  // RFC 2765 `::ffff:0:a.b.c.d`, and the well-known prefix of RFC 6052.
  const isTranslated = zeros(4) && words[4] === 0xffff && words[5] === 0
  const isNat64 = words[0] === 0x64 && words[1] === 0xff9b && words.slice(2, 6).every(word => word === 0)
  if (isMapped || isTranslated || isNat64) return fourAt(6)
  return words[0] === 0x2002 ? fourAt(1) : address
}

/** The eight words of an IPv6 address; a zone is left out. */
function wordsOf(address: string): number[] {
  const [bare = ''] = address.split('%')
  const hostname = URL.parse(`http://[${bare}]`)?.hostname ?? '[::]'
  const [head = '', tail] = hostname.slice(1, -1).split('::')
  const front = readWords(head)
  if (tail === undefined) return front
  const back = readWords(tail)
  return [...front, ...Array<number>(Math.max(0, 8 - front.length - back.length)).fill(0), ...back]
}

function readWords(text: string): number[] {
  return text === '' ? [] : text.split(':').map(word => Number.parseInt(word, 16))
}
