import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { type BalanceKind, createBalancer } from './balance.ts'
import type { Endpoint } from './endpoint.ts'
import { createCall, FakeEndpoint } from './fakes.ts'

const kinds: readonly BalanceKind[] = ['round-robin', 'least-request', 'random', 'hash']
const call = createCall()
const bySomebody = { random: () => 0, hashOf: () => 'somebody', boundedLoad: null }

/** A small generator with a seed (mulberry32), so that a run can be repeated. */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function createEndpoints(weights: readonly number[]): FakeEndpoint[] {
  return weights.map((weight, i) => new FakeEndpoint(`http://10.0.0.${i}:9001 10.0.0.${i}`, weight))
}

/** A balancer whose `hash` gets another key with every pick. */
function createTested(kind: BalanceKind, seed = 1) {
  let key = 0
  return createBalancer(kind, { random: createRandom(seed), hashOf: () => `client-${key++}`, boundedLoad: null })
}

function countPicks(kind: BalanceKind, endpoints: readonly Endpoint[], picks: number, seed = 1): number[] {
  const balancer = createTested(kind, seed)
  const counts = endpoints.map(() => 0)
  for (let i = 0; i < picks; i++) {
    const picked = balancer.pick(call, endpoints, [])
    const index = picked === null ? -1 : endpoints.indexOf(picked)
    counts[index] = (counts[index] ?? 0) + 1
  }
  return counts
}

const anyWeights = fc.array(fc.oneof(fc.integer({ min: 0, max: 10 }), fc.double({ min: 0.1, max: 10, noNaN: true })), {
  minLength: 1,
  maxLength: 8,
})

for (const kind of kinds) {
  test(`${kind}: calls are shared by weight`, () => {
    const property = fc.property(anyWeights, fc.integer(), (weights, seed) => {
      const total = weights.reduce((sum, weight) => sum + weight, 0)
      fc.pre(total > 0)
      const picks = 6000
      const counts = countPicks(kind, createEndpoints(weights), picks, seed)
      for (const [i, weight] of weights.entries()) {
        const share = weight / total
        // Six standard deviations of chance, or a full turn where nothing is left to chance.
        const slack = kind === 'round-robin' ? 2 : 6 * Math.sqrt(picks * share * (1 - share)) + 1
        assert.ok(Math.abs((counts[i] ?? 0) - picks * share) <= slack, `${counts.join()} for ${weights.join()}`)
      }
    })
    fc.assert(property, { numRuns: 60 })
  })

  test(`${kind}: weight 0 gets nothing, also when everything else was tried`, () => {
    const endpoints = createEndpoints([1, 0])
    const [usable] = endpoints
    const balancer = createTested(kind)
    for (let i = 0; i < 100; i++) assert.equal(balancer.pick(call, endpoints, usable ? [usable] : []), usable)
    assert.equal(balancer.pick(call, createEndpoints([0, 0]), []), null)
    assert.equal(balancer.pick(call, [], []), null)
  })

  test(`${kind}: skips the tried ones while there are others`, () => {
    const endpoints = createEndpoints([1, 2, 3, 4])
    const balancer = createTested(kind)
    for (let i = 0; i < 50; i++) {
      const tried: Endpoint[] = []
      for (let n = 0; n < 4; n++) {
        const picked = balancer.pick(call, endpoints, tried)
        assert.ok(picked !== null && !tried.includes(picked))
        tried.push(picked)
      }
      assert.notEqual(balancer.pick(call, endpoints, tried), null)
    }
  })

  test(`${kind}: follows a new list`, () => {
    const [one, two, three] = createEndpoints([1, 1, 1]) as [FakeEndpoint, FakeEndpoint, FakeEndpoint]
    const balancer = createTested(kind)
    const before = new Set(Array.from({ length: 100 }, () => balancer.pick(call, [one, two], [])))
    assert.deepEqual(before, new Set([one, two]))
    const later = [two, three]
    const after = new Set(Array.from({ length: 100 }, () => balancer.pick(call, later, [])))
    assert.deepEqual(after, new Set([two, three]))
  })
}

