// Who gets through the door of a listener: connections of one address, and new ones per second.

import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { ask } from '../tools/ask.ts'
import { Crowd } from '../tools/crowd.ts'
import { Line } from '../tools/load.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const routes = [{ match: {}, reply: { body: 'here' } }]
const get = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n'

test('an address has so many connections over all workers, another has its own, and a trusted proxy all it wants', async () => {
  const limits = { connectionsPerAddress: 20 }
  const listener = { host: '127.0.0.1', port: 0, limits, trustedProxies: ['127.0.0.9'] }
  await using program = await Program.start({ listeners: [listener], workers: 2, routes })
  using crowd = new Crowd()
  await crowd.add(program.port, 50, '', 10, '127.0.0.2')
  await until(
    () => crowd.open === 20,
    () => `20 of 50 connections to stay; ${crowd.open} did`,
  )
  await program.untilTotal('turnpike_ceiling_hits_total', { ceiling: 'connections-per-address' }, 30)
  await crowd.add(program.port, 20, '', 10, '127.0.0.3')
  await crowd.add(program.port, 50, '', 10, '127.0.0.9')
  await program.untilTotal('turnpike_downstream_connections', {}, 90)
  crowd.leave()
  await program.untilQuiet()
  await crowd.add(program.port, 20, '', 10, '127.0.0.2')
  await program.untilTotal('turnpike_downstream_connections', {}, 20)
})

for (const kind of ['plain', 'tls'] as const) {
  test(`${kind}: connections beyond the pace wait in their order, and open ones do not`, async t => {
    const pair = selfSigned(['a.test'])
    const tls = { tls: { certificates: [{ cert: 'one.pem', key: 'one.key' }] } }
    const listener = { host: '127.0.0.1', port: 0, limits: { accepts: '100/s' }, ...(kind === 'tls' && tls) }
    const open = { host: '127.0.0.1', port: 0 }
    await using program = await Program.start(
      {
        listeners: [
          { ...listener, name: 'paced' },
          { ...open, name: 'open' },
        ],
        routes,
      },
      { 'one.pem': pair.cert, 'one.key': pair.key },
    )
    const line = await Line.open(kind === 'plain' ? program.port : program.portOf(1))
    assert.equal((await line.call(get)).status, 200)
    using crowd = new Crowd()
    const startedMs = performance.now()
    await crowd.add(program.port, 300, kind === 'plain' ? get : '', 100)
    assert.equal((await line.call(get)).status, 200)
    const waiting = { listener: 'paced', state: 'waiting' }
    await until(
      async () => (await program.total('turnpike_downstream_connections', waiting)) > 20,
      () => 'connections to wait',
    )
    await program.untilTotal('turnpike_downstream_connections', waiting, 0)
    const tookMs = performance.now() - startedMs
    const waits = await program.total('turnpike_ceiling_hits_total', { ceiling: 'accepts' })
    t.diagnostic(`${waits} of 300 waited, the last ${Math.round(tookMs)} ms`)
    // 300 at 100/s, less the ten that may come at once.
    assert.ok(tookMs > 2_500, `all were through in ${tookMs} ms`)
    assert.ok(waits >= 200)
    assert.equal(crowd.open, 300)
    assert.equal(await program.total('turnpike_ceiling_hits_total', { ceiling: 'accepts-wait' }), 0)
  })
}

test('an address with too many connections takes no turn from others', async () => {
  const limits = { accepts: '50/s', connectionsPerAddress: 10 }
  const listener = { host: '127.0.0.1', port: 0, limits, timeouts: { head: '20s' } }
  await using program = await Program.start({ listeners: [listener], routes })
  using crowd = new Crowd()
  await crowd.add(program.port, 400, '', 400, '127.0.0.2')
  // Those ten have their turn within a fifth of a second; four hundred would have it after eight.
  const startedMs = performance.now()
  assert.equal((await ask(program.port, {})).status, 200)
  assert.ok(performance.now() - startedMs < 4_000, `a call waited ${performance.now() - startedMs} ms`)
  await program.untilTotal('turnpike_ceiling_hits_total', { ceiling: 'connections-per-address' }, 390)
})

test('who waits longer than `timeouts.head` for its turn is let go', async () => {
  const listener = { host: '127.0.0.1', port: 0, limits: { accepts: '10/s' }, timeouts: { head: '1s' } }
  await using program = await Program.start({ listeners: [listener], routes })
  using crowd = new Crowd()
  await crowd.add(program.port, 100, '', 50)
  await until(
    () => crowd.open <= 50,
    () => `most of 100 connections to be let go; ${crowd.open} are open`,
  )
  await program.untilTotal('turnpike_downstream_connections', { state: 'waiting' }, 0)
  const lost = await program.total('turnpike_ceiling_hits_total', { ceiling: 'accepts-wait' })
  // About ninety, but a machine that stutters has fewer beats, or more time to connect.
  assert.ok(lost >= 50 && lost < 100, `${lost} waited in vain`)
})

test('the count of an address stays exact when a worker dies', async () => {
  const listener = { host: '127.0.0.1', port: 0, limits: { connectionsPerAddress: 20 } }
  await using program = await Program.start(
    { listeners: [listener], workers: 2, policies: [{ trouble: {} }], routes },
    {},
    ['--extension', path.join(import.meta.dirname, 'extensions', 'trouble.ts')],
  )
  using crowd = new Crowd()
  await crowd.add(program.port, 20, '', 10, '127.0.0.2')
  await program.untilTotal('turnpike_downstream_connections', {}, 20)
  await assert.rejects(ask(program.port, { headers: { 'x-trouble': 'die' } }))
  // They end one after the other.
  await until(
    async () => crowd.open < 20 && (await program.total('turnpike_downstream_connections')) === crowd.open,
    () => `connections to end with their worker, and to be given back; ${crowd.open} are open`,
  )
  await crowd.add(program.port, 40, '', 10, '127.0.0.2')
  await until(
    () => crowd.open === 20,
    () => `20 connections to be open again; ${crowd.open} are`,
  )
  await program.untilTotal('turnpike_downstream_connections', {}, 20)
})
