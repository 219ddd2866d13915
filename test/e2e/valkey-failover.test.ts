// Sentinels and three gateways under load: a failover is followed, forgets no call that passed, and needs nobody. Meanwhile each
// onFailure does what it says.

import assert from 'node:assert/strict'
import test from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Pool } from 'undici'
import { freePort } from '../tools/free-port.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { noServer, RedisServer } from '../tools/redis.ts'
import { Room } from '../tools/room.ts'
import { until } from '../tools/until.ts'

const limit = 600
/** A third of it is a gateway's share. */
const shareLimit = 30
const modes = ['exact', 'leased'] as const
const words = ['closed', 'open', 'local-share'] as const
const limits = { closed: limit, open: 1_000_000, 'local-share': shareLimit } as const

/** One client of one gateway and limit. */
interface Client {
  readonly pool: Pool
  readonly mode: (typeof modes)[number]
  readonly onFailure: (typeof words)[number]
  passed: number
  refused: number
  /** Replies that said `x-turnpike-limit-fallback`, by what became of the call. */
  fallbackPassed: number
  fallbackRefused: number
  fallback: unknown
}

const kinds = modes.flatMap(mode => words.map(onFailure => ({ mode, onFailure })))
const routes = kinds.map(({ mode, onFailure }) => {
  const name = `${mode}-${onFailure}`
  const options = { limit: `${limits[onFailure]}/1000h`, mode, onFailure, store: 'shared', by: 'route' }
  return { name, match: { path: `/${name}` }, policies: [{ 'rate-limit': options }], reply: { status: 200 } }
})

async function call(client: Client): Promise<void> {
  const { mode, onFailure, pool } = client
  const { statusCode, headers, body } = await pool.request({ method: 'GET', path: `/${mode}-${onFailure}` })
  await body.dump()
  client.fallback = headers['x-turnpike-limit-fallback']
  assert.ok(statusCode === 200 || statusCode === 429)
  assert.ok(client.fallback === undefined || client.fallback === onFailure)
  if (client.fallback === undefined) client[statusCode === 200 ? 'passed' : 'refused']++
  else client[statusCode === 200 ? 'fallbackPassed' : 'fallbackRefused']++
}

/** A primary with two replicas, watched by one sentinel. */
async function startServers(owned: AsyncDisposableStack): Promise<[primary: RedisServer, sentinel: RedisServer]> {
  const primary = owned.use(await RedisServer.start(['--repl-diskless-sync-delay', '0']))
  const follow = ['--replicaof', `127.0.0.1 ${primary.port}`, '--repl-diskless-sync-delay', '0']
  for (const replica of [await RedisServer.start(follow), await RedisServer.start(follow)]) {
    owned.use(replica)
    await until(
      async () => (await replica.command('INFO', 'replication')).includes('master_link_status:up'),
      () => 'the replica to have the data',
    )
  }
  const lines = [
    `sentinel monitor main 127.0.0.1 ${primary.port} 1`,
    'sentinel down-after-milliseconds main 1500',
    'sentinel failover-timeout main 10000',
    'requirepass hush',
  ]
  const files = { 'sentinel.conf': `${lines.join('\n')}\n` }
  const sentinel = owned.use(await RedisServer.start(['{folder}/sentinel.conf', '--sentinel'], files))
  return [primary, sentinel]
}

