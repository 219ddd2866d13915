// Attacks by slow clients and by their number, with an honest client beside: what it waits, what the gateway holds, what is left.
//
// Runs alone: it measures time.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import path from 'node:path'
import { findTool } from '../../scripts/tools.ts'
import { ask } from '../tools/ask.ts'
import { Crowd } from '../tools/crowd.ts'
import { Honest, p99MsMax, type Seen, shownSeen } from '../tools/honest.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'
import type { Held } from './extensions/probe.ts'

const tool = findTool('slowhttptest')
const skip = tool === null ? 'slowhttptest is not installed (Debian: apt-get install slowhttptest)' : false
const probe = ['--extension', path.join(import.meta.dirname, 'extensions', 'probe.ts')]
const mb = (bytes: number) => Math.round(bytes / 1e6)
const mayOpen = Number(/^Max open files +\d+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1] ?? 1024)
/** All that connections took goes back: so much of what is resident at the start may be there besides, and of the objects. */
const residentGrowthMax = 0.1
const objectsGrowthMax = 0.05

let origin: Origin
let program: Program
/** Of the same config, and attacked by nobody. */
let quiet: Program
before(async () => {
  const big = Buffer.alloc(500_000, 'x')
  origin = await Origin.start((request, response) => void response.end(request.url === '/big' ? big : 'up'))
  const timeouts = { head: '2s', body: '2s', idle: '2s' }
  const config = {
    listeners: [{ host: '127.0.0.1', port: 0, timeouts }],
    upstreams: { a: { targets: [origin.url], limits: { connections: 2000 }, timeouts: { keepAlive: '2s' } } },
    routes: [
      { match: { path: '/honest' }, reply: { body: 'here' } },
      { match: { path: '/**' }, forward: 'a' },
    ],
  }
  ;[program, quiet] = await Promise.all([Program.start(config), Program.start(config)])
  // What the first calls cost once is no loss.
  const honest = callHonestly(program)
  await honest.takeFor(1_000)
  await honest.stop()
})
after(async () => {
  await Promise.all([program, quiet, origin].map(thing => thing[Symbol.asyncDispose]()))
})

function callHonestly(attacked: Program): Honest {
  return new Honest({ attacked, quiet, path: '/honest' })
}

/** All that connections which leave in the same instant cost is done before anything that comes later: some 30 µs each. */
const leavingMsMax = 3_000

function assertServed(seen: Seen, when = ''): void {
  assert.deepEqual([seen.attacked.failed, seen.quiet.failed], [{}, {}], when)
  assert.ok(seen.attacked.calls >= 20 && seen.attacked.p99Ms < p99MsMax(seen), `${when} ${shownSeen(seen)}`)
}

async function state(): Promise<{ bytes: number; descriptors: number }> {
  return { bytes: await program.residentBytes(), descriptors: await program.descriptors() }
}

const opened = () => program.total('turnpike_downstream_connections_opened_total')

/** Runs an attack; resolves with the connections that it made, and the most memory that the gateway had meanwhile. */
async function attack(args: readonly string[]): Promise<{ bytes: number; connections: number; output: string }> {
  const child = spawn(tool ?? '', [...args, '-l', '6', '-p', '2'], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += String(chunk)))
  const ended = once(child, 'close')
  const before = await opened()
  let bytes = 0
  const look = async () => {
    bytes = Math.max(bytes, await program.residentBytes())
  }
  const watch = setInterval(() => void look(), 200)
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
  await ended
  clearTimeout(timer)
  clearInterval(watch)
  return { bytes, connections: (await opened()) - before, output }
}

const attacks = [
  {
    name: 'slow heads (slowloris)',
    args: ['-H', '-c', '1000', '-r', '500', '-i', '1', '-x', '24'],
    path: '/',
    cuts: '408',
  },
  {
    name: 'slow bodies (R.U.D.Y.)',
    args: ['-B', '-c', '1000', '-r', '500', '-i', '3', '-s', '8192'],
    path: '/',
    cuts: '408',
  },
  {
    name: 'many ranges (Apache killer)',
    args: ['-R', '-c', '1000', '-r', '500', '-a', '10', '-b', '3000'],
    path: '/big',
    cuts: '',
  },
  {
    name: 'slow reading',
    args: ['-X', '-c', '200', '-r', '100', '-w', '512', '-y', '1024', '-n', '3', '-z', '32', '-k', '3'],
    path: '/big',
    cuts: '',
  },
]

