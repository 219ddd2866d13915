// JSON Web Keys (RFC 7517, 8037) to key objects: public keys for signatures, anything else refused.

import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import type { SignatureKey } from './key-set.ts'

const keysMax = 100
const idLengthMax = 512
const rsaBitsMin = 2048
/** Verification with longer ones takes milliseconds. */
const rsaBitsMax = 8192
const rsaAlgorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
const curveAlgorithms: Readonly<Record<string, readonly string[]>> = {
  'P-256': ['ES256'],
  'P-384': ['ES384'],
  'P-521': ['ES512'],
  // RFC 9864 gives the curves names of their own.
  Ed25519: ['EdDSA', 'Ed25519'],
  Ed448: ['EdDSA', 'Ed448'],
}
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

export interface ImportedKeys {
  readonly keys: readonly SignatureKey[]
  /** Why others were left out. */
  readonly refused: readonly string[]
}

/** Reads a set, or a single key. @throws Error where the text is neither. */
export function importKeys(text: string): ImportedKeys {
  const document: unknown = JSON.parse(text)
  if (!isObject(document)) throw new Error('it is no JSON object')
  const list: unknown = 'kty' in document ? [document] : document.keys
  if (!Array.isArray(list)) throw new Error('it has no list `keys`')
  if (list.length > keysMax) throw new Error(`it has more than ${keysMax} keys`)
  const keys: SignatureKey[] = []
  const refused: string[] = []
  for (const [index, entry] of list.entries()) {
    const key = isObject(entry) ? importKey(entry) : 'is no object'
    if (typeof key === 'string') refused.push(`key ${index} ${key}`)
    else keys.push(key)
  }
  return { keys, refused }
}

/** The key, or why it is none of ours. */
function importKey(jwk: Readonly<Record<string, unknown>>): SignatureKey | string {
  if (privateMembers.some(member => member in jwk)) return 'is secret: a set of public keys must not have it'
  if (jwk.use !== undefined && jwk.use !== 'sig') return 'is not for signatures'
  if (jwk.key_ops !== undefined && !(Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))) {
    return 'is not for verifying'
  }
  const { kid = '', kty } = jwk
  if (typeof kid !== 'string' || kid.length > idLengthMax) return 'has no proper id'
  const possible = kty === 'RSA' ? rsaAlgorithms : kty === 'EC' || kty === 'OKP' ? algorithmsOf(jwk.crv) : []
  const algorithms = jwk.alg === undefined ? possible : possible.filter(name => name === jwk.alg)
  if (algorithms.length === 0) return 'is of a kind that is not supported'
  const members: Record<string, string> = {}
  for (const name of ['kty', 'crv', 'x', 'y', 'n', 'e']) {
    const value = jwk[name]
    if (typeof value === 'string') members[name] = value
  }
  let key: KeyObject
  try {
    key = createPublicKey({ key: members, format: 'jwk' })
  } catch {
    return 'cannot be read'
  }
  const bits = key.asymmetricKeyDetails?.modulusLength
  if (bits !== undefined && (bits < rsaBitsMin || bits > rsaBitsMax)) return `is of ${bits} bits`
  const thumbprint = createHash('sha256')
    .update(JSON.stringify([kid, algorithms, members]))
    .digest('base64url')
  return { id: kid, algorithms, key, isLive: true, thumbprint }
}

function algorithmsOf(curve: unknown): readonly string[] {
  return typeof curve === 'string' && Object.hasOwn(curveAlgorithms, curve) ? (curveAlgorithms[curve] ?? []) : []
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
