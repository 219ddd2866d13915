// What each policy that guards an API adds to a call, in this thread alone: no sockets, no other process. 10,000 consumers of
// 100,000 call in turn, so that each call meets a caller who was not here lately.
//
//   node bench/micro/guarded.ts

import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { Body } from '../../src/core/body.ts'
import { Call } from '../../src/core/call.ts'
import { Headers } from '../../src/core/headers.ts'
import type { PolicyDefinition } from '../../src/core/policy.ts'
import { Reply } from '../../src/core/reply.ts'
import { resolve } from '../../src/config/resolve.ts'
import { reply as replyEnd } from '../../src/ends/reply.ts'
import type { Layer, Step } from '../../src/core/step.ts'
import { createDirectory } from '../../src/identity/directory.ts'
import { tallyFields } from '../../src/limits/tally.ts'
import { acl } from '../../src/policies/acl/acl.ts'
import { apiKey } from '../../src/policies/api-key/api-key.ts'
import { rateLimit } from '../../src/policies/rate-limit/rate-limit.ts'
import { createLimitMemory } from '../../src/stores/limit-memory.ts'
import { LimitTable } from '../../src/stores/limit-tables.ts'
import { createLocalLimits } from '../../src/stores/local-limits.ts'
import { SqliteReader } from '../../src/stores/sqlite/reader.ts'
import { createAccessLog } from '../../src/telemetry/access-log.ts'
import { HiddenParameters } from '../../src/telemetry/redact.ts'
import { consumersFile } from '../../src/threads/consumers-file.ts'
import { fakePorts } from '../../test/tools/call.ts'
import { benchKey, fillConsumers } from '../peers/consumers.ts'

const calling = 10_000
const rounds = 12
const callsPerRound = 40_000
/** Calls under way at once. */
const depth = 64

const clock = { now: () => performance.now(), wall: () => Date.now() }
const deadlines = { add: () => {}, remove: () => {} }
const folder = mkdtempSync(path.join(os.tmpdir(), 'turnpike-bench-'))
fillConsumers(folder, 100_000)
const reader = new SqliteReader({ path: consumersFile(folder), planLimits: () => undefined, used: () => {} })
const fakes = fakePorts()
const { meter, log } = fakes
const directory = createDirectory({
  reader,
  clock,
  deadlines,
  meter,
  log,
  memory: { credentials: 20_000, unknownCredentials: 10_000 },
  seed: [1, 2],
})
const memory = createLimitMemory({ workers: 1, keys: 65_536, fields: tallyFields, seed: [1, 2] })
const ports = {
  ...fakes,
  identities: directory.identities,
  limits: createLocalLimits({ table: () => LimitTable.of(memory, 0), time: clock, meter }),
}
const accessLog = createAccessLog({
  ...{ to: '/dev/null', bufferBytes: 1_000_000, hidden: new HiddenParameters() },
  ...{ clock, deadlines, meter, log },
})

const [key, limit, admit] = compile([
  { 'api-key': {} },
  { 'rate-limit': { limit: '1000000000/hour', by: 'consumer' } },
  { acl: { allow: { groups: ['gold'] } } },
])

function compile(policies: readonly object[]): Layer[] {
  const language: readonly PolicyDefinition[] = [apiKey, rateLimit, acl]
  const config = {
    data: 'data',
    routes: [{ name: 'r', match: { path: '/**' }, policies, reply: { status: 204 } }],
  }
  const text = JSON.stringify(config)
  const resolution = resolve({
    sources: [{ path: '/config.json', label: 'config.json', text }],
    language: { policies: language, ends: [replyEnd] },
    surroundings: {
      env: {},
      readText() {
        throw new Error('there is no such file')
      },
    },
  })
  if (!resolution.ok) throw new Error(resolution.problems.map(({ message }) => message).join('\n'))
  const uses = resolution.blueprint.routes[0]?.policies ?? []
  return uses.map(({ policy, options }) => {
    const definition = language.find(({ name }) => name === policy)
    if (definition === undefined) throw new Error(`no policy ${policy}`)
    return definition.build(options, ports, { route: 'r', key: `r/${policy}` })
  })
}

const end: Step = async () => {
  const reply = Reply.empty(200)
  reply.headers.list.push(
    'Content-Type',
    'content-type',
    'application/json',
    'Content-Length',
    'content-length',
    '1000',
  )
  return reply
}
const guard = (step: Step, ...layers: (Layer | undefined)[]): Step =>
  layers.reduceRight((inner, layer) => layer?.(inner) ?? inner, step)
const steps: [string, Step, boolean][] = [
  ['nothing', end, false],
  ['access log', end, true],
  ['api-key', guard(end, key), false],
  ['api-key, rate-limit', guard(end, key, limit), false],
  ['api-key, rate-limit, acl', guard(end, key, limit, admit), false],
  ['api-key, rate-limit, acl, access log', guard(end, key, limit, admit), true],
]

const peer = {
  ...{ address: '10.1.2.3', port: 5000, isTrusted: false, scheme: 'http', listener: '8080', certificate: null },
} as const
const names = ['Host', 'User-Agent', 'Accept', 'X-API-Key']
const heads = Array.from({ length: calling }, (_, index) =>
  Buffer.from(`api.acme.test\nwrk/4.2\n*/*\n${benchKey.replace('{n}', String(index))}`),
)

function makeCall(index: number): Call {
  const headers = new Headers()
  // As off the wire: strings of their own, that V8 has not seen.
  const values = (heads[index % calling] as Buffer).toString('latin1').split('\n')
  for (let at = 0; at < names.length; at++)
    headers.list.push(names[at] as string, lower[at] as string, values[at] as string)
  const at = { target: '/small', path: '/small', query: '', method: 'GET', host: 'api.acme.test' }
  const call = new Call({ ...at, headers, body: Body.empty, peer: peer as never, startedMs: 0 })
  call.route = 'r'
  call.id = `0b6e7d0c-${index}`
  return call
}
const lower = names.map(name => name.toLowerCase())

async function one(step: Step, index: number, isLogged: boolean): Promise<void> {
  const call = makeCall(index)
  const { status } = await step(call)
  if (!isLogged) return
  const event = { call, status, code: null, detail: '', bytesIn: 0, bytesOut: 1000, totalMs: 1.5, upstreamMs: 1.25 }
  accessLog.write({ ...event, endedMs: Date.now() })
}

async function round(step: Step, isLogged: boolean): Promise<number> {
  const before = process.cpuUsage()
  let index = 0
  const lane = async () => {
    while (index < callsPerRound) await one(step, index++, isLogged)
  }
  await Promise.all(Array.from({ length: depth }, lane))
  const { user, system } = process.cpuUsage(before)
  return ((user + system) / callsPerRound) * 1000
}

const best = steps.map(() => Infinity)
for (let turn = 0; turn < rounds; turn++) {
  for (const [index, [, step, isLogged]] of steps.entries()) {
    best[index] = Math.min(best[index] as number, await round(step, isLogged))
  }
}
for (const [index, [name]] of steps.entries())
  console.log(`${name.padEnd(40)} ${best[index]?.toFixed(0).padStart(6)} ns`)
await accessLog.close()
directory.close()
reader.close()
rmSync(folder, { recursive: true })
