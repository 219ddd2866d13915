// Names to addresses, by the system's resolver (hosts file included).

import { lookup } from 'node:dns/promises'

/** All addresses of a name, IPv4 and IPv6. Rejects when there are none. */
export type Lookup = (hostname: string) => Promise<readonly string[]>

/** A lookup ends by the resolver's own deadline; nothing can cut it short. */
export const lookupAll: Lookup = async hostname => {
  const found = await lookup(hostname, { all: true, order: 'verbatim' })
  return found.map(entry => entry.address)
}
