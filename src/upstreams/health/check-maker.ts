// Makes the checks of an upstream's targets, with the settings that calls to them have.

import type { Counter, Ports } from '../../core/ports.ts'
import type { UpstreamBlueprint } from '../../core/upstream-schema.ts'
import { ownProxyHeader } from '../../http/proxy-header.ts'
import { WriteBatch } from '../../http/write-batch.ts'
import { SharedMemory } from '../../http2/shared-memory.ts'
import type { EndpointAddress } from '../endpoint.ts'
import { createEndpoint } from '../create-endpoint.ts'
import type { PoolShare } from '../pool.ts'
import { createGrpcCheck } from './grpc-check.ts'
import { createHttpCheck } from './http-check.ts'
import { type UpstreamPem, upstreamTlsOptions } from '../upstream-tls.ts'
import type { Check } from './overseer.ts'

const scratchBytes = 65_536
/** Connections of checks are not those of calls, and are not counted among them. */
const uncounted: Counter = { add: () => {} }

/** Says all that the checks of an upstream depend on. */
export function checksKeyOf({ health, protocol, tls, proxyProtocol }: UpstreamBlueprint, pem: UpstreamPem): string {
  return JSON.stringify([health, protocol, tls, proxyProtocol, pem])
}

export function createCheckMaker(
  name: string,
  blueprint: UpstreamBlueprint,
  pem: UpstreamPem,
  ports: Ports,
): (address: EndpointAddress) => Check {
  const { health } = blueprint
  if (health === null) throw new Error(`the upstream ${name} has no health checks`)
  const { proxyProtocol, tls } = blueprint
  // A port for checks alone is taken as one that is asked directly.
  const prefaceOf = ({ port }: EndpointAddress) =>
    proxyProtocol !== null && (health.port ?? port) === port ? ownProxyHeader(proxyProtocol) : null
  if (health.grpc !== null) {
    return address => {
      const connection = { tlsOptions: upstreamTlsOptions(tls, pem, address.hostname), preface: prefaceOf(address) }
      return createGrpcCheck(address, health, connection, ports)
    }
  }
  const writes = new WriteBatch(setImmediate)
  const share: PoolShare = {
    ...{ connectionsMax: Infinity, pendingMax: Infinity, connections: 0, idle: 0, pending: 0 },
    ...{ opened: uncounted, connectFailures: uncounted, connectionsHit: uncounted, pendingHit: uncounted },
    ...{ scratch: Buffer.allocUnsafeSlow(scratchBytes), starved: new Set() },
    ...{ writes, http2Memory: new SharedMemory(writes), http2Hit: uncounted },
  }
  const { timeout } = health
  const timeouts = { connect: timeout, response: timeout, idle: timeout, keepAlive: 1, call: null }
  const options = { name, blueprint: { ...blueprint, timeouts }, pem, share }
  return address => {
    const checked = { ...address, port: health.port ?? address.port }
    const endpoint = createEndpoint(checked, 1, { ...options, preface: prefaceOf(address) }, ports)
    return createHttpCheck(endpoint, checked, health, ports)
  }
}
