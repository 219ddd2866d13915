// Deadlines, ceilings and retries on real sockets: what happens when something takes too long or comes too often.
//
// Runs alone: it measures time.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import net, { type Socket } from 'node:net'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import { Peer } from '../strictness/wire/peer.ts'
import { type Answer, ask, codeOf } from '../tools/ask.ts'
import { refusingPort } from '../tools/free-port.ts'
import { type Handler, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

/** Replies that wait for the test to say so. */
const waiting: (() => void)[] = []
/** Calls that are being answered now, and the most there were at once. */
const busy = { now: 0, most: 0 }
const failuresLeft = new Map<string, number>()

const serve: Handler = async (request, response) => {
  const path = request.url ?? ''
  const left = failuresLeft.get(path) ?? 0
  if (left > 0) {
    failuresLeft.set(path, left - 1)
    response.writeHead(503).end('not now')
  } else if (path.startsWith('/wait')) {
    busy.now++
    busy.most = Math.max(busy.most, busy.now)
    await new Promise<void>(resolve => {
      waiting.push(resolve)
      response.on('close', resolve)
    })
    busy.now--
    response.end('waited')
  } else if (path === '/drip') {
    const timer = setInterval(() => response.write('x'), 50)
    response.on('close', () => clearInterval(timer))
  } else response.end('ok')
}

let origin: Origin
let program: Program
before(async () => {
  origin = await Origin.start(serve)
  program = await Program.start({
    workers: 2,
    listeners: [
      { name: 'quick', port: 0, host: '127.0.0.1', timeouts: { head: '400ms', body: '400ms', idle: '500ms' } },
      { name: 'narrow', port: 0, host: '127.0.0.1', limits: { connections: 10 } },
      { name: 'main', port: 0, host: '127.0.0.1', timeouts: { body: '1s' } },
    ],
    upstreams: {
      origin: { targets: [origin.url], timeouts: { idle: '10s' } },
      hasty: { targets: [origin.url], timeouts: { response: '400ms', idle: '10s' } },
      patient: { targets: [origin.url], timeouts: { call: '500ms' } },
      slow: { targets: [origin.url], limits: { connections: 2048 } },
      small: { targets: [origin.url], limits: { connections: 2, pending: 2 } },
      half: { targets: [origin.url, `http://127.0.0.1:${await refusingPort()}`], balance: 'round-robin' },
      retried: { targets: [origin.url], retry: { attempts: 2, on: ['503'], budget: '100%', backoff: '1ms' } },
      stubborn: { targets: [origin.url], retry: { attempts: 2, on: ['503'], budget: '100%', backoff: '1ms' } },
      budgeted: { targets: [origin.url], retry: { attempts: 5, on: ['503'], budget: '10%', backoff: '1ms' } },
    },
    routes: [
      { match: { path: '/wait/upstream' }, forward: 'hasty' },
      { match: { path: '/patience' }, forward: 'hasty' },
      { match: { path: '/wait/patient' }, forward: 'patient' },
      { match: { path: '/wait/policy' }, policies: [{ timeout: '300ms' }], forward: 'slow' },
      { match: { path: '/drip' }, policies: [{ timeout: '300ms' }], forward: 'slow' },
      { match: { path: '/wait/limited' }, policies: [{ concurrency: 16 }], forward: 'slow' },
      { match: { path: '/wait/small' }, forward: 'small' },
      { match: { path: '/half' }, forward: 'half' },
      { match: { path: '/retried/often' }, forward: 'stubborn' },
      { match: { path: '/retried/**' }, forward: 'retried' },
      { match: { path: '/budgeted' }, forward: 'budgeted' },
      { match: { path: '/**' }, forward: 'origin' },
    ],
  })
})
after(async () => {
  await program[Symbol.asyncDispose]()
  await origin[Symbol.asyncDispose]()
})

const main = () => program.portOf(2)
const outcome = (got: Answer) => `${got.status} ${got.status === 200 ? got.text : codeOf(got)}`

/** Counts of equal texts. */
function tally(texts: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const text of texts) counts[text] = (counts[text] ?? 0) + 1
  return counts
}

/** How long something takes, in milliseconds. */
async function timed<T>(work: Promise<T>): Promise<{ result: T; ms: number }> {
  const startMs = performance.now()
  const result = await work
  return { result, ms: performance.now() - startMs }
}

/** Lets calls that wait go, as many as come, until the work is done. */
async function whileReleasing<T>(work: Promise<T>): Promise<T> {
  const timer = setInterval(() => waiting.splice(0).forEach(go => go()), 5)
  return work.finally(() => clearInterval(timer))
}

