// Which addresses are one client: of IPv6, a whole network.

import { isIPv6 } from 'node:net'

/** An IPv4 address as it is, also where it stands in an IPv6 one; of other IPv6 addresses so many bits. */
export function clientOf(address: string, ipv6Prefix: number): string {
  if (!address.includes(':')) return address
  const bare = address.replace(/%.*$/, '')
  if (!isIPv6(bare)) return address
  const groups = groupsOf(bare)
  // An IPv4 address all the same (RFC 4291 §2.5.5.2), as proxies on dual-stack sockets write it: else all of them were one.
  if (groups[5] === 0xffff && groups.slice(0, 5).every(group => group === 0)) {
    return groups
      .slice(6)
      .flatMap(group => [group >> 8, group & 0xff])
      .join('.')
  }
  let text = ''
  for (let index = 0; index * 16 < ipv6Prefix; index++) {
    const bits = Math.min(16, ipv6Prefix - index * 16)
    text += `${((groups[index] ?? 0) & (0xffff << (16 - bits)) & 0xffff).toString(16)}:`
  }
  return text
}

/** The eight groups of a valid IPv6 address. */
function groupsOf(address: string): number[] {
  const [head = '', tail] = address.split('::')
  const before = wordsOf(head)
  if (tail === undefined) return before
  const after = wordsOf(tail)
  return [...before, ...Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => 0), ...after]
}

function wordsOf(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap(group => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)]
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
    return [a * 256 + b, c * 256 + d]
  })
}
