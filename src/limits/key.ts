// Whose calls are counted together, as one text per call.

import { hash } from 'node:crypto'
import type { Call } from '../core/call.ts'
import { clientOf } from '../core/client-of.ts'
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
