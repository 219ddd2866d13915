// The library surface: run a gateway from a program, and write policies for it.

import { Gateway, type GatewayOptions } from './threads/gateway.ts'

export { Body, type BodySource, type Sink } from './core/body.ts'
export type { Abandonable, Call, Peer } from './core/call.ts'
export type { FailureCode } from './core/codes.ts'
export { defineFact, type Fact } from './core/facts.ts'
export { Failure } from './core/failure.ts'
export { Headers } from './core/headers.ts'
export {
  defineEnd,
  definePolicy,
  type EndDefinition,
  type EndPorts,
  OptionsError,
  type Place,
  type PolicyDefinition,
} from './core/policy.ts'
export type { Log, Ports } from './core/ports.ts'
export { Reply } from './core/reply.ts'
export * as schema from './core/schema.ts'
export type { Join, Layer, Step } from './core/step.ts'
export { createLog } from './telemetry/log.ts'
export { ConfigRefused, type Gateway, type GatewayOptions } from './threads/gateway.ts'

/**
 * Starts a gateway in this process; resolves when it serves.
 *
 * Rejects with `ConfigRefused` for a config with mistakes, and with an Error that says why where a port cannot be had.
 *
 * ```ts
 * const gateway = await createGateway({ config: 'turnpike.yaml', log: createLog({ level: 'info', isPretty: true }) })
 * await gateway.close()
 * ```
 */
export function createGateway(options: GatewayOptions): Promise<Gateway> {
  return Gateway.start(options)
}
