// Late calls that are sent once more, and deadlines that tries tell, with real processes. Each test ends in counts.
//
// Runs alone.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2, { type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { ask } from '../tools/ask.ts'
import { ChildServer } from '../tools/child-server.ts'
import { flood, quantile } from '../tools/flood.ts'
import { echo, type Echoed, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

describe('hedging', () => {
  test('one of two targets stopped, then killed, under load: no call is lost and none is late', {
    timeout: 180_000,
  }, async () => {
    await using well = await ChildServer.start()
    await using sick = await ChildServer.start()
    await using program = await Program.start({
      upstreams: {
        a: {
          targets: [well.url, sick.url],
          balance: 'random',
          timeouts: { response: '20s' },
          retry: { attempts: 1, budget: '100%' },
          hedge: '60ms',
        },
      },
      routes: [{ match: {}, forward: 'a' }],
    })
    const before = await flood(program.port, '/', 8, 500)
    sick.signal('SIGSTOP')
    const during = await flood(program.port, '/', 8, 2_000)
    for (const { byOutcome } of [before, during]) assert.deepEqual(Object.keys(byOutcome), ['200'])
    // Without a hedge each second call would wait for 20 seconds.
    assert.ok(quantile(during.goodMs, 0.99) < 2_000, String(quantile(during.goodMs, 0.99)))
    const won = await program.total('turnpike_upstream_hedges_total', { outcome: 'won' })
    assert.ok(won >= during.goodMs.length / 4, `${won} of ${during.goodMs.length}`)
    sick.signal('SIGKILL')
    const after = await flood(program.port, '/', 8, 500)
    assert.deepEqual(Object.keys(after.byOutcome), ['200'])
    await program.untilQuiet()
  })

  test('a service with a long tail: the hedge follows the percentile, cuts the tail, and keeps to its budget', async () => {
    // One call in twenty takes 500 ms.
    await using tail = await ChildServer.start(
      '(() => { let n = 0; return (_, r) => setTimeout(() => r.end("up"), ++n % 20 === 0 ? 500 : 5) })()',
    )
    const upstream = { targets: [tail.url], retry: { budget: '20%' } }
    await using program = await Program.start({
      upstreams: { plain: upstream, hedged: { ...upstream, hedge: { percentile: '90%', after: '20ms' } } },
      routes: [
        { match: { path: '/plain' }, forward: 'plain' },
        { match: { path: '/hedged' }, forward: 'hedged' },
      ],
    })
    const plain = await flood(program.port, '/plain', 10, 2_000)
    const hedged = await flood(program.port, '/hedged', 10, 3_000)
    for (const { byOutcome } of [plain, hedged]) assert.deepEqual(Object.keys(byOutcome), ['200'])
    assert.ok(quantile(plain.goodMs, 0.97) >= 490, `without: ${quantile(plain.goodMs, 0.97)} ms`)
    assert.ok(quantile(hedged.goodMs, 0.97) < 450, `with: ${quantile(hedged.goodMs, 0.97)} ms`)
    const sent = await program.total('turnpike_upstream_hedges_total', { upstream: 'hedged' })
    const calls = hedged.goodMs.length
    assert.ok(sent > 0 && sent <= calls * 0.2 + 3 * 4, `${sent} hedges of ${calls} calls`)
    await program.untilQuiet()
  })

  test('over HTTP/2: the stream of the try that lost is reset, and its connection lives on', async () => {
    let [opened, lost, tries] = [0, 0, 0]
    const server = http2.createServer()
    server.on('session', () => opened++)
    server.on('stream', (stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
      stream.on('error', () => {})
      stream.on('close', () => (lost += stream.rstCode === http2.constants.NGHTTP2_CANCEL ? 1 : 0))
      // The first try of each call is never answered.
      if (headers[':path'] === '/late' && ++tries % 2 === 1) return
      stream.respond({ ':status': 200 })
      stream.end(`try ${tries}`)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await using program = await Program.start({
      workers: 1,
      upstreams: {
        a: { protocol: 'http2', targets: [`http://127.0.0.1:${port}`], hedge: '50ms', retry: { budget: '100%' } },
      },
      routes: [{ match: {}, forward: 'a' }],
    })
    assert.equal((await ask(program.port)).text, 'try 0')
    for (let i = 1; i <= 5; i++) {
      assert.equal((await ask(program.port, { path: '/late' })).text, `try ${2 * i}`)
      await until(
        () => lost === i,
        () => `${i} streams to be reset; it were ${lost}`,
      )
      assert.equal((await ask(program.port)).text, `try ${2 * i}`)
    }
    assert.equal(opened, 1)
    await program.untilTotal('turnpike_upstream_hedges_total', { outcome: 'won' }, 5)
    await program.untilQuiet()
    server.close()
  })

  test('a body is sent twice, whole; what is not safe to repeat is sent once', async () => {
    const seen: string[] = []
    let givenUp = 0
    await using slow = await Origin.start(async (request, response, body) => {
      seen.push(`${request.method} ${body.length}`)
      response.on('close', () => (givenUp += response.writableFinished ? 0 : 1))
      // The first try of each call is late.
      if (seen.filter(line => line === seen.at(-1)).length === 1) await pause(1_000)
      response.end('done')
    })
    await using program = await Program.start({
      upstreams: { a: { targets: [slow.url], hedge: '50ms' } },
      routes: [{ match: {}, forward: 'a' }],
    })
    for (const [method, size, tries] of [
      ['PUT', 60_000, 2],
      ['PUT', 70_000, 1],
      ['POST', 10, 1],
    ] as const) {
      seen.length = 0
      givenUp = 0
      const got = await ask(program.port, { method, body: Buffer.alloc(size) })
      assert.equal(got.text, 'done')
      assert.deepEqual(
        seen,
        Array.from({ length: tries }, () => `${method} ${size}`),
      )
      // The service learns that nobody waits for the first try any more.
      await until(
        () => givenUp === tries - 1,
        () => `${tries - 1} tries to be given up; it were ${givenUp}`,
      )
    }
    await program.untilQuiet()
  })
})

test('each try tells how much time its call has left; what clients say is dropped', async () => {
  const header = 'x-envoy-expected-rq-timeout-ms'
  let calls = 0
  await using origin = await Origin.start((request, response, body) => {
    if (++calls % 2 === 1) return void setTimeout(() => response.writeHead(503).end(), 200)
    return echo(request, response, body)
  })
  const program = await Program.start({
    upstreams: {
      a: {
        targets: [origin.url],
        timeouts: { call: '5s' },
        retry: { attempts: 1, on: ['503'], backoff: '1ms' },
        deadlineHeader: header,
      },
    },
    routes: [{ match: {}, forward: 'a' }],
  })
  await using _ = program
  const { headers } = JSON.parse((await ask(program.port, { headers: { [header]: '7' } })).text) as Echoed
  const left = Number(headers[header])
  assert.ok(left > 1_000 && left <= 4_810, `${headers[header]}`)
})
