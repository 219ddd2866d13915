// The config changes under load, two hundred times, and nobody who did not ask for the change notices.
//
// Runs alone: it measures time.

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, test } from 'node:test'
import tls from 'node:tls'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { ask, codeOf } from '../tools/ask.ts'
import { freePort } from '../tools/free-port.ts'
import { assertNoneLost, Line, Load } from '../tools/load.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { Carriers, carry, Listening, startStreamOrigin, Talk } from '../tools/streams.ts'
import { until } from '../tools/until.ts'

const main = { port: 0, host: '127.0.0.1', name: 'main' }

async function reload(program: Program, config: object): Promise<{ result: string; version: number }> {
  await program.replace(config)
  const reply = await program.admin('/reload', { method: 'POST' })
  const outcome = (await reply.json()) as { result: string; version: number; problems: string[] }
  assert.equal(reply.status, 200, outcome.problems.join('\n'))
  return outcome
}

test('two hundred reloads under load lose nothing on untouched routes, and leave nothing behind', {
  timeout: 240_000,
}, async t => {
  const reloads = 200
  await using stable = await startStreamOrigin()
  await using other = await Origin.start((_, response) => response.end('other'))
  const spare = { port: await freePort(), host: '127.0.0.1', name: 'spare' }
  const config = (round: number) => {
    const name = `extra-${round % 7}`
    const stamp = { headers: { reply: { set: { 'x-round': String(round) } } } }
    return {
      listeners: round % 2 === 0 ? [main] : [main, spare],
      workers: 2,
      drain: '2s',
      upstreams: { stable: { targets: [stable.url] }, ...(round > 0 && { [name]: { targets: [other.url] } }) },
      routes: [
        ...(round > 0 ? [{ match: { path: `/${name}/${round}` }, forward: name }] : []),
        { match: { path: '/**' }, policies: [stamp], forward: 'stable' },
      ],
    }
  }
  await using program = await Program.start(config(0))
  const { port } = program
  const talk = await Talk.start(port)
  const listening = await Listening.start(port)
  await using carriers = new Carriers(port, 2, 700)
  await using load = new Load({ port, keepAlive: 6, fresh: 3 })
  let warmBytes = 0
  for (let round = 1; round <= reloads; round++) {
    const path = `/extra-${round % 7}/${round}`
    if (round % 5 === 0) {
      await program.replace(config(round))
      await until(
        async () => (await ask(port, { path })).text === 'other',
        () => `the watch to take reload ${round}`,
      )
    } else {
      await reload(program, config(round))
      assert.equal((await ask(port, { path })).text, 'other', `a new route is there at once, round ${round}`)
    }
    if (round === reloads / 4) warmBytes = await program.residentBytes()
  }
  await reload(program, config(0))
  const grownBytes = (await program.residentBytes()) - warmBytes
  await until(
    () => other.open === 0,
    () => `removed upstreams to close their ${other.open} connections`,
  )
  await load.stop()
  await carriers.stop()
  t.diagnostic(
    `${load.keepAlive.answered} calls on ${load.keepAlive.opened} kept connections, ${load.fresh.answered} on fresh ones, ` +
      `${carriers.whole} long bodies, ${talk.echoed} WebSocket messages, ${listening.events} events; grown by ${grownBytes >> 20} MB`,
  )
  assert.deepEqual([load.lost, carriers.lost, talk.broken, listening.broken], [{}, [], null, null])
  assert.equal(load.keepAlive.opened, 6, 'kept connections live on')
  assert.ok(talk.isOpen && talk.echoed > 100 && listening.events > 100)
  // Each of three threads may fill its nursery, of 48 MB or the default of V8, before the collector looks at it.
  assert.ok(grownBytes < 192 << 20, `${grownBytes} bytes more than after ${reloads / 4} reloads`)
  await talk.stop()
  listening.stop()
  await program.untilQuiet()
  await program.untilTotal('turnpike_upstream_connections', { upstream: 'extra-1' }, 0)
  assert.deepEqual(program.stderr.match(/^.*"level":"error".*$/gm), null)
})

