// Signatures of JWS algorithms (RFC 7518, RFC 8037) by node:crypto, off the event loop.

import { constants, createHmac, type KeyObject, timingSafeEqual, verify } from 'node:crypto'

const hashBytes: Readonly<Record<string, number>> = { 256: 32, 384: 48, 512: 64 }
/** Bytes of r and s together. */
const ecBytes: Readonly<Record<string, number>> = { ES256: 64, ES384: 96, ES512: 132 }

export const secretAlgorithms = ['HS256', 'HS384', 'HS512'] as const
export const publicAlgorithms = [
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
  ...(['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519', 'Ed448'] as const),
]

/** The algorithm was taken from those of the key before. Never rejects. */
export function isSignedBy(key: KeyObject, algorithm: string, signed: Buffer, signature: Buffer): Promise<boolean> {
  const kind = algorithm.slice(0, 2)
  const bits = algorithm.slice(2)
  if (kind === 'HS') return Promise.resolve(isMac(key, bits, signed, signature))
  const raw = ecBytes[algorithm]
  if (raw !== undefined && (signature.length !== raw || hasZero(signature))) return Promise.resolve(false)
  const input =
    kind === 'RS'
      ? { key, padding: constants.RSA_PKCS1_PADDING }
      : kind === 'PS'
        ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: hashBytes[bits] ?? 0 }
        : { key, dsaEncoding: 'ieee-p1363' as const }
  return new Promise(resolve => {
    try {
      verify(kind === 'Ed' ? null : `sha${bits}`, signed, input, signature, (error, isGood) => {
        resolve(error === null && isGood)
      })
    } catch {
      resolve(false)
    }
  })
}

function isMac(key: KeyObject, bits: string, signed: Buffer, signature: Buffer): boolean {
  if (key.type !== 'secret' || hashBytes[bits] !== signature.length) return false
  return timingSafeEqual(createHmac(`sha${bits}`, key).update(signed).digest(), signature)
}

/** CVE-2022-21449: neither r nor s may be zero. */
function hasZero(signature: Buffer): boolean {
  const half = signature.length / 2
  return isZero(signature.subarray(0, half)) || isZero(signature.subarray(half))
}

function isZero(part: Buffer): boolean {
  return part.every(octet => octet === 0)
}