test('round-robin: takes turns, and spreads a heavy endpoint', () => {
  const equal = createEndpoints([1, 1, 1])
  const balancer = createTested('round-robin')
  const turns = Array.from({ length: 6 }, () => balancer.pick(call, equal, []))
  assert.equal(new Set(turns.slice(0, 3)).size, 3)
  assert.deepEqual(turns.slice(0, 3), turns.slice(3))
  const [light, heavy] = createEndpoints([1, 4]) as [FakeEndpoint, FakeEndpoint]
  const list = [light, heavy]
  const picks = Array.from({ length: 500 }, () => balancer.pick(call, list, []))
  const gaps = picks
    .flatMap((picked, i) => (picked === light ? [i] : []))
    .map((at, i, all) => at - (all[i - 1] ?? at - 5))
  assert.deepEqual(new Set(gaps.slice(1)), new Set([5]))
})

test('round-robin: workers start at different places', () => {
  const endpoints = createEndpoints([1, 1, 1, 1, 1, 1, 1, 1])
  const starts = Array.from({ length: 20 }, (_, seed) => createTested('round-robin', seed).pick(call, endpoints, []))
  assert.ok(new Set(starts).size > 3)
})

test('least-request: two different endpoints are compared, by calls per weight', () => {
  const [light, heavy] = createEndpoints([1, 3]) as [FakeEndpoint, FakeEndpoint]
  const endpoints = [light, heavy]
  const balancer = createTested('least-request')
  const pickMany = () => new Set(Array.from({ length: 50 }, () => balancer.pick(call, endpoints, [])))
  light.active = 2
  heavy.active = 5
  assert.deepEqual(pickMany(), new Set([heavy]))
  heavy.active = 9
  assert.deepEqual(pickMany(), new Set([light]))
  // From 6 to 8 the one that is drawn: heavy has fewer calls for its weight only after another call has gone to light.
  for (heavy.active = 6; heavy.active <= 8; heavy.active++) assert.deepEqual(pickMany(), new Set([light, heavy]))
})

test('least-request: weights hold with few calls under way too', () => {
  for (const callers of [2, 3, 8, 64]) {
    const endpoints = createEndpoints([10, 1])
    const [heavy, light] = endpoints as [FakeEndpoint, FakeEndpoint]
    const balancer = createTested('least-request')
    const random = createRandom(callers)
    const pick = () => balancer.pick(call, endpoints, []) as FakeEndpoint
    const underWay = Array.from({ length: callers }, () => {
      const picked = pick()
      picked.active++
      return picked
    })
    let lightCount = 0
    for (let i = 0; i < 10_000; i++) {
      // Any of them ends, and its caller calls again.
      const at = Math.floor(random() * callers)
      const ended = underWay[at] ?? assert.fail()
      ended.active--
      const picked = pick()
      picked.active++
      underWay[at] = picked
      if (picked === light) lightCount++
    }
    // A share of 1/11 is due.
    assert.ok(lightCount > 300 && lightCount < 1_100, `${lightCount} of 10,000 with ${callers} callers`)
    assert.ok(heavy.active >= light.active)
  }
})

test('least-request: a stuck endpoint gets a small share only', () => {
  const endpoints = createEndpoints([1, 1, 1, 1, 1])
  const [stuck] = endpoints
  assert.ok(stuck)
  stuck.active = 100
  assert.equal(countPicks('least-request', endpoints, 1000)[0], 0)
})

test('hash: one key stays at one endpoint, in every worker and whatever the order', () => {
  const endpoints = createEndpoints([1, 2, 3])
  const reversed = endpoints.toReversed()
  for (let i = 0; i < 200; i++) {
    const hashOf = () => `key-${i}`
    const one = createBalancer('hash', { random: () => 0, hashOf, boundedLoad: null }).pick(call, endpoints, [])
    const other = createBalancer('hash', { random: () => 0.9, hashOf, boundedLoad: null }).pick(call, reversed, [])
    assert.equal(one, other)
  }
})

