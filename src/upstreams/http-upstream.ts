// An upstream as one worker sees it: endpoints with pools under one share of the ceilings.

import type { Gauge, Ports } from '../core/ports.ts'
import type { SharedRows } from '../core/shared-row.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import type { WriteBatch } from '../http/write-batch.ts'
import type { SharedMemory } from '../http2/shared-memory.ts'
import { createEndpoint } from './create-endpoint.ts'
import { lookupAll } from './lookup.ts'
import type { PoolShare } from './pool.ts'
import { ProxiedPools } from './proxied-pools.ts'
import type { UpstreamPem } from './upstream-tls.ts'
import { createUpstream, type OwnedUpstream, type Watch } from './upstream.ts'

/** What a worker gives an upstream: its part of the ceilings, and what it shares with others. */
export interface WorkerShare {
  /** From 0 to `workers - 1`. */
  readonly ordinal: number
  readonly workers: number
  /** One buffer for all plain sockets of the worker to read into. */
  readonly scratch: Buffer
  readonly writes: WriteBatch
  /** What HTTP/2 connections share. */
  readonly http2Memory: SharedMemory
  /** Null where nobody watches the targets. */
  readonly watch: Watch | null
  /** Numbers that all workers share. */
  readonly rows: SharedRows
}

export function createHttpUpstream(
  name: string,
  blueprint: UpstreamBlueprint,
  pem: UpstreamPem,
  worker: WorkerShare,
  ports: Ports,
): OwnedUpstream {
  const share = createShare(name, blueprint, worker, ports)
  const options = { name, blueprint, pem, share }
  const upstream = createUpstream(name, blueprint, ports, {
    lookup: lookupAll,
    watch: worker.watch,
    rows: worker.rows,
    createEndpoint: (address, weight) =>
      blueprint.proxyProtocol === null
        ? createEndpoint(address, weight, { ...options, preface: null }, ports)
        : new ProxiedPools(address, weight, { ...options, version: blueprint.proxyProtocol }, ports),
  })
  const gauges = createGauges(name, ports)
  return {
    name,
    send: call => upstream.send(call),
    ready: () => upstream.ready(),
    get unresolved() {
      return upstream.unresolved
    },
    close() {
      upstream.close()
      for (const gauge of Object.values(gauges)) gauge.set(0)
    },
    report() {
      upstream.report()
      gauges.idle.set(share.idle)
      gauges.active.set(share.connections - share.idle)
      gauges.pending.set(share.pending)
    },
  }
}

function createShare(name: string, blueprint: UpstreamBlueprint, worker: WorkerShare, ports: Ports): PoolShare {
  const { meter } = ports
  const { connections, pending } = blueprint.limits
  return {
    // With more workers than connections each worker still needs one to get anywhere.
    connectionsMax: Math.max(1, evenShare(connections, worker)),
    pendingMax: evenShare(pending, worker),
    connections: 0,
    scratch: worker.scratch,
    writes: worker.writes,
    http2Memory: worker.http2Memory,
    http2Hit: meter.counter('turnpike_ceiling_hits', { ceiling: 'upstream-http2', name }),
    idle: 0,
    pending: 0,
    starved: new Set(),
    opened: meter.counter('turnpike_upstream_connections_opened', { upstream: name }),
    connectFailures: meter.counter('turnpike_upstream_connect_failures', { upstream: name }),
    connectionsHit: meter.counter('turnpike_ceiling_hits', { ceiling: 'upstream-connections', name }),
    pendingHit: meter.counter('turnpike_ceiling_hits', { ceiling: 'upstream-pending', name }),
  }
}

/** Shares of all workers add up to the whole. */
function evenShare(whole: number, { ordinal, workers }: WorkerShare): number {
  return Math.floor(whole / workers) + (ordinal < whole % workers ? 1 : 0)
}

function createGauges(upstream: string, { meter }: Ports): { idle: Gauge; active: Gauge; pending: Gauge } {
  return {
    idle: meter.gauge('turnpike_upstream_connections', { upstream, state: 'idle' }),
    active: meter.gauge('turnpike_upstream_connections', { upstream, state: 'active' }),
    pending: meter.gauge('turnpike_upstream_pending', { upstream }),
  }
}
