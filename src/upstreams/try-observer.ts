// Who is told how tries end: what counts the failures of targets.

import type { Call } from '../core/call.ts'
import type { Failure } from '../core/failure.ts'
import type { Reply } from '../core/reply.ts'
import type { Endpoint } from './endpoint.ts'

/**
 * Told of each try of a call when the head of its reply came, or when it failed. A try whose call was given up is told too:
 * `call.stopReason` says so. Called on the hot path: it must neither throw nor touch the call or the reply.
 */
export type TryObserver = (call: Call, endpoint: Endpoint, outcome: Reply | Failure) => void
