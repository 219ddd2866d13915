// Sentinels and three gateways under load: a failover is followed, forgets no call that passed, and needs nobody.

import assert from 'node:assert/strict'
import test from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Pool } from 'undici'
import { freePort } from '../tools/free-port.ts'
import { Program } from '../tools/program.ts'
import { noServer, RedisServer } from '../tools/redis.ts'
import { until } from '../tools/until.ts'

const limit = 600
const modes = ['exact', 'leased'] as const

/** One client of one gateway and mode. */
interface Client {
  readonly pool: Pool
  readonly mode: (typeof modes)[number]
  passed: number
  refused: number
  fallback: unknown
}

const routes = modes.map(mode => {
  const options = { limit: `${limit}/1000h`, mode, onFailure: 'closed', store: 'shared', by: 'route' }
  return { name: mode, match: { path: `/${mode}` }, policies: [{ 'rate-limit': options }], reply: { status: 200 } }
})

async function call(client: Client): Promise<void> {
  const { statusCode, headers, body } = await client.pool.request({ method: 'GET', path: `/${client.mode}` })
  await body.dump()
  client.fallback = headers['x-turnpike-limit-fallback']
  if (statusCode === 200) {
    assert.equal(client.fallback, undefined)
    client.passed++
  } else if (client.fallback === undefined) client.refused++
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

test('a failover is followed, and with `replicas` no closed limit is exceeded', { skip: noServer }, async t => {
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
    modes.map((mode): Client => {
      const pool = new Pool(url, { connections: 2, pipelining: 1 })
      owned.defer(() => pool.destroy())
      return { pool, mode, passed: 0, refused: 0, fallback: undefined }
    }),
  )
  const passedOf = (mode: string) =>
    clients.filter(each => each.mode === mode).reduce((sum, { passed }) => sum + passed, 0)
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
    () => clients.every(({ passed }) => passed > 20),
    () => 'calls to pass',
  )
  await primary.kill()
  const startMs = performance.now()
  await until(
    () => clients.every(({ fallback }) => fallback === 'closed'),
    () => 'the failure to be noticed',
  )
  await until(
    () => clients.every(({ fallback }) => fallback === undefined),
    () => 'the new primary to be found',
    20_000,
  )
  t.diagnostic(`counts again ${Math.round(performance.now() - startMs)} ms after the primary died`)
  await until(
    () => clients.every(({ refused }) => refused > 20),
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
  for (const { stderr } of started) assert.doesNotMatch(stderr, /lost its counts|nothing caught|Unhandled/)
})
