// What it costs a call that targets are watched, or chosen by hash, in this thread alone: upstreams over endpoints that answer at once.
//
//   node bench/micro/targets.ts

import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { Body } from '../../src/core/body.ts'
import type { UpstreamBlueprint } from '../../src/core/blueprint.ts'
import { Call } from '../../src/core/call.ts'
import { Headers } from '../../src/core/headers.ts'
import { Reply } from '../../src/core/reply.ts'
import type { Endpoint } from '../../src/upstreams/endpoint.ts'
import { createTargetMemory } from '../../src/upstreams/health/target-memory.ts'
import { createUpstream } from '../../src/upstreams/upstream.ts'
import { fakePorts } from '../../test/tools/call.ts'

const targets = 8
const rounds = 20
const callsPerRound = 100_000
/** Calls under way at once. */
const depth = 64

const clock = { now: () => performance.now(), wall: () => Date.now() }
const ports = { ...fakePorts(), clock }

const plain: UpstreamBlueprint = {
  targets: Array.from({ length: targets }, (_, n) => ({ url: `http://10.0.0.${n}:9001`, weight: 1, priority: 0 })),
  ...{ balance: 'least-request', hashBy: null, boundedLoad: null },
  ...{ health: null, ejection: null, slowStart: null, failover: { spillBelow: 0, panic: 0 } },
  dns: { refresh: 30_000 },
  tls: { verify: true, serverName: null, ca: null, cert: null, key: null },
  timeouts: { connect: 2000, response: 30_000, idle: 60_000, keepAlive: 60_000, call: null },
  retry: null,
  limits: { connections: 1024, pending: 1024 },
}
const health: UpstreamBlueprint['health'] = {
  ...{ path: '/', method: 'GET', host: null, headers: {}, statuses: ['2xx'], grpc: null, port: null },
  ...{ interval: 5000, timeout: 1000, unhealthy: 3, healthy: 2 },
}
const ejection: NonNullable<UpstreamBlueprint['ejection']> = {
  on: ['connect-failure', 'reset', 'timeout', '502', '503', '504'],
  ...{ consecutive: 5, successRate: null, interval: 10_000, baseTime: 30_000, maxTime: 300_000, maxPercent: 0.5 },
}
const successRate = { minimumHosts: 5, requestVolume: 100, stdevFactor: 1.9, gap: 0.05 }
const hash = { balance: 'hash', hashBy: '{header.x-user}' } as const

const kinds: readonly (readonly [name: string, changes: Partial<UpstreamBlueprint>])[] = [
  ['nothing', {}],
  ['health', { health }],
  ['ejection', { ejection }],
  [
    'health, ejection by rate, slow start',
    {
      ...{ health, ejection: { ...ejection, successRate } },
      slowStart: { window: 30_000, minimum: 0.1, aggression: 1 },
    },
  ],
  ['hash of a header', hash],
  ['hash of a header, bounded load', { ...hash, boundedLoad: 1.25 }],
]

function open(address: { readonly id: string }, weight: number): Endpoint {
  const endpoint = {
    ...({ id: address.id, scheme: 'http', hostname: '', address: '', port: 0 } as const),
    ...{ weight, active: 0 },
    async send() {
      endpoint.active++
      await undefined
      endpoint.active--
      return Reply.empty(200)
    },
    close: () => {},
  }
  return endpoint
}

const upstreams = kinds.map(([name, changes], id) => {
  const blueprint = { ...plain, ...changes }
  const isWatched = blueprint.health !== null || blueprint.ejection !== null
  const watch = isWatched ? { memory: createTargetMemory(id, clock.now()), clock } : null
  return createUpstream(name, blueprint, ports, { lookup: async () => [], open, watch })
})

const peer = {
  ...{ address: '10.1.2.3', port: 5000, isTrusted: false, listener: '8080', certificate: null },
  scheme: 'http' as const,
  local: { address: '10.1.2.4', port: 8080 },
}

function makeCall(index: number): Call {
  const headers = new Headers()
  headers.list.push('X-User', 'x-user', `user-${index % 1000}`)
  const at = { target: '/', path: '/', query: '', method: 'GET', host: 'api.acme.test' }
  return new Call({ ...at, headers, body: Body.empty, peer, startedMs: 0 })
}

async function round(send: (call: Call) => Promise<Reply>): Promise<number> {
  const before = process.cpuUsage()
  let index = 0
  const lane = async () => {
    while (index < callsPerRound) await send(makeCall(index++))
  }
  await Promise.all(Array.from({ length: depth }, lane))
  const { user, system } = process.cpuUsage(before)
  return ((user + system) / callsPerRound) * 1000
}

const best = upstreams.map(() => Infinity)
for (let turn = 0; turn < rounds; turn++) {
  for (const [index, upstream] of upstreams.entries()) {
    best[index] = Math.min(best[index] as number, await round(call => upstream.send(call)))
  }
}
const base = best[0] as number
for (const [index, [name]] of kinds.entries()) {
  const ns = best[index] as number
  console.log(`${name.padEnd(40)} ${ns.toFixed(0).padStart(6)} ns ${(ns - base).toFixed(0).padStart(6)} more`)
}
for (const upstream of upstreams) upstream.close()
