// Verifies tokens once, off the event loop, and remembers what came of it.

import { createHash } from 'node:crypto'
import type { Place, PolicyPorts } from '../../core/policy.ts'
import type { Principal } from '../../core/principal.ts'
import type { KeySet, SignatureKey } from '../../identity/key-set.ts'
import { TokenCache } from '../../identity/token-cache.ts'
import { principalOf } from '../../identity/token-principal.ts'
import { createTokenVerifier, type VerifiedToken } from '../../identity/token-verifier.ts'
import type { JwtOptions } from './jwt.ts'

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
  const judge = createTokenVerifier(options, keys)
  const run = async (token: string): Promise<Verdict> => {
    try {
      const proven = await judge(token, clock.wall())
      if (typeof proven === 'string') {
        if (proven !== 'unavailable') bad.set(token, { reason: proven, untilMs: clock.wall() + refusedMs })
        return proven
      }
      const verdict = verifiedOf(proven)
      good.set(token, verdict)
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

function verifiedOf({ key, untilMs, claims }: VerifiedToken): Verified {
  const { iss, sub = '' } = claims
  return { principal: principalOf('jwt', String(iss), String(sub), claims), key, untilMs }
}
