// The keys of signatures: whose key an id names, and keys that fit nothing, so that an unknown id costs what a known one does.

import { createPublicKey, createSecretKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import type { Identities, Identity } from '../../core/consumers.ts'
import {
  readSigningKey,
  signingAlgorithms,
  type SigningAlgorithm,
  type SigningKey,
} from '../../identity/signing-key.ts'
import type { Signed } from './signed.ts'

/** What a signature is checked with. `identity` is null where no signature can be right. */
export interface KeyOfSignature {
  readonly identity: Identity | null
  readonly key: SigningKey
}

export type FindKey = (signed: Signed) => KeyOfSignature | Promise<KeyOfSignature>

/** Keys are imported once for as long as the directory keeps their identity. */
export function createKeyFinder(identities: Identities): FindKey {
  const imported = new WeakMap<Identity, SigningKey | null>()
  const decoys = new Map<SigningAlgorithm, KeyObject>()
  const decoyOf = ({ algorithm, signature }: Signed): SigningKey => {
    const likely = signingAlgorithms.find(name => name === algorithm) ?? algorithmOfLength(signature.length)
    const key = decoys.get(likely) ?? makeDecoy(likely)
    decoys.set(likely, key)
    return { algorithm: likely, key }
  }
  const importKey = (identity: Identity): SigningKey | null => {
    const known = imported.get(identity)
    if (known !== undefined) return known
    const key = readSigningKey(identity.credential.verifier)
    imported.set(identity, key)
    return key
  }
  const choose = (signed: Signed, identity: Identity | null): KeyOfSignature => {
    const key = identity === null ? null : importKey(identity)
    // RFC 9421 §3.2: the algorithm is that of the key, and the parameter must not say another.
    const isFit = key !== null && (signed.algorithm === '' || signed.algorithm === key.algorithm)
    return isFit ? { identity, key } : { identity: null, key: decoyOf(signed) }
  }
  return signed => {
    const found = identities.find('signature', signed.keyId)
    return found instanceof Promise ? found.then(identity => choose(signed, identity)) : choose(signed, found)
  }
}

function algorithmOfLength(bytes: number): SigningAlgorithm {
  if (bytes <= 32) return 'hmac-sha256'
  if (bytes <= 64) return 'ed25519'
  return bytes <= 96 ? 'ecdsa-p384-sha384' : 'rsa-pss-sha512'
}

function makeDecoy(algorithm: SigningAlgorithm): KeyObject {
  switch (algorithm) {
    case 'hmac-sha256':
      return createSecretKey(randomBytes(32))
    case 'ed25519':
      return generateKeyPairSync('ed25519').publicKey
    case 'ecdsa-p256-sha256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey
    case 'ecdsa-p384-sha384':
      return generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey
    default: {
      // Nobody knows the factors of a random number, and to make a real key would take long.
      const modulus = randomBytes(256)
      modulus[0] = (modulus[0] ?? 0) | 0x80
      modulus[255] = (modulus[255] ?? 0) | 1
      return createPublicKey({ key: { kty: 'RSA', n: modulus.toString('base64url'), e: 'AQAB' }, format: 'jwk' })
    }
  }
}
