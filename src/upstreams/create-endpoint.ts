// The endpoint of an address, by the protocol that its upstream speaks.

import type { Ports } from '../core/ports.ts'
import type { Endpoint, EndpointAddress } from './endpoint.ts'
import { Http2Pool } from './http2-pool.ts'
import { NegotiatedEndpoint } from './negotiated-endpoint.ts'
import { Pool, type PoolOptions } from './pool.ts'

export function createEndpoint(address: EndpointAddress, weight: number, options: PoolOptions, ports: Ports): Endpoint {
  const { protocol } = options.blueprint
  if (protocol === 'http2') return new Http2Pool(address, weight, options, ports)
  // Without TLS there is nobody to agree with.
  if (protocol === 'auto' && address.scheme === 'https') return new NegotiatedEndpoint(address, weight, options, ports)
  return new Pool(address, weight, options, ports)
}
