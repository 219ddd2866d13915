// A thread of shared-counters.test.ts: takes and gives as fast as it can, and watches that no limit is exceeded.

import { parentPort, workerData } from 'node:worker_threads'
import type { CounterMemory } from './counter-memory.ts'
import { createSharedCounters } from './shared-counters.ts'

const limit = 3
const { memory, worker, rounds, gauge, keys } = workerData as {
  memory: CounterMemory
  worker: number
  rounds: number
  gauge: SharedArrayBuffer
  keys: number
}
/** Number of broken limits, number of takes, whether it begins, then per key how many are held by all threads, counted independently. */
const cells = new Int32Array(gauge)
const counters = createSharedCounters({ memory, worker })

Atomics.store(cells, 2, 1)
Atomics.notify(cells, 2)
for (let round = 0; round < rounds; round++) {
  const key = (round * 7) % keys
  const counter = counters.counter(`key/${key}`)
  const many = 1 + (round % 3)
  let taken = 0
  for (let index = 0; index < many; index++) if (counter.tryTake(limit)) taken++
  if (Atomics.add(cells, 3 + key, taken) + taken > limit) Atomics.add(cells, 0, 1)
  Atomics.add(cells, 1, taken)
  // Leaves the independent count first: it may be too low for a moment, never too high.
  Atomics.sub(cells, 3 + key, taken)
  for (let index = 0; index < taken; index++) counter.give()
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- That is for windows; this is a thread.
  if (round === 1000) parentPort?.postMessage('hot')
}
