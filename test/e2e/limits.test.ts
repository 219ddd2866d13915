// Limits over the wire: exact over two workers and 64 connections, told in fields that a parser of others reads, kept over kill -9.

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parseList } from 'structured-headers'
import { Pool } from 'undici'
import { ask, codeOf } from '../tools/ask.ts'
import { Program, render } from '../tools/program.ts'

const rounds = 100
const limit = 20
const connections = 64

const routeOf = (name: string, policy: object) => ({
  name,
  match: { path: `/${name}` },
  policies: [policy],
  reply: { status: 200 },
})
const byRound = { by: { header: 'x-round' } }

/** Sends calls of one round over all connections at once; resolves with how many passed and how many were refused. */
async function rush(pool: Pool, target: string, round: string, calls = connections): Promise<[number, number]> {
  const statuses = await Promise.all(
    Array.from({ length: calls }, async () => {
      const { statusCode, body } = await pool.request({ method: 'GET', path: target, headers: { 'x-round': round } })
      await body.dump()
      return statusCode
    }),
  )
  const count = (wanted: number) => statuses.filter(status => status === wanted).length
  return [count(200), count(429)]
}

describe('two workers, 64 connections', () => {
  let program: Program
  let pool: Pool
  before(async () => {
    program = await Program.start({
      workers: 2,
      data: '{folder}/data',
      routes: [
        // Windows so long that nothing comes back while the test runs.
        routeOf('gcra', { 'rate-limit': { limit: `${limit}/1000h`, algorithm: 'gcra', ...byRound } }),
        routeOf('sliding-window', { 'rate-limit': { limit: `${limit}/1000h`, ...byRound } }),
        routeOf('several', {
          'rate-limit': { limits: [`${limit}/1000h`, '1000/1h'], algorithm: 'gcra', ...byRound },
        }),
        routeOf('period', { quota: { limit: `${limit}/month`, durable: false, ...byRound } }),
        routeOf('durable', { quota: { limit: `${limit}/month`, ...byRound } }),
        routeOf('short', { 'rate-limit': { limit: '5/3s', by: 'client' } }),
        routeOf('fields', {
          'rate-limit': { limits: ['5/minute', { rate: '100/h', name: 'hourly' }], headers: 'both', by: 'route' },
        }),
        {
          name: 'failing',
          match: { path: '/failing' },
          policies: [{ 'rate-limit': { limit: '3/1000h', by: 'route', count: 'only-2xx' } }],
          reply: { status: 404 },
        },
      ],
    })
    pool = new Pool(program.url, { connections, pipelining: 1 })
  })
  after(async () => {
    await pool.close()
    await program[Symbol.asyncDispose]()
  })

  for (const name of ['gcra', 'sliding-window', 'several', 'period', 'durable']) {
    test(`${name}: exactly ${limit} pass, in ${rounds} rounds`, async () => {
      for (let round = 0; round < rounds; round++) {
        assert.deepEqual(await rush(pool, `/${name}`, `${round}`), [limit, connections - limit], `round ${round}`)
      }
    })
  }

  test('a refused call is told when to come back, and then passes', async () => {
    assert.deepEqual(await rush(pool, '/short', ''), [5, connections - 5])
    const refused = await ask(program.port, { path: '/short' })
    assert.deepEqual([refused.status, codeOf(refused)], [429, 'rate-limited'])
    assert.match(refused.headers['retry-after'] ?? '', /^[1-3]$/)
    await new Promise(resolve => setTimeout(resolve, 3_010))
    assert.deepEqual(await rush(pool, '/short', ''), [5, connections - 5])
  })

  test('the fields, read by a parser of structured fields', async () => {
    const { headers } = await ask(program.port, { path: '/fields' })
    const items = (name: string) =>
      parseList(String(headers[name])).map(([value, parameters]) => [value, Object.fromEntries(parameters)] as const)
    assert.deepEqual(items('ratelimit-policy'), [
      ['default-60s', { q: 5, w: 60 }],
      ['hourly', { q: 100, w: 3600 }],
    ])
    assert.deepEqual(items('ratelimit'), [
      ['default-60s', { r: 4, t: 60 }],
      ['hourly', { r: 99, t: 3600 }],
    ])
    assert.equal(headers['x-ratelimit-remaining'], '4')
  })

  test('only-2xx: failing calls are never refused', async () => {
    for (let index = 0; index < 20; index++) assert.equal((await ask(program.port, { path: '/failing' })).status, 404)
  })

  test('a reload forgets nothing', async () => {
    const [passed] = await rush(pool, '/sliding-window', 'reload', 15)
    assert.equal(passed, 15)
    const response = await program.admin('/reload', { method: 'POST' })
    await response.text()
    assert.deepEqual(await rush(pool, '/sliding-window', 'reload'), [5, connections - 5])
  })
})

