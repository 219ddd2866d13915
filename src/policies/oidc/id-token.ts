// Checks ID tokens (OpenID Connect Core §3.1.3.7): what every signed token must be, and party, nonce and hash of the access token.

import { createHash, type Hash } from 'node:crypto'
import type { KeySet } from '../../identity/key-set.ts'
import { createTokenVerifier, type VerifiedToken } from '../../identity/token-verifier.ts'

export interface IdTokenRules {
  readonly issuer: string
  readonly clientId: string
  readonly skewMs: number
}

export interface Expected {
  /** Null where none was sent: in a refresh. */
  readonly nonce: string | null
  readonly accessToken: string
  readonly wallMs: number
}

export type Claims = Readonly<Record<string, unknown>>

/** A token that proves nothing. Its message is for the log. */
export class IdTokenError extends Error {
  override readonly name = 'IdTokenError'
}

const charactersMax = 16_384

/**
 * The claims of a good token.
 * @throws IdTokenError, or another error where the keys of the provider are not at hand.
 */
export type IdTokenVerifier = (token: string, expected: Expected) => Promise<Claims>

export function createIdTokenVerifier({ issuer, clientId, skewMs }: IdTokenRules, keys: KeySet): IdTokenVerifier {
  const verify = createTokenVerifier(
    {
      ...{ issuer: [issuer], audience: [clientId], clockSkew: skewMs },
      ...{ maxAge: null, claims: {}, algorithms: [], type: null },
    },
    keys,
  )
  return async (token, expected) => {
    if (token.length > charactersMax) throw new IdTokenError('the token is too long')
    const verified = await verify(token, expected.wallMs)
    if (verified === 'unavailable') throw new Error('the keys of the identity provider are not at hand')
    if (typeof verified === 'string') throw new IdTokenError(verified)
    const { claims } = verified
    judgeParties(claims, clientId)
    if (expected.nonce !== null && claims['nonce'] !== expected.nonce) throw new IdTokenError('of another login')
    if (claims['at_hash'] !== undefined) judgeHash(claims['at_hash'], verified, expected.accessToken)
    return claims
  }
}

function judgeParties({ aud, azp, sub, iat }: Claims, clientId: string): void {
  const isForSeveral = Array.isArray(aud) && aud.length > 1
  if ((azp !== undefined || isForSeveral) && azp !== clientId) throw new IdTokenError('for another party')
  if (typeof sub !== 'string' || sub === '' || sub.length > 255) throw new IdTokenError('no subject')
  // That it is no time of the future was judged where it is there at all.
  if (iat === undefined) throw new IdTokenError('it does not say when it was issued')
}

/** OpenID Connect Core §3.1.3.6: the left half of the hash that the signature uses. */
function judgeHash(given: unknown, { algorithm, key }: VerifiedToken, accessToken: string): void {
  const hash = hashOf(algorithm, key.key.asymmetricKeyType).update(accessToken).digest()
  if (given !== hash.subarray(0, hash.length / 2).toString('base64url')) {
    throw new IdTokenError('of another access token')
  }
}

/** RFC 8032: Ed25519 hashes by SHA-512, Ed448 by 114 octets of SHAKE256. */
function hashOf(algorithm: string, kind: string | undefined): Hash {
  if (kind === 'ed448') return createHash('shake256', { outputLength: 114 })
  return createHash(`sha${/(?:256|384|512)$/.exec(algorithm)?.[0] ?? '512'}`)
}
