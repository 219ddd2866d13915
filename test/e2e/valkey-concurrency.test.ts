// Calls at once over three gateways with one server of counts: exactly the limit is inside, also where gateways end or die and the
// store fails.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Pool } from 'undici'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { noServer, RedisServer } from '../tools/redis.ts'
import { Room } from '../tools/room.ts'
import { until } from '../tools/until.ts'

const modes = ['exact', 'leased'] as const
const words = ['open', 'closed', 'local-share'] as const
const connections = 64
const limit = 20
/** Rounds under way at once, each with a key of its own. */
const lanes = 4

const poolOf = ({ url }: Program) => new Pool(url, { connections: connections / 2, pipelining: 1, headersTimeout: 0 })

describe('three gateways, two workers each', { skip: noServer }, () => {
  const room = new Room()
  let server: RedisServer
  let origin: Origin
  let config: object
  let programs: Program[]
  let pools: Pool[]

  const start = async () => {
    const program = await Program.start(config)
    await program.untilTotal('turnpike_store_alive', { store: 'shared' }, 2)
    return program
  }

  before(async () => {
    server = await RedisServer.start()
    origin = await Origin.start(({ headers }, response) => room.enter(String(headers['x-round']), response))
    const routes = modes.flatMap(mode =>
      words.map(onFailure => ({
        name: `${mode}-${onFailure}`,
        match: { path: `/${mode}/${onFailure}` },
        policies: [{ concurrency: { limit, by: { header: 'x-round' }, store: 'shared', mode, onFailure } }],
        forward: 'room',
      })),
    )
    const stores = { shared: { url: server.url, timeout: '5s' } }
    config = { workers: 2, stores, upstreams: { room: { targets: [origin.url] } }, routes }
    programs = await Promise.all([1, 2, 3].map(start))
    pools = programs.map(poolOf)
  })
  after(async () => {
    await Promise.all(pools.map(pool => pool.destroy()))
    await Promise.all(programs.map(program => program.stop()))
    await origin[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })

  const send = (path: string, round: string, calls: number, through: readonly Pool[] = pools) =>
    room.fill(through, path, round, calls)

  const inside = async (onFailure: string, calls: number) => {
    const { inside, over } = await send(`/exact/${onFailure}`, `dying ${onFailure}`, calls)
    return { inside, over }
  }

  test('a store that dies and comes back empty: each onFailure does what it says, and the calls inside count again', async () => {
    // So that each gateway was seen alive by the others.
    await pause(1_200)
    const pending: Promise<({ status: number; fallback: unknown } | null)[]>[] = []
    for (const word of words) {
      const { inside: before, over } = await inside(word, 12)
      assert.equal(before, 12)
      pending.push(over)
    }
    await server.kill()
    for (const program of programs) await program.untilTotal('turnpike_store_alive', { store: 'shared' }, 0)
    const without = new Map<string, number>()
    for (const word of words) {
      const { inside: now, over } = await inside(word, 30)
      without.set(word, now)
      pending.push(over)
    }
    assert.equal(without.get('open'), 42)
    assert.equal(without.get('closed'), 12)
    // Each gateway has four inside, and its share is six.
    assert.equal(without.get('local-share'), 18)
    const counted = await programs[0]?.total('turnpike_limit_fallbacks_total', { fallback: 'closed' })
    assert.equal(counted, 10)
    await server.restart()
    for (const program of programs) await program.untilTotal('turnpike_store_alive', { store: 'shared' }, 2)
    await pause(500)
    assert.equal((await inside('open', 10)).inside, 42)
    assert.equal((await inside('local-share', 10)).inside, 20)
    await until(
      async () => {
        const { inside: now, over } = await inside('closed', 1)
        pending.push(over)
        assert.ok(now <= limit)
        return now > 12
      },
      () => 'the closed limit to count again',
    )
    const full = await inside('closed', 30)
    assert.equal(full.inside, limit)
    for (const word of words) room.release(`dying ${word}`)
    const replies = (await Promise.all([...pending, full.over])).flat()
    const counts = (status: number, fallback?: string) =>
      replies.filter(reply => reply?.status === status && reply.fallback === fallback).length
    assert.deepEqual([counts(200, 'open'), counts(200, 'closed'), counts(200, 'local-share')], [30, 0, 6])
    assert.ok(counts(503, 'closed') >= 30)
  })

  for (const mode of modes) {
    const path = `/${mode}/closed`

    test(`${mode}: of ${connections} calls exactly ${limit} are inside, in 100 rounds`, async () => {
      let next = 0
      const lane = async (key: number) => {
        for (let count = next++; count < 100; count = next++) {
          // Four rounds in turn have one key: what one gives back the next one takes.
          const round = `${mode} lane ${key}`
          await until(
            () => room.count(round) === 0,
            () => 'the last round to be over',
          )
          const { inside, over } = await send(path, round, connections)
          assert.ok(inside <= limit, `${inside} inside`)
          if (count < lanes) assert.equal(inside, limit)
          room.release(round)
          const statuses = (await over).map(reply => reply?.status)
          assert.equal(statuses.filter(status => status === 200).length, inside)
          const fresh = await send(path, `${mode} round ${count}`, connections)
          assert.equal(fresh.inside, limit, `round ${count}`)
          room.release(`${mode} round ${count}`)
          assert.ok((await fresh.over).every(reply => reply?.fallback === undefined))
        }
      }
      await Promise.all(Array.from({ length: lanes }, (_, key) => lane(key)))
    })

    test(`${mode}: what a gateway held that was killed comes back, and no sooner than it is taken for gone`, async () => {
      const round = `${mode} killed`
      const doomed = await start()
      const pool = poolOf(doomed)
      const first = await send(path, round, 15, [pool])
      assert.equal(first.inside, 15)
      const second = await send(path, round, 10)
      assert.equal(second.inside, 20)
      doomed.signal('SIGKILL')
      await doomed.exited()
      await first.over
      assert.equal(room.count(round), 5)
      const killedMs = performance.now()
      const third = await send(path, round, 30)
      assert.equal(third.inside, 5)
      const all: unknown[] = [second.over, third.over]
      await until(
        async () => {
          const more = await send(path, round, 20 - room.count(round))
          all.push(more.over)
          return more.inside === 20
        },
        () => 'the permits of the dead to come back',
      )
      const tookMs = performance.now() - killedMs
      assert.ok(tookMs > 3_500 && tookMs < 20_000, `${tookMs} ms`)
      room.release(round)
      await Promise.all(all)
      await pool.destroy()
    })

    test(`${mode}: a gateway that is told to end gives back at once`, async () => {
      const round = `${mode} ending`
      const own = await start()
      const pool = poolOf(own)
      const first = await send(path, round, limit, [pool])
      assert.equal(first.inside, limit)
      room.release(round)
      await first.over
      await pool.close()
      assert.equal(await own.stop(), 0)
      const second = await send(path, round, limit)
      assert.equal(second.inside, limit)
      room.release(round)
      await second.over
    })
  }

  test('a client that leaves gives back what it held, and one that waits takes nothing', async () => {
    const round = 'leaving'
    const leaving = new Pool(programs[0]?.url ?? '', { connections: limit, pipelining: 1 })
    const { inside, over } = await send('/exact/closed', round, limit, [leaving])
    assert.equal(inside, limit)
    await leaving.destroy()
    await over
    await until(
      () => room.count(round) === 0,
      () => 'the calls to be given up',
    )
    const again = await send('/exact/closed', round, limit)
    assert.equal(again.inside, limit)
    room.release(round)
    await again.over
  })
})
