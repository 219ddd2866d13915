// An upstream as a whole: its endpoints, the choice among them, and what happens when a try fails.

import type { Call } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import type { Ports } from '../core/ports.ts'
import { refuseForNow } from '../core/refuse-for-now.ts'
import type { Reply } from '../core/reply.ts'
import type { SharedRows } from '../core/shared-row.ts'
import { compileTemplate } from '../core/template.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import type { Upstream } from '../core/upstream.ts'
import { affinityKey, createAffinity } from './affinity.ts'
import { type Balancer, createBalancer } from './balance.ts'
import { Directory } from './directory.ts'
import type { Endpoint, EndpointAddress } from './endpoint.ts'
import { createEjector } from './health/ejection.ts'
import { Roster } from './health/roster.ts'
import { type SharedClock, type TargetMemory, TargetTable } from './health/target-memory.ts'
import { hashString, mixHashes } from './hash.ts'
import type { Lookup } from './lookup.ts'
import { type StartTimer, startTimer } from './pause.ts'
import { composeSending } from './sending.ts'
import type { TryObserver } from './try-observer.ts'

export interface UpstreamParts {
  readonly lookup: Lookup
  /** Makes the endpoint of an address; the upstream closes it. */
  readonly createEndpoint: (address: EndpointAddress, weight: number) => Endpoint
  /** Where it is known which targets are sick; null where nobody watches them. */
  readonly watch: Watch | null
  /** Numbers that all workers share. */
  readonly rows: SharedRows
  readonly startTimer?: StartTimer
}

/** What threads share to watch the targets of an upstream. */
export interface Watch {
  readonly memory: TargetMemory
  readonly clock: SharedClock
}

/** Whether the config asks for something that takes shared memory. */
export function isWatched({ health, ejection, slowStart }: UpstreamBlueprint): boolean {
  return health !== null || ejection !== null || slowStart !== null
}

/** An upstream with its end: whoever made it closes it when the last runtime that uses it is gone. */
export interface OwnedUpstream extends Upstream {
  /** Settles once every name of its targets was looked up, with or without success, or after five seconds. */
  ready(): Promise<void>
  /** Names of targets for which no address is known. */
  readonly unresolved: readonly string[]
  /** Brings gauges up to date; called every second or so. */
  report(): void
  /** Calls under way end; new ones fail. */
  close(): void
}

export function createUpstream(
  name: string,
  blueprint: UpstreamBlueprint,
  ports: Ports,
  parts: UpstreamParts,
): OwnedUpstream {
  const { targets, dns } = blueprint
  const directory = new Directory({ name, targets, refreshMs: dns.refresh, ...parts, ports })
  const choice =
    parts.watch === null
      ? chooseAny(name, blueprint, directory, ports)
      : chooseUsable(name, blueprint, directory, ports, parts.watch)
  const sending = composeSending(name, blueprint, ports, {
    rows: parts.rows,
    pick: choice.pick,
    noEndpoint: choice.explain,
    observe: choice.observe,
    startTimer: parts.startTimer ?? startTimer,
  })
  const { affinity } = blueprint
  return {
    name,
    send: affinity === null ? sending.send : createAffinity(affinity, ports.random)(sending.send),
    report: () => sending.report(),
    ready: () => directory.ready(),
    get unresolved() {
      return directory.unresolved
    },
    close() {
      choice.close()
      sending.close()
      directory.close()
    },
  }
}

/** How endpoints are chosen. */
interface EndpointChoice {
  readonly pick: (call: Call, tried: readonly Endpoint[]) => Endpoint | null
  /** Why there is none for a call. */
  readonly explain: (call: Call) => Failure | Reply
  /** Told how tries ended; null where that changes nothing. */
  readonly observe: TryObserver | null
  close(): void
}

function chooseAny(name: string, blueprint: UpstreamBlueprint, directory: Directory, ports: Ports): EndpointChoice {
  const balancer = createOwnBalancer(blueprint, ports)
  return {
    pick: (call, tried) => balancer.pick(call, directory.endpoints, tried),
    explain: () => explainNoEndpoint(name, directory),
    observe: null,
    close: () => {},
  }
}

function chooseUsable(
  name: string,
  blueprint: UpstreamBlueprint,
  directory: Directory,
  ports: Ports,
  { memory, clock }: Watch,
): EndpointChoice {
  const { ejection } = blueprint
  const hits = (ceiling: string) => ports.meter.counter('turnpike_ceiling_hits', { ceiling, name })
  const table = new TargetTable(memory, clock)
  const roster = new Roster({
    ...{ listing: directory, table, blueprint, ports },
    createBalancer: () => createOwnBalancer(blueprint, ports),
    draw: createDraw(blueprint, ports),
    full: hits('watched-targets'),
  })
  const { rowOf, rows } = roster
  return {
    pick: (call, tried) => roster.pick(call, tried),
    explain: call => (roster.isSick ? refuseSick(call, name, roster.wellAgainMs) : explainNoEndpoint(name, directory)),
    observe: ejection && createEjector({ table, ejection, rowOf, rows, full: hits('ejections') }),
    close: () => roster.close(),
  }
}

function createOwnBalancer(blueprint: UpstreamBlueprint, { random }: Ports): Balancer {
  return createBalancer(isHashed(blueprint) ? 'hash' : blueprint.balance, {
    random,
    hashOf: createKey(blueprint),
    boundedLoad: blueprint.boundedLoad,
  })
}

/** Where two groups share the calls, hashing sends the same value to the same one of them. */
function createDraw(blueprint: UpstreamBlueprint, { random }: Ports): (call: Call) => number {
  if (!isHashed(blueprint)) return random
  const keyOf = createKey(blueprint)
  // Mixed once more: where a key goes inside a group is to say nothing of the group.
  return call => mixHashes(hashString(keyOf(call)), 1) / 2 ** 32
}

function isHashed({ balance, affinity }: UpstreamBlueprint): boolean {
  return balance === 'hash' || affinity !== null
}

function createKey({ hashBy, affinity }: UpstreamBlueprint): (call: Call) => string {
  if (affinity !== null) return affinityKey(affinity)
  if (hashBy === null) return call => call.clientAddress
  const template = compileTemplate(hashBy)
  return call => template.render(call)
}

function explainNoEndpoint(name: string, directory: Directory): Failure {
  if (directory.unresolved.length > 0) {
    const detail = `upstream ${name}: no address is known for ${directory.unresolved.join(', ')}`
    return new Failure('upstream-unresolved', { detail, retryable: 'yes' })
  }
  return new Failure('upstream-connect-failed', {
    detail: `upstream ${name}: it is closed, or every target has weight 0`,
    retryable: 'yes',
  })
}

function refuseSick(call: Call, name: string, wellAgainMs: number): Reply {
  call.upstream = name
  return refuseForNow('upstream-unhealthy', wellAgainMs)
}
