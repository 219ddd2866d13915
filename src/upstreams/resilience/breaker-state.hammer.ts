// A thread of breaker-state.test.ts: asks and records as fast as it can, and counts what it was told.

import { workerData } from 'node:worker_threads'
import type { LimitMemory } from '../../stores/limit-memory.ts'
import { LimitTable } from '../../stores/limit-tables.ts'
import { TableRow } from '../../stores/table-row.ts'
import { type BreakerRules, BreakerState, passes, refused } from './breaker-state.ts'

const { memory, worker, rounds, rules, counts, isGood, clockMs } = workerData as {
  memory: LimitMemory
  worker: number
  rounds: number
  rules: BreakerRules
  /** How many calls passed, were probes, were refused; how many changes there were to each mode. */
  counts: SharedArrayBuffer
  /** Whether calls go well. */
  isGood: boolean
  /** The time, which stands still. */
  clockMs: number
}
const told = new Int32Array(counts)
const time = { now: () => clockMs, wall: () => clockMs }
const row = new TableRow(LimitTable.of(memory, worker), time)
const state = new BreakerState(rules, row, mode => void Atomics.add(told, 3 + mode, 1))

for (let round = 0; round < rounds; round++) {
  const ticket = state.admit()
  Atomics.add(told, ticket === refused ? 2 : ticket === passes ? 0 : 1, 1)
  if (ticket !== refused) state.record(ticket, !isGood, false, clockMs)
}