describe('a client that is too slow', () => {
  test('408 for a head that does not end', async () => {
    const client = await Peer.connect(program.port)
    client.send('GET / HTTP/1.1\r\nHost: a')
    const { ms } = await timed(client.closed())
    assert.match(client.text, /^HTTP\/1\.1 408 [^]*"request-timeout"/)
    assert.ok(ms > 300 && ms < 5000, `${ms} ms`)
  })

  test('408 for a body that stops', async () => {
    const client = await Peer.connect(program.port)
    client.send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nsome')
    const { ms } = await timed(client.closed())
    assert.match(client.text, /^HTTP\/1\.1 408 [^]*"request-timeout"/)
    assert.ok(ms > 300 && ms < 5000, `${ms} ms`)
  })

  test('408 also where the upstream would have run out of patience first: it is not to blame', async () => {
    const client = await Peer.connect(main())
    client.send('POST /patience HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nsome')
    await client.closed()
    assert.match(client.text, /^HTTP\/1\.1 408 [^]*"request-timeout"/)
  })

  test('a body that moves, however slowly, is not cut', async () => {
    const client = await Peer.connect(main())
    client.send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 8\r\n\r\n')
    let sent = 0
    // Twice as long as a body may stand still.
    const drip = setInterval(() => ++sent <= 8 && client.send('x'), 250)
    await client.until(/^HTTP\/1\.1 200 [^]*ok/).finally(() => clearInterval(drip))
    client.socket.destroy()
  })

  test('an idle connection is closed without a word', async () => {
    const client = await Peer.connect(program.port)
    client.send('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n')
    const { ms } = await timed(client.until('ok').then(() => client.closed()))
    assert.ok(ms > 400 && ms < 5000, `${ms} ms`)
    assert.match(client.text, /ok\r\n0\r\n\r\n$|ok$/)
  })
})

describe('an upstream that is too slow', () => {
  test('504 upstream-timeout when no reply comes in time', async () => {
    const { result, ms } = await timed(ask(main(), { path: '/wait/upstream' }))
    assert.equal(outcome(result), '504 upstream-timeout')
    assert.ok(ms > 350 && ms < 5000, `${ms} ms`)
  })

  test('504 call-timeout by `timeouts.call` of the upstream', async () => {
    assert.equal(outcome(await ask(main(), { path: '/wait/patient' })), '504 call-timeout')
  })

  test('504 call-timeout by the policy `timeout`', async () => {
    const { result, ms } = await timed(ask(main(), { path: '/wait/policy' }))
    assert.equal(outcome(result), '504 call-timeout')
    assert.ok(ms > 250 && ms < 4000, `${ms} ms`)
  })

  test('a reply under way is cut by the policy `timeout`', async () => {
    const got = await ask(main(), { path: '/drip' })
    assert.equal(got.status, 200)
    assert.equal(got.isWhole, false)
  })

  test('504 upstream-connect-timeout when a connection cannot be made in time', { timeout: 90_000 }, async t => {
    const fillers: Socket[] = []
    const script = `require('node:net').createServer(() => {}).listen({ port: 0, host: '127.0.0.1', backlog: 1 }, function () { console.log(this.address().port) })`
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.after(() => {
      child.kill('SIGKILL')
      for (const socket of fillers) socket.destroy()
    })
    const port = Number(String(((await once(child.stdout, 'data')) as [Buffer])[0]))
    child.kill('SIGSTOP')
    // Connections until three do not come to be, which a moment in which this thread stands still is not: the backlog is full then.
    let missing = 0
    while (missing < 3) {
      const socket = net.connect({ port, host: '127.0.0.1' })
      socket.on('error', () => {})
      fillers.push(socket)
      const signal = AbortSignal.timeout(300)
      const isConnected = await once(socket, 'connect', { signal }).then(
        () => true,
        () => false,
      )
      if (!isConnected) missing++
    }
    await using other = await Program.start({
      upstreams: { a: { targets: [`http://127.0.0.1:${port}`], timeouts: { connect: '300ms' } } },
      routes: [{ match: {}, forward: 'a' }],
    })
    const { result, ms } = await timed(ask(other.port))
    assert.equal(outcome(result), '504 upstream-connect-timeout')
    assert.ok(ms > 250 && ms < 4000, `${ms} ms`)
    await other.untilTotal('turnpike_upstream_connect_failures_total', {}, 1)
  })
})

