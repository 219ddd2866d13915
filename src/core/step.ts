// The three function types everything in the gateway is made of.

import type { Call } from './call.ts'
import type { Reply } from './reply.ts'

/** Anything that answers a call: a route, an upstream, a composition. Rejects with a `Failure` when it broke. */
export type Step = (call: Call) => Promise<Reply>

/** Any policy. The request side runs before `next`, the reply side after it. */
export type Layer = (next: Step) => Step

/** Any composition of many steps into one. */
export type Join = (parts: ReadonlyMap<string, Step>) => Step
