// Verifies signed tokens by a key set: one way for access tokens and ID tokens, so that what fools one would have to fool both.

import { type CompactJws, readCompactJws } from './compact-jws.ts'
import type { KeySet, SignatureKey } from './key-set.ts'
import { isSignedBy } from './signature.ts'
import { type ClaimRules, judgeClaims } from './token-claims.ts'

export interface TokenRules extends ClaimRules {
  /** Names of JWS algorithms; empty: all that fit the keys. */
  readonly algorithms: readonly string[]
  /** What `typ` must be; null: anything. */
  readonly type: string | null
}

export interface VerifiedToken {
  readonly claims: Readonly<Record<string, unknown>>
  readonly algorithm: string
  /** The key that signed it. What was verified holds as long as the key lives. */
  readonly key: SignatureKey
  /** Milliseconds since the epoch. */
  readonly untilMs: number
}

/** What a token proves, or why it proves nothing, or `unavailable`: no keys are at hand. Never rejects. */
export type TokenVerifier = (token: string, nowMs: number) => Promise<VerifiedToken | string>

/** How many may wait for newer keys: unknown key ids must not hold back good tokens. */
const waitingMax = 64
/** Keys of one id, or of all where the token gives none, that are tried. */
const triesMax = 8

/** Remembers nothing, and sets no bound on how long a token is: that is for the caller, before it comes here. */
export function createTokenVerifier(rules: TokenRules, keys: KeySet): TokenVerifier {
  const { algorithms } = rules
  const type = rules.type === null ? null : typeOf(rules.type)
  const find = createKeyFinder(keys)
  return async (token, nowMs) => {
    const jws = readCompactJws(token)
    if (typeof jws === 'string') return jws
    const { algorithm, claims } = jws
    if (algorithms.length > 0 && !algorithms.includes(algorithm)) return 'the algorithm is not allowed'
    if (!/^(?:[HRPE]S(?:256|384|512)|EdDSA|Ed25519|Ed448)$/.test(algorithm)) return 'the algorithm is not known'
    if (type !== null && typeOf(jws.type ?? '') !== type) return 'the token is of another type'
    // Before the signature: it is cheap, and tokens of others cost no verification and no fetch.
    const untilMs = judgeClaims(claims, rules, nowMs)
    if (typeof untilMs === 'string') return untilMs
    const candidates = await find(jws)
    if (candidates.length === 0) return keys.isUsable() ? 'no key fits the token' : 'unavailable'
    for (const key of candidates.slice(0, triesMax)) {
      if (await isSignedBy(key.key, algorithm, jws.signed, jws.signature)) return { claims, algorithm, key, untilMs }
    }
    return 'the signature is wrong'
  }
}

/** Asks for newer keys where none fits. */
function createKeyFinder(keys: KeySet): (jws: CompactJws) => Promise<readonly SignatureKey[]> {
  let waiting = 0
  return async ({ keyId, algorithm }) => {
    const found = keys.candidates(keyId, algorithm)
    if (found.length > 0 || waiting >= waitingMax) return found
    const renewal = keys.renew()
    if (renewal === null) return found
    waiting++
    await renewal.finally(() => waiting--)
    return keys.candidates(keyId, algorithm)
  }
}

/** RFC 7515 §4.1.9: `application/` may be left out. */
function typeOf(text: string): string {
  return text.toLowerCase().replace(/^application\//, '')
}
