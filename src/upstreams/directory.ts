// Which endpoints an upstream has: its targets, their names resolved again and again.

import { isIP } from 'node:net'
import type { Counter, Ports, Timed } from '../core/ports.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import { type Endpoint, type EndpointAddress, placeOf, targetIdOf } from './endpoint.ts'
import type { Lookup } from './lookup.ts'

export interface DirectoryOptions {
  /** Name of the upstream, for log and metrics. */
  readonly name: string
  readonly targets: UpstreamBlueprint['targets']
  /** How often names are resolved again, give or take a tenth. */
  readonly refreshMs: number
  readonly lookup: Lookup
  readonly createEndpoint: (address: EndpointAddress, weight: number) => Endpoint
  readonly ports: Pick<Ports, 'clock' | 'deadlines' | 'random' | 'log' | 'meter'>
}

const readyMsMax = 5000
const retryMsMin = 1000

/** A host of one or more targets. */
interface Host {
  readonly hostname: string
  /** An IP address, which stands for itself. */
  readonly isLiteral: boolean
  /** Last good answer, sorted; empty before there was one. */
  addresses: readonly string[]
  /** Lookups that ended. */
  lookups: number
  /** Failed lookups since the last good one. */
  failures: number
  /** When to look it up next; Infinity while a lookup is under way. */
  nextMs: number
}

interface Target {
  readonly scheme: 'http' | 'https'
  readonly port: number
  readonly weight: number
  readonly priority: number
  readonly host: Host
}

/** What an address gets of the targets that it stands for. */
interface Wanted {
  readonly address: EndpointAddress
  readonly weight: number
  readonly priority: number
}

/** Owns the endpoints of one upstream. */
export class Directory {
  readonly #options: DirectoryOptions
  readonly #hosts = new Map<string, Host>()
  readonly #targets: readonly Target[]
  readonly #entry: Timed
  readonly #failureCount: Counter
  readonly #ready = Promise.withResolvers<void>()
  #endpoints: readonly Endpoint[] = []
  #priorities = new Map<string, number>()
  #readyByMs: number
  #isClosed = false

  constructor(options: DirectoryOptions) {
    const { name, ports } = options
    this.#options = options
    this.#failureCount = ports.meter.counter('turnpike_upstream_resolve_failures', { upstream: name })
    this.#targets = options.targets.map(target => this.#parse(target))
    this.#readyByMs = ports.clock.now() + readyMsMax
    this.#entry = { dueMs: Infinity, slot: -1, due: nowMs => this.#beat(nowMs) }
    this.#publish()
    this.#beat(ports.clock.now())
    if (this.#names().length > 0) ports.deadlines.add(this.#entry)
  }

  /** A new array whenever an endpoint came, went or changed its weight. */
  get endpoints(): readonly Endpoint[] {
    return this.#endpoints
  }

  /** Group of the endpoint with this id. */
  priorityOf(id: string): number {
    return this.#priorities.get(id) ?? 0
  }

  /** Names for which no address is known. */
  get unresolved(): readonly string[] {
    return this.#names().flatMap(host => (host.addresses.length === 0 ? [host.hostname] : []))
  }

  /** Settles once every name was looked up for the first time, with or without success, or after five seconds. */
  ready(): Promise<void> {
    return this.#ready.promise
  }

  /** Closes the endpoints and stops resolving. */
  close(): void {
    this.#isClosed = true
    this.#options.ports.deadlines.remove(this.#entry)
    for (const endpoint of this.#endpoints) endpoint.close()
    this.#endpoints = []
    this.#ready.resolve()
  }

  #names(): Host[] {
    return [...this.#hosts.values()].filter(host => !host.isLiteral)
  }

  #parse({ url, weight, priority }: UpstreamBlueprint['targets'][number]): Target {
    const { scheme, hostname, port } = placeOf(url)
    let host = this.#hosts.get(hostname)
    if (host === undefined) {
      const isLiteral = isIP(hostname) !== 0
      host = { hostname, isLiteral, addresses: isLiteral ? [hostname] : [], lookups: 0, failures: 0, nextMs: 0 }
      this.#hosts.set(hostname, host)
    }
    return { scheme, port, weight, priority, host }
  }

  /** Looks up every name that is due, and sets when to come back. */
  #beat(nowMs: number): void {
    for (const host of this.#names()) if (host.nextMs <= nowMs) void this.#resolve(host)
    this.#plan(nowMs)
  }

  #plan(nowMs: number): void {
    if (nowMs >= this.#readyByMs || this.#names().every(host => host.lookups > 0)) {
      this.#readyByMs = Infinity
      this.#ready.resolve()
    }
    this.#entry.dueMs = this.#names().reduce((due, host) => Math.min(due, host.nextMs), this.#readyByMs)
  }

