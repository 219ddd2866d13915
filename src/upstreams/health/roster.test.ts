import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UpstreamBlueprint } from '../../core/upstream-schema.ts'
import { createBalancer } from '../balance.ts'
import type { Endpoint } from '../endpoint.ts'
import { createCall, FakeEndpoint, FakePorts } from '../fakes.ts'
import { rampPart, Roster } from './roster.ts'
import { Cell, createTargetMemory, Flag, TargetTable } from './target-memory.ts'

const call = createCall()
const health = {} as NonNullable<UpstreamBlueprint['health']>
const ejection = {} as NonNullable<UpstreamBlueprint['ejection']>
const slowStart = { window: 10_000, minimum: 0.1, aggression: 1 }

type Settings = Partial<Pick<UpstreamBlueprint, 'health' | 'ejection' | 'slowStart'>> & { failover?: object }

/** A roster over endpoints `0`, `1`, … of these priorities; `weights` is 1 for each where it is not given. */
function setUp(priorities: readonly number[], settings: Settings = {}, weights: readonly number[] = []) {
  const ports = new FakePorts()
  const table = new TargetTable(createTargetMemory(1, 0), ports.clock)
  const make = (n: number) => new FakeEndpoint(`http://10.0.0.${n}:80 10.0.0.${n}`, weights[n] ?? 1)
  const all = priorities.map((_, n) => make(n))
  const listing = {
    endpoints: all as readonly Endpoint[],
    priorityOf: (id: string) => priorities[all.findIndex(endpoint => endpoint.id === id)] ?? 0,
  }
  let unwatched = 0
  const roster = new Roster({
    ...{ listing, table, ports, draw: Math.random, full: { add: () => unwatched++ } },
    blueprint: {
      ...{ health, ejection, slowStart: null, ...settings },
      failover: { spillBelow: 0, panic: 0, ...settings.failover },
    },
    createBalancer: () => createBalancer('round-robin', { random: Math.random, hashOf: () => '', boundedLoad: null }),
  })
  const set = (n: number, flag: number) => {
    table.raise(roster.rowOf(all[n] ?? assert.fail()) ?? -1, flag)
    table.publish()
  }
  const clear = (n: number, flag: number) => {
    const row = roster.rowOf(all[n] ?? assert.fail()) ?? -1
    table.lower(row, flag)
    table.store(row, Cell.since, table.now)
    table.publish()
  }
  const indexOf = (endpoint: Endpoint | null) => all.findIndex(other => other === endpoint)
  const pick = (tried: readonly number[] = []) =>
    indexOf(
      roster.pick(
        call,
        tried.map(n => all[n] ?? assert.fail()),
      ),
    )
  /** Which of them get calls. */
  const used = () => [...new Set(Array.from({ length: 200 }, () => pick()))].sort((a, b) => a - b)
  const shareOf = (n: number, picks = 4000) =>
    Array.from({ length: picks }, () => pick()).filter(i => i === n).length / picks
  return { ports, table, roster, listing, all, set, clear, pick, used, shareOf, make, unwatched: () => unwatched }
}

test('sick targets get no calls, until they are well', () => {
  const { set, clear, used } = setUp([0, 0, 0])
  assert.deepEqual(used(), [0, 1, 2])
  set(1, Flag.unhealthy)
  assert.deepEqual(used(), [0, 2])
  set(2, Flag.ejected)
  assert.deepEqual(used(), [0])
  clear(1, Flag.unhealthy)
  assert.deepEqual(used(), [0, 1])
})

test('without a sick one left there is none, and it is said why', () => {
  const { set, clear, pick, roster } = setUp([0, 0])
  set(0, Flag.unhealthy)
  assert.equal(roster.isSick, false)
  set(1, Flag.ejected)
  assert.equal(pick(), -1)
  assert.equal(roster.isSick, true)
  clear(0, Flag.unhealthy)
  assert.equal(pick(), 0)
})

test('says when one may be well again: with the next check, or when the first ejection ends', () => {
  const checked = setUp([0], { health: { ...health, interval: 2_000 } })
  assert.equal(checked.roster.wellAgainMs, 2_000)
  const { table, roster } = setUp([0, 0], { health: null })
  for (const [at, row] of roster.rows().entries()) table.store(row, Cell.ejectedUntil, table.now + 70 - 20 * at)
  assert.equal(roster.wellAgainMs, 5_000)
})

test('a flag for which the config asks no more is not obeyed', () => {
  const { set, used } = setUp([0, 0], { ejection: null })
  set(0, Flag.ejected)
  assert.deepEqual(used(), [0, 1])
})

test('groups: the next one only when nothing of those before is usable', () => {
  const { set, clear, used } = setUp([0, 0, 1, 5])
  assert.deepEqual(used(), [0, 1])
  set(0, Flag.unhealthy)
  assert.deepEqual(used(), [1])
  set(1, Flag.unhealthy)
  assert.deepEqual(used(), [2])
  set(2, Flag.ejected)
  assert.deepEqual(used(), [3])
  clear(1, Flag.unhealthy)
  assert.deepEqual(used(), [1])
})

test('groups: a target of weight 0 is not a usable one', () => {
  const { used } = setUp([0, 1], {}, [0, 1])
  assert.deepEqual(used(), [1])
})

