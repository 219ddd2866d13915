// Tokens of every make, and the policy `jwt` that judges them, with keys in a file and a clock that stands still.

import { generateKeyPairSync, sign } from 'node:crypto'
import { Reply } from '../../src/core/reply.ts'
import { jwt, type JwtOptions } from '../../src/policies/jwt/jwt.ts'
import { type FakeWorld, fakePorts, makeCall, makeNext } from './call.ts'
import { stacked } from './stacked.ts'

export const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
export const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
export const publicJwk = { ...pair.publicKey.export({ format: 'jwk' }), kid: 'ec' }
export const rsaJwk = { ...rsa.publicKey.export({ format: 'jwk' }), kid: 'rsa' }
export const keyFile = JSON.stringify({ keys: [publicJwk, rsaJwk] })
const place = { route: 'r', key: 'r/policies/0' }
export const seconds = Math.floor((Date.UTC(2026, 0, 1) + 1000) / 1000)
export const claims = { iss: 'https://id.acme.test', aud: 'api', sub: 'alice', exp: seconds + 600, scope: 'read write' }

const source = { url: null, file: 'keys.json', secret: null, secretEncoding: 'text' as const }
const times = { refresh: 600_000, cooldown: 30_000, staleFor: 86_400_000, timeout: 5_000 }
export const defaults: JwtOptions = {
  from: { header: 'authorization', cookie: null },
  ...{
    realm: 'api',
    keep: true,
    tokenSize: 8000,
    keys: { ...source, ...times },
    issuer: [claims.iss],
    audience: ['api'],
  },
  ...{ algorithms: [], type: null, clockSkew: 30_000, maxAge: null, claims: {}, scopes: [], consumer: null },
  ...{ cacheSize: 100, forward: {} },
}

/** The policy with these options. */
export function build(options: Partial<JwtOptions> = {}, world: FakeWorld = {}) {
  const ports = fakePorts({}, { files: { 'keys.json': keyFile }, ...world })
  const next = makeNext(() => Reply.empty(200))
  const step = stacked(jwt, { ...defaults, ...options }, ports, place, next)
  const ask = (token: string, more: Record<string, string> = {}) =>
    step(makeCall({ headers: { authorization: `Bearer ${token}`, ...more } }))
  return { ask, step, next, ports }
}

export const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** A token with anything in it, rightly signed by the EC key. */
export function signed(header: unknown, payload: unknown): string {
  const text = `${encode(header)}.${encode(payload)}`
  const signature = sign('sha256', Buffer.from(text), { key: pair.privateKey, dsaEncoding: 'ieee-p1363' })
  return `${text}.${signature.toString('base64url')}`
}

export const head = { alg: 'ES256', kid: 'ec' }
export const good = signed(head, claims)