test('hash: an endpoint that goes or comes moves its own keys only', () => {
  const property = fc.property(
    fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 10 }),
    fc.nat(),
    (weights, place) => {
      const all = createEndpoints(weights)
      const gone = all[place % all.length] as FakeEndpoint
      const rest = all.filter(endpoint => endpoint !== gone)
      const [whole, less] = [createTested('hash'), createTested('hash')]
      let moved = 0
      for (let i = 0; i < 2000; i++) {
        const before = whole.pick(call, all, [])
        const after = less.pick(call, rest, [])
        if (before === gone) moved++
        else assert.equal(after, before)
      }
      const share = gone.weight / all.reduce((sum, endpoint) => sum + endpoint.weight, 0)
      assert.ok(Math.abs(moved - 2000 * share) <= 6 * Math.sqrt(2000 * share * (1 - share)) + 1)
    },
  )
  fc.assert(property, { numRuns: 60 })
})

test('hash: a retry goes where the key would go without the tried one', () => {
  const endpoints = createEndpoints([1, 1, 1, 1])
  const balancer = createBalancer('hash', bySomebody)
  const first = balancer.pick(call, endpoints, []) as FakeEndpoint
  const without = endpoints.filter(endpoint => endpoint !== first)
  const expected = createBalancer('hash', bySomebody).pick(call, without, [])
  assert.equal(balancer.pick(call, endpoints, [first]), expected)
})

test('hash: a call without a value goes to the less busy of two', () => {
  const [busy, idle] = createEndpoints([1, 1]) as [FakeEndpoint, FakeEndpoint]
  busy.active = 5
  const balancer = createBalancer('hash', { random: createRandom(1), hashOf: () => '', boundedLoad: null })
  const list = [busy, idle]
  for (let i = 0; i < 50; i++) assert.equal(balancer.pick(call, list, []), idle)
})

test('hash with bounded load: no endpoint has more than its bound, whatever the keys, and each key stays where there is room', () => {
  const property = fc.property(
    fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 8 }),
    fc.double({ min: 1.05, max: 3, noNaN: true }),
    fc.array(fc.tuple(fc.nat(6), fc.nat(3)), { maxLength: 120 }),
    (weights, factor, steps) => {
      const endpoints = createEndpoints(weights)
      let key = ''
      const hashOf = () => key
      const bounded = createBalancer('hash', { random: () => 0, hashOf, boundedLoad: factor })
      const free = createBalancer('hash', { random: () => 0, hashOf, boundedLoad: null })
      const whole = weights.reduce((sum, weight) => sum + weight, 0)
      const under = [] as FakeEndpoint[]
      for (const [who, ends] of steps) {
        key = `client-${who}`
        const mostOf = ({ weight }: Endpoint) => Math.ceil((factor * (under.length + 1) * weight) / whole - 1e-9)
        const picked = bounded.pick(call, endpoints, []) as FakeEndpoint
        const home = free.pick(call, endpoints, []) as FakeEndpoint
        if (home.active < mostOf(home) - 1) assert.equal(picked, home)
        picked.active++
        under.push(picked)
        assert.ok(picked.active <= Math.max(1, mostOf(picked)), `${picked.active} of ${under.length}`)
        for (let i = 0; i < ends && under.length > 0; i++) {
          const over = under.shift()
          if (over !== undefined) over.active--
        }
      }
    },
  )
  fc.assert(property, { numRuns: 200 })
})

test('hash with bounded load: one hot key is shared out, in an order of its own', () => {
  const endpoints = createEndpoints([1, 1, 1, 1])
  const balancer = createBalancer('hash', { ...bySomebody, boundedLoad: 1.25 })
  for (let i = 0; i < 100; i++) {
    const picked = balancer.pick(call, endpoints, []) as FakeEndpoint
    picked.active++
  }
  const loads = endpoints.map(({ active }) => active)
  assert.ok(Math.max(...loads) <= 32, loads.join())
  assert.ok(Math.min(...loads) < 10, `it goes on to the next one only when one is full: ${loads.join()}`)
})
