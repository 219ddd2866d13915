// The clock of a thread, and the beat on which it looks at its deadlines.

import { performance } from 'node:perf_hooks'
import type { Clock } from '../core/ports.ts'

export const clock: Clock = { now: () => performance.now(), wall: () => Date.now() }

/** How often deadlines are looked at, milliseconds; the most that a timeout can come late. */
export const beatMs = 100
