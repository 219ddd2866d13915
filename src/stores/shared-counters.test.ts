import assert from 'node:assert/strict'
import { once } from 'node:events'
import test from 'node:test'
import { Worker } from 'node:worker_threads'
import { type CounterMemory, createCounterMemory, releaseWorker, slotsPerSet, viewCells } from './counter-memory.ts'
import { createSharedCounters } from './shared-counters.ts'

const seed = [12, 34] as const

function countersOf(memory: CounterMemory, worker: number) {
  return createSharedCounters({ memory, worker })
}

test('takes up to the limit, gives back, and counts the same in every worker', () => {
  const memory = createCounterMemory({ workers: 2, slots: 64, seed })
  const here = countersOf(memory, 0).counter('a')
  const there = countersOf(memory, 1).counter('a')
  assert.equal(here.tryTake(2), true)
  assert.equal(there.tryTake(2), true)
  assert.equal(here.tryTake(2), false)
  assert.equal(there.taken(), 2)
  there.give()
  assert.equal(here.taken(), 1)
  assert.equal(here.tryTake(2), true)
  assert.equal(here.tryTake(0), false)
})

test('another handle of the same key gives back what the first took', () => {
  const counters = countersOf(createCounterMemory({ workers: 1, slots: 64, seed }), 0)
  assert.equal(counters.counter('a').tryTake(1), true)
  counters.counter('a').give()
  assert.equal(counters.counter('a').taken(), 0)
})

test('a worker cannot give back what another one holds', () => {
  const memory = createCounterMemory({ workers: 2, slots: 64, seed })
  countersOf(memory, 0).counter('a').tryTake(1)
  countersOf(memory, 1).counter('a').give()
  assert.equal(countersOf(memory, 1).counter('a').taken(), 1)
})

test('keys that nobody holds make room for others, however many there were', () => {
  const counters = countersOf(createCounterMemory({ workers: 1, slots: slotsPerSet, seed }), 0)
  const kept = counters.counter('kept')
  assert.equal(kept.tryTake(5), true)
  for (let index = 0; index < 10_000; index++) {
    const counter = counters.counter(`client/${index}`)
    assert.equal(counter.tryTake(1), true)
    assert.equal(counter.tryTake(1), false)
    counter.give()
  }
  assert.equal(kept.taken(), 1)
})

test('a handle whose slot went to another key finds or adds its own again', () => {
  const counters = countersOf(createCounterMemory({ workers: 1, slots: slotsPerSet, seed }), 0)
  const early = counters.counter('early')
  early.tryTake(1)
  early.give()
  for (let index = 0; index < slotsPerSet; index++) assert.equal(counters.counter(`other/${index}`).tryTake(1), true)
  assert.equal(early.taken(), 0)
  assert.equal(early.tryTake(1), false, 'every slot is held')
  counters.counter('other/0').give()
  assert.equal(early.tryTake(1), true)
  assert.equal(counters.counter('other/1').taken(), 1)
})

test('a full set refuses and says so', () => {
  let fullCount = 0
  const memory = createCounterMemory({ workers: 1, slots: slotsPerSet, seed })
  const counters = createSharedCounters({ memory, worker: 0, onFull: () => fullCount++ })
  for (let index = 0; index < slotsPerSet; index++) assert.equal(counters.counter(`k/${index}`).tryTake(1), true)
  assert.equal(counters.counter('one too many').tryTake(1), false)
  assert.equal(fullCount, 1)
  counters.counter('k/0').give()
  assert.equal(counters.counter('one too many').tryTake(1), true)
})

test('releaseWorker gives back what the dead worker held, and nothing of others', () => {
  const memory = createCounterMemory({ workers: 2, slots: 64, seed })
  const dead = countersOf(memory, 0)
  const alive = countersOf(memory, 1)
  for (let index = 0; index < 3; index++) dead.counter('a').tryTake(10)
  dead.counter('b').tryTake(10)
  alive.counter('a').tryTake(10)
  assert.equal(releaseWorker(memory, 0), 4)
  assert.equal(alive.counter('a').taken(), 1)
  assert.equal(alive.counter('b').taken(), 0)
  assert.equal(releaseWorker(memory, 0), 0)
})

