// Judges a call by its signatures: what depends on no key first, then the signature, then the body, then whether it is new.

import { Body } from '../../core/body.ts'
import type { Call } from '../../core/call.ts'
import type { Identity } from '../../core/consumers.ts'
import { Failure } from '../../core/failure.ts'
import { holdBody } from '../../core/held-body.ts'
import type { Place, PolicyPorts } from '../../core/policy.ts'
import { isSigned } from '../../identity/signing-key.ts'
import { compileComponent, type Component } from './components.ts'
import { type Digests, isDigestOf, readContentDigest } from './content-digest.ts'
import { lackOf } from './coverage.ts'
import { createKeyFinder } from './keys.ts'
import { compileCover, type HmacOptions, rulesOf } from './options.ts'
import { createReplay } from './replay.ts'
import { readSigned, type Signed, signatureBase } from './signed.ts'

/** Why a call does not pass: its signature is not right, or cannot be judged now. */
export interface Denial {
  readonly reason: string
  readonly isUnavailable: boolean
}

/** Whose call it is, or why it does not pass. @throws Failure for a body that is too large or breaks off */
export type Verify = (call: Call) => Promise<Identity | Denial>

export function createVerifier(given: HmacOptions, ports: PolicyPorts, { route }: Place): Verify {
  const { clock, meter } = ports
  const rules = rulesOf(given)
  const digestCover = [contentDigest]
  const prove = createProver(given, ports)
  const windowMs = given.maxAge + 2 * given.clockSkew
  const isNew =
    given.replay === 'none'
      ? null
      : createReplay({ windowMs, store: given.store, remembered: given.remembered, name: route || 'hmac' }, ports)
  const hitsOf = (ceiling: string) => meter.counter('turnpike_ceiling_hits', { ceiling, name: route })
  const full = hitsOf('signature-parts')
  const busy = hitsOf('signature-checks')
  let running = 0

  return async call => {
    const all = readSigned(call, given.tag, rules)
    if ('reason' in all) {
      if (all.kind === 'many') full.add(1)
      return refused(all.reason)
    }
    if (running >= given.verifications) {
      busy.add(1)
      return unknown('too many signatures are being verified')
    }
    running++
    const proof = await prove(call, all).finally(() => running--)
    if (typeof proof === 'string') return refused(proof)
    const { signed, base, identity } = proof
    if (lackOf(signed.components, digestCover) === null) {
      const flaw = await bodyFlaw(call, readContentDigest(call.headers), given.bodyMax)
      if (flaw !== null) return refused(flaw)
      // A body may come so slowly that the signature is too old when it is there, and its use forgotten.
      const late = ageFlaw(signed, clock.wall(), given)
      if (late !== null) return refused(late)
    }
    const novelty = isNew === null ? 'new' : await isNew(call, signed, base, identity)
    if (novelty === 'new') return identity
    if (novelty === 'used') return refused('the signature was used before')
    return unknown('it cannot be told whether the signature was used before')
  }
}

const refused = (reason: string): Denial => ({ reason, isUnavailable: false })
const unknown = (reason: string): Denial => ({ reason, isUnavailable: true })

/** A signature that is right, of a call whose body was not read yet. */
interface Proof {
  readonly signed: Signed
  readonly base: Buffer
  readonly identity: Identity
}

/** The first signature that is right, or why none is. */
function createProver(
  given: HmacOptions,
  { clock, identities }: PolicyPorts,
): (call: Call, all: readonly Signed[]) => Promise<Proof | string> {
  const cover = compileCover(given)
  const coverWithBody = [...cover, contentDigest]
  const findKey = createKeyFinder(identities)

  /** Nothing here asks for a key, so that the answer tells nothing of keys. */
  const flawOf = (signed: Signed, call: Call): string | null => {
    const flaw = ageFlaw(signed, clock.wall(), given)
    if (flaw !== null) return flaw
    if (given.replay === 'nonce' && signed.nonce === '') return 'the signature has no nonce'
    const lack = lackOf(signed.components, call.body.isEmpty ? cover : coverWithBody)
    return lack === null ? null : `the signature does not cover ${lack}`
  }

  return async (call, all) => {
    let reason = ''
    for (const signed of all) {
      const flaw = flawOf(signed, call)
      const base = flaw === null ? signatureBase(call, signed) : null
      if (base === null) {
        reason ||= flaw ?? 'a component that the signature covers is missing or no plain text'
        continue
      }
      const { identity, key } = await findKey(signed)
      const isRight = await isSigned(key, base, signed.signature)
      if (isRight && identity !== null) return { signed, base, identity }
      reason ||=
        identity === null ? 'the key is unknown, revoked, expired or for another algorithm' : 'the signature is wrong'
    }
    return reason
  }
}

const contentDigest: Component = requireDigest()

function requireDigest(): Component {
  const bare = { type: 'string', value: 'content-digest' } as const
  const component = compileComponent({ bare, parameters: new Map() }, { types: {}, parsedMax: 0 })
  if (typeof component === 'string') throw new Error(component)
  return component
}

/** RFC 9421 §3.2: times are judged with room for clocks that differ. */
function ageFlaw({ created, expires }: Signed, nowMs: number, { maxAge, clockSkew }: HmacOptions): string | null {
  if (created * 1000 > nowMs + clockSkew) return 'the signature is of the future'
  if (created * 1000 < nowMs - maxAge - clockSkew) return 'the signature is too old'
  return expires * 1000 < nowMs - clockSkew ? 'the signature has expired' : null
}

/** Reads the body and holds it against its digests. What goes on is what was read, without trailers: no digest covers those. */
async function bodyFlaw(call: Call, digests: Digests | null, bodyMax: number): Promise<string | null> {
  if (digests === null) return 'the body has no digest that can be checked'
  const { bytes, body } = await holdBody(call.body, bodyMax)
  call.body = bytes === null ? body : Body.of(bytes)
  if (bytes === null) throw new Failure('body-too-large')
  return isDigestOf(digests, bytes) ? null : 'the body is another than its digest says'
}
