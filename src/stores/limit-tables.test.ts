import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LimitOutcome, LimitRule, LimitStoreOptions } from '../core/limits.ts'
import { tallyFields } from '../limits/tally.ts'
import { fakePorts } from '../../test/tools/call.ts'
import { LimitView } from './limit-memory.ts'
import { LimitMemories, LimitTables } from './limit-tables.ts'
import { createLocalLimits } from './local-limits.ts'

const rules: readonly LimitRule[] = [{ algorithm: 'gcra', limit: 2, windowMs: 1e6, burst: 2, startMs: 0 }]
const time = { now: () => 1e9, wall: () => 1.8e12 }

/** The main thread and two workers. Each config is what limits it has, and how many callers each of them counts. */
function setUp() {
  const memories = new LimitMemories({ workers: 2, fields: tallyFields, seed: [1, 2] })
  const full: string[] = []
  const meter = {
    ...fakePorts().meter,
    counter: (_: string, { name }: Readonly<Record<string, string>>) => ({ add: () => void full.push(name ?? '') }),
  }
  const workers = [0, 1].map(worker => {
    const tables = new LimitTables(worker)
    return { tables, stores: createLocalLimits({ table: (scope, keys) => tables.of(scope, keys), time, meter }) }
  })
  const load = (config: Readonly<Record<string, number>>) => {
    const stores = workers.map(({ tables, stores: storeOf }) => {
      tables.begin()
      return Object.fromEntries(
        Object.entries(config).map(([scope, callers]) => [scope, storeOf(optionsOf(scope, callers))]),
      )
    })
    const given = memories.for(workers.map(({ tables }) => tables.wanted))
    memories.keep(given)
    for (const { tables } of workers) tables.adopt(given)
    const take = (worker: number, scope: string, key: string): LimitOutcome => {
      const outcome = stores[worker]?.[scope]?.take(key, rules, 1)
      assert.ok(outcome !== undefined && !(outcome instanceof Promise))
      return outcome
    }
    return { given, take }
  }
  return { workers, memories, full, load }
}

const optionsOf = (scope: string, callers: number): LimitStoreOptions => {
  return { scope, callers, store: null, mode: 'exact', onFailure: 'closed', isDurable: false, name: scope }
}

test('workers count together, and each limit for itself', () => {
  const { take } = setUp().load({ a: 64, b: 64 })
  const passed = [take(0, 'a', 'k'), take(1, 'a', 'k'), take(0, 'a', 'k')].map(({ isAllowed }) => isAllowed)
  assert.deepEqual(passed, [true, true, false])
  assert.equal(take(1, 'b', 'k').isAllowed, true)
})

test('whoever fills the memory of one limit leaves the others alone', () => {
  const { load, full } = setUp()
  const { take } = load({ flooded: 100, other: 100 })
  for (let key = 0; key < 5000; key++) take(0, 'flooded', `k${key}`)
  assert.ok(full.length > 4000, `${full.length} found no room`)
  assert.deepEqual([...new Set(full)], ['flooded'])
  for (let key = 0; key < 50; key++) assert.equal(take(1, 'other', `k${key}`).fallback, null)
})

test('as many callers as were asked for are counted, but for a few in a thousand', () => {
  const { load, full } = setUp()
  const { take } = load({ a: 50_000 })
  for (let key = 0; key < 50_000; key++) take(0, 'a', `k${key}`)
  assert.ok(full.length < 500, `${full.length} found no room`)
})

test('a reload keeps the counts of a limit that goes on, also where it has another size', () => {
  const { load } = setUp()
  const before = load({ a: 64, b: 64, gone: 64 })
  for (const scope of ['a', 'b', 'gone']) for (const key of ['k', 'k']) before.take(0, scope, key)
  const { given, take } = load({ a: 64, b: 128, more: 64 })
  assert.deepEqual([...given.keys()].toSorted(), ['a', 'b', 'more'])
  assert.deepEqual(
    ['a', 'b', 'more'].map(scope => take(1, scope, 'k').isAllowed),
    [false, false, true],
  )
  assert.equal(before.take(0, 'gone', 'k').isAllowed, false, 'calls under way go on with what they had')
  assert.equal(load({ gone: 64 }).take(0, 'gone', 'k').isAllowed, true)
})

test('what was counted goes along into more room, and what has room into less', () => {
  const { load } = setUp()
  const few = load({ a: 300 })
  const keys = Array.from({ length: 200 }, (_, index) => `k${index}`)
  const counted = keys.filter(key => few.take(0, 'a', key).fallback === null && few.take(1, 'a', key).isAllowed)
  assert.ok(counted.length > 190)
  const many = load({ a: 3000 })
  for (const key of counted) assert.equal(many.take(1, 'a', key).isAllowed, false, key)
  assert.equal(many.take(0, 'a', 'new').isAllowed, true)
  const less = load({ a: 30 })
  const known = counted.filter(key => less.take(0, 'a', key).fallback === null)
  assert.ok(known.length > 20, `${known.length} were carried over`)
  for (const key of known) assert.equal(less.take(1, 'a', key).isAllowed, false, key)
})

test('permits that were booked in a file are not there twice', () => {
  const { load } = setUp()
  const before = load({ 'durable a': 64 })
  for (const key of ['k', 'k']) before.take(0, 'durable a', key)
  assert.equal(load({ 'durable a': 128 }).take(0, 'durable a', 'k').isAllowed, true)
})

test('a limit that two places ask for has room for the larger', () => {
  const { workers } = setUp()
  const tables = workers[0]?.tables ?? new LimitTables(0)
  assert.equal(tables.of('a', 10), tables.of('a', 20))
  tables.of('a', 5)
  assert.deepEqual([...tables.wanted], [['a', 20]])
})

test('what a worker had when it died is free again', () => {
  const { memories, load } = setUp()
  const { given, take } = load({ a: 1 })
  const view = new LimitView(given.get('a') ?? assert.fail())
  view.numbers[view.noteOf(0)] = 1
  view.words[view.lockOf(0)] = 1
  // Also where a reload has given the limit another memory meanwhile.
  load({ a: 64 })
  memories.release(0)
  assert.equal(view.words[view.lockOf(0)], 0)
  assert.equal(take(1, 'a', 'k').isAllowed, true)
})

test('more memory than there is gets a clear error', () => {
  const memories = new LimitMemories({ workers: 2, fields: tallyFields, seed: [1, 2] })
  assert.throws(
    () => memories.for([new Map([['shop/0', 1e13]])]),
    /no memory for the 1\d+ callers of the limit shop\/0; lower/,
  )
})

test('a limit that counts before its config is in force says so', () => {
  const [worker] = setUp().workers
  assert.throws(() => worker?.stores(optionsOf('a', 8)).take('k', rules, 1), /before its config is in force/)
})
