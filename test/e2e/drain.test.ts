// SIGTERM under load: what is under way finishes, what comes is refused, and the process is gone in time.
//
// Runs alone: it measures time.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { describe, test } from 'node:test'
import { ExitCode } from '../../src/cli/exit-codes.ts'
import { ask } from '../tools/ask.ts'
import { Line, Load } from '../tools/load.ts'
import { Program, runTurnpike } from '../tools/program.ts'
import { carry, Listening, startStreamOrigin, Talk } from '../tools/streams.ts'
import { until } from '../tools/until.ts'

function start(target: string, drain: string, within: readonly string[] = []): Promise<Program> {
  const config = { workers: 2, drain, upstreams: { all: { targets: [target] } } }
  return Program.start({ ...config, routes: [{ match: { path: '/**' }, forward: 'all' }] }, {}, [], within)
}

/** Lines of the log with this text. */
function said(program: Program, text: string): Record<string, unknown>[] {
  const lines = program.stderr.split('\n').filter(line => line.includes(text))
  return lines.map(line => JSON.parse(line) as Record<string, unknown>)
}

describe('SIGTERM', { timeout: 180_000 }, () => {
  test('while the process starts ends it by a handler: the first process of a container has no other end', async () => {
    const extension = path.join(import.meta.dirname, 'extensions', 'stopped-early.ts')
    const { code } = await runTurnpike(['run', path.join(import.meta.dirname, 'none.yaml'), '--extension', extension])
    assert.equal(code, 143)
  })

  test('loses no call on a connection that was accepted, tells clients to close, and ends with exit code 0', async t => {
    await using origin = await startStreamOrigin()
    await using program = await start(origin.url, '20s')
    const load = new Load({ port: program.port, keepAlive: 8, fresh: 4 })
    const carried = Array.from({ length: 4 }, () => carry(program.port, 1_200))
    const idle = await Line.open(program.port)
    await idle.call('GET / HTTP/1.1\r\nhost: load.test\r\n\r\n')
    await until(
      () => load.answered > 300,
      () => 'calls',
    )
    const sent = performance.now()
    program.signal('SIGTERM')
    let readiness = 0
    await until(
      async () => {
        readiness = (await program.admin('/readyz')).status
        return readiness === 503
      },
      () => `/readyz to say 503; it says ${readiness}`,
    )
    assert.equal((await program.admin('/healthz')).status, 200)
    await until(
      () => load.lostCount > 20,
      () => 'the port to refuse',
    )
    await until(
      () => load.keepAlive.closing >= 8,
      () => `each kept connection to be told to close; ${load.keepAlive.closing} were`,
    )
    await load.stop()
    assert.equal(await program.exited(), ExitCode.ok)
    const tookMs = performance.now() - sent
    for (const { status, isWhole } of await Promise.all(carried)) assert.deepEqual([status, isWhole], [200, true])
    t.diagnostic(`${load.answered} calls; after it ${JSON.stringify(load.lost)}; ended after ${Math.round(tookMs)} ms`)
    const others = Object.keys(load.lost).filter(how => !/: connect: ECONN(REFUSED|RESET)$/.test(how))
    assert.ok(
      others.every(how => how.endsWith(': before the reply: ECONNRESET')),
      others.join(),
    )
    const queued = Object.entries(load.lost).reduce(
      (sum, [how, count]) => (how.endsWith('RESET') ? sum + count : sum),
      0,
    )
    assert.ok(queued <= 2, `${queued} connections were reset while they waited to be accepted`)
    await until(
      () => idle.isOver,
      () => 'an idle connection to be closed',
    )
    assert.ok(tookMs < 10_000, `it took ${tookMs} ms, half as long as it may`)
    assert.equal(said(program, 'stopped').length, 1)
    assert.equal(said(program, '"level":"error"').length, 0)
  })

  test('cuts what never ends when the time is up, says so, and ends with exit code 0', async () => {
    await using origin = await startStreamOrigin()
    await using program = await start(origin.url, '700ms')
    const listening = await Listening.start(program.port)
    const talk = await Talk.start(program.port)
    await until(
      () => listening.events > 10 && talk.echoed > 10,
      () => 'streams to flow',
    )
    const sent = performance.now()
    program.signal('SIGTERM')
    assert.equal(await program.exited(), ExitCode.ok)
    const tookMs = performance.now() - sent
    assert.ok(tookMs >= 650 && tookMs < 10_000, `it took ${tookMs} ms`)
    await until(
      () => listening.broken !== null && talk.broken !== null,
      () => 'both to notice',
    )
    const [line] = said(program, 'had to be cut')
    assert.equal(line?.['connections'], 2)
  })

  test('lets streams that end in time end', async () => {
    await using origin = await startStreamOrigin()
    await using program = await start(origin.url, '20s')
    const talk = await Talk.start(program.port)
    const listening = await Listening.start(program.port)
    program.signal('SIGTERM')
    await until(
      async () => !(await accepts(program.port)),
      () => 'the port to refuse',
    )
    const { echoed } = talk
    const { events } = listening
    await until(
      () => talk.echoed > echoed + 20 && listening.events > events + 20,
      () => 'streams to go on',
    )
    assert.deepEqual([talk.broken, listening.broken], [null, null])
    await talk.stop()
    listening.stop()
    assert.equal(await program.exited(), ExitCode.ok)
    assert.equal(said(program, 'had to be cut').length, 0)
  })

  test('answers a call that was half sent', async () => {
    await using origin = await startStreamOrigin()
    await using program = await start(origin.url, '20s')
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    await ask(program.port, { agent })
    const half = net.connect(program.port, '127.0.0.1')
    half.write('GET / HTTP/1.1\r\nhost: load')
    await program.untilTotal('turnpike_downstream_connections', { state: 'active' }, 1)
    program.signal('SIGTERM')
    await until(
      async () => !(await accepts(program.port)),
      () => 'the port to refuse',
    )
    half.write('.test\r\n\r\n')
    const [chunk] = (await once(half, 'data')) as [Buffer]
    assert.match(chunk.toString(), /^HTTP\/1\.1 200 [^]*\r\nconnection: close\r\n/)
    const reply = await ask(program.port, { agent })
    assert.deepEqual([reply.status, reply.headers.connection], [200, 'close'])
    assert.equal(await program.exited(), ExitCode.ok)
    half.destroy()
    agent.destroy()
  })
})

