// A store that is killed, paused and restarted under load, seen through whole gateways: each onFailure does what it says, in both
// modes, and all is well again by itself.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Pool } from 'undici'
import { Program } from '../tools/program.ts'
import { noServer, RedisServer } from '../tools/redis.ts'
import { until } from '../tools/until.ts'

const words = ['open', 'closed', 'local-share'] as const
const names = (['exact', 'leased'] as const).flatMap(mode => words.map(onFailure => ({ mode, onFailure })))
/** Enough that a closed limit is used up by the end only; a third of the other is a gateway's share. */
const closedLimit = 1000
const shareLimit = 60
const keeping = ['--appendonly', 'yes', '--appendfsync', 'always']

interface Seen {
  readonly gateway: number
  readonly mode: 'exact' | 'leased'
  readonly onFailure: (typeof words)[number]
  passed: number
  refused: number
  /** Replies that said `x-turnpike-limit-fallback`, by what became of the call. */
  fallbackPassed: number
  fallbackRefused: number
  /** Of the last reply. */
  fallback: string | undefined
}

const limitOf = (onFailure: string) =>
  onFailure === 'closed' ? closedLimit : onFailure === 'local-share' ? shareLimit : 1_000_000

const routes = names.map(({ mode, onFailure }) => {
  const options = { limit: `${limitOf(onFailure)}/1000h`, mode, onFailure, store: 'shared', by: 'route' }
  const name = `${mode}-${onFailure}`
  return {
    name,
    match: { path: `/${name}` },
    policies: [{ 'rate-limit': { ...options, name } }],
    reply: { status: 200 },
  }
})

