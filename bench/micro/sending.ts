// What each of the features around a try adds to a call: breaker, adaptive limit, hedging, deadlines, splits and mirrors.
// Run: node bench/micro/sending.ts
//
// The upstream answers at once, without sockets, so that only what stands around the try is measured.

import { Body } from '../../src/core/body.ts'
import { Call } from '../../src/core/call.ts'
import { Failure } from '../../src/core/failure.ts'
import { Headers } from '../../src/core/headers.ts'
import type { EndPorts } from '../../src/core/policy.ts'
import { Reply } from '../../src/core/reply.ts'
import type { Step } from '../../src/core/step.ts'
import type { UpstreamBlueprint } from '../../src/core/upstream-schema.ts'
import { createMirror } from '../../src/ends/forward/mirror.ts'
import { createSplit } from '../../src/ends/forward/split.ts'
import { tallyFields } from '../../src/limits/tally.ts'
import { createCounterMemory } from '../../src/stores/counter-memory.ts'
import { createLimitMemory } from '../../src/stores/limit-memory.ts'
import { LimitTable } from '../../src/stores/limit-tables.ts'
import { createSharedCounters } from '../../src/stores/shared-counters.ts'
import { TableRow } from '../../src/stores/table-row.ts'
import { createMeter } from '../../src/telemetry/meter.ts'
import { createPage } from '../../src/telemetry/page.ts'
import type { TryListener } from '../../src/upstreams/endpoint.ts'
import { startTimer } from '../../src/upstreams/pause.ts'
import { composeSending } from '../../src/upstreams/sending.ts'

const rounds = 7
const callsPerRound = 200_000

const time = { now: () => performance.now(), wall: () => Date.now() }
const quiet = () => {}
const ports: EndPorts = {
  clock: time,
  deadlines: { add: quiet, remove: quiet },
  random: Math.random,
  log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  shared: createSharedCounters({ memory: createCounterMemory({ workers: 4, seed: [1, 2] }), worker: 0 }),
  meter: createMeter({ page: createPage('0') }),
  upstream: name => ({ name, send: async () => Reply.empty(200) }),
}
const rows = () =>
  new TableRow(LimitTable.of(createLimitMemory({ workers: 4, keys: 1, fields: tallyFields, seed: [1, 2] }), 0), time)

const plain = {
  timeouts: { connect: 1000, response: 1000, idle: 1000, keepAlive: 1000, call: 5000 },
  retry: null,
  hedge: null,
  breaker: null,
  adaptive: null,
  deadlineHeader: null,
}
const reply = Reply.empty(200)
const settled = Promise.resolve()
const endpoint = {
  ...({ id: 'a', scheme: 'http', hostname: 'a', address: '127.0.0.1', port: 80, weight: 1, active: 0 } as const),
  // Answers later than the call returns, as a socket does.
  send: (_call: Call, _isFresh: boolean, listener: TryListener) => {
    void settled.then(() => listener.answered(reply))
  },
  close: quiet,
}

const parts = {
  pick: () => endpoint,
  noEndpoint: () => new Failure('upstream-connect-failed'),
  observe: null,
}

function sending(changes: Partial<typeof plain> | Partial<UpstreamBlueprint>): Step {
  // Only what is read here is there.
  const blueprint = { ...plain, ...changes } as UpstreamBlueprint
  return composeSending('catalog', blueprint, ports, { ...parts, startTimer, rows }).send
}

const peer = {
  ...({ address: '10.1.2.3', port: 5000, local: { address: '192.0.2.9', port: 8080 }, isTrusted: false } as const),
  ...({ scheme: 'http', listener: '8080', certificate: null } as const),
}

function createCall(): Call {
  const headers = Headers.of({ host: 'api.acme.test', 'user-agent': 'curl/8.5.0', accept: '*/*', 'x-user': 'ada' })
  const at = { method: 'GET', target: '/', path: '/', query: '', host: 'api.acme.test' }
  return new Call({ ...at, headers, body: Body.empty, peer, startedMs: performance.now() })
}

const breaker = { failures: 0.5, slow: { share: 0.8, over: 1000 }, window: 10_000, minimum: 20, open: 5000, probes: 3 }
const adaptive = { min: 4, max: 1000, tolerance: 0.25, measure: 60_000 }
const hedge = { after: 20, percentile: 0.95 }
const mirrorOf = (share: number) =>
  createMirror(
    { to: 'shadow', share, host: null, remove: [], timeout: 1000, limits: { body: 64_000, calls: 100 } },
    ports,
    {
      route: 'r',
      key: 'r',
    },
  )
const base = sending({})
const sides = [
  { to: 'stable', weight: 90 },
  { to: 'next', weight: 10 },
]
const steps: Readonly<Record<string, Step>> = {
  'nothing (a call of its own included)': base,
  breaker: sending({ breaker: { ...breaker, slow: null } }),
  'breaker with slow': sending({ breaker }),
  adaptive: sending({ adaptive }),
  hedge: sending({ hedge }),
  deadlineHeader: sending({ deadlineHeader: 'x-envoy-expected-rq-timeout-ms' }),
  'breaker, adaptive, hedge, deadlineHeader': sending({ breaker, adaptive, hedge, deadlineHeader: 'x-left-ms' }),
  split: createSplit(sides, null, () => base, Math.random),
  'split, sticky by header': createSplit(sides, { header: 'x-user' }, () => base, Math.random),
  'mirror of 0%': mirrorOf(0)(base),
  'mirror of 5%': mirrorOf(0.05)(base),
  'mirror of 100%': mirrorOf(1)(base),
}

/** CPU time, for the machine has other things to do; the best round counts, for noise only adds. */
async function run(step: Step): Promise<number> {
  const before = process.cpuUsage()
  for (let call = 0; call < callsPerRound; call++) await step(createCall())
  const { user, system } = process.cpuUsage(before)
  return ((user + system) * 1000) / callsPerRound
}

const best = new Map<string, number>()
// By turns, so that what disturbs one disturbs all.
for (let round = 0; round < rounds; round++) {
  for (const [name, step] of Object.entries(steps))
    best.set(name, Math.min(best.get(name) ?? Infinity, await run(step)))
}
const floor = best.get('nothing (a call of its own included)') ?? 0
for (const [name, ns] of best) {
  console.log(`${name.padEnd(44)} ${ns.toFixed(0).padStart(6)} ns ${(ns - floor).toFixed(0).padStart(7)} more`)
}
