// Steps that hand on what time it is.

import type { Call } from '../core/call.ts'
import type { Reply } from '../core/reply.ts'

/**
 * A step that is told when it begins (milliseconds of `Clock.now`), where who calls it knows.
 *
 * Hot path: hedging, `timeouts.call` and `deadlineHeader` would each look at the clock in the same moment.
 */
export type TimedStep = (call: Call, nowMs?: number) => Promise<Reply>

/** A `Layer` that hands on the time that it was told. */
export type TimedLayer = (next: TimedStep) => TimedStep
