// The guards of the gateway against its own end: memory and event loop, felt in a real process.
//
// Runs alone: it measures time.

import assert from 'node:assert/strict'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { test } from 'node:test'
import { type Answer, ask, codeOf } from '../tools/ask.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const spin = ['--extension', path.join(import.meta.dirname, 'extensions/spin.ts')]

const mb = (bytes: number) => Math.round(bytes / 1e6)

function assertRefused(answer: Answer): void {
  assert.deepEqual([answer.status, codeOf(answer)], [503, 'gateway-overloaded'])
  assert.equal(answer.headers['content-type'], 'application/problem+json')
  assert.equal(answer.headers['retry-after'], '7')
}

test('memory: new calls are refused while it is short, calls under way and the admin port are not', async t => {
  await using origin = await Origin.start((_, response) => void response.end('up'))
  const config = (limit: number) => ({
    overload: { memory: { limit: Math.round(limit) }, retryAfter: '7s' },
    listeners: [{ port: 0, host: '127.0.0.1', timeouts: { body: '1m' } }],
    upstreams: { a: { targets: [origin.url] } },
    routes: [
      { match: { path: '/held' }, policies: [{ buffer: { max: '4MB', memory: '400MB' } }], forward: 'a' },
      { match: { path: '/**' }, forward: 'a' },
    ],
  })
  await using program = await Program.start(config(64e9))
  const idleBytes = await program.residentBytes()
  await program.replace(config((idleBytes + 100e6) / 0.9))
  await program.untilTotal('turnpike_config_version', {}, 2)
  assert.equal((await ask(program.port)).text, 'up')

  const under = net.connect(program.port, '127.0.0.1').on('error', () => {})
  under.write('POST /held HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\nConnection: close\r\n\r\n1')
  let text = ''
  under.on('data', chunk => (text += chunk.toString('latin1')))
  // Bodies that are held and never end.
  const head = `POST /held HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3900000\r\n\r\n`
  const hoarders = Array.from({ length: 80 }, () => {
    const socket = net.connect(program.port, '127.0.0.1').on('error', () => {})
    socket.on('data', () => {})
    socket.write(head + 'x'.repeat(3_800_000))
    return socket
  })
  await until(
    async () => (await ask(program.port)).status === 503,
    () => 'calls to be refused',
  )
  assertRefused(await ask(program.port))
  const fullBytes = await program.residentBytes()
  under.write('2')
  await until(
    () => text.endsWith('up'),
    () => `a call that was under way to be answered; it got ${text}`,
  )
  assert.equal((await program.admin('/readyz')).status, 200)
  assert.ok((await program.total('turnpike_overload_refusals_total', { reason: 'memory', priority: 'normal' })) > 0)
  assert.ok((await program.total('turnpike_overload_pressure_ratio', { reason: 'memory' })) >= 0.95)

  for (const socket of hoarders) socket.destroy()
  const startedMs = performance.now()
  await until(
    async () => (await ask(program.port)).status === 200,
    () => 'calls to be taken again',
    20_000,
  )
  const nowBytes = await program.residentBytes()
  t.diagnostic(
    `${mb(idleBytes)} MB idle, ${mb(fullBytes)} MB when full, ${mb(nowBytes)} MB and well again after ${Math.round(performance.now() - startedMs)} ms`,
  )
  await program.untilSaid(/"reason":"memory","level":[123].*calls of these priorities are refused/)
  await program.untilSaid(/the overload is over/)
})

test('delay: when the event loop is late for long, calls are refused, those that matter more later', async t => {
  const policies = [{ spin: { for: '100ms' } }]
  await using origin = await Origin.start((_, response) => void response.end('up'))
  await using program = await Program.start(
    {
      overload: { delay: { low: '150ms', normal: '300ms', high: '1h' }, retryAfter: '7s' },
      upstreams: { a: { targets: [origin.url] } },
      routes: [
        { match: { path: '/slow' }, policies, forward: { to: 'a', priority: 'low' } },
        { match: { path: '/vital' }, forward: { to: 'a', priority: 'high' } },
        { match: { path: '/**' }, forward: 'a' },
      ],
    },
    {},
    spin,
  )
  const seen = { slow: new Map<number, number>(), plain: new Map<number, number>(), vital: new Map<number, number>() }
  const state = { isOver: false }
  const call = async (path: '/slow' | '/vital' | '/plain', statuses: Map<number, number>) => {
    // New connections wait in the queue of the port, where no delay is seen.
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    while (!state.isOver) {
      const answer = await ask(program.port, { path, agent })
      if (answer.status !== 200) assertRefused(answer)
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
    }
    agent.destroy()
  }
  const clients = [
    ...Array.from({ length: 12 }, () => call('/slow', seen.slow)),
    call('/plain', seen.plain),
    call('/vital', seen.vital),
  ]
  await until(
    () => (seen.slow.get(503) ?? 0) > 50,
    () => `calls to be refused: ${JSON.stringify([...seen.slow])}`,
    30_000,
  )
  state.isOver = true
  await Promise.all(clients)
  t.diagnostic(
    Object.entries(seen)
      .map(([name, statuses]) => `${name}: ${JSON.stringify(Object.fromEntries(statuses))}`)
      .join(', '),
  )
  assert.equal(seen.vital.get(503), undefined)
  assert.ok((seen.vital.get(200) ?? 0) > 0)
  await program.untilTotal('turnpike_overload_level', { reason: 'delay' }, 0)
  const answer = await ask(program.port, { path: '/slow' })
  assert.equal(answer.text, 'up')
  assert.ok((await program.total('turnpike_overload_refusals_total', { reason: 'delay', priority: 'low' })) > 0)
})
