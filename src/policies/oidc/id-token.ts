// Checks ID tokens (OpenID Connect Core §3.1.3.7): signature, issuer, audience, times, nonce, hash of the access token.

import { constants, createHash, verify, type VerifyKeyObjectInput } from 'node:crypto'
import type { KeySet, SignatureKey } from '../../identity/key-set.ts'

export interface Expected {
  readonly issuer: string
  readonly clientId: string
  /** Null where none was sent: in a refresh. */
  readonly nonce: string | null
  readonly accessToken: string
  readonly wallMs: number
  readonly skewMs: number
}

export type Claims = Readonly<Record<string, unknown>>

/** A token that proves nothing. Its message is for the log. */
export class IdTokenError extends Error {
  override readonly name = 'IdTokenError'
}

const bytesMax = 16_384

export async function verifyIdToken(token: string, keys: KeySet, expected: Expected): Promise<Claims> {
  const parts = token.split('.')
  const [head = '', body = '', signature = ''] = parts
  if (parts.length !== 3 || token.length > bytesMax) throw new IdTokenError('not a signed token')
  const header = objectOf(head)
  const { alg, kid } = header
  if (typeof alg !== 'string' || (kid !== undefined && typeof kid !== 'string')) throw new IdTokenError('no algorithm')
  if ('crit' in header) throw new IdTokenError('unknown critical header')
  let candidates = keys.candidates(kid, alg)
  if (candidates.length === 0) {
    await keys.renew()
    candidates = keys.candidates(kid, alg)
  }
  const signed = Buffer.from(`${head}.${body}`)
  const bytes = Buffer.from(signature, 'base64url')
  if (bytes.toString('base64url') !== signature) throw new IdTokenError('signature is not base64url')
  if (!candidates.some(key => isSignedBy(key, alg, signed, bytes)))
    throw new IdTokenError('signed by no key of the issuer')
  const claims = objectOf(body)
  judge(claims, expected)
  if (claims['at_hash'] !== undefined) judgeHash(claims['at_hash'], alg, expected.accessToken)
  return claims
}

function objectOf(part: string): Claims {
  try {
    const bytes = Buffer.from(part, 'base64url')
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    if (bytes.toString('base64url') === part && typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return { ...value }
    }
  } catch {
    // Told below.
  }
  throw new IdTokenError('a part is no JSON object')
}

function isSignedBy({ key, isLive }: SignatureKey, alg: string, signed: Buffer, signature: Buffer): boolean {
  if (!isLive) return false
  const hash = /^(?:RS|PS|ES)(256|384|512)$/.exec(alg)?.[1]
  if (hash === undefined && alg !== 'EdDSA' && alg !== 'Ed25519') return false
  const input: VerifyKeyObjectInput = alg.startsWith('PS')
    ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    : alg.startsWith('ES')
      ? { key, dsaEncoding: 'ieee-p1363' }
      : { key }
  try {
    return verify(hash === undefined ? null : `sha${hash}`, signed, input, signature)
  } catch {
    return false
  }
}

function judge(claims: Claims, { issuer, clientId, nonce, wallMs, skewMs }: Expected): void {
  if (claims['iss'] !== issuer) throw new IdTokenError('another issuer')
  const { aud, azp, exp, iat, sub } = claims
  const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  if (!audiences.includes(clientId)) throw new IdTokenError('for another audience')
  if ((azp !== undefined || audiences.length > 1) && azp !== clientId) throw new IdTokenError('for another party')
  if (!isTime(exp) || exp * 1000 <= wallMs - skewMs) throw new IdTokenError('expired')
  if (!isTime(iat) || iat * 1000 > wallMs + skewMs) throw new IdTokenError('issued in the future')
  if (typeof sub !== 'string' || sub === '' || sub.length > 255) throw new IdTokenError('no subject')
  if (nonce !== null && claims['nonce'] !== nonce) throw new IdTokenError('of another login')
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

/** OpenID Connect Core §3.1.3.6: the left half of the hash that the signature uses. */
function judgeHash(given: unknown, alg: string, accessToken: string): void {
  const bits = /(256|384|512)$/.exec(alg)?.[1] ?? '512'
  const hash = createHash(`sha${alg === 'Ed25519' ? '512' : bits}`)
    .update(accessToken)
    .digest()
  if (given !== hash.subarray(0, hash.length / 2).toString('base64url'))
    throw new IdTokenError('of another access token')
}