describe('a reload', { timeout: 180_000 }, () => {
  test('removes a route at once, but not from under its calls', async () => {
    const released = Promise.withResolvers<void>()
    await using origin = await Origin.start(async (_, response) => {
      response.write('first half, ')
      await released.promise
      response.end('second half')
    })
    const kept = { match: { path: '/ping' }, reply: { body: 'pong' } }
    const slow = { match: { path: '/slow' }, forward: 'slow' }
    await using program = await Program.start({
      workers: 2,
      upstreams: { slow: { targets: [origin.url] } },
      routes: [kept, slow],
    })
    const underWay = Array.from({ length: 6 }, () => ask(program.port, { path: '/slow' }))
    await until(
      () => origin.calls === 6,
      () => 'six calls to be under way',
    )
    await reload(program, { workers: 2, routes: [kept] })
    for (let i = 0; i < 20; i++) {
      const gone = await ask(program.port, { path: '/slow' })
      assert.deepEqual([gone.status, codeOf(gone)], [404, 'route-not-found'])
    }
    assert.equal(origin.open, 6)
    released.resolve()
    for (const { status, text } of await Promise.all(underWay)) {
      assert.deepEqual([status, text], [200, 'first half, second half'])
    }
    await until(
      () => origin.open === 0,
      () => 'the pools of the removed upstream to close',
    )
  })

  test('opens and closes listeners; calls on a closed one finish', async () => {
    await using origin = await startStreamOrigin()
    const spare = { port: await freePort(), host: '127.0.0.1', name: 'spare' }
    const routes = [{ match: { path: '/**' }, forward: 'all' }]
    const base = { workers: 2, drain: '5s', upstreams: { all: { targets: [origin.url] } }, routes }
    await using program = await Program.start({ ...base, listeners: [main] })
    await assert.rejects(Line.open(spare.port), /ECONNREFUSED/)
    for (let i = 0; i < 5; i++) {
      await reload(program, { ...base, listeners: [main, spare] })
      const load = new Load({ port: spare.port, keepAlive: 3, fresh: 0 })
      const carried = carry(spare.port, 200)
      await until(
        () => load.answered > 30,
        () => 'calls on the new port',
      )
      await reload(program, { ...base, listeners: [main] })
      await until(
        () => load.lostCount > 0 && load.keepAlive.closing >= 3,
        () => `the port to refuse, and each kept connection to be told to close; ${load.keepAlive.closing} were`,
      )
      await load.stop()
      const { status, isWhole } = await carried
      assert.deepEqual([status, isWhole], [200, true])
      const others = Object.keys(load.lost).filter(how => !/: connect: ECONNREFUSED$|: ECONNRESET$/.test(how))
      assert.deepEqual(others, [])
    }
  })

  test('opens a port again that the one before has given up, though workers with much to do close it late', async () => {
    const spare = { port: await freePort(), host: '127.0.0.1', name: 'spare' }
    const routes = [{ match: {}, policies: [{ spin: { for: '2ms' } }], reply: { body: 'here' } }]
    const spin = ['--extension', path.join(import.meta.dirname, 'extensions', 'spin.ts')]
    await using program = await Program.start({ listeners: [main, spare], routes }, {}, ['--no-watch', ...spin])
    await using load = new Load({ port: program.port, keepAlive: 12, fresh: 0, pauseMsMax: 0 })
    for (let i = 0; i < 3; i++) {
      await reload(program, { listeners: [main], routes })
      await reload(program, { listeners: [main, spare], routes })
      ;(await Line.open(spare.port)).close()
    }
    await load.stop()
    assert.deepEqual(load.lost, {})
  })

  test('gives a listener another name, also for connections that are open', async () => {
    const routes = [
      { match: { listeners: ['one'] }, reply: { status: 201 } },
      { match: { listeners: ['two'] }, reply: { status: 202 } },
    ]
    const ports = [await freePort(), await freePort()] as const
    const config = (names: readonly [string, string]) => ({
      workers: 2,
      routes,
      listeners: names.map((name, index) => ({ port: ports[index], host: '127.0.0.1', name })),
    })
    await using program = await Program.start(config(['one', 'two']))
    const line = await Line.open(ports[0])
    const get = 'GET / HTTP/1.1\r\nhost: load.test\r\n\r\n'
    assert.equal((await line.call(get)).status, 201)
    await reload(program, config(['two', 'one']))
    assert.equal((await line.call(get)).status, 202)
    line.close()
    assert.equal((await ask(ports[0])).status, 202)
    assert.equal((await ask(ports[1])).status, 201)
  })

  test('serves a changed certificate to new connections, by name and without one', async () => {
    const listener = {
      ...main,
      tls: { certificates: [{ cert: 'a.pem', key: 'a.key' }], minVersion: '1.3' },
    }
    const config = { workers: 2, listeners: [listener], routes: [{ match: {}, reply: { body: 'hello' } }] }
    const one = selfSigned(['localhost'])
    await using program = await Program.start(config, { 'a.pem': one.cert, 'a.key': one.key })
    const kept = await handshake(program.port, 'localhost')
    const two = selfSigned(['localhost'])
    await writeFile(program.file('a.key'), two.key)
    await writeFile(program.file('a.pem'), two.cert)
    const fingerprint = new X509Certificate(two.cert).fingerprint256
    for (const name of ['localhost', '']) {
      const seen = async () => {
        const socket = await handshake(program.port, name)
        const { fingerprint256 } = socket.getPeerCertificate()
        socket.destroy()
        return fingerprint256
      }
      await until(
        async () => (await seen()) === fingerprint,
        () => 'the new certificate',
      )
      for (let i = 0; i < 10; i++) assert.equal(await seen(), fingerprint)
      await assert.rejects(handshake(program.port, name, 'TLSv1.2'), /protocol version/)
    }
    kept.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
    const [chunk] = (await once(kept, 'data')) as [Buffer]
    assert.match(chunk.toString(), /^HTTP\/1\.1 200 /)
    kept.destroy()
  })

  test('changes the number of workers without losing a call', async t => {
    await using origin = await Origin.start((_, response) => response.end('hello'))
    const config = (workers: number) => ({
      workers,
      upstreams: { all: { targets: [origin.url] } },
      routes: [{ match: { path: '/**' }, forward: 'all' }],
    })
    await using program = await Program.start(config(3))
    await using load = new Load({ port: program.port, keepAlive: 6, fresh: 4 })
    for (const workers of [1, 3, 2, 4, 1, 3, 1]) {
      await reload(program, config(workers))
      await program.untilTotal('turnpike_workers', { state: 'serving' }, workers)
      await program.untilDrained()
    }
    await load.stop()
    t.diagnostic(`${load.keepAlive.answered} calls on kept connections, ${load.fresh.answered} on fresh ones`)
    assertNoneLost(load, 10)
    assert.ok(load.keepAlive.closing > 0, 'connections of parting workers are told to close')
  })
})

async function handshake(
  port: number,
  servername: string,
  maxVersion: tls.SecureVersion = 'TLSv1.3',
): Promise<tls.TLSSocket> {
  const options = {
    host: '127.0.0.1',
    port,
    servername,
    maxVersion,
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
  }
  const socket = tls.connect(options)
  await once(socket, 'secureConnect')
  return socket
}
