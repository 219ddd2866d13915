// A thread of local-limits.test.ts: takes as fast as it can, and counts what it was given of each key.

import { parentPort, workerData } from 'node:worker_threads'
import type { LimitRule } from '../core/limits.ts'
import type { LimitMemory } from './limit-memory.ts'
import { localLimits } from '../../test/tools/limits.ts'

const { memory, worker, rounds, gauge, keys, rules } = workerData as {
  memory: LimitMemory
  worker: number
  rounds: number
  gauge: SharedArrayBuffer
  keys: number
  rules: readonly LimitRule[]
}
/** Per key, what all threads were given, less what they gave back. */
const given = new Int32Array(gauge)
const time = { now: () => 1e6, wall: () => 1e12 }
const options = {
  scope: 'hammer',
  store: null,
  mode: 'exact',
  onFailure: 'closed',
  isDurable: false,
  callers: 64,
  name: 'x',
} as const
const store = localLimits({ memory, worker, time })(options)

for (let round = 0; round < rounds; round++) {
  const key = (round * 7) % keys
  const outcome = store.take(`key/${key}`, rules, 1)
  if (outcome instanceof Promise) throw new Error('the local store makes nobody wait')
  if (outcome.isAllowed) {
    Atomics.add(given, key, 1)
    if (round % 3 === 0) {
      Atomics.sub(given, key, 1)
      store.correct(`key/${key}`, rules, -1, outcome.atMs)
    }
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- That is for windows; this is a thread.
  if (round === 1000) parentPort?.postMessage('hot')
}