  async #resolve(host: Host): Promise<void> {
    // Never two lookups of one name at a time: each holds one of the few threads of the resolver.
    host.nextMs = Infinity
    let found: readonly string[] = []
    let error: unknown = new Error('no address')
    try {
      found = await this.#options.lookup(host.hostname)
    } catch (cause) {
      error = cause
    }
    if (this.#isClosed) return
    host.lookups++
    if (found.length === 0) this.#keep(host, error)
    else this.#replace(host, [...new Set(found)].sort())
    const { clock, random } = this.#options.ports
    const now = clock.now()
    host.nextMs = now + this.#pauseMs(host) * (0.9 + 0.2 * random())
    this.#plan(now)
  }

  #pauseMs(host: Host): number {
    const { refreshMs } = this.#options
    return host.failures === 0 ? refreshMs : Math.min(refreshMs, retryMsMin * 2 ** (host.failures - 1))
  }

  /** A failed lookup takes no address away. Told once, however often it fails. */
  #keep(host: Host, error: unknown): void {
    host.failures++
    this.#failureCount.add(1)
    if (host.failures > 1) return
    const { name, ports } = this.#options
    const consequence = host.addresses.length === 0 ? 'calls to it fail' : 'its last addresses stay in use'
    ports.log.warn(
      { upstream: name, host: host.hostname, addresses: host.addresses, error: String(error) },
      `upstream ${name}: the name ${host.hostname} does not resolve; ${consequence} until it does`,
    )
  }

  #replace(host: Host, addresses: readonly string[]): void {
    const { name, ports } = this.#options
    if (host.failures > 0) {
      ports.log.info(
        { upstream: name, host: host.hostname, addresses },
        `upstream ${name}: the name ${host.hostname} resolves again`,
      )
    }
    host.failures = 0
    if (addresses.join() === host.addresses.join()) return
    host.addresses = addresses
    this.#publish()
  }

  /** Makes the endpoints follow the addresses; those whose address stayed are kept with their connections. */
  #publish(): void {
    const wanted = this.#wanted()
    const kept = new Map(this.#endpoints.map(endpoint => [endpoint.id, endpoint]))
    const endpoints: Endpoint[] = []
    this.#priorities = new Map([...wanted].map(([id, { priority }]) => [id, priority]))
    for (const [id, { address, weight }] of wanted) {
      const endpoint = kept.get(id) ?? this.#options.createEndpoint(address, weight)
      endpoint.weight = weight
      endpoints.push(endpoint)
    }
    this.#endpoints = endpoints
    for (const [id, endpoint] of kept) if (!wanted.has(id)) endpoint.close()
  }

  /** A target's weight is shared by its addresses; a target written twice has both weights. */
  #wanted(): Map<string, Wanted> {
    const wanted = new Map<string, Wanted>()
    for (const { scheme, port, weight, priority, host } of this.#targets) {
      const { hostname, addresses } = host
      for (const address of addresses) {
        const id = `${targetIdOf({ scheme, hostname, port })} ${address}`
        const share = weight / addresses.length + (wanted.get(id)?.weight ?? 0)
        wanted.set(id, { address: { id, scheme, hostname, address, port }, weight: share, priority })
      }
    }
    return wanted
  }
}
