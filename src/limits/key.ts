// Whose calls are counted together, as one text per call.

import { hash } from 'node:crypto'
import { isIPv6 } from 'node:net'
import type { Call } from '../core/call.ts'
import { type Principal, principal as principalFact } from '../core/principal.ts'
import type { Static } from '../core/schema.ts'
import type { byOption } from './options.ts'

export type KeyPart = Static<typeof byOption>[number]

export interface CompiledKey {
  /** The key of a call. */
  readonly of: (call: Call) => string
  /** What the key is made of: keys of another make are never mixed with these. */
  readonly make: string
}

/** Whether any part can be told only of a call that was authenticated. */
export function needsPrincipal(parts: readonly KeyPart[]): boolean {
  return parts.some(part => (typeof part === 'object' ? 'claim' in part : part !== 'client' && part !== 'route'))
}

/**
 * A key of one part is that part itself: no text is made per call. With several, each carries its length, so that no two
 * lists of parts read alike.
 */
export function compileKey(parts: readonly KeyPart[], ipv6Prefix: number): CompiledKey {
  const readers = parts.map(part => readerOf(part, ipv6Prefix))
  const make = `${parts.map(part => (typeof part === 'string' ? part : JSON.stringify(part))).join('+')}/${ipv6Prefix}`
  const [one] = readers
  if (one !== undefined && readers.length === 1) return { of: one, make }
  return {
    make,
    of(call) {
      let key = ''
      for (const read of readers) {
        const part = read(call)
        key += `${part.length}:${part}`
      }
      return key
    },
  }
}

function readerOf(part: KeyPart, ipv6Prefix: number): (call: Call) => string {
  if (typeof part === 'object') {
    if ('header' in part) {
      const key = part.header.toLowerCase()
      return call => bounded(call.headers.get(key) ?? '')
    }
    return call => claimOf(principalOf(call), part.claim)
  }
  if (part === 'client') return call => clientOf(call.clientAddress, ipv6Prefix)
  return plainReaders[part]
}

const plainReaders: Readonly<Record<Exclude<KeyPart & string, 'client'>, (call: Call) => string>> = {
  consumer: call => consumerOf(principalOf(call)),
  application(call) {
    const principal = principalOf(call)
    return principal?.application?.id ?? consumerOf(principal)
  },
  credential(call) {
    const principal = principalOf(call)
    return principal === undefined ? '' : principal.credential || bounded(principal.id)
  },
  route: call => call.route,
}

function principalOf(call: Call): Principal | undefined {
  return call.facts.get(principalFact)
}

function consumerOf(principal: Principal | undefined): string {
  return principal === undefined ? '' : (principal.consumer?.id ?? bounded(principal.id))
}

function claimOf(principal: Principal | undefined, name: string): string {
  const claims = principal?.claims
  if (claims === undefined || !Object.hasOwn(claims, name)) return ''
  const value = claims[name]
  return bounded(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))
}

const charactersMax = 128

/** Keys are held by the thousand, in memory and in files: of a long one a digest, behind what no field and hardly a claim begins with. */
function bounded(text: string): string {
  return text.length <= charactersMax ? text : `\n${hash('sha256', text, 'base64url')}`
}

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
