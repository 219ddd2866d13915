// Active checks against servers that others wrote: what is asked, how often, and what the answers change.
//
// Runs alone: it measures time.

import assert from 'node:assert/strict'
import { lookup } from 'node:dns/promises'
import http2, { type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { authority, selfSigned, signedBy } from '../../examples/tls/certificate.ts'
import type { UpstreamStatus } from '../../src/control/admin-view.ts'
import { ask } from '../tools/ask.ts'
import { GrpcHealth } from '../tools/grpc-health.ts'
import { Load } from '../tools/load.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const often = { interval: '200ms', timeout: '2s', unhealthy: 1, healthy: 1 }

async function targetOf(program: Program, upstream: string): Promise<UpstreamStatus['targets'][number] | undefined> {
  const all = (await (await program.admin('/upstreams')).json()) as UpstreamStatus[]
  return all.find(({ name }) => name === upstream)?.targets[0]
}

/** Waits until the check of the only target of an upstream is in this state, and what was wrong matches. */
async function untilChecked(program: Program, upstream: string, state: string, problem = /^$/): Promise<void> {
  let seen = ''
  await until(
    async () => {
      const { check = null } = (await targetOf(program, upstream)) ?? {}
      seen = JSON.stringify(check)
      return check?.state === state && problem.test(check.problem ?? '')
    },
    () => `${upstream} to be ${state} (${problem}): ${seen}`,
  )
}

test('over HTTP: asks as it is told, once per process, and survives a reload', { timeout: 180_000 }, async () => {
  let status = 200
  const seen: { host: string | undefined; token: unknown; method: string | undefined }[] = []
  await using origin = await Origin.start(({ url, method, headers }, response) => {
    if (url === '/healthz?deep=1') seen.push({ host: headers.host, token: headers['x-token'], method })
    response.writeHead(url === '/healthz?deep=1' ? status : 200, { 'content-length': 0 }).end()
  })
  const health = {
    ...{
      path: '/healthz?deep=1',
      method: 'HEAD',
      host: 'shop.test',
      headers: { 'X-Token': 'abc' },
      statuses: [200, 418],
    },
    ...often,
  }
  const config = (more: object, settings: object = {}) => ({
    workers: 4,
    upstreams: { shop: { targets: [origin.url], health, ...settings } },
    routes: [{ match: { path: '/shop' }, forward: 'shop' }, more],
  })
  await using program = await Program.start(config({ match: { path: '/a' }, reply: { body: 'a' } }))
  await untilChecked(program, 'shop', 'healthy')
  assert.deepEqual(seen[0], { host: 'shop.test', token: 'abc', method: 'HEAD' })
  const [before, fromMs] = [seen.length, performance.now()]
  await pause(1_000)
  const most = (performance.now() - fromMs) / 180 + 2
  const { length } = seen
  assert.ok(length - before <= most, `${length - before} checks, ${most} were due: one per process, not per worker`)
  status = 418
  const asked = seen.length
  await until(
    () => seen.length > asked + 1,
    () => 'two more checks',
  )
  assert.equal((await targetOf(program, 'shop'))?.state, 'usable')
  status = 500
  await untilChecked(program, 'shop', 'unhealthy', /^status 500$/)
  assert.equal((await ask(program.port, { path: '/shop' })).status, 503)
  // Another route, and the upstream as it was: what is known stays known, in every worker.
  await program.replace(config({ match: { path: '/b' }, reply: { body: 'b' } }))
  await until(
    async () => (await ask(program.port, { path: '/b' })).status === 200,
    () => 'the reload',
  )
  const staysSick = async () => {
    for (let i = 0; i < 20; i++) assert.equal((await ask(program.port, { path: '/shop' })).status, 503)
  }
  await staysSick()
  // The same where the upstream changes, and in a worker that is new.
  await program.replace(config({ match: { path: '/c' }, reply: { body: 'c' } }, { timeouts: { response: '7s' } }))
  await until(
    async () => (await ask(program.port, { path: '/c' })).status === 200,
    () => 'the second reload',
  )
  await staysSick()
  const workers = (await (await program.admin('/workers')).json()) as { id: number }[]
  assert.equal((await program.admin(`/workers/${workers[0]?.id}/replace`, { method: 'POST' })).status, 200)
  await program.untilDrained()
  await staysSick()
  status = 200
  await untilChecked(program, 'shop', 'healthy')
  assert.equal((await ask(program.port, { path: '/shop' })).status, 200)
  const told = () => program.stderr.split('\n').filter(line => line.includes('"upstream":"shop"'))
  await until(
    () => told().length >= 2,
    () => `two lines of the log: ${program.stderr}`,
  )
  assert.equal(told().length, 2, told().join('\n'))
  assert.match(program.stderr, /upstream shop: http:\/\/127\.0\.0\.1:\d+ is unhealthy: status 500/)
})

test('reloads that change an upstream faster than its checks come keep no sick target in use', async () => {
  const isSick = { checked: false, rated: false }
  const start = (name: keyof typeof isSick) =>
    Origin.start((_, response) => response.writeHead(isSick[name] ? 503 : 200).end())
  await using well = await Origin.start((_, response) => void response.end())
  await using checked = await start('checked')
  await using rated = await start('rated')
  const successRate = { minimumHosts: 2, requestVolume: 5, stdevFactor: 0.5 }
  const config = (idle: string) => ({
    upstreams: {
      checked: { targets: [checked.url], timeouts: { idle }, health: { ...often, interval: '1s', unhealthy: 3 } },
      rated: {
        targets: [rated.url, well.url],
        timeouts: { idle },
        ejection: { consecutive: 0, successRate, interval: '1s' },
      },
    },
    routes: [{ match: {}, forward: 'rated' }],
  })
  await using program = await Program.start(config('60s'))
  await untilChecked(program, 'checked', 'healthy')
  isSick.checked = true
  isSick.rated = true
  await using _ = new Load({ port: program.port })
  let reloads = 0
  await until(
    async () => {
      await program.replace(config(`${61 + reloads++}s`))
      await program.admin('/reload', { method: 'POST' })
      await pause(100)
      const [one, other] = [await targetOf(program, 'checked'), await targetOf(program, 'rated')]
      return one?.state === 'unhealthy' && other?.state === 'ejected'
    },
    () => 'checks and comparisons to find the sick targets',
  )
  assert.ok(reloads > 6, String(reloads))
})

const addresses = await lookup('localhost', { all: true })
const skip = addresses.length < 2 && 'localhost has only one address on this machine'

test('each address of a name is checked, and taken for itself', { skip }, async () => {
  await using origin = await Origin.start((_request, response) => void response.end('well'))
  const target = `http://localhost:${origin.port}`
  await using program = await Program.start({
    upstreams: { named: { targets: [target], health: often } },
    routes: [{ match: {}, forward: 'named' }],
  })
  // It listens on 127.0.0.1 only.
  let seen: Record<string, string> = {}
  await until(
    async () => {
      const [upstream] = (await (await program.admin('/upstreams')).json()) as UpstreamStatus[]
      seen = Object.fromEntries((upstream?.targets ?? []).map(({ address, state }) => [address, state]))
      return seen['127.0.0.1'] === 'usable' && seen['::1'] === 'unhealthy'
    },
    () => `one of two addresses to be unhealthy: ${JSON.stringify(seen)}`,
  )
  const failures = await program.total('turnpike_upstream_connect_failures_total', { upstream: 'named' })
  for (let i = 0; i < 20; i++) assert.equal((await ask(program.port)).status, 200)
  assert.equal(await program.total('turnpike_upstream_connect_failures_total', { upstream: 'named' }), failures)
})

test('over TLS: with the authorities and the certificate of the upstream, and on another port', async () => {
  const server = selfSigned(['inside.test'])
  const ca = authority('gateways')
  const own = signedBy(ca, ['gateway.test'])
  const tls = { ...server, ca: ca.cert, requestCert: true, rejectUnauthorized: true }
  await using origin = await Origin.start((_request, response) => void response.end('well'), { tls })
  await using plain = await Origin.start((_request, response) => void response.end('well'))
  const settings = { ca: 'server.pem', serverName: 'inside.test', cert: 'own.pem', key: 'own.key' }
  await using program = await Program.start(
    {
      upstreams: {
        known: { targets: [origin.url], tls: settings, health: often },
        nameless: { targets: [origin.url], tls: { ca: 'server.pem', serverName: 'inside.test' }, health: often },
        stranger: { targets: [origin.url], health: often },
        aside: { targets: ['http://127.0.0.1:9'], health: { ...often, port: plain.port } },
      },
      routes: [{ match: {}, reply: { body: 'here' } }],
    },
    { 'server.pem': server.cert, 'own.pem': own.cert, 'own.key': own.key },
  )
  await untilChecked(program, 'known', 'healthy')
  await untilChecked(program, 'aside', 'healthy')
  await untilChecked(program, 'nameless', 'unhealthy', /./)
  await untilChecked(program, 'stranger', 'unhealthy', /self-signed certificate/)
})

test('over HTTP/2 where the upstream speaks it, on a connection of its own that is closed again', async () => {
  let [status, opened, asked] = [200, 0, 0]
  const sessions = new Set<object>()
  const server = http2.createServer()
  server.on('session', session => {
    opened++
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
  })
  server.on('stream', (stream: ServerHttp2Stream) => {
    asked++
    stream.respond({ ':status': status })
    stream.end('well')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await using program = await Program.start({
    upstreams: { modern: { targets: [`http://127.0.0.1:${port}`], protocol: 'http2', health: often } },
    routes: [{ match: {}, reply: { body: 'here' } }],
  })
  await untilChecked(program, 'modern', 'healthy')
  await until(
    () => asked >= 6,
    () => `six checks; there were ${asked}`,
  )
  assert.ok(opened >= asked - 1, `${opened} connections for ${asked} checks`)
  assert.ok(sessions.size <= 3, `${sessions.size} connections are open`)
  status = 500
  await untilChecked(program, 'modern', 'unhealthy', /^status 500$/)
  server.close()
})

test('over gRPC: grpc.health.v1 of @grpc/grpc-js, plain and over TLS', async () => {
  const server = selfSigned(['inside.test'])
  using plain = await GrpcHealth.start()
  using secure = await GrpcHealth.start({ tls: server })
  await using deaf = await Origin.start((_request, response) => void response.end('no gRPC here'))
  for (const { statuses } of [plain, secure]) statuses.set('', 'SERVING').set('acme.Catalog', 'SERVING')
  const tls = { ca: 'server.pem', serverName: 'inside.test' }
  await using program = await Program.start(
    {
      upstreams: {
        whole: { targets: [`http://127.0.0.1:${plain.port}`], health: { ...often, grpc: {} } },
        service: { targets: [`http://127.0.0.1:${plain.port}`], health: { ...often, grpc: 'acme.Catalog' } },
        unknown: { targets: [`http://127.0.0.1:${plain.port}`], health: { ...often, grpc: 'acme.Nothing' } },
        secure: { targets: [`https://127.0.0.1:${secure.port}`], tls, health: { ...often, grpc: {} } },
        stranger: { targets: [`https://127.0.0.1:${secure.port}`], health: { ...often, grpc: {} } },
        deaf: { targets: [deaf.url], health: { ...often, grpc: {} } },
      },
      routes: [{ match: {}, reply: { body: 'here' } }],
    },
    { 'server.pem': server.cert },
  )
  for (const name of ['whole', 'service', 'secure']) await untilChecked(program, name, 'healthy')
  await untilChecked(program, 'unknown', 'unhealthy', /^grpc-status 5$/)
  await untilChecked(program, 'stranger', 'unhealthy', /self-signed certificate/)
  await untilChecked(program, 'deaf', 'unhealthy', /./)
  plain.statuses.set('acme.Catalog', 'NOT_SERVING')
  await untilChecked(program, 'service', 'unhealthy', /^not serving: NOT_SERVING$/)
  assert.equal((await targetOf(program, 'whole'))?.state, 'usable')
  plain.statuses.set('acme.Catalog', 'SERVING')
  await untilChecked(program, 'service', 'healthy')
  assert.deepEqual(new Set(plain.asked), new Set(['', 'acme.Catalog', 'acme.Nothing']))
})

test('over gRPC behind a PROXY header, plain and over TLS', async () => {
  const server = selfSigned(['inside.test'])
  using service = await GrpcHealth.start()
  service.statuses.set('', 'SERVING')
  const listener = { port: 0, host: '127.0.0.1', proxyProtocol: { from: ['127.0.0.1'] } }
  await using receiver = await Program.start(
    {
      listeners: [
        { ...listener, name: 'plain' },
        { ...listener, name: 'secure', tls: { certificates: [{ cert: 'server.pem', key: 'server.key' }] } },
      ],
      upstreams: { service: { targets: [`http://127.0.0.1:${service.port}`], protocol: 'http2' } },
      routes: [{ match: {}, forward: 'service' }],
    },
    { 'server.pem': server.cert, 'server.key': server.key },
  )
  const health = { ...often, grpc: {} }
  const tls = { ca: 'server.pem', serverName: 'inside.test' }
  const [plain, secure] = [`http://127.0.0.1:${receiver.portOf(0)}`, `https://127.0.0.1:${receiver.portOf(1)}`]
  await using program = await Program.start(
    {
      upstreams: {
        v1: { targets: [plain], proxyProtocol: 'v1', health },
        v2: { targets: [plain], proxyProtocol: 'v2', health },
        secure: { targets: [secure], tls, proxyProtocol: 'v2', health },
        headless: { targets: [plain], health },
      },
      routes: [{ match: {}, reply: { body: 'here' } }],
    },
    { 'server.pem': server.cert },
  )
  for (const name of ['v1', 'v2', 'secure']) await untilChecked(program, name, 'healthy')
  await untilChecked(program, 'headless', 'unhealthy', /./)
  service.statuses.set('', 'NOT_SERVING')
  for (const name of ['v1', 'v2', 'secure']) {
    await untilChecked(program, name, 'unhealthy', /^not serving: NOT_SERVING$/)
  }
})