test('a failover is followed, each onFailure does what it says, and with `replicas` no closed limit is exceeded', {
  skip: noServer,
}, async t => {
  await using owned = new AsyncDisposableStack()
  const [primary, sentinel] = await startServers(owned)
  // One that is not there goes before.
  const sentinels = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${sentinel.port}`]
  const shared = {
    sentinels,
    master: 'main',
    sentinelPassword: '${env:SENTINEL_PASSWORD}',
    timeout: '400ms',
    replicas: 1,
  }
  process.env['SENTINEL_PASSWORD'] = 'hush'
  const started = await Promise.all([1, 2, 3].map(() => Program.start({ workers: 2, stores: { shared }, routes })))
  for (const program of started) {
    owned.use(program)
    await program.untilTotal('turnpike_store_alive', { store: 'shared' }, 2)
  }
  const clients = started.flatMap(({ url }) =>
    kinds.map((kind): Client => {
      const pool = new Pool(url, { connections: 2, pipelining: 1 })
      owned.defer(() => pool.destroy())
      return { ...kind, pool, passed: 0, refused: 0, fallbackPassed: 0, fallbackRefused: 0, fallback: undefined }
    }),
  )
  const of = (onFailure: string) => clients.filter(each => each.onFailure === onFailure)
  const passedOf = (mode: string) => of('closed').reduce((sum, each) => sum + (each.mode === mode ? each.passed : 0), 0)
  const over = new AbortController()
  owned.defer(() => over.abort())
  const load = Promise.all(
    clients.map(async client => {
      while (!over.signal.aborted) {
        await call(client)
        await pause(10)
      }
    }),
  )
  load.catch(() => {})
  await until(
    () => clients.every(({ passed, refused }) => passed + refused > 20),
    () => 'calls to pass',
  )
  // So that each gateway was seen alive by the others.
  await pause(1_200)
  await primary.kill()
  const startMs = performance.now()
  await until(
    () => clients.every(({ fallback, onFailure }) => fallback === onFailure),
    () => 'the failure to be noticed',
  )
  await until(
    () => clients.every(({ fallback }) => fallback === undefined),
    () => 'the new primary to be found',
    20_000,
  )
  t.diagnostic(`counts again ${Math.round(performance.now() - startMs)} ms after the primary died`)
  await until(
    () => of('closed').every(({ refused }) => refused > 20),
    () => `the limit to be used up: ${JSON.stringify(modes.map(passedOf))}`,
    20_000,
  )
  over.abort()
  await load
  for (const mode of modes) {
    const passed = passedOf(mode)
    assert.ok(passed <= limit, `${mode}: ${passed} passed`)
    // What was on its way when the primary died may be counted though it did not pass.
    assert.ok(passed > limit * 0.8, `${mode}: only ${passed} passed`)
  }
  for (const { fallbackPassed } of of('closed')) assert.equal(fallbackPassed, 0)
  for (const mode of modes) {
    const counted = of('local-share').filter(each => each.mode === mode)
    assert.ok(counted.reduce((sum, { passed }) => sum + passed, 0) <= shareLimit)
  }
  for (const { refused, fallbackPassed, fallbackRefused } of of('open')) {
    assert.ok(fallbackPassed > 10, `${fallbackPassed} passed`)
    assert.deepEqual([refused, fallbackRefused], [0, 0])
  }
  for (const { fallbackPassed, fallbackRefused } of of('local-share')) {
    assert.equal(fallbackPassed, shareLimit / 3)
    assert.ok(fallbackRefused > 3, `${fallbackRefused} refused`)
  }
  for (const { stderr } of started) assert.doesNotMatch(stderr, /lost its counts|nothing caught|Unhandled/)
})

test('calls under way are counted over a failover, and a closed limit is never exceeded', {
  skip: noServer,
}, async () => {
  await using owned = new AsyncDisposableStack()
  const [primary, sentinel] = await startServers(owned)
  const room = new Room()
  const origin = owned.use(await Origin.start(({ headers }, reply) => room.enter(String(headers['x-round']), reply)))
  const most = 20
  process.env['SENTINEL_PASSWORD'] = 'hush'
  const shared = {
    ...{ sentinels: [`127.0.0.1:${sentinel.port}`], master: 'main', sentinelPassword: '${env:SENTINEL_PASSWORD}' },
    ...{ timeout: '400ms', replicas: 1 },
  }
  const config = {
    workers: 2,
    stores: { shared },
    upstreams: { room: { targets: [origin.url] } },
    routes: modes.map(mode => ({
      name: mode,
      match: { path: `/${mode}` },
      policies: [{ concurrency: { limit: most, store: 'shared', mode, onFailure: 'closed' } }],
      forward: 'room',
    })),
  }
  const started = await Promise.all([1, 2, 3].map(() => Program.start(config)))
  for (const program of started) {
    owned.use(program)
    await program.untilTotal('turnpike_store_alive', { store: 'shared' }, 2)
  }
  const pools = started.map(({ url }) => new Pool(url, { connections: 40, pipelining: 1 }))
  for (const pool of pools) owned.defer(() => pool.destroy())
  const pending = []
  for (const mode of modes) {
    const { inside, over } = await room.fill(pools, `/${mode}`, mode, 15)
    assert.equal(inside, 15)
    pending.push(over)
  }
  await primary.kill()
  await until(
    async () => {
      for (const mode of modes) {
        const { inside, over } = await room.fill(pools, `/${mode}`, mode, 3)
        assert.ok(inside <= most, `${inside} inside`)
        pending.push(over)
      }
      return modes.every(mode => room.count(mode) === most)
    },
    () => `both limits to be used up: ${modes.map(mode => room.count(mode)).join()}`,
  )
  // Nobody more gets in while what was on its way to the old primary could show.
  for (let round = 0; round < 30; round++) {
    for (const mode of modes) {
      const { inside, over } = await room.fill(pools, `/${mode}`, mode, 3)
      assert.equal(inside, most)
      pending.push(over)
    }
    await pause(100)
  }
  for (const mode of modes) room.release(mode)
  const replies = (await Promise.all(pending)).flat()
  assert.equal(replies.filter(reply => reply?.status === 200).length, 2 * most)
  assert.ok(replies.some(reply => reply?.fallback === 'closed'))
})
