// The policy `hmac` with keys of every algorithm, a clock that stands still and the real memory of used signatures; and signed calls.

import { limitMemory, localLimits } from './limits.ts'
import { constants, createHash, createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { neverNoted, type Identity } from '../../src/core/consumers.ts'
import { Reply } from '../../src/core/reply.ts'
import { registerPublicKey, registerSecret } from '../../src/identity/signing-key.ts'
import { hmac } from '../../src/policies/hmac/hmac.ts'
import { checkHmac, type HmacOptions } from '../../src/policies/hmac/options.ts'
import { type CallOptions, fakePorts, makeCall, makeNext } from './call.ts'

export const secret = 'a secret of more than thirty-two bytes'
const pairs = {
  ed25519: generateKeyPairSync('ed25519'),
  'ecdsa-p256-sha256': generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  'ecdsa-p384-sha384': generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  'rsa-pss-sha512': generateKeyPairSync('rsa', { modulusLength: 2048 }),
  'rsa-v1_5-sha256': generateKeyPairSync('rsa', { modulusLength: 2048 }),
}
export type PublicAlgorithm = keyof typeof pairs
export const publicAlgorithms = Object.keys(pairs) as PublicAlgorithm[]
export const algorithms = [...publicAlgorithms, 'hmac-sha256'] as const
export type Algorithm = (typeof algorithms)[number]

export function pemOf(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' })
}

export function publicPem(algorithm: PublicAlgorithm): string {
  return pemOf(pairs[algorithm].publicKey)
}

/** A credential of kind `signature`, of the consumer `acme`. */
export function identityOf(lookup: string, verifier: string, more: Partial<Identity['credential']> = {}): Identity {
  const consumer = { id: 'con_1', name: 'acme', groups: [], labels: {}, plan: '', limits: {} }
  const owner = { id: `cre_${lookup}`, kind: 'signature', consumer: 'con_1', application: '' } as const
  const times = { expiresMs: null, revokedMs: null, createdMs: 0, usedMs: null }
  const credential = { ...owner, ...times, lookup, verifier, hint: '', scopes: [], labels: {}, ...more }
  return { consumer, application: null, notedS: neverNoted, credential }
}

/** By the name of the algorithm, which is the key id as well. */
export const identities: Readonly<Record<string, Identity>> = Object.fromEntries(
  algorithms.map(name => {
    const verifier = name === 'hmac-sha256' ? registerSecret(secret, 'text') : registerPublicKey(publicPem(name), name)
    return [`signature:${name}`, identityOf(name, verifier)]
  }),
)

export const defaults: HmacOptions = {
  ...{ cover: ['@method', '@authority', '@path', '@query'], maxAge: 60_000, clockSkew: 30_000, tag: null },
  ...{
    replay: 'signature',
    store: null,
    remembered: 1024,
    bodyMax: 1000,
    structured: {},
    signatures: 4,
    components: 32,
    fieldSize: 8000,
  },
  ...{ verifications: 256, acceptSignature: true, realm: 'api', scopes: [], forward: {} },
}

export interface World {
  readonly credentials?: Readonly<Record<string, Identity>>
  /** Seconds since the Unix epoch. */
  readonly now?: number
  /** Signatures that can be remembered. */
  readonly keys?: number
}

export const now = 1_800_000_000

/** The policy with these options. `wait` moves its clock on, by seconds. */
export function build(
  options: Partial<HmacOptions> = {},
  { credentials = identities, now: start = now, keys }: World = {},
) {
  let nowMs = start * 1000
  const time = { now: () => nowMs, wall: () => nowMs }
  const ports = {
    ...fakePorts({}, { credentials, limits: localLimits({ time, memory: limitMemory(keys ?? 1024) }) }),
    clock: time,
  }
  const next = makeNext(() => Reply.empty(200))
  const given = { ...defaults, ...options }
  checkHmac(given)
  const step = hmac.build(given, ports, { route: 'r', key: 'r/policies/0' })(next)
  return { step, next, ports, wait: (seconds: number) => void (nowMs += seconds * 1000) }
}

/** A signature by this key over this text. */
export function signatureOf(algorithm: Algorithm, base: string): Buffer {
  const bytes = Buffer.from(base, 'latin1')
  switch (algorithm) {
    case 'hmac-sha256':
      return createHmac('sha256', secret).update(bytes).digest()
    case 'ed25519':
      return sign(null, bytes, pairs.ed25519.privateKey)
    case 'ecdsa-p256-sha256':
    case 'ecdsa-p384-sha384':
      return sign(algorithm.slice(-6), bytes, { key: pairs[algorithm].privateKey, dsaEncoding: 'ieee-p1363' })
    case 'rsa-pss-sha512':
      return sign('sha512', bytes, {
        ...{ key: pairs[algorithm].privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 },
      })
    default:
      return sign('sha256', bytes, pairs[algorithm].privateKey)
  }
}

export interface Signing {
  readonly algorithm?: Algorithm
  /** Identifier and value, in order. */
  readonly components?: readonly (readonly [string, string])[]
  /** All behind the list of components. */
  readonly parameters?: string
  readonly label?: string
}

/** The two fields of a signature made by hand, for `POST /a?b=c` at api.acme.test unless said otherwise. */
export function signFields({
  algorithm = 'ed25519',
  components = target,
  parameters = `;created=${now};keyid="${algorithm}"`,
  label = 'sig',
}: Signing = {}): Record<string, string> {
  const list = `(${components.map(([name]) => name).join(' ')})${parameters}`
  const base = [...components.map(([name, value]) => `${name}: ${value}`), `"@signature-params": ${list}`].join('\n')
  const signature = signatureOf(algorithm, base).toString('base64')
  return { 'Signature-Input': `${label}=${list}`, Signature: `${label}=:${signature}:` }
}

export const target: readonly (readonly [string, string])[] = [
  ['"@method"', 'POST'],
  ['"@authority"', 'api.acme.test'],
  ['"@path"', '/a'],
  ['"@query"', '?b=c'],
]

export function digestOf(body: string, hash: 'sha256' | 'sha512' = 'sha256'): string {
  return `sha-${hash.slice(3)}=:${createHash(hash).update(body).digest('base64')}:`
}

/** The call that `signFields` signs, without a body. */
export function callOf(
  headers: Record<string, string> | readonly (readonly [string, string])[],
  more: CallOptions = {},
) {
  return makeCall({ method: 'POST', target: '/a?b=c', headers, ...more })
}
