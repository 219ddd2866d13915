// A split of calls between upstreams by weight, such as nine in ten to the old version and one to the new.

import { introduce } from '../../core/given-cookie.ts'
import { halfSipHash } from '../../core/half-sip-hash.ts'
import { OptionsError } from '../../core/policy.ts'
import { Fields, type Static, Type } from '../../core/schema.ts'
import type { Step } from '../../core/step.ts'
import { compileStickyKey, givenCookie, type Sticky } from './sticky.ts'

export const sideOption = Fields({
  to: Type.String({ description: 'Name of the upstream.', examples: ['catalog-next'] }),
  weight: Type.Integer({
    minimum: 0,
    maximum: 1_000_000,
    default: 1,
    description: 'Share of the calls, of the sum of all weights; 0 sends none.',
  }),
})

export type Side = Static<typeof sideOption>

/** Chooses a side for a key: the same key, the same side. */
type Chooser = (key: string) => Step

/** @throws OptionsError */
export function checkSplit(sides: readonly Side[]): void {
  for (const [index, { to }] of sides.entries()) {
    if (sides.findIndex(side => side.to === to) === index) continue
    const hint = 'Add the weights up in one of them.'
    throw new OptionsError(`\`split\` names the upstream \`${to}\` twice`, ['split', index, 'to'], hint)
  }
  if (sides.every(({ weight }) => weight === 0)) {
    throw new OptionsError(
      'all sides of the split have the weight 0, so no call can be sent',
      ['split'],
      'Give at least one side a `weight` of 1 or more.',
    )
  }
}

/** `stepOf` makes the step of an upstream; `random` gives numbers from 0 to 1. */
export function createSplit(
  sides: readonly Side[],
  sticky: Sticky | null,
  stepOf: (upstream: string) => Step,
  random: () => number,
): Step {
  const draw = createDraw(sides, stepOf, random)
  if (sticky === null) return call => draw()(call)
  const choose = createChooser(sides, stepOf)
  const keyOf = compileStickyKey(sticky)
  const cookie = givenCookie(sticky)
  return function split(call) {
    const key = keyOf(call)
    if (key !== undefined && key !== '') return choose(key)(call)
    return cookie === null ? draw()(call) : introduce(call, cookie, random, value => choose(value)(call))
  }
}

function createDraw(sides: readonly Side[], stepOf: (upstream: string) => Step, random: () => number): () => Step {
  const open = sides.filter(({ weight }) => weight > 0)
  const steps = open.map(({ to }) => stepOf(to))
  const total = open.reduce((sum, { weight }) => sum + weight, 0)
  return () => {
    let point = random() * total
    let at = 0
    while (at < open.length - 1 && point >= (open[at] as Side).weight) point -= (open[at++] as Side).weight
    return steps[at] as Step
  }
}

/**
 * Weighted rendezvous hashing (Mosko; Schindelhauer and Schomaker 2005): the highest `weight / -ln(u)` wins, u being the hash of
 * key and side on (0, 1). When weights change, only keys of sides whose share shrank move, and only to sides whose share grew.
 * The hash is keyed by the name of the side and nothing else: every worker, gateway and restart chooses alike.
 */
function createChooser(sides: readonly Side[], stepOf: (upstream: string) => Step): Chooser {
  const hash = new Int32Array(2)
  const open = sides.filter(({ weight }) => weight > 0)
  const steps = open.map(({ to }) => stepOf(to))
  const seeds = open.map(({ to }): readonly [number, number] => {
    halfSipHash(to, 0, 0, hash)
    return [hash[0] as number, hash[1] as number]
  })
  return key => {
    let best = 0
    let bestScore = -1
    for (let at = 0; at < steps.length; at++) {
      const [seed0, seed1] = seeds[at] as readonly [number, number]
      halfSipHash(key, seed0, seed1, hash)
      const score = (open[at] as Side).weight / -Math.log((((hash[0] as number) >>> 0) + 0.5) / 2 ** 32)
      if (score <= bestScore) continue
      best = at
      bestScore = score
    }
    return steps[best] as Step
  }
}
