// How long one finished call takes to be counted, logged and traced. Run: node bench/micro/observe.ts

import { randomFillSync } from 'node:crypto'
import { Body } from '../../src/core/body.ts'
import { Call } from '../../src/core/call.ts'
import type { FinishedCall } from '../../src/core/finished-call.ts'
import { Headers } from '../../src/core/headers.ts'
import { createCounterMemory } from '../../src/stores/counter-memory.ts'
import { createSharedCounters } from '../../src/stores/shared-counters.ts'
import { createLineFormat } from '../../src/telemetry/access-line.ts'
import { HiddenParameters } from '../../src/telemetry/redact.ts'
import { createMeter } from '../../src/telemetry/meter.ts'
import { createCallObserver } from '../../src/telemetry/observe.ts'
import { createPage } from '../../src/telemetry/page.ts'
import { createIds, createTracing } from '../../src/telemetry/trace.ts'

const rounds = 5
const callsPerRound = 1_000_000

/** The best round counts: noise only adds. */
function measure(name: string, run: (index: number) => void): void {
  let best = Infinity
  for (let round = 0; round < rounds; round++) {
    const started = process.hrtime.bigint()
    for (let index = 0; index < callsPerRound; index++) run(index)
    best = Math.min(best, Number(process.hrtime.bigint() - started) / callsPerRound)
  }
  console.log(`${name.padEnd(44)} ${best.toFixed(0).padStart(6)} ns`)
}

const peer = {
  address: '10.1.2.3',
  port: 5000,
  local: { address: '192.0.2.9', port: 8080 },
  isTrusted: false,
  scheme: 'http',
  listener: '8080',
  certificate: null,
} as const

function finishedCall(index: number): FinishedCall {
  const headers = Headers.of({ host: 'api.acme.test', 'user-agent': 'curl/8.5.0', accept: '*/*' })
  const target = { path: `/catalog/${index}`, query: '?page=2&sort=name' }
  const call = new Call({
    ...target,
    target: target.path + target.query,
    method: index % 4 === 0 ? 'POST' : 'GET',
    host: 'api.acme.test',
    headers,
    body: Body.empty,
    peer,
    startedMs: 0,
  })
  call.route = `route-${index % 100}`
  call.upstream = 'catalog'
  call.id = '0123456789abcdef0123456789abcdef'
  const status = index % 10 === 0 ? 404 : 200
  return {
    call,
    status,
    code: null,
    detail: '',
    bytesIn: 0,
    bytesOut: 1024,
    totalMs: (index % 50) / 7,
    upstreamMs: 0,
    endedMs: 1e12,
  }
}

const events = Array.from({ length: 1024 }, (_, index) => finishedCall(index))
const eventAt = (index: number) => events[index & 1023] as FinishedCall

const observe = createCallObserver(createMeter({ page: createPage('0') }))
measure('observe one finished call', index => observe(eventAt(index)))

const format = createLineFormat(new HiddenParameters())
const line = Buffer.alloc(8192)
let bytes = 0
measure('format one line of the access log', index => {
  bytes += format(eventAt(index), line, 0)
})

const ids = createIds(randomFillSync)
measure('make a request id', () => {
  bytes += ids.requestId().length
})
const trace = createTracing('start', ids)
measure('start a trace', () => trace(new Headers()))
const incoming = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
measure('continue a trace', () => {
  const headers = new Headers()
  headers.add('traceparent', incoming)
  trace(headers)
})

const counters = createSharedCounters({ memory: createCounterMemory({ workers: 2, seed: [1, 2] }), worker: 0 })
const fixed = counters.counter('catalog/policies/0')
measure('take and give a shared counter', () => {
  fixed.tryTake(10)
  fixed.give()
})
const keys = Array.from({ length: 1024 }, (_, index) => `catalog/policies/0/10.1.${index >> 8}.${index & 255}`)
measure('the same with a new key per call', index => {
  const counter = counters.counter(keys[index & 1023] as string)
  counter.tryTake(10)
  counter.give()
})
