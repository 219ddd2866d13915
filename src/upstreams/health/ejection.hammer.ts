// A thread of ejection.test.ts: in each round it tries to eject every target, in an order of its own.

import { workerData } from 'node:worker_threads'
import type { EjectionBlueprint } from '../../core/health-schema.ts'
import { eject } from './ejection.ts'
import { type TargetMemory, TargetTable } from './target-memory.ts'

const { memory, worker, rounds, gauge, rows, ejection } = workerData as {
  memory: TargetMemory
  worker: number
  rounds: number
  gauge: SharedArrayBuffer
  rows: readonly number[]
  ejection: EjectionBlueprint
}
const cells = new Int32Array(gauge)
const table = new TargetTable(memory, { now: () => 1_000 })
const order = worker === 0 ? rows : rows.toReversed()

for (let round = 1; round <= rounds; round++) {
  while (Atomics.load(cells, 0) < round) Atomics.wait(cells, 0, round - 1, 1)
  for (const row of order) eject(table, row, rows, ejection, 'consecutive')
  Atomics.add(cells, 1, 1)
  Atomics.notify(cells, 1)
}
