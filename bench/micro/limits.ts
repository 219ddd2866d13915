// How long a limit takes for one call, in the memory that threads share. Run: node bench/micro/limits.ts

import { performance } from 'node:perf_hooks'
import { Body } from '../../src/core/body.ts'
import { Call } from '../../src/core/call.ts'
import { Headers } from '../../src/core/headers.ts'
import type { LimitRule } from '../../src/core/limits.ts'
import { type Principal, principal } from '../../src/core/principal.ts'
import { compileKey } from '../../src/limits/key.ts'
import { tallyFields } from '../../src/limits/tally.ts'
import { createLimitMemory } from '../../src/stores/limit-memory.ts'
import { LimitTable } from '../../src/stores/limit-tables.ts'
import { createLocalLimits } from '../../src/stores/local-limits.ts'
import { fakePorts } from '../../test/tools/call.ts'

const rounds = 5
const callsPerRound = 500_000

/** The best round counts: noise only adds. */
function measure(name: string, run: (index: number) => void): void {
  let best = Infinity
  for (let round = 0; round < rounds; round++) {
    const started = process.hrtime.bigint()
    for (let index = 0; index < callsPerRound; index++) run(index)
    best = Math.min(best, Number(process.hrtime.bigint() - started) / callsPerRound)
  }
  console.log(`${name.padEnd(52)} ${best.toFixed(0).padStart(6)} ns`)
}

const time = { now: () => performance.now(), wall: () => Date.now() }
const memory = createLimitMemory({ workers: 1, keys: 65_536, fields: tallyFields, seed: [1, 2] })
const options = {
  store: null,
  mode: 'exact',
  onFailure: 'closed',
  isDurable: false,
  callers: 65_536,
  name: 'bench',
} as const
const stores = createLocalLimits({ table: () => LimitTable.of(memory, 0), time, meter: fakePorts().meter })
const rule = (algorithm: LimitRule['algorithm'], limit = 1e12): LimitRule => {
  return { algorithm, limit, windowMs: 60_000, burst: limit, startMs: algorithm === 'period' ? Date.now() : 0 }
}
const keys = Array.from({ length: 8192 }, (_, index) => `consumer-${index.toString(36).padStart(12, '0')}`)
const keyAt = (index: number) => keys[index & 8191] as string

for (const [name, rules] of [
  ['gcra', [rule('gcra')]],
  ['sliding-window', [rule('sliding-window')]],
  ['period', [rule('period')]],
  ['gcra and sliding-window', [rule('gcra'), rule('sliding-window')]],
  ['gcra, refused', [rule('gcra', 0)]],
] as const) {
  const store = stores({ ...options, scope: name })
  measure(`take: ${name}, one key`, () => void store.take('consumer-000000000001', rules, 1))
  measure(`take: ${name}, 8192 keys`, index => void store.take(keyAt(index), rules, 1))
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
const calls = keys.map(id => {
  const headers = Headers.of({ host: 'api.acme.test', 'x-tenant': 'acme' })
  const at = { target: '/', path: '/', query: '', method: 'GET', host: 'api.acme.test' }
  const call = new Call({ ...at, headers, body: Body.empty, peer, startedMs: 0 })
  const consumer = { id, name: id, groups: [], labels: {}, plan: '', limits: {} }
  const who: Principal = { method: 'x', id, consumer, application: null, credential: '', scopes: [], claims: {} }
  call.facts.set(principal, who)
  return call
})
const store = stores({ ...options, scope: 'whole' })
const rules = [rule('gcra')]
for (const by of [['consumer'], ['client'], ['consumer', { header: 'x-tenant' }]] as const) {
  const key = compileKey([...by], 64)
  measure(`key and take by ${JSON.stringify(by)}`, index => {
    const call = calls[index & 8191] as Call
    void store.take(key.of(call), rules, 1)
  })
}