describe('an honest client is served, and nothing is left behind, under', { skip }, () => {
  for (const { name, args, path, cuts } of attacks) {
    test(name, { timeout: 180_000 }, async t => {
      const start = await state()
      const honest = callHonestly(program)
      const { bytes, connections, output } = await attack([...args, '-u', `${program.url}${path}`])
      const seen = await honest.take()
      await honest.stop()
      await program.untilQuiet()
      await until(
        async () => (await program.descriptors()) <= start.descriptors + 8,
        () => 'the descriptors to be free again',
      )
      const end = await state()
      t.diagnostic(`${connections} connections; honest: ${shownSeen(seen)}`)
      t.diagnostic(
        `memory ${mb(start.bytes)} MB before, ${mb(bytes)} at most, ${mb(end.bytes)} after; descriptors ${start.descriptors} before, ${end.descriptors} after`,
      )
      assert.ok(connections > 100, `it was no attack: ${connections} connections\n${output}`)
      assertServed(seen)
      assert.ok(bytes < start.bytes + 250e6, `${mb(bytes)} MB`)
      assert.ok(end.bytes < start.bytes + 150e6, `${mb(end.bytes)} MB are left`)
      if (cuts !== '') {
        const labels = { http_response_status_code: cuts, error_type: 'request-timeout' }
        assert.ok((await program.total('http_server_request_duration_seconds_count', labels)) > 0)
      }
      assert.equal(await program.total('turnpike_worker_replacements_total'), 0)
    })
  }
})

async function objectsOf({ port }: Program): Promise<number> {
  const held = JSON.parse((await ask(port, { path: '/probe' })).text) as Held[]
  return held.reduce((sum, { objects }) => sum + objects, 0)
}

test('20,000 connections: honest clients are served while they come, stay and go, and their memory goes back', {
  timeout: 300_000,
}, async t => {
  const count = Math.min(20_000, mayOpen - 600)
  if (count < 20_000) t.diagnostic(`only ${count} connections, because \`ulimit -Hn\` is ${mayOpen} here`)
  const routes = [
    { match: { path: '/probe' }, policies: [{ probe: { threads: 2 } }], reply: { body: '' } },
    { match: { path: '/**' }, reply: { body: 'here' } },
  ]
  await using gateway = await Program.start({ overload: { descriptors: { reserve: 200 } }, routes }, {}, probe)
  const honest = callHonestly(gateway)
  const alone = await honest.takeFor(1_000)
  const start = { bytes: await gateway.residentBytes(), descriptors: await gateway.descriptors() }
  const objects = await objectsOf(gateway)
  using crowd = new Crowd()
  const startedMs = performance.now()
  await honest.take()
  await crowd.add(gateway.port, 2_000, 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n')
  await crowd.add(gateway.port, count - 2_000)
  await until(
    async () => (await gateway.total('turnpike_downstream_connections')) >= count,
    () => `${count} connections; ${crowd.open} are open, the others ${JSON.stringify([...crowd.ends])}`,
    60_000,
  )
  const tookMs = performance.now() - startedMs
  const coming = await honest.take()
  const staying = await honest.takeFor(2_000)
  const full = await gateway.residentBytes()
  crowd.leave()
  await until(
    async () => (await gateway.total('turnpike_downstream_connections')) <= 4,
    () => 'the connections to be gone',
    30_000,
  )
  const going = await honest.take()
  await honest.stop()
  t.diagnostic(
    `${count} connections in ${Math.round(tookMs)} ms, ${((full - start.bytes) / count / 1000).toFixed(1)} kB each`,
  )
  for (const [when, seen] of Object.entries({ alone, coming, staying, going })) {
    t.diagnostic(`honest, ${when}: ${shownSeen(seen)}`)
    if (when !== 'going') assertServed(seen, when)
  }
  assert.deepEqual(going.attacked.failed, {})
  assert.ok(going.attacked.maxMs < Math.max(leavingMsMax * going.stretch, 10 * going.quiet.maxMs), shownSeen(going))
  assert.ok(full - start.bytes < count * 20_000, `${mb(full)} MB`)
  await gateway.untilQuiet()
  const goneMs = performance.now()
  let bytes = 0
  await until(
    async () => {
      bytes = await gateway.residentBytes()
      return bytes < start.bytes * (1 + residentGrowthMax)
    },
    () => `the memory to go back: ${mb(start.bytes)} MB before, ${mb(full)} full, ${mb(bytes)} now`,
    60_000,
  )
  const seconds = ((performance.now() - goneMs) / 1000).toFixed(0)
  const grown = (await objectsOf(gateway)) / objects - 1
  t.diagnostic(
    `memory ${mb(start.bytes)} MB before, ${mb(full)} full, ${mb(bytes)} after ${seconds} s; objects ${(100 * grown).toFixed(1)} % more`,
  )
  assert.ok(grown < objectsGrowthMax, `${(100 * grown).toFixed(1)} % more objects are held`)
  const descriptors = await gateway.descriptors()
  assert.ok(descriptors <= start.descriptors + 4, `${start.descriptors} descriptors before, ${descriptors} after`)
  assert.equal(await gateway.total('turnpike_worker_replacements_total'), 0)
})