describe('ceilings', () => {
  test('upstream: two connections, two calls that wait, and 503 at once for more', async () => {
    // Each of the two workers has half of it: clients on one connection each spread over both.
    const calls = Array.from({ length: 40 }, () => timed(ask(main(), { path: '/wait/small' })))
    let refused = 0
    for (const call of calls) void call.then(({ result }) => (refused += result.status === 503 ? 1 : 0))
    // Nothing else is answered until the test says so.
    await until(
      () => busy.now === 2 && refused >= 30,
      () => `two calls at the upstream and thirty refusals; there are ${busy.now} and ${refused}`,
    )
    const results = await whileReleasing(Promise.all(calls))
    const counts = tally(results.map(({ result }) => outcome(result)))
    assert.equal((counts['200 waited'] ?? 0) + (counts['503 upstream-busy'] ?? 0), 40)
    assert.ok((counts['503 upstream-busy'] ?? 0) >= 30, JSON.stringify(counts))
    const hits = { ceiling: 'upstream-pending', name: 'small' }
    await program.untilTotal('turnpike_ceiling_hits_total', hits, counts['503 upstream-busy'] ?? 0)
  })

  test('listener: ten connections over both workers, the eleventh is closed at once', async () => {
    const port = program.portOf(1)
    const clients = await Promise.all(Array.from({ length: 10 }, () => Peer.connect(port)))
    for (const client of clients) client.send('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n')
    await Promise.all(clients.map(client => client.until('ok')))
    const more = await Promise.all(Array.from({ length: 5 }, () => Peer.connect(port)))
    await Promise.all(more.map(client => client.closed()))
    assert.ok(more.every(({ text }) => text === ''))
    assert.ok(clients.every(({ isClosed }) => !isClosed))
    await program.untilTotal('turnpike_ceiling_hits_total', { ceiling: 'connections', name: 'narrow' }, 5)
    clients[0]?.socket.destroy()
    await until(
      async () => (await ask(port).catch(() => null))?.status === 200,
      () => 'a place to be free again',
    )
    for (const client of clients) client.socket.destroy()
  })

  test('concurrency: sixteen at once over two workers and 64 connections, never seventeen', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })
    busy.most = 0
    const first = Array.from({ length: 64 }, () => ask(main(), { path: '/wait/limited', agent }))
    await until(
      () => busy.now === 16,
      () => `16 calls at the upstream; ${busy.now} are there`,
    )
    const refused = await Promise.all(Array.from({ length: 20 }, () => ask(main(), { path: '/wait/limited' })))
    assert.deepEqual(tally(refused.map(outcome)), { '503 concurrency-exceeded': 20 })
    assert.ok(refused.every(({ headers }) => Number(headers['retry-after']) > 0))
    const results = await whileReleasing(Promise.all(first))
    assert.deepEqual(tally(results.map(outcome)), { '200 waited': 16, '503 concurrency-exceeded': 48 })
    const more = await whileReleasing(
      Promise.all(Array.from({ length: 2000 }, () => ask(main(), { path: '/wait/limited', agent }))),
    )
    assert.ok(more.every(({ status }) => status === 200 || status === 503))
    assert.equal(busy.most, 16)
    agent.destroy()
  })
})

describe('retries', () => {
  test('one of two targets refuses connections: no call fails', async () => {
    const results = await Promise.all(Array.from({ length: 200 }, () => ask(main(), { path: '/half' })))
    assert.deepEqual(tally(results.map(outcome)), { '200 ok': 200 })
    assert.ok(
      (await program.total('turnpike_upstream_retries_total', { upstream: 'half', reason: 'connect-failure' })) >= 90,
    )
  })

  test('POST too, because nobody can have seen it', async () => {
    const results = await Promise.all(
      Array.from({ length: 50 }, () => ask(main(), { path: '/half', method: 'POST', body: 'x' })),
    )
    assert.deepEqual(tally(results.map(outcome)), { '200 ok': 50 })
  })

  test('503 is tried again where the config says so', async () => {
    failuresLeft.set('/retried/get', 2)
    assert.equal(outcome(await ask(main(), { path: '/retried/get' })), '200 ok')
    assert.equal(origin.targets.get('/retried/get'), 3)
    await program.untilTotal('turnpike_upstream_retries_total', { upstream: 'retried', reason: '503' }, 2)
  })

  test('with its body', async () => {
    failuresLeft.set('/retried/put', 1)
    const got = await ask(main(), { path: '/retried/put', method: 'PUT', body: 'x'.repeat(10_000) })
    assert.equal(got.status, 200)
    assert.equal(origin.targets.get('/retried/put'), 2)
  })

  test('not more often than it says', async () => {
    failuresLeft.set('/retried/often', 9)
    const got = await ask(main(), { path: '/retried/often' })
    assert.deepEqual([got.status, got.text], [503, 'not now'])
    assert.equal(origin.targets.get('/retried/often'), 3)
  })

  test('POST is not tried again once it was sent', async () => {
    failuresLeft.set('/retried/post', 9)
    const got = await ask(main(), { path: '/retried/post', method: 'POST', body: 'x' })
    assert.deepEqual([got.status, got.text], [503, 'not now'])
    assert.equal(origin.targets.get('/retried/post'), 1)
  })

  test('the budget holds: an outage is not made worse by more than a tenth', async () => {
    const calls = 1000
    failuresLeft.set('/budgeted', Infinity)
    const agent = new http.Agent({ keepAlive: true, maxSockets: 16 })
    const { ms } = await timed(
      Promise.all(Array.from({ length: calls }, () => ask(main(), { path: '/budgeted', agent }))),
    )
    agent.destroy()
    const tries = origin.targets.get('/budgeted') ?? 0
    // A tenth, and the three per second and worker that are always allowed.
    const most = calls * 1.1 + 6 * (Math.ceil(ms / 1000) + 1)
    assert.ok(tries > calls && tries <= most, `${tries} tries for ${calls} calls in ${ms} ms`)
    assert.ok((await program.total('turnpike_upstream_retry_budget_exhausted_total', { upstream: 'budgeted' })) > 0)
  })
})