const quotaConfig = (folder: string) => ({
  workers: 2,
  data: path.join(folder, 'data'),
  routes: [routeOf('paid', { quota: { limit: '300/month', by: { header: 'x-round' } } })],
})

describe('a quota', () => {
  test('kill -9 and restarts: never more than the quota; a clean end loses nothing', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'turnpike-'))
    const file = path.join(folder, 'turnpike.json')
    let passed = 0
    let crashes = 0
    const open = async (use: (pool: Pool) => Promise<void>, isClean: boolean) => {
      await writeFile(file, render(quotaConfig(folder)))
      // `Program` removes its own folder at its end: the data lies elsewhere.
      const own = await mkdtemp(path.join(os.tmpdir(), 'turnpike-'))
      const program = await Program.open(own, file)
      const pool = new Pool(program.url, { connections: 16 })
      await use(pool)
      if (!isClean) {
        crashes++
        program.signal('SIGKILL')
        await program.exited()
      }
      await pool.destroy()
      await program.stop()
    }
    try {
      for (const isClean of [true, false, true]) {
        await open(async pool => void (passed += (await rush(pool, '/paid', 'k', 40))[0]), isClean)
      }
      assert.equal(passed, 120)
      await open(async pool => void (passed += (await rush(pool, '/paid', 'k', 400))[0]), true)
      assert.ok(passed <= 300, `${passed} passed`)
      assert.ok(passed >= 300 - crashes * 10, `${passed} passed; a crash costs at most a block`)
      await open(async pool => assert.deepEqual(await rush(pool, '/paid', 'k', 5), [0, 5]), true)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  test('two gateways on one folder count it together: exactly so many pass', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'turnpike-'))
    const file = path.join(folder, 'turnpike.json')
    await writeFile(file, render(quotaConfig(folder)))
    const open = async () => Program.open(await mkdtemp(path.join(os.tmpdir(), 'turnpike-')), file)
    const programs = [await open(), await open()]
    const pools = programs.map(({ url }) => new Pool(url, { connections: 16 }))
    try {
      for (const round of ['a', 'b', 'c', 'd', 'e']) {
        const counts = await Promise.all(pools.map(pool => rush(pool, '/paid', round, 250)))
        // What one of them has booked in advance is not lost to its own callers.
        const rest = await Promise.all(pools.map(pool => rush(pool, '/paid', round, 50)))
        const passed = [...counts, ...rest].reduce((sum, [count]) => sum + count, 0)
        assert.equal(passed, 300, `round ${round}: ${passed} passed`)
      }
    } finally {
      for (const pool of pools) await pool.destroy()
      for (const program of programs) await program.stop()
      await rm(folder, { recursive: true, force: true })
    }
  })

  test('without a folder for it the config is refused, with the way to mend it', async () => {
    await assert.rejects(
      Program.start({ routes: [routeOf('paid', { quota: { limit: '1/month', by: 'client' } })] }),
      /no folder to keep its counts in.*data: \.\/data/s,
    )
  })
})