describe('a further signal while the gateway drains', { timeout: 90_000 }, () => {
  const within = ['env', `NODE_OPTIONS=--import=${new URL('../tools/slow-to-say.mjs', import.meta.url).href}`]

  test('SIGTERM: calls under way are finished all the same', async () => {
    await using origin = await startStreamOrigin()
    await using program = await start(origin.url, '20s', within)
    const half = net.connect(program.port, '127.0.0.1')
    let text = ''
    half.on('data', chunk => (text += chunk.toString()))
    half.on('error', () => {})
    const closed = once(half, 'close')
    half.write('GET / HTTP/1.1\r\nhost: load')
    await program.untilTotal('turnpike_downstream_connections', { state: 'active' }, 1)
    program.signal('SIGTERM')
    await program.untilSaid(/draining/)
    program.signal('SIGTERM')
    await until(
      async () => !(await accepts(program.port)),
      () => 'the port to refuse',
    )
    program.signal('SIGTERM')
    half.write('.test\r\n\r\n')
    await closed
    assert.match(text, /^HTTP\/1\.1 200 /)
    assert.equal(await program.exited(), ExitCode.ok)
  })

  test('SIGINT as soon as it says so: ends it at once', async () => {
    await using origin = await startStreamOrigin()
    await using program = await start(origin.url, '20s', within)
    program.signal('SIGINT')
    await program.untilSaid(/draining/)
    program.signal('SIGINT')
    assert.equal(await program.exited(), ExitCode.failed)
  })
})

describe('SIGINT', { timeout: 90_000 }, () => {
  test('drains at first and ends at once when it comes again', async () => {
    await using origin = await startStreamOrigin()
    await using program = await start(origin.url, '20s')
    const listening = await Listening.start(program.port)
    program.signal('SIGINT')
    await until(
      () => said(program, 'draining').length === 1,
      () => 'draining',
    )
    await until(
      async () => !(await accepts(program.port)),
      () => 'the port to refuse',
    )
    assert.equal(program.isOver, false)
    const sent = performance.now()
    program.signal('SIGINT')
    assert.equal(await program.exited(), ExitCode.failed)
    assert.ok(performance.now() - sent < 10_000, 'it took as long as a drain')
    listening.stop()
  })
})

async function accepts(port: number): Promise<boolean> {
  try {
    const line = await Line.open(port)
    line.close()
    return true
  } catch {
    return false
  }
}
