// Splits and mirrors over real sockets: who is sent where, and that nothing a mirror does reaches a caller.
//
// Runs alone.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { ask } from '../tools/ask.ts'
import { ChildServer } from '../tools/child-server.ts'
import { refusingPort } from '../tools/free-port.ts'
import { Load } from '../tools/load.ts'
import { echo, Origin } from '../tools/origin.ts'
import { Program, sumOf } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const say = (text: string) => Origin.start((_, response) => response.end(text))

const urlOf = (server: net.Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
const briefMirror = (to: string) => ({ to, timeout: '300ms', limits: { calls: 20 } })

describe('split', () => {
  test('clients stay on their side over workers and reloads, and other weights move only what they must', async () => {
    await using stable = await say('stable')
    await using next = await say('next')
    const config = (weight: number) => ({
      workers: 2,
      upstreams: { stable: { targets: [stable.url] }, next: { targets: [next.url] } },
      routes: [
        {
          match: { path: '/**' },
          forward: {
            split: [
              { to: 'stable', weight: 100 - weight },
              { to: 'next', weight },
            ],
            sticky: { header: 'x-user' },
          },
        },
      ],
    })
    await using program = await Program.start(config(20))
    const users = Array.from({ length: 200 }, (_, index) => `user ${index}`)
    const sides = async () =>
      Promise.all(users.map(async user => (await ask(program.port, { headers: { 'x-user': user } })).text))
    const before = await sides()
    for (let round = 0; round < 3; round++) assert.deepEqual(await sides(), before)
    const share = before.filter(side => side === 'next').length / users.length
    assert.ok(share > 0.1 && share < 0.3, `${share} of 0.2`)

    await program.replace(config(50))
    await program.untilTotal('turnpike_config_version', {}, 2)
    const after = await sides()
    const moved = users.filter((_, index) => before[index] !== after[index])
    assert.ok(
      users.every((_, index) => before[index] !== 'next' || after[index] === 'next'),
      'a client of the side that grew was moved',
    )
    assert.ok(moved.length > 30 && moved.length < 90, `${moved.length} of 200 moved for 30 in 100`)

    await program.replace(config(0))
    await program.untilTotal('turnpike_config_version', {}, 3)
    assert.deepEqual(new Set(await sides()), new Set(['stable']))
  })

  test('a browser gets a cookie once and stays', async () => {
    await using stable = await say('stable')
    await using next = await say('next')
    await using program = await Program.start({
      upstreams: { stable: { targets: [stable.url] }, next: { targets: [next.url] } },
      routes: [
        {
          match: { path: '/**' },
          forward: { split: [{ to: 'stable' }, { to: 'next' }], sticky: { cookie: 'lane', set: '1h' } },
        },
      ],
    })
    for (let browser = 0; browser < 10; browser++) {
      const first = await ask(program.port)
      const [cookie = ''] = first.headers['set-cookie'] ?? []
      assert.match(cookie, /^lane=[0-9a-z]{10}; Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax$/)
      const headers = { cookie: cookie.split(';')[0] ?? '' }
      for (let i = 0; i < 3; i++) {
        const again = await ask(program.port, { headers })
        assert.deepEqual([again.text, again.headers['set-cookie']], [first.text, undefined])
      }
    }
    assert.ok(stable.calls > 0 && next.calls > 0)
  })
})

describe('mirror', () => {
  test('the mirror gets what the upstream gets, with its mark', async () => {
    await using main = await Origin.start(echo)
    const seen: string[] = []
    await using shadow = await Origin.start((request, response, body) => {
      const { method, url, headers } = request
      seen.push(`${method} ${url} ${headers.host} ${String(headers['x-turnpike-mirrored'])} ${body.length}`)
      response.writeHead(500).end('x'.repeat(100_000))
    })
    await using program = await Program.start({
      upstreams: { main: { targets: [main.url] }, shadow: { targets: [shadow.url] } },
      routes: [
        {
          match: { path: '/a/**' },
          forward: { to: 'main', path: '/v2/{rest}', mirror: { to: 'shadow', host: 'shadow.test' } },
        },
      ],
    })
    const body = Buffer.alloc(50_000, 'b')
    const headers = { host: 'api.test', 'x-turnpike-mirrored': 'by a client' }
    const plain = await ask(program.port, { path: '/a/b?c', headers })
    const put = await ask(program.port, { method: 'PUT', path: '/a/b', headers, body })
    const chunked = await ask(program.port, { method: 'POST', path: '/a/c', headers, body, isChunked: true })
    const long = await ask(program.port, { method: 'POST', path: '/a/d', headers, body: Buffer.alloc(70_000) })
    for (const got of [plain, put, chunked, long]) {
      assert.equal(got.status, 200)
      assert.equal((JSON.parse(got.text) as { headers: object }).headers['x-turnpike-mirrored' as never], undefined)
    }
    await program.untilTotal('turnpike_mirrored_calls_total', { outcome: 'answered' }, 3)
    assert.deepEqual(seen.sort(), [
      'GET /v2/b?c shadow.test true 0',
      'POST /v2/c shadow.test true 50000',
      'PUT /v2/b shadow.test true 50000',
    ])
    await program.untilTotal('turnpike_mirrored_calls_total', { outcome: 'dropped' }, 1)
    await program.untilTotal('turnpike_ceiling_hits_total', { ceiling: 'mirror-body' }, 1)
    await program.untilQuiet()
  })

  test('a call is copied once however often it is tried, and a copy is tried as its own upstream says', async () => {
    const tries = new Map<string, number>()
    const triesOf = (place: string, id: unknown) => tries.get(`${place} ${String(id)}`) ?? 0
    /** Answers the first try of a call with 503, and says how much of a body it got with each. */
    const countAt = (place: string) =>
      Origin.start(async ({ headers, url }, response, body) => {
        const count = triesOf(place, headers['x-call']) + 1
        tries.set(`${place} ${String(headers['x-call'])}`, count)
        if (url === '/hedged' && place === 'main' && count === 1) await pause(1_000)
        response.writeHead(count === 1 ? 503 : 200).end(`${count} ${body.length}`)
      })
    await using main = await countAt('main')
    await using shadow = await countAt('shadow')
    await using stubborn = await countAt('stubborn')
    const retry = { on: 503, budget: '100%', backoff: '1ms' }
    const mirror = ['shadow', 'stubborn']
    await using program = await Program.start({
      upstreams: {
        main: { targets: [main.url], retry: { ...retry, attempts: 0 } },
        half: { targets: [main.url, `http://127.0.0.1:${await refusingPort()}`], balance: 'round-robin' },
        gone: { targets: [`http://127.0.0.1:${await refusingPort()}`], breaker: { minimum: 2, open: '1m' } },
        hedged: { targets: [main.url], hedge: '50ms' },
        shadow: { targets: [shadow.url] },
        stubborn: { targets: [stubborn.url], retry: { ...retry, attempts: 5 } },
      },
      routes: [
        { match: { path: '/again' }, forward: { to: 'main', retry: { attempts: 2 }, mirror } },
        { match: { path: '/once' }, forward: { to: 'main', mirror } },
        { match: { path: '/never' }, forward: { to: 'main', retry: false, mirror } },
        { match: { path: '/half' }, forward: { to: 'half', mirror } },
        { match: { path: '/gone' }, forward: { to: 'gone', mirror } },
        { match: { path: '/hedged' }, forward: { to: 'hedged', mirror } },
      ],
    })
    const body = Buffer.alloc(50_000, 'b')
    const calls: {
      path: string
      method?: string
      body?: Buffer
      status: number
      text?: string
      isCopied?: boolean
    }[] = [
      { path: '/again', status: 200, text: '2 0' },
      { path: '/again', method: 'PUT', body, status: 200, text: '2 50000' },
      { path: '/again', method: 'POST', body, status: 503, text: '1 50000' },
      { path: '/once', status: 503, text: '1 0' },
      { path: '/never', method: 'PUT', body, status: 503, text: '1 50000' },
      // One of the two meets the target that refuses connections first.
      { path: '/half', status: 503, text: '1 0' },
      { path: '/half', status: 503, text: '1 0' },
      { path: '/gone', status: 502 },
      // Nobody asks for its body.
      { path: '/gone', method: 'PUT', body, status: 502, isCopied: false },
      // Refused by the breaker.
      { path: '/gone', status: 503 },
      { path: '/hedged', status: 200, text: '2 0' },
    ]
    for (const [id, { path, method = 'GET', body: sent, status, text }] of calls.entries()) {
      const got = await ask(program.port, {
        path,
        method,
        headers: { 'x-call': String(id) },
        ...(sent && { body: sent }),
      })
      assert.deepEqual([got.status, text && got.text], [status, text], `${method} ${path}`)
    }
    await program.untilTotal('turnpike_mirrored_calls_total', { outcome: 'answered' }, 2 * (calls.length - 1))
    await program.untilQuiet()
    for (const [id, { path, method = 'GET', isCopied = true }] of calls.entries()) {
      // The mirror without `retry` is asked once; POSTs are not safe to repeat.
      const wanted = isCopied ? [1, method === 'POST' ? 1 : 2] : [0, 0]
      assert.deepEqual([triesOf('shadow', id), triesOf('stubborn', id)], wanted, `${method} ${path}`)
    }
    assert.equal(
      await program.total('turnpike_upstream_retries_total', { upstream: 'half', reason: 'connect-failure' }),
      1,
    )
  })

  test('a mirror that is dead, stopped, killed under load, or answers garbage costs no caller anything', {
    timeout: 180_000,
  }, async t => {
    await using main = await say('main')
    await using stopped = await ChildServer.start()
    await using killed = await ChildServer.start()
    await using dying = await ChildServer.start()
    const garbage = net.createServer({ noDelay: true }, socket => {
      socket.on('error', () => {})
      socket.on('data', () => socket.write('\x16\x03\x01 this is no HTTP\r\n\r\n'))
    })
    const endless = net.createServer({ noDelay: true }, socket => {
      socket.on('error', () => {})
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n'))
    })
    for (const server of [garbage, endless]) {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      t.after(() => server.close())
    }
    const mirrors: Record<string, string> = {
      none: '',
      stopped: stopped.url,
      killed: killed.url,
      dying: dying.url,
      garbage: urlOf(garbage),
      endless: urlOf(endless),
    }
    const upstreams = Object.entries(mirrors).flatMap(([name, url]) => (url === '' ? [] : [[name, { targets: [url] }]]))
    await using program = await Program.start({
      upstreams: { main: { targets: [main.url] }, ...Object.fromEntries(upstreams) },
      routes: Object.entries(mirrors).map(([name, url]) => ({
        name,
        match: { path: `/${name}` },
        forward: url === '' ? 'main' : { to: 'main', mirror: briefMirror(name) },
      })),
    })
    stopped.signal('SIGSTOP')
    killed.signal('SIGKILL')
    for (const name of Object.keys(mirrors)) {
      const load = new Load({ port: program.port, path: `/${name}` })
      await pause(300)
      if (name === 'dying') dying.signal('SIGKILL')
      await pause(500)
      await load.stop()
      // As many reached the upstream as were answered, and none was lost.
      assert.deepEqual(load.lost, {}, name)
      assert.equal(main.targets.get(`/${name}`), load.answered, name)
      if (mirrors[name] === '') continue
      const count = async () => sumOf(await program.metrics(), 'turnpike_mirrored_calls_total', { http_route: name })
      await until(
        async () => (await count()) === load.answered,
        () => `each of ${load.answered} calls to be accounted for by the mirror ${name}`,
      )
      const answered = await program.total('turnpike_mirrored_calls_total', { http_route: name, outcome: 'answered' })
      assert.equal(answered > 0, name === 'dying', name)
    }
    await program.untilQuiet()
    assert.equal(await program.total('turnpike_worker_replacements_total'), 0)
  })

  test('a mirror that takes bodies slowly holds no caller back', async () => {
    await using main = await Origin.start((_, response, body) => response.end(String(body.length)))
    await using slow = await ChildServer.start('() => {}')
    await using program = await Program.start({
      upstreams: { main: { targets: [main.url] }, slow: { targets: [slow.url] } },
      routes: [
        {
          match: { path: '/**' },
          forward: { to: 'main', mirror: { to: 'slow', timeout: '4s', limits: { body: '8MB', calls: 3 } } },
        },
      ],
    })
    slow.signal('SIGSTOP')
    const body = Buffer.alloc(5_000_000)
    for (let i = 0; i < 6; i++) {
      assert.equal((await ask(program.port, { method: 'POST', body })).text, '5000000')
    }
    await program.untilTotal('turnpike_mirrored_calls_total', { outcome: 'failed' }, 3)
    await program.untilTotal('turnpike_mirrored_calls_total', { outcome: 'dropped' }, 3)
    await program.untilTotal('turnpike_ceiling_hits_total', { ceiling: 'mirror-calls' }, 3)
    await program.untilQuiet()
  })
})
