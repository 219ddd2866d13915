// Each signature once: what was used is remembered until it is too old to be used anyway, for all workers together.

import { createHash } from 'node:crypto'
import type { Call } from '../../core/call.ts'
import type { Identity, Soon } from '../../core/consumers.ts'
import { defineFact } from '../../core/facts.ts'
import type { LimitOutcome, LimitRule } from '../../core/limits.ts'
import type { PolicyPorts } from '../../core/policy.ts'
import type { Signed } from './signed.ts'

/** `unavailable`: it cannot be told, because the memory is full or the store does not answer. */
export type Novelty = 'new' | 'used' | 'unavailable'

export interface ReplayOptions {
  /** How long a signature may be used from first to last, milliseconds. */
  readonly windowMs: number
  readonly store: string | null
  /** How many uses are remembered at once in the memory of this gateway. */
  readonly remembered: number
  /** For metrics. */
  readonly name: string
}

export type Replay = (call: Call, signed: Signed, base: Buffer, identity: Identity) => Soon<Novelty>

/** For the time that a store takes to answer, and for clocks that are set right meanwhile. */
const marginMs = 10_000

/** What this call has used: a second policy that sees the same call takes it for no other. */
const used = defineFact<Set<string>>('hmac signatures')

/**
 * A use is a limit of one per window: whoever takes it first, in any worker or gateway, has it. All policies of the same times
 * share the memory, so that a signature that holds on two routes is used up by one.
 */
export function createReplay({ windowMs, store, remembered, name }: ReplayOptions, ports: PolicyPorts): Replay {
  const lengthMs = windowMs + marginMs
  const rules: readonly LimitRule[] = [{ algorithm: 'gcra', limit: 1, windowMs: lengthMs, burst: 1, startMs: 0 }]
  const limits = ports.limits({
    ...{ scope: `hmac ${lengthMs}`, store, mode: 'exact', onFailure: 'closed', isDurable: false },
    ...{ callers: remembered, name },
  })
  return (call, signed, base, identity) => {
    const key = keyOf(signed, base, identity)
    const before = call.facts.get(used)
    if (before?.has(key) === true) return 'new'
    const settle = ({ isAllowed, fallback }: LimitOutcome): Novelty => {
      if (fallback !== null) return 'unavailable'
      if (!isAllowed) return 'used'
      call.facts.set(used, new Set(before).add(key))
      return 'new'
    }
    const outcome = limits.take(key, rules, 1)
    return outcome instanceof Promise ? outcome.then(settle) : settle(outcome)
  }
}

/**
 * By the nonce where there is one, else by what was signed. Not by the signature: of an ECDSA signature anybody can make another
 * one that is right as well.
 */
function keyOf({ nonce }: Signed, base: Buffer, { credential }: Identity): string {
  const hash = createHash('sha256').update(JSON.stringify([credential.id, nonce]))
  return (nonce === '' ? hash.update(base) : hash).digest('base64url')
}
