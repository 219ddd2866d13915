// Keys of HTTP message signatures (RFC 9421 §3.3): each is registered with its one algorithm, and is good for no other.

import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto'
import { isSignedBy } from './signature.ts'

/** Names of RFC 9421 §6.2 to those of JWS, whose paddings, digests and encodings are the same. */
const jwsNames = {
  'hmac-sha256': 'HS256',
  ed25519: 'EdDSA',
  'ecdsa-p256-sha256': 'ES256',
  'ecdsa-p384-sha384': 'ES384',
  'rsa-pss-sha512': 'PS512',
  'rsa-v1_5-sha256': 'RS256',
} as const

export type SigningAlgorithm = keyof typeof jwsNames

export const signingAlgorithms = Object.keys(jwsNames) as readonly SigningAlgorithm[]

export interface SigningKey {
  readonly algorithm: SigningAlgorithm
  readonly key: KeyObject
}

/** Fewer octets than the hash has make a weaker key (RFC 2104 §3). */
const secretBytesMin = 32
const rsaBitsMin = 2048
/** Verification with longer ones takes milliseconds. */
const rsaBitsMax = 8192

/** A key that cannot be registered. The message is a sentence, the hint says how to mend it. */
export class KeyRefused extends Error {
  readonly hint: string

  constructor(message: string, hint: string) {
    super(message)
    this.name = 'KeyRefused'
    this.hint = hint
  }
}

/**
 * The text that a store keeps of a public key: its algorithm, and the key as PEM. Without an algorithm it is the one that fits;
 * of two for RSA, `rsa-pss-sha512`. @throws KeyRefused
 */
export function registerPublicKey(pem: string, algorithm: string | null): string {
  const key = readPublicKey(pem)
  const fitting = algorithmsOf(key)
  const [first] = fitting
  if (first === undefined) {
    throw new KeyRefused(
      'the public key is of a kind that is not supported',
      `Use Ed25519, P-256, P-384, or RSA of ${rsaBitsMin} to ${rsaBitsMax} bits.`,
    )
  }
  const chosen = algorithm === null ? first : fitting.find(name => name === algorithm)
  if (chosen === undefined) {
    throw new KeyRefused(`the algorithm \`${algorithm}\` does not fit the public key`, `Write ${fitting.join(' or ')}.`)
  }
  return `${chosen} ${key.export({ type: 'spki', format: 'pem' })}`
}

/** The same of a shared secret, always for `hmac-sha256`. @throws KeyRefused */
export function registerSecret(text: string, encoding: 'text' | 'base64' | 'base64url'): string {
  const secret = Buffer.from(text, encoding === 'text' ? 'utf8' : encoding)
  if (encoding !== 'text' && secret.toString(encoding).replace(/=+$/, '') !== text.trim().replace(/=+$/, '')) {
    throw new KeyRefused(`the secret is no ${encoding}`, 'Set `secretEncoding` to how it is written.')
  }
  if (secret.length < secretBytesMin) {
    throw new KeyRefused(`the secret has fewer than ${secretBytesMin} bytes`, 'Make one by `openssl rand -base64 48`.')
  }
  return `hmac-sha256 ${secret.toString('base64')}`
}

/** What was registered, ready for use. Null for a text that says nothing of the kind. */
export function readSigningKey(verifier: string): SigningKey | null {
  const space = verifier.indexOf(' ')
  const algorithm = signingAlgorithms.find(name => name === verifier.slice(0, space))
  if (algorithm === undefined) return null
  const text = verifier.slice(space + 1)
  if (algorithm === 'hmac-sha256') return { algorithm, key: createSecretKey(Buffer.from(text, 'base64')) }
  try {
    const key = createPublicKey(text)
    return algorithmsOf(key).includes(algorithm) ? { algorithm, key } : null
  } catch {
    return null
  }
}

export function algorithmOf(verifier: string): string {
  return verifier.slice(0, verifier.indexOf(' '))
}

/** Off the event loop but for HMAC, which compares in constant time. Never rejects. */
export function isSigned({ algorithm, key }: SigningKey, signed: Buffer, signature: Buffer): Promise<boolean> {
  return isSignedBy(key, jwsNames[algorithm], signed, signature)
}

function readPublicKey(pem: string): KeyObject {
  const hint = 'Give a PEM text that begins with `-----BEGIN PUBLIC KEY-----`.'
  // Node makes a public key of a private one, too; that one must not be sent around.
  if (/PRIVATE KEY-----/.test(pem))
    throw new KeyRefused('a private key was given', `${hint} Keep the private key secret.`)
  try {
    return createPublicKey(pem)
  } catch {
    throw new KeyRefused('the text holds no public key', hint)
  }
}

/** The algorithms that a public key may be registered for, the better first. */
function algorithmsOf(key: KeyObject): readonly SigningAlgorithm[] {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
  const isRsaSound = modulusLength >= rsaBitsMin && modulusLength <= rsaBitsMax
  switch (key.asymmetricKeyType) {
    case 'ed25519':
      return ['ed25519']
    case 'ec':
      return namedCurve === 'prime256v1'
        ? ['ecdsa-p256-sha256']
        : namedCurve === 'secp384r1'
          ? ['ecdsa-p384-sha384']
          : []
    case 'rsa':
      return isRsaSound ? ['rsa-pss-sha512', 'rsa-v1_5-sha256'] : []
    case 'rsa-pss':
      return isRsaSound ? ['rsa-pss-sha512'] : []
    default:
      return []
  }
}
