// The clock by which threads tell each other times.

import { performance } from 'node:perf_hooks'
import process from 'node:process'
import type { SharedTime } from '../stores/local-limits.ts'

/** The clock of a thread runs from its own start: the monotonic clock of the system is the same for all threads. */
export function createSharedTime(): SharedTime {
  const [seconds, nanoseconds] = process.hrtime()
  const originMs = seconds * 1000 + nanoseconds / 1e6 - performance.now()
  return { now: () => performance.now() + originMs, wall: () => Date.now() }
}
