// Limits over HTTP/2: calls count as over HTTP/1.1, together with them, and one connection with many streams gets no more.

import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { BothVersions, type Outcome } from '../tools/both-versions.ts'
import { answerOf } from '../tools/http2.ts'
import { echo, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const own = 'a-key-from-outside-0123'
const key = { 'x-api-key': own }
const byVersion = { by: { header: 'x-version' } }

let origin: Origin
let program: Program
let clients: BothVersions
/** Calls that the upstream has not answered, by what they are called. */
const waiting = new Map<string, Set<ServerResponse>>()

before(async () => {
  origin = await Origin.start((request, response, body) => {
    const name = request.headers['x-wait']
    if (typeof name !== 'string') return echo(request, response, body)
    const calls = waiting.get(name) ?? new Set()
    waiting.set(name, calls.add(response))
    return response.once('close', () => calls.delete(response))
  })
  const policies: Readonly<Record<string, readonly object[]>> = {
    window: [
      { 'rate-limit': { limits: ['3/1000h', { rate: '100/1000h', name: 'long' }], headers: 'both', ...byVersion } },
    ],
    bucket: [{ 'rate-limit': { limit: '3/1000h', algorithm: 'gcra', headers: 'both', ...byVersion } }],
    quota: [{ quota: { limit: '3/month', headers: 'both', ...byVersion } }],
    success: [{ 'rate-limit': { limit: '2/1000h', count: 'only-2xx', ...byVersion } }, { ip: { deny: '127.0.0.0/8' } }],
    rush: [{ 'rate-limit': { limit: '20/1000h', by: { header: 'x-round' } } }],
    consumer: [{ 'api-key': {} }, { quota: { limit: '4/month' } }],
    client: [{ 'rate-limit': { limit: '4/1000h', by: 'client' } }],
    throttle: [{ throttle: { failures: '3/1000h' } }, { 'api-key': {} }],
    burst: [{ throttle: { failures: '3/1000h' } }, { 'api-key': {} }],
    guesses: [{ throttle: { guesses: '3/1000h' } }, { basic: {} }],
    calls: [{ concurrency: { limit: 2, retryAfter: '7s', by: { header: 'x-version' } } }],
    body: [{ concurrency: 1 }, { 'body-limit': '10B' }],
  }
  program = await Program.start(
    {
      ...{ workers: 2, data: 'state', upstreams: { origin: { targets: [origin.url] } } },
      consumers: [{ name: 'bolt', credentials: [{ key: '${file:key}' }] }],
      routes: Object.entries(policies).map(([name, list]) => ({
        match: { path: `/${name}` },
        policies: list,
        forward: 'origin',
      })),
    },
    { key: own },
  )
  clients = await BothVersions.connect(program.port)
})
after(async () => {
  clients?.[Symbol.dispose]()
  await program?.stop()
  await origin?.[Symbol.asyncDispose]()
})

describe('counts', () => {
  for (const [path, code] of [
    ['/window', 'rate-limited'],
    ['/bucket', 'rate-limited'],
    ['/quota', 'quota-exceeded'],
  ] as const) {
    test(`${path}: each call is told what is left, and the fourth to come later`, async () => {
      for (let left = 2; left >= 0; left--) {
        const { headers } = await clients.ask({ path }, 200)
        assert.equal(headers['x-ratelimit-remaining'], `${left}`)
        assert.match(String(headers['ratelimit']), new RegExp(`;r=${left};`))
      }
      const { headers } = await clients.ask({ path }, 429, code)
      assert.ok(Number(headers['retry-after']) > 0)
      assert.equal(origin.targets.get(path), 6)
    })
  }

  test('of calls that succeed only', async () => {
    for (let i = 0; i < 5; i++) await clients.ask({ path: '/success' }, 403, 'address-denied')
  })

  test('of a consumer and of a client are the same for both versions', async () => {
    const spend = async (path: string, headers: Record<string, string>): Promise<number[]> => {
      const statuses: number[] = []
      for (let i = 0; i < 3; i++) {
        for (const outcome of [
          await clients.overHttp1({ path, headers }),
          await clients.overHttp2({ path, headers }),
        ]) {
          statuses.push(outcome.status)
        }
      }
      return statuses
    }
    assert.deepEqual(await spend('/consumer', key), [200, 200, 200, 200, 429, 429])
    assert.deepEqual(await spend('/client', {}), [200, 200, 200, 200, 429, 429])
    await clients.ask({ path: '/consumer', headers: key }, 429, 'quota-exceeded')
    await clients.ask({ path: '/client' }, 429, 'rate-limited')
  })

  test('64 streams of one connection at once get exactly the limit', async () => {
    for (let round = 0; round < 20; round++) {
      const headers = { 'x-round': `${round}` }
      const asked = Array.from({ length: 64 }, () => clients.overHttp2({ path: '/rush', headers }))
      const statuses = (await Promise.all(asked)).map(({ status }) => status)
      assert.equal(statuses.filter(status => status === 200).length, 20)
      assert.equal(statuses.filter(status => status === 429).length, 44)
    }
  })

  test('streams that are reset at once count, too', async () => {
    const headers = { 'x-round': 'reset' }
    for (let i = 0; i < 20; i++) {
      const stream = clients.open({ path: '/rush', headers })
      stream.on('error', () => {})
      stream.close(8)
    }
    await new Promise(resolve => clients.session.ping(resolve))
    assert.equal((await clients.overHttp2({ path: '/rush', headers })).status, 429)
  })
})

const guess = (password: string) => ({
  path: '/guesses',
  headers: { authorization: `Basic ${Buffer.from(`ann:${password}`).toString('base64')}` },
})

describe('failures to authenticate', () => {
  test('of one client are counted over both versions, and then no guess is looked at', async () => {
    const guess = { path: '/throttle', headers: { 'x-api-key': 'a-wrong-key-of-nobody' } }
    await clients.ask({ path: '/throttle' }, 401, 'unauthenticated')
    await clients.ask(guess, 401, 'unauthenticated')
    assert.equal((await clients.overHttp2(guess)).status, 401)
    const { headers } = await clients.ask({ path: '/throttle', headers: key }, 429, 'authentication-throttled')
    assert.equal(headers['retry-after'], '60')
  })

  test('guesses on many streams of one connection at once: no more are looked at', async () => {
    const guesses = Array.from({ length: 100 }, (_, i) =>
      clients.overHttp2({ path: '/burst', headers: { 'x-api-key': `${i}-a-wrong-key-of-nobody` } }),
    )
    const statuses = (await Promise.all(guesses)).map(({ status }) => status)
    assert.equal(statuses.filter(status => status === 401).length, 3)
    assert.equal(statuses.filter(status => status === 429).length, 97)
  })

  test('at one user name are, too', async () => {
    await clients.ask(guess('a'), 401, 'unauthenticated')
    assert.equal((await clients.overHttp2(guess('b'))).status, 401)
    await clients.ask(guess('c'), 429, 'authentication-throttled')
  })
})

describe('calls at once', () => {
  const ask = { 'HTTP/1.1': 'overHttp1', 'HTTP/2': 'overHttp2' } as const

  test('past the limit are answered 503, and pass when one of those under way is over', async () => {
    const refused: Outcome[] = []
    for (const over of Object.values(ask)) {
      const held = { path: '/calls', headers: { 'x-wait': over } }
      const under = [clients[over](held), clients[over](held)]
      await until(
        () => waiting.get(over)?.size === 2,
        () => 'two calls to be under way',
      )
      refused.push(await clients[over]({ path: '/calls' }))
      for (const response of waiting.get(over) ?? []) response.end('done')
      for (const { status } of await Promise.all(under)) assert.equal(status, 200)
      assert.equal((await clients[over]({ path: '/calls' })).status, 200)
    }
    const [old, current] = refused
    assert.deepEqual([old?.status, old?.code, old?.headers['retry-after']], [503, 'concurrency-exceeded', '7'])
    assert.deepEqual(current, old)
  })

  test('a stream that the client resets gives its place back', async () => {
    for (let round = 0; round < 5; round++) {
      const headers = { 'x-wait': `reset ${round}` }
      const streams = [clients.open({ path: '/calls', headers }), clients.open({ path: '/calls', headers })]
      await until(
        () => waiting.get(`reset ${round}`)?.size === 2,
        () => 'two calls to be under way',
      )
      assert.equal((await clients.overHttp2({ path: '/calls' })).status, 503)
      for (const stream of streams) {
        stream.on('error', () => {})
        stream.close(8)
      }
      await until(
        async () => (await clients.overHttp2({ path: '/calls' })).status === 200,
        () => 'a place to be free',
      )
    }
  })

  test('a call that is refused further in gives its place back, also while its body comes', async () => {
    for (let i = 0; i < 5; i++) {
      await clients.ask({ path: '/body', method: 'POST', body: 'x'.repeat(11) }, 413, 'body-too-large')
      const stream = clients.session.request({ ':method': 'POST', ':path': '/body', ':authority': 'api.acme.test' })
      stream.write('x'.repeat(11))
      const { status } = await answerOf(stream)
      assert.equal(status, 413)
      await clients.ask({ path: '/body' }, 200)
    }
  })
})

test('afterwards there is no call and no connection left', async () => {
  clients.session.close()
  await program.untilQuiet()
})
