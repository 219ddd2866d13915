// Which addresses the gateway may ask: judged for each connection, after its name was resolved.

import { lookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { OutsideError } from '../core/outside.ts'
import { type AddressKind, contains, kindOf, rangesOf } from './address.ts'

/**
 * `written`: the URL stands in the config; an address in it, or `localhost`, may be of this machine or a private network.
 * `named`: a server named it; only public addresses. Names are judged alike in both: they must lead to public addresses.
 */
export type Trust = 'written' | 'named'

export interface Rules {
  /** Throws for a host that is an address and not allowed. `host` is as in `URL.hostname`. @throws OutsideError */
  judge(host: string, trust: Trust): void
  /** For `net.connect`: the allowed addresses of a name, an error where it has none. */
  lookup(trust: Trust): LookupFunction
}

/** All addresses of a name, for tests; `dns.lookup` else. */
export type Resolve = (
  name: string,
  done: (error: Error | null, found: readonly { address: string; family: number }[]) => void,
) => void

export function createRules(allow: readonly string[], resolve: Resolve = resolveAll): Rules {
  const allowed = rangesOf(allow)
  const isAllowed = (address: string, local: readonly AddressKind[]) => {
    if (contains(allowed, address)) return true
    const kind = kindOf(address)
    return kind === 'public' || local.includes(kind)
  }
  return {
    judge(host, trust) {
      const address = bare(host)
      if (isIP(address) === 0) return
      if (!isAllowed(address, trust === 'written' ? ['loopback', 'private'] : [])) throw refused(host, [address], trust)
    },
    lookup: trust => (name, options, done) => {
      const local: readonly AddressKind[] = trust === 'written' && name === 'localhost' ? ['loopback'] : []
      resolve(name, (error, found) => {
        const family = options.family === 4 || options.family === 6 ? options.family : 0
        const fitting = found.filter(entry => family === 0 || entry.family === family)
        const usable = fitting.filter(({ address }) => isAllowed(address, local))
        const first = usable[0]
        if (error !== null) done(error, '', 0)
        else if (first === undefined) {
          const addresses = fitting.map(({ address }) => address)
          done(refused(name, addresses, trust), '', 0)
        } else if (options.all === true) done(null, [...usable])
        else done(null, first.address, first.family)
      })
    },
  }
}

function resolveAll(name: string, done: Parameters<Resolve>[1]): void {
  lookup(name, { all: true, order: 'verbatim' }, (error, found) => done(error, error === null ? found : []))
}

function refused(host: string, addresses: readonly string[], trust: Trust): OutsideError {
  const [address] = addresses
  if (address === undefined) return new OutsideError('unreachable', `${host} has no address`)
  const leads = bare(host) === address ? `${address} is` : `${host} leads to ${address}, which is`
  const kind = kindOf(address)
  const what = {
    public: 'not of the right family',
    loopback: 'this machine',
    private: 'in a private network',
    never: 'link-local, multicast or reserved',
  }
  const who = trust === 'named' ? ', and a server named it' : ''
  const range = `${address.replace(/%.*/, '')}/${isIP(address) === 6 ? 128 : 32}`
  return new OutsideError(
    'refused-address',
    `${leads} ${what[kind]}${who}. If the gateway shall ask it, write \`outbound: { allow: ["${range}"] }\` in the config.`,
  )
}

/** An IPv6 address without the brackets that it has in `URL.hostname`. */
export function bare(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host
}
