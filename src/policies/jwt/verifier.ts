// Verifies tokens once, off the event loop, and remembers what came of it.

import { createHash } from 'node:crypto'
import type { Place, PolicyPorts } from '../../core/policy.ts'
import type { Principal } from '../../core/principal.ts'
import type { KeySet, SignatureKey } from '../../identity/key-set.ts'
import { TokenCache } from '../../identity/token-cache.ts'
import { principalOf } from '../../identity/token-principal.ts'
import { judgeClaims } from './claims.ts'
import { type CompactJws, readCompactJws } from './compact-jws.ts'
import type { JwtOptions } from './jwt.ts'
import { isSignedBy } from '../../identity/signature.ts'

export interface Verified {
  readonly principal: Principal
  readonly key: SignatureKey
  /** Milliseconds since the epoch. */
  readonly untilMs: number
}

/** Why it is refused, or `unavailable`: no keys are at hand, or too much is being verified. */
export type Verdict = Verified | string

interface Refused {
  readonly reason: string
  readonly untilMs: number
}

/** Verifications at once, per policy and worker. */
const pendingMax = 512
/** Of these, how many may wait for newer keys: unknown key ids must not hold back good tokens. */
const waitingMax = 64
/** Keys of one id, or of all where the token gives none, that are tried. */
const triesMax = 8
const refusedMs = 5_000
/** 256 bits of any signature, which as good as determine it. */
const signatureCharacters = 43

export interface Verifier {
  /** What is remembered of a token; null for nothing. */
  known(token: string): Verdict | null
  /** Never rejects. Calls of the same token at once share one verification. */
  verify(token: string): Promise<Verdict>
}

export function createVerifier(options: JwtOptions, keys: KeySet, ports: PolicyPorts, place: Place): Verifier {
  const { clock, meter } = ports
  const hitsOf = (ceiling: string) => meter.counter('turnpike_ceiling_hits', { ceiling, name: place.route })
  const full = hitsOf('jwt-tokens')
  const busy = hitsOf('jwt-verifications')
  const file = options.keys.file === null ? '' : ports.file(options.keys.file)
  const id = createHash('sha256')
    .update(JSON.stringify([options, file]))
    .digest('hex')
  const cacheOf = <T>(onFull: () => void) =>
    new TokenCache<T>({ entriesMax: options.cacheSize, hashedCharacters: signatureCharacters, onFull })
  const good = ports.keep(`jwt-good ${id}`, () => cacheOf<Verified>(() => full.add(1)))
  const bad = ports.keep(`jwt-bad ${id}`, () => cacheOf<Refused>(() => {}))
  const pending = new Map<string, Promise<Verdict>>()
  const judge = createJudge(options, keys)
  const run = async (token: string): Promise<Verdict> => {
    try {
      const verdict = await judge(token, clock.wall())
      if (typeof verdict !== 'string') good.set(token, verdict)
      else if (verdict !== 'unavailable') bad.set(token, { reason: verdict, untilMs: clock.wall() + refusedMs })
      return verdict
    } finally {
      pending.delete(token)
    }
  }
  return {
    known(token) {
      const nowMs = clock.wall()
      const verified = good.get(token)
      if (verified?.key.isLive === true) return nowMs < verified.untilMs ? verified : 'expired'
      const refused = bad.get(token)
      return refused !== undefined && nowMs < refused.untilMs ? refused.reason : null
    },
    verify(token) {
      const shared = pending.get(token)
      if (shared !== undefined) return shared
      if (pending.size >= pendingMax) {
        busy.add(1)
        return Promise.resolve('unavailable')
      }
      const promise = run(token)
      pending.set(token, promise)
      return promise
    },
  }
}

function createJudge(options: JwtOptions, keys: KeySet): (token: string, nowMs: number) => Promise<Verdict> {
  const names: readonly string[] = options.algorithms
  const type = options.type === null ? null : typeOf(options.type)
  let waiting = 0
  const find = async ({ keyId, algorithm }: CompactJws): Promise<readonly SignatureKey[]> => {
    const found = keys.candidates(keyId, algorithm)
    if (found.length > 0 || waiting >= waitingMax) return found
    const renewal = keys.renew()
    if (renewal === null) return found
    waiting++
    await renewal.finally(() => waiting--)
    return keys.candidates(keyId, algorithm)
  }
  return async (token, nowMs) => {
    const jws = readCompactJws(token)
    if (typeof jws === 'string') return jws
    if (names.length > 0 && !names.includes(jws.algorithm)) return 'the algorithm is not allowed'
    if (!/^(?:[HRPE]S(?:256|384|512)|EdDSA|Ed25519|Ed448)$/.test(jws.algorithm)) return 'the algorithm is not known'
    if (type !== null && typeOf(jws.type ?? '') !== type) return 'the token is of another type'
    // Before the signature: it is cheap, and tokens of others cost no verification and no fetch.
    const untilMs = judgeClaims(jws.claims, options, nowMs)
    if (typeof untilMs === 'string') return untilMs
    const candidates = await find(jws)
    if (candidates.length === 0) return keys.isUsable() ? 'no key fits the token' : 'unavailable'
    for (const key of candidates.slice(0, triesMax)) {
      if (!(await isSignedBy(key.key, jws.algorithm, jws.signed, jws.signature))) continue
      const { iss, sub = '' } = jws.claims
      return { principal: principalOf('jwt', String(iss), String(sub), jws.claims), key, untilMs }
    }
    return 'the signature is wrong'
  }
}

/** RFC 7515 §4.1.9: `application/` may be left out. */
function typeOf(text: string): string {
  return text.toLowerCase().replace(/^application\//, '')
}
