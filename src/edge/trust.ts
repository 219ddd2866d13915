// Which addresses are trusted proxies.

import { BlockList, isIP } from 'node:net'

/**
 * Compiles a list of addresses and CIDRs. A listener has a handful of proxies in front of it, and a connection is asked about
 * once, so the linear list of `node:net` is enough.
 */
export function compileTrust(entries: readonly string[]): (address: string) => boolean {
  if (entries.length === 0) return () => false
  const list = new BlockList()
  for (const entry of entries) {
    const [address = '', bits] = entry.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  return address => {
    const family = isIP(address)
    return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }
}
