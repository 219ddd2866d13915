// How the endpoint for a call is chosen among those of an upstream.

import type { Call } from '../core/call.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import type { Endpoint } from './endpoint.ts'
import { hashString, mixHashes } from './hash.ts'

export type BalanceKind = UpstreamBlueprint['balance']

export interface Balancer {
  /**
   * The endpoint for this call, or null when none has a weight. Those in `tried` come only when there is no other. Tables
   * are made anew when `endpoints` is another array than before: who changes a weight publishes a new array.
   */
  pick(call: Call, endpoints: readonly Endpoint[], tried: readonly Endpoint[]): Endpoint | null
}

export interface BalancerOptions {
  /** A number from 0 to 1, as Math.random. */
  readonly random: () => number
  /** What `hash` hashes. A call for which this is empty goes to the less busy of two, as `least-request` does. */
  readonly hashOf: (call: Call) => string
  /** With `hash`: the most calls under way that an endpoint has, in its share of all of them; null for no bound. */
  readonly boundedLoad: number | null
}

/** Chooses from one fixed, never empty list of endpoints with weights above 0. */
type Chooser = (call: Call) => Endpoint

export function createBalancer(kind: BalanceKind, options: BalancerOptions): Balancer {
  const build = choosers[kind]
  let list: readonly Endpoint[] | null = null
  let candidates: readonly Endpoint[] = []
  let choose: Chooser | null = null

  function prepare(endpoints: readonly Endpoint[]): void {
    list = endpoints
    candidates = endpoints.filter(endpoint => endpoint.weight > 0)
    const first = candidates[0]
    if (first === undefined) choose = null
    else choose = candidates.length === 1 ? () => first : build(candidates, options)
  }

  return {
    pick(call, endpoints, tried) {
      if (endpoints !== list) prepare(endpoints)
      if (choose === null) return null
      if (tried.length === 0 || candidates.length === 1) return choose(call)
      // A further try is rare enough to pay for tables of its own.
      const others = candidates.filter(endpoint => !tried.includes(endpoint))
      return others.length === 0 ? choose(call) : build(others, options)(call)
    },
  }
}

const choosers: Record<BalanceKind, (endpoints: readonly Endpoint[], options: BalancerOptions) => Chooser> = {
  'round-robin': roundRobin,
  'least-request': leastRequest,
  random: drawByWeight,
  hash: rendezvous,
}

/**
 * Smooth weighted round-robin as nginx does it: each endpoint gains its weight per pick, the richest is taken and pays the
 * sum. A random credit at the start keeps the workers from marching in step.
 */
function roundRobin(endpoints: readonly Endpoint[], { random }: BalancerOptions): Chooser {
  const count = endpoints.length
  if (haveEqualWeights(endpoints)) {
    let next = Math.floor(random() * count)
    return () => {
      const endpoint = endpoints[next % count] as Endpoint
      next = (next + 1) % count
      return endpoint
    }
  }
  const weights = Float64Array.from(endpoints, endpoint => endpoint.weight)
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const credits = weights.map(() => random() * total)
  return () => {
    let best = 0
    for (let i = 0; i < count; i++) {
      credits[i] = (credits[i] as number) + (weights[i] as number)
      if ((credits[i] as number) > (credits[best] as number)) best = i
    }
    credits[best] = (credits[best] as number) - total
    return endpoints[best] as Endpoint
  }
}

/**
 * The power of two choices: of two different endpoints drawn by weight, the one with fewer calls per weight. The lighter one takes a
 * call from the other only where it is the less busy one with that call, too: otherwise it would get one whenever it has none, and of
 * two endpoints with few calls half of them, whatever the weights.
 */
function leastRequest(endpoints: readonly Endpoint[], { random }: BalancerOptions): Chooser {
  const wheel = createWheel(endpoints)
  return () => {
    const first = wheel.at(random() * wheel.total)
    const one = endpoints[first] as Endpoint
    // The second is drawn from the wheel with the first one's sector cut out.
    const point = random() * (wheel.total - one.weight)
    const other = endpoints[wheel.at(point < wheel.startOf(first) ? point : point + one.weight)] as Endpoint
    const more = other.weight < one.weight ? 1 : 0
    return (other.active + more) * one.weight < (one.active + more) * other.weight ? other : one
  }
}

function drawByWeight(endpoints: readonly Endpoint[], { random }: BalancerOptions): Chooser {
  const wheel = createWheel(endpoints)
  return () => endpoints[wheel.at(random() * wheel.total)] as Endpoint
}

/**
 * Weighted rendezvous hashing (Mosko; Schindelhauer and Schomaker 2005): the highest `weight / -ln(u)` wins, u being the hash
 * of key and endpoint on (0, 1). Exact for any weights; a coming or going endpoint moves its own share of the keys only.
 */
function rendezvous(endpoints: readonly Endpoint[], options: BalancerOptions): Chooser {
  const { hashOf, boundedLoad } = options
  const chooseUnhashed = leastRequest(endpoints, options)
  const loadAllowed = boundedLoad === null ? null : createLoadBound(endpoints, boundedLoad)
  const seeds = Uint32Array.from(endpoints, endpoint => hashString(endpoint.id))
  const weights = Float64Array.from(endpoints, endpoint => endpoint.weight)
  // With equal weights the highest u wins too, and the logarithms can be spared.
  const areEqual = haveEqualWeights(endpoints)
  return call => {
    const text = hashOf(call)
    if (text === '') return chooseUnhashed(call)
    const key = hashString(text)
    const allowed = loadAllowed === null ? 0 : loadAllowed()
    let best = 0
    let bestScore = -1
    for (let i = 0; i < seeds.length; i++) {
      if (loadAllowed !== null && (endpoints[i] as Endpoint).active >= allowed * (weights[i] as number)) continue
      const hash = mixHashes(key, seeds[i] as number)
      const score = areEqual ? hash : (weights[i] as number) / -Math.log((hash + 0.5) / 2 ** 32)
      if (score <= bestScore) continue
      best = i
      bestScore = score
    }
    return endpoints[best] as Endpoint
  }
}

/**
 * Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam 2016): the calls under way, with the one at hand, that
 * an endpoint may have per weight. A key whose endpoint has so many goes to the next one by its hash. There is always one with
 * room, as the bounds together are more than the calls.
 */
function createLoadBound(endpoints: readonly Endpoint[], factor: number): () => number {
  const perCall = factor / endpoints.reduce((sum, endpoint) => sum + endpoint.weight, 0)
  return () => {
    let calls = 1
    for (const endpoint of endpoints) calls += endpoint.active
    return calls * perCall
  }
}

/** A wheel of fortune: each endpoint has a sector as wide as its weight. */
interface Wheel {
  readonly total: number
  /** Index of the endpoint at a point from 0 to `total`. */
  at(point: number): number
  startOf(index: number): number
}

function createWheel(endpoints: readonly Endpoint[]): Wheel {
  const last = endpoints.length - 1
  const ends = new Float64Array(endpoints.length)
  let total = 0
  for (const [i, endpoint] of endpoints.entries()) {
    total += endpoint.weight
    ends[i] = total
  }
  return {
    total,
    at(point) {
      let low = 0
      let high = last
      while (low < high) {
        const middle = (low + high) >>> 1
        if (point < (ends[middle] as number)) high = middle
        else low = middle + 1
      }
      return low
    },
    startOf: index => (index === 0 ? 0 : (ends[index - 1] as number)),
  }
}

function haveEqualWeights(endpoints: readonly Endpoint[]): boolean {
  return endpoints.every(endpoint => endpoint.weight === endpoints[0]?.weight)
}
