// The digest of a body that its signature covers: Content-Digest (RFC 9530 §2).

import { createHash, timingSafeEqual } from 'node:crypto'
import type { Headers } from '../../core/headers.ts'
import { isInnerList, readDictionary } from '../../identity/structured-fields.ts'

/** Those of RFC 9530 §5 that are not broken. */
const algorithms: Readonly<Record<string, string>> = { 'sha-256': 'sha256', 'sha-512': 'sha512' }

/** Digests by the hash that makes them. */
export type Digests = ReadonlyMap<string, Buffer>

/** The digests that can be checked; null where the field is missing or malformed, or has none of those. */
export function readContentDigest(headers: Headers): Digests | null {
  const dictionary = readDictionary(headers.all('content-digest').join(', '))
  if (dictionary === null) return null
  const digests = new Map<string, Buffer>()
  for (const [name, member] of dictionary) {
    if (isInnerList(member) || member.bare.type !== 'bytes') return null
    if (Object.hasOwn(algorithms, name)) digests.set(algorithms[name] as string, member.bare.value)
  }
  return digests.size === 0 ? null : digests
}

/** Whether all of them are those of the body. */
export function isDigestOf(digests: Digests, body: Buffer): boolean {
  return [...digests].every(([hash, digest]) => {
    const made = createHash(hash).update(body).digest()
    return made.length === digest.length && timingSafeEqual(made, digest)
  })
}
