// What it costs a call that targets are watched, or chosen by hash, in this thread alone: upstreams over endpoints that answer at once.
//
//   node bench/micro/targets.ts

import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { Body } from '../../src/core/body.ts'
import { Call } from '../../src/core/call.ts'
import { Headers } from '../../src/core/headers.ts'
import { Reply } from '../../src/core/reply.ts'
import type { UpstreamBlueprint } from '../../src/core/upstream-schema.ts'
import { resolve } from '../../src/config/resolve.ts'
import { reply as replyEnd } from '../../src/ends/reply.ts'
import type { Endpoint } from '../../src/upstreams/endpoint.ts'
import { tallyFields } from '../../src/limits/tally.ts'
import { createLimitMemory } from '../../src/stores/limit-memory.ts'
import { LimitTable } from '../../src/stores/limit-tables.ts'
import { TableRow } from '../../src/stores/table-row.ts'
import { createTargetMemory } from '../../src/upstreams/health/target-memory.ts'
import { createUpstream, isWatched } from '../../src/upstreams/upstream.ts'
import { fakePorts } from '../../test/tools/call.ts'

const targets = 8
const rounds = 20
const callsPerRound = 100_000
/** Calls under way at once. */
const depth = 64

const clock = { now: () => performance.now(), wall: () => Date.now() }
const ports = { ...fakePorts(), clock }

const rate = { ejection: { successRate: {} } }
const hash = { balance: 'hash', hashBy: '{header.x-user}' }
const all = { health: {}, ...rate, slowStart: '30s' }
const kinds: readonly (readonly [name: string, settings: object])[] = [
  ['nothing', {}],
  ['health', { health: {} }],
  ['ejection', { ejection: {} }],
  ['health, ejection by rate, slow start', all],
  ['all of that, retries, breaker, adaptive', { ...all, retry: {}, breaker: {}, adaptive: {} }],
  [
    'and hedge, deadlineHeader: all there is',
    { ...all, retry: {}, breaker: {}, adaptive: {}, hedge: { percentile: '95%' }, deadlineHeader: 'x-left-ms' },
  ],
  ['hash of a header', hash],
  ['hash of a header, bounded load', { ...hash, boundedLoad: 1.25 }],
]

function blueprintOf(settings: object): UpstreamBlueprint {
  const upstream = { targets: Array.from({ length: targets }, (_, n) => `http://10.0.0.${n}:9001`), ...settings }
  const config = { upstreams: { upstream }, routes: [{ match: {}, reply: { status: 204 } }] }
  const resolution = resolve({
    sources: [{ path: '/config.json', label: 'config.json', text: JSON.stringify(config) }],
    language: { policies: [], ends: [replyEnd] },
    surroundings: {
      env: {},
      readText() {
        throw new Error('there is no such file')
      },
    },
  })
  if (!resolution.ok) throw new Error(resolution.problems.map(({ message }) => message).join('\n'))
  const blueprint = resolution.blueprint.upstreams['upstream']
  if (blueprint === undefined) throw new Error('no upstream')
  return blueprint
}

const settled = Promise.resolve()

function createEndpoint(address: { readonly id: string }, weight: number): Endpoint {
  const endpoint: Endpoint & { active: number } = {
    ...{ id: address.id, weight, active: 0 },
    send(_call, _isFresh, listener) {
      endpoint.active++
      void settled.then(() => {
        endpoint.active--
        listener.answered(Reply.empty(200))
      })
    },
    close: () => {},
  }
  return endpoint
}

const rows = () =>
  new TableRow(LimitTable.of(createLimitMemory({ workers: 4, keys: 1, fields: tallyFields, seed: [1, 2] }), 0), clock)

const upstreams = kinds.map(([name, settings], id) => {
  const blueprint = blueprintOf(settings)
  const watch = isWatched(blueprint) ? { memory: createTargetMemory(id, clock.now()), clock } : null
  return createUpstream(name, blueprint, ports, { lookup: async () => [], createEndpoint, watch, rows })
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