test('spillBelow: a group that is weakened keeps the part that it can take', () => {
  const { set, shareOf } = setUp([0, 0, 0, 0, 1], { failover: { spillBelow: 0.5 } })
  assert.equal(shareOf(4), 0)
  set(0, Flag.unhealthy)
  set(1, Flag.unhealthy)
  assert.equal(shareOf(4), 0)
  set(2, Flag.unhealthy)
  assert.ok(Math.abs(shareOf(4) - 0.5) < 0.06)
  set(3, Flag.unhealthy)
  assert.equal(shareOf(4), 1)
})

test('spillBelow: groups that all are weakened share what they cannot take', () => {
  const { set, shareOf } = setUp([0, 0, 0, 0, 1, 1, 1, 1], { failover: { spillBelow: 1 } })
  for (const n of [0, 1, 4, 5, 6]) set(n, Flag.unhealthy)
  // Half of the first; a quarter of the other half of the second: together 0.625.
  assert.ok(Math.abs(shareOf(7) - 0.125 / 0.625) < 0.06)
})

test('panic: with too few usable ones anywhere, sick ones get calls too', () => {
  const { set, clear, used } = setUp([0, 0, 0, 1, 1], { failover: { panic: 0.6 } })
  set(0, Flag.unhealthy)
  assert.deepEqual(used(), [1, 2])
  set(1, Flag.unhealthy)
  assert.deepEqual(used(), [2], 'the other group is well')
  set(3, Flag.unhealthy)
  assert.deepEqual(used(), [3, 4], 'the group with most usable ones')
  set(4, Flag.unhealthy)
  assert.deepEqual(used(), [0, 1, 2])
  clear(0, Flag.unhealthy)
  assert.deepEqual(used(), [0, 2])
})

test('a further try goes to a group that gets no calls otherwise, when all of its own were tried', () => {
  const { pick, set } = setUp([0, 0, 1])
  assert.equal(pick([0]), 1)
  assert.equal(pick([0, 1]), 2)
  set(2, Flag.unhealthy)
  assert.ok([0, 1].includes(pick([0, 1])))
})

test('follows the directory: who is gone has no row, who is new has one', () => {
  const { listing, all, used, roster, make } = setUp([0, 0])
  all.push(make(2))
  listing.endpoints = all.slice(1)
  assert.deepEqual(used(), [1, 2])
  assert.equal(roster.rowOf(all[0] ?? assert.fail()), undefined)
  assert.equal(roster.rows().length, 2)
})

test('rows are stamped each second as long as the roster is open', async () => {
  const { ports, table, roster } = setUp([0, 0])
  await ports.time.pass(30_000, 500)
  assert.equal(table.rows().length, 2)
  roster.close()
  await ports.time.pass(30_000, 500)
  assert.deepEqual(table.rows(), [])
})

test('a row that was lost to another endpoint is claimed anew', async () => {
  const { ports, table, roster, all } = setUp([0])
  const [endpoint] = all
  assert.ok(endpoint)
  const row = roster.rowOf(endpoint) ?? -1
  // The worker stood still for so long that others could take its row.
  ports.time.nowMs += 40_000
  assert.equal(table.claim('http://10.9.9.9:80 10.9.9.9'), row)
  await ports.time.pass(1_100, 100)
  const now = roster.rowOf(endpoint) ?? -1
  assert.notEqual(now, row)
  assert.equal(table.owner(now)?.id, endpoint.id)
})

test('who finds no row gets calls, and is counted', () => {
  const { roster, listing, unwatched } = setUp([0])
  const endpoint = new FakeEndpoint(`http://${'x'.repeat(500)}:80 10.0.0.1`)
  listing.endpoints = [endpoint]
  assert.equal(roster.pick(call, []), endpoint)
  assert.equal(roster.rowOf(endpoint), undefined)
  assert.equal(unwatched(), 1)
})

test('slow start: who came back takes its share step by step', async () => {
  const { ports, set, clear, shareOf } = setUp([0, 0], { slowStart })
  // Both came at the same time, so neither has more than the other.
  assert.ok(Math.abs(shareOf(0) - 0.5) < 0.06)
  await ports.time.pass(20_000, 100)
  set(0, Flag.unhealthy)
  assert.equal(shareOf(0), 0)
  clear(0, Flag.unhealthy)
  const shares = [shareOf(0)]
  for (let i = 0; i < 4; i++) {
    await ports.time.pass(2_600, 100)
    shares.push(shareOf(0))
  }
  const wanted = [0.1, 0.26, 0.52, 0.78, 1].map(part => part / (part + 1))
  for (const [i, share] of shares.entries()) assert.ok(Math.abs(share - (wanted[i] ?? 0)) < 0.06, shares.join())
})

test('slow start: the only one gets all calls whatever its age', () => {
  const { used } = setUp([0], { slowStart: { ...slowStart, minimum: 0 } })
  assert.deepEqual(used(), [0])
})

test('rampPart: from the minimum to the whole, faster with more aggression', () => {
  assert.equal(rampPart(slowStart, 0), 0.1)
  assert.equal(rampPart(slowStart, 5_000), 0.5)
  assert.equal(rampPart(slowStart, 10_000), 1)
  assert.equal(rampPart({ ...slowStart, aggression: 2 }, 2_500), 0.5)
  assert.equal(rampPart({ ...slowStart, minimum: 0 }, 0), 0.01)
})
