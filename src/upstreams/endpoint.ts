// One address of one target, with its connections.

import type { Call } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import type { Reply } from '../core/reply.ts'

/** What is needed to open connections to one address. */
export interface EndpointAddress {
  /** Unique within the upstream and stable over re-resolution: `http://10.0.0.7:9001 10.0.0.7`. */
  readonly id: string
  readonly scheme: 'http' | 'https'
  /** Host as written in the config, for SNI and metrics. */
  readonly hostname: string
  /** IP address to connect to. */
  readonly address: string
  readonly port: number
}

/**
 * Told once how a try ended, by one of the two. A connection may be in the middle of reading then: what is to be done with the body of
 * a reply is done later.
 *
 * Hot path: no promise of its own stands between a try and the promise of its call.
 */
export interface TryListener {
  answered(reply: Reply): void
  failed(failure: Failure): void
}

/** Owned by the directory of its upstream, which closes it when its address is gone. */
export interface Endpoint {
  /** That of its address. */
  readonly id: string
  /** Share of the calls. Follows the config and the number of addresses of the target. */
  weight: number
  /** Calls under way through this worker. */
  readonly active: number
  /**
   * Sends the call once. `isFresh` forbids a kept connection, after one was found closed. The listener may be told before this returns.
   */
  send(call: Call, isFresh: boolean, listener: TryListener): void
  /** No new calls; idle connections close now, busy ones after their call. */
  close(): void
}

/** Sends the call once, for those who are not on the hot path. Rejects with a Failure. */
export function sendOnce(endpoint: Endpoint, call: Call, isFresh: boolean): Promise<Reply> {
  return new Promise((answered, failed) => endpoint.send(call, isFresh, { answered, failed }))
}

/** The other way round: tells a listener what the promise of a try comes to. */
export function tellWhenOver(reply: Promise<Reply>, listener: TryListener): void {
  reply.then(
    answer => listener.answered(answer),
    (thrown: unknown) => listener.failed(Failure.from(thrown)),
  )
}

/** What all addresses of a target have in common. */
export type TargetPlace = Pick<EndpointAddress, 'scheme' | 'hostname' | 'port'>

const defaultPorts = { http: 80, https: 443 }

/** Where a target of the config is: `https://inside.test`. */
export function placeOf(url: string): TargetPlace {
  const { protocol, hostname, port } = new URL(url)
  const scheme = protocol === 'https:' ? 'https' : 'http'
  return { scheme, hostname: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? defaultPorts[scheme] : Number(port) }
}

/** The first part of the id of each of its addresses: `https://inside.test:443`. */
export function targetIdOf(place: TargetPlace): string {
  return `${place.scheme}://${hostFieldOf(place)}`
}

/** Host and port as a Host field has them. */
export function hostFieldOf({ hostname, port }: Pick<EndpointAddress, 'hostname' | 'port'>): string {
  return `${hostname.includes(':') ? `[${hostname}]` : hostname}:${port}`
}

/** For log texts: `inside.test:9001 (10.0.0.7)`. */
export function labelOf(address: EndpointAddress): string {
  return `${hostFieldOf(address)} (${address.address})`
}

/** The address that an id stands for; null where it is none. */
export function addressOf(id: string): EndpointAddress | null {
  const [origin = '', address = ''] = id.split(' ')
  const match = /^(https?):\/\/(.+):(\d+)$/.exec(origin)
  const [, scheme, host = '', port] = match ?? []
  if (scheme === undefined || address === '') return null
  const hostname = host.replace(/^\[|\]$/g, '')
  return { id, scheme: scheme === 'https' ? 'https' : 'http', hostname, address, port: Number(port) }
}