test('releaseWorker frees the lock that a worker died with, and the slot it was writing', () => {
  const memory = createCounterMemory({ workers: 2, slots: slotsPerSet, seed })
  const { locks, words } = viewCells(memory)
  locks[0] = 1
  words[7] = 0xfffff
  const counter = countersOf(memory, 1).counter('a')
  assert.equal(counter.tryTake(1), false)
  releaseWorker(memory, 0)
  assert.equal(counter.tryTake(1), true)
  assert.equal(words[7] === 0 || words[7] === 1, true)
})

// Real threads: what is exact must be shown under contention. Each takes, checks and gives; `peak` sees a broken limit.
const hammer = (memory: CounterMemory, worker: number, rounds: number, gauge: SharedArrayBuffer, keys: number) =>
  new Worker(new URL('./shared-counters.hammer.ts', import.meta.url), {
    workerData: { memory, worker, rounds, gauge, keys },
  })

for (const { keys, slots } of [
  { keys: 1, slots: 64 },
  { keys: 200, slots: slotsPerSet },
]) {
  test(`four threads over ${keys} key(s) and ${slots} slots never exceed a limit of 3`, async () => {
    const memory = createCounterMemory({ workers: 4, slots, seed })
    const gauge = new SharedArrayBuffer(4 * (3 + keys))
    const threads = [0, 1, 2, 3].map(worker => hammer(memory, worker, 20_000, gauge, keys))
    const ends = await Promise.all(threads.map(thread => once(thread, 'exit')))
    assert.deepEqual(ends.flat(), [0, 0, 0, 0])
    const [broken, taken] = new Int32Array(gauge)
    assert.equal(broken, 0)
    assert.ok(taken !== undefined && taken > 1000)
    for (let key = 0; key < keys; key++) assert.equal(countersOf(memory, 0).counter(`key/${key}`).taken(), 0)
  })
}

test('a key that another thread added meanwhile is not added twice', async () => {
  const memory = createCounterMemory({ workers: 2, slots: slotsPerSet, seed })
  const cells = viewCells(memory)
  // Another thread that has just written the key: its slot is made in a memory of its own, then put here under the lock.
  const twin = createCounterMemory({ workers: 2, slots: slotsPerSet, seed })
  for (let index = 0; index < 3; index++) countersOf(twin, 1).counter('key/0').tryTake(3)
  cells.locks[0] = 2
  const gauge = new SharedArrayBuffer(16)
  const thread = hammer(memory, 0, 1, gauge, 1)
  // The thread says that it begins, finds no key and waits for the lock.
  Atomics.wait(new Int32Array(gauge), 2, 0, 5000)
  Atomics.wait(new Int32Array(gauge), 2, 1, 10)
  const { lows, highs } = viewCells(twin)
  const from = lows.findIndex(low => low !== 0)
  // In the last slot, so that a second one of the same key would be found before it.
  const last = slotsPerSet - 1
  cells.lows[last] = lows[from] ?? 0
  cells.highs[last] = highs[from] ?? 0
  cells.words[last] = 3
  Atomics.store(cells.locks, 0, 0)
  await once(thread, 'exit')
  assert.equal(new Int32Array(gauge)[1], 0, 'the limit of 3 was taken already')
  assert.equal(countersOf(memory, 1).counter('key/0').taken(), 3)
})

test('what a terminated thread held comes back', async () => {
  const memory = createCounterMemory({ workers: 2, slots: 64, seed })
  const gauge = new SharedArrayBuffer(16)
  const counter = countersOf(memory, 1).counter('key/0')
  const thread = hammer(memory, 0, Number.POSITIVE_INFINITY, gauge, 1)
  await once(thread, 'message')
  await thread.terminate()
  releaseWorker(memory, 0)
  assert.equal(counter.taken(), 0)
  for (let index = 0; index < 3; index++) assert.equal(counter.tryTake(3), true)
  assert.equal(counter.tryTake(3), false)
})