describe('three gateways under load', { skip: noServer }, () => {
  let server: RedisServer
  let programs: Program[]
  let pools: Pool[]
  const over = new AbortController()
  let load: Promise<void>
  const seen: Seen[] = []

  const call = async (pool: Pool, path: string, count: Seen) => {
    const { statusCode, headers, body } = await pool.request({ method: 'GET', path })
    await body.dump()
    const fallback = headers['x-turnpike-limit-fallback']
    count.fallback = typeof fallback === 'string' ? fallback : undefined
    assert.ok(statusCode === 200 || statusCode === 429)
    assert.ok(count.fallback === undefined || count.fallback === count.onFailure)
    if (statusCode === 429) assert.ok(headers['retry-after'] !== undefined)
    if (count.fallback !== undefined) count[statusCode === 200 ? 'fallbackPassed' : 'fallbackRefused']++
    else count[statusCode === 200 ? 'passed' : 'refused']++
  }
  const of = (mode: string, onFailure: string) =>
    seen.filter(each => each.mode === mode && each.onFailure === onFailure)
  const passedOf = (mode: string, onFailure: string) => of(mode, onFailure).reduce((sum, { passed }) => sum + passed, 0)
  const allCount = () => seen.every(({ fallback }) => fallback === undefined)
  const allFall = () => seen.every(({ fallback }) => fallback !== undefined)

  /** While no word comes from the store. */
  const during = (now: Seen, then: Seen) => {
    const passed = now.fallbackPassed - then.fallbackPassed
    const refused = now.fallbackRefused - then.fallbackRefused
    assert.ok(passed + refused > 3, `${passed + refused} calls were answered`)
    if (now.onFailure === 'open') assert.equal(refused, 0)
    if (now.onFailure === 'closed') assert.equal(passed, 0)
    assert.equal(now.refused, then.refused)
    // The other worker of the gateway may have permits left, which were paid before.
    if (now.mode === 'exact') assert.equal(now.passed, then.passed)
  }

  before(async () => {
    server = await RedisServer.start(keeping)
    const config = { workers: 2, stores: { shared: { url: server.url, timeout: '400ms' } }, routes }
    programs = await Promise.all([1, 2, 3].map(() => Program.start(config)))
    for (const program of programs) await program.untilTotal('turnpike_store_alive', { store: 'shared' }, 2)
    pools = programs.map(({ url }) => new Pool(url, { connections: names.length, pipelining: 1 }))
    const loops = pools.flatMap((pool, gateway) =>
      names.map(async ({ mode, onFailure }) => {
        const none = { passed: 0, refused: 0, fallbackPassed: 0, fallbackRefused: 0, fallback: undefined }
        const count: Seen = { gateway, mode, onFailure, ...none }
        seen.push(count)
        while (!over.signal.aborted) {
          await call(pool, `/${mode}-${onFailure}`, count)
          await pause(25)
        }
      }),
    )
    load = Promise.all(loops).then(() => {})
    load.catch(() => {})
    // So that each gateway was seen alive by the others.
    await pause(1_200)
  })
  after(async () => {
    over.abort()
    const loaded = await Promise.allSettled([load])
    await Promise.all(pools.map(pool => pool.destroy()))
    await Promise.all(programs.map(program => program.stop()))
    await server[Symbol.asyncDispose]()
    assert.deepEqual(loaded, [{ status: 'fulfilled', value: undefined }])
  })

  for (const [title, fail, mend] of [
    ['killed, and restarted with its data', () => server.kill(), () => server.restart()],
    ['stopped, and continued', async () => server.signal('SIGSTOP'), async () => server.signal('SIGCONT')],
    [
      'told to pause, and to go on',
      () => server.must('CLIENT', 'PAUSE', '60000', 'WRITE'),
      () => server.must('CLIENT', 'UNPAUSE'),
    ],
  ] as const) {
    test(title, async t => {
      await until(allCount, () => 'all gateways to count in the store')
      await fail()
      try {
        await until(allFall, () => `all limits to go by their onFailure: ${JSON.stringify(seen)}`)
        const before = structuredClone(seen)
        await pause(700)
        seen.forEach((now, index) => during(now, before[index] ?? now))
      } finally {
        await mend()
      }
      const startMs = performance.now()
      await until(allCount, () => 'all gateways to count in the store again')
      t.diagnostic(`counts again after ${Math.round(performance.now() - startMs)} ms`)
    })
  }

  test('of a share no more than the limit passed, of a closed limit as much as there was, and metrics show it', async () => {
    for (const mode of ['exact', 'leased']) {
      const shares = of(mode, 'local-share').map(({ fallbackPassed }) => fallbackPassed)
      assert.deepEqual(shares, [shareLimit / 3, shareLimit / 3, shareLimit / 3])
      assert.ok(passedOf(mode, 'local-share') <= shareLimit)
    }
    const closed = seen.filter(({ onFailure }) => onFailure === 'closed')
    const before = closed.map(({ refused }) => refused)
    // To the end of the limit.
    await Promise.all(
      closed.map(async (count, index) => {
        const untilMs = performance.now() + 10_000
        const wanted = (before[index] ?? 0) + 30
        while (count.refused < wanted && performance.now() < untilMs) {
          await call(pools[count.gateway] as Pool, `/${count.mode}-closed`, count)
        }
      }),
    )
    for (const mode of ['exact', 'leased']) {
      const passed = passedOf(mode, 'closed')
      assert.ok(passed <= closedLimit, `${mode}: ${passed} passed`)
      // What the store counted and could not say counts as passed: calls and blocks under way, three times.
      assert.ok(passed > closedLimit * 0.9, `${mode}: only ${passed} passed`)
    }
    for (const { mode, onFailure } of names) {
      const labels = { name: `${mode}-${onFailure}`, store: 'shared', fallback: onFailure }
      for (const program of programs) assert.ok((await program.total('turnpike_limit_fallbacks_total', labels)) > 5)
    }
    for (const program of programs) {
      await program.untilTotal('turnpike_store_alive', { store: 'shared' }, 2)
      assert.ok((await program.total('turnpike_store_failures_total', { reason: 'timeout' })) > 0)
      assert.ok((await program.total('turnpike_store_failures_total', { reason: 'unreachable' })) > 0)
      assert.doesNotMatch(program.stderr, /nothing caught|Unhandled/)
    }
  })

  test('killed, and restarted without its data: closed limits wait, the others count anew', async () => {
    const passed = [passedOf('exact', 'closed'), passedOf('leased', 'closed')]
    const before = structuredClone(seen)
    await server.kill()
    await until(allFall, () => 'all limits to go by their onFailure')
    await server.restart(['--appendonly', 'no'])
    await until(
      () => seen.every(({ onFailure, fallback }) => (fallback === 'closed') === (onFailure === 'closed')),
      () => 'open limits and shares to be counted again',
    )
    await pause(500)
    assert.deepEqual([passedOf('exact', 'closed'), passedOf('leased', 'closed')], passed)
    seen.forEach((now, index) => {
      if (now.onFailure === 'open') assert.ok(now.passed > (before[index]?.passed ?? 0))
    })
    for (const program of programs) await program.untilSaid(/the store has lost its counts/)
  })
})
