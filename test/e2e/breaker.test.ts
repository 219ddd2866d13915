// The breaker of an upstream against servers that fail, stop and die, with real processes. Each test ends in counts.
//
// Runs alone: it measures time.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { ask, codeOf } from '../tools/ask.ts'
import { ChildServer } from '../tools/child-server.ts'
import { flood } from '../tools/flood.ts'
import { Load } from '../tools/load.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'
import { followed, Stream, Victim } from './sick/ward.ts'

describe('breaker', () => {
  test('opens at exactly its minimum over all workers, refuses at once, and closes after its probes', async () => {
    let status = 500
    await using origin = await Origin.start((_, response) => response.writeHead(status).end('from the service'))
    await using program = await Program.start({
      workers: 4,
      upstreams: { a: { targets: [origin.url], breaker: { minimum: 30, open: '4s', window: '1m', probes: 2 } } },
      routes: [{ match: {}, forward: 'a' }],
    })
    // A connection each: the system spreads them over the workers.
    for (let call = 0; call < 30; call++) assert.equal((await ask(program.port)).text, 'from the service')
    for (let call = 0; call < 20; call++) {
      const got = await ask(program.port)
      assert.deepEqual([got.status, codeOf(got)], [503, 'breaker-open'])
      assert.match(String(got.headers['retry-after']), /^[1-4]$/)
    }
    assert.equal(origin.calls, 30)
    await program.untilTotal('turnpike_breaker_state', { upstream: 'a' }, 2)
    await program.untilTotal('turnpike_breaker_refusals_total', { upstream: 'a' }, 20)
    status = 200
    await until(
      async () => (await ask(program.port)).status === 200,
      () => 'a probe',
    )
    for (let call = 0; call < 50; call++) assert.equal((await ask(program.port)).status, 200)
    await program.untilTotal('turnpike_breaker_state', { upstream: 'a' }, 0)
    for (const state of ['open', 'half-open', 'closed']) {
      await program.untilTotal('turnpike_breaker_changes_total', { upstream: 'a', state }, 1)
    }
    const lines = () => program.stderr.split('\n').filter(line => line.includes('the breaker is'))
    await until(
      () => lines().length >= 3,
      () => `a line for each change: ${program.stderr}`,
    )
    assert.equal(lines().length, 3, 'one line for each change, whatever the number of workers')
  })

  test('a reload and the death of a worker leave it open', async () => {
    await using origin = await Origin.start((_, response) => response.writeHead(500).end())
    const config = (path: string, open: string) => ({
      workers: 2,
      upstreams: { a: { targets: [origin.url], breaker: { minimum: 5, open } } },
      routes: [{ match: { path }, forward: 'a' }],
    })
    await using program = await Program.start(config('/**', '1m'))
    for (let call = 0; call < 6; call++) await ask(program.port)
    assert.equal(origin.calls, 5)
    const staysOpen = async () => {
      for (let call = 0; call < 10; call++)
        assert.equal(codeOf(await ask(program.port, { path: '/a' })), 'breaker-open')
    }
    await program.replace(config('/a/**', '1m'))
    await program.untilTotal('turnpike_config_version', {}, 2)
    await staysOpen()
    // Another definition of the upstream: the same breaker.
    await program.replace(config('/a/**', '2m'))
    await program.untilTotal('turnpike_config_version', {}, 3)
    await staysOpen()
    const [worker] = (await (await program.admin('/workers')).json()) as { id: number }[]
    const replaced = await program.admin(`/workers/${worker?.id}/replace`, { method: 'POST' })
    assert.ok(replaced.ok, String(replaced.status))
    await program.untilDrained()
    await staysOpen()
    assert.equal(origin.calls, 5)
  })

  test('slow calls open it at their share; half open, exactly its probes reach the service; quick ones close it', async context => {
    await using service = await Victim.start('service')
    const breaker = { slow: { share: '50%', over: '350ms' }, minimum: 20, window: '1m', open: '3s', probes: 3 }
    await using program = await Program.start({
      workers: 4,
      upstreams: { a: { targets: [service.url], breaker } },
      routes: [{ match: {}, forward: 'a' }],
    })
    const seen = () => service.count('/')
    const tenAtOnce = () => Promise.all(Array.from({ length: 10 }, () => ask(program.port)))
    const changes = (state: string, count: number) =>
      program.untilTotal('turnpike_breaker_changes_total', { upstream: 'a', state }, count)
    for (const sickness of ['none', 'lags'] as const) {
      await service.be(sickness)
      for (const { status } of await tenAtOnce()) assert.equal(status, 200)
    }
    const refusedMs: number[] = []
    for (let call = 0; call < 100; call++) {
      const fromMs = performance.now()
      assert.equal(codeOf(await ask(program.port)), 'breaker-open')
      refusedMs.push(performance.now() - fromMs)
    }
    assert.equal(await seen(), 20, 'half of them were slow')
    const medianMs = refusedMs.toSorted((a, b) => a - b)[50] ?? NaN
    assert.ok(medianMs < 200, `${medianMs} ms`)

    await service.be('holds')
    const stream = new Stream({ port: program.port, path: '/', clients: 8 })
    await until(
      async () => (await seen()) >= 23,
      () => 'the probes',
    )
    const during = await followed(stream, 100)
    // Longer than a call may take.
    await pause(400)
    await service.be('none')
    const between = await followed(stream, 50)
    assert.equal(await seen(), 23, 'three probes and nothing else')
    await changes('open', 2)
    await changes('closed', 1)
    await changes('half-open', 2)
    const reopened = stream.take()
    const well = await followed(stream, 200)
    await stream[Symbol.asyncDispose]()
    assert.deepEqual(well.failed, {})
    const refused = [during, between, reopened].reduce((sum, { failed }) => sum + (failed['status 503'] ?? 0), 100)
    await program.untilTotal('turnpike_breaker_refusals_total', { upstream: 'a' }, refused)
    context.diagnostic(`${refused} refused in all, median of the first 100: ${medianMs.toFixed(1)} ms`)
  })

  test('a service that is stopped, continued, killed and started again: few calls wait, and neighbours notice nothing', {
    timeout: 180_000,
  }, async () => {
    let sick = await ChildServer.start()
    try {
      await using well = await Origin.start((_, response) => response.end('well'))
      await using program = await Program.start({
        workers: 2,
        upstreams: {
          sick: {
            targets: [sick.url],
            timeouts: { response: '800ms', connect: '800ms' },
            breaker: { minimum: 10, open: '1s', window: '2s', probes: 1 },
          },
          well: { targets: [well.url] },
        },
        routes: [
          { match: { path: '/sick' }, forward: 'sick' },
          { match: { path: '/well' }, forward: 'well' },
        ],
      })
      await using neighbour = new Load({ port: program.port, path: '/well' })
      assert.deepEqual(Object.keys((await flood(program.port, '/sick', 8, 500)).byOutcome), ['200'])

      sick.signal('SIGSTOP')
      const stopped = await flood(program.port, '/sick', 8, 5_000)
      const { 'upstream-timeout': timeouts = 0, 'breaker-open': refused = 0 } = stopped.byOutcome
      // Eight clients meet the first timeout, and what was on its way with it; then one probe a second.
      assert.ok(timeouts > 0 && timeouts <= 48, JSON.stringify(stopped.byOutcome))
      assert.ok(refused > 4 * timeouts, JSON.stringify(stopped.byOutcome))

      sick.signal('SIGCONT')
      await pause(1_500)
      await flood(program.port, '/sick', 1, 300)
      assert.deepEqual(Object.keys((await flood(program.port, '/sick', 8, 300)).byOutcome), ['200'])

      // Longer than its window, in which calls went well.
      await pause(2_500)
      sick.signal('SIGKILL')
      const dead = await flood(program.port, '/sick', 8, 2_000)
      const { 'breaker-open': fast = 0, ...failed } = dead.byOutcome
      const failures = Object.values(failed).reduce((sum, count) => sum + count, 0)
      assert.ok(failures > 0 && failures <= 40, JSON.stringify(dead.byOutcome))
      assert.ok(fast > 4 * failures, JSON.stringify(dead.byOutcome))

      sick = await ChildServer.start(undefined, sick.port)
      await pause(1_500)
      await flood(program.port, '/sick', 1, 300)
      assert.deepEqual(Object.keys((await flood(program.port, '/sick', 8, 500)).byOutcome), ['200'])
      await neighbour.stop()
      assert.deepEqual(neighbour.lost, {})
      assert.ok(neighbour.answered > 1_000, String(neighbour.answered))
      await program.untilQuiet()
    } finally {
      await sick[Symbol.asyncDispose]()
    }
  })
})
