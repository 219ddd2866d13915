// The policies of a route, one inside the other around its end: narrowed by `when`, with the fields they own guarded.

import type { Call } from '../core/call.ts'
import { compileDrop, plainName } from '../core/drop-fields.ts'
import type { Layer, Step } from '../core/step.ts'

export interface StackedPolicy {
  readonly layer: Layer
  /** Names of fields that only this policy may write; see `PolicyDefinition.owns`. */
  readonly owns: readonly string[]
  /** Whether it takes them off itself where it sees a call. */
  readonly clearsOwned: boolean
  /** Which calls it sees; null for all. */
  readonly fits: ((call: Call) => boolean) | null
}

/**
 * Outermost first.
 *
 * Fields that policies own are taken off a call where the outermost owner of the name stands, whether or not that one sees the
 * call. Not further out: a policy before it may read a field of the client that this one replaces, such as `Authorization`. And
 * not again further in: of two policies that write one field, each for calls of its own, neither takes off what the other wrote.
 */
export function stackPolicies(policies: readonly StackedPolicy[], end: Step): Step {
  const guarded = new Set<string>()
  const layers = policies.map(({ layer, owns, clearsOwned, fits }) => {
    const names = owns.map(name => plainName(name.toLowerCase())).filter(name => !guarded.has(name))
    for (const name of names) guarded.add(name)
    const drop = names.length === 0 ? null : compileDrop(names)
    return place(layer, fits, drop, clearsOwned ? null : drop)
  })
  return layers.reduceRight((step, layer) => layer(step), end)
}

type Drop = ((call: Call) => void) | null

/** What is not there costs nothing. The match of a `when` sees the call as it came. */
function place(layer: Layer, fits: StackedPolicy['fits'], dropUnseen: Drop, dropSeen: Drop): Layer {
  if (fits === null && dropSeen === null) return layer
  return next => {
    const within = guard(layer(next), dropSeen)
    if (fits === null) return within
    const beside = guard(next, dropUnseen)
    return call => (fits(call) ? within(call) : beside(call))
  }
}

function guard(step: Step, drop: Drop): Step {
  if (drop === null) return step
  return call => {
    drop(call)
    return step(call)
  }
}
