// Calls under way, counted against a real server without a gateway around them: never more than the limit, and nothing is lost.

import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import * as fc from 'fast-check'
import type { PermitOutcome, PermitStore } from '../../src/core/permits.ts'
import { Counting } from '../tools/counting.ts'
import { noServer, RedisServer } from '../tools/redis.ts'
import { until } from '../tools/until.ts'

const modes = ['exact', 'leased'] as const
const skip = noServer

function gateway(t: TestContext, server: RedisServer, id: string): Counting {
  const counting = new Counting({ url: server.url, timeout: 500 }, id)
  t.after(() => counting.close())
  return counting
}

async function gateways(t: TestContext, server: RedisServer, ids = ['a', 'b', 'c']): Promise<Counting[]> {
  return Promise.all(ids.map(id => gateway(t, server, id).ready()))
}

async function take(
  store: PermitStore | undefined,
  count: number,
  limit: number,
  key = 'key',
): Promise<PermitOutcome[]> {
  assert.ok(store !== undefined)
  const outcomes = await Promise.all(Array.from({ length: count }, async () => store.take(key, limit)))
  return outcomes.filter(({ isAllowed }) => isAllowed)
}

const give = (outcomes: readonly PermitOutcome[]) => {
  for (const outcome of outcomes) outcome.give()
}

/** Until so many can be had again; they are kept. */
async function untilHad(store: PermitStore, count: number, limit: number): Promise<void> {
  await until(
    async () => {
      const had = await take(store, count, limit)
      if (had.length < count) give(had)
      return had.length === count
    },
    () => `${count} permits to come back`,
  )
}

for (const mode of modes) {
  test(`${mode}: of calls at three gateways exactly the limit is let in, in 100 rounds`, { skip }, async t => {
    await using server = await RedisServer.start()
    const stores = (await gateways(t, server)).map(each => each.permits({ mode }))
    for (let round = 0; round < 100; round++) {
      const limit = 1 + (round % 20)
      const had = (await Promise.all(stores.map(store => take(store, 22, limit)))).flat()
      assert.equal(had.length, limit, `round ${round}`)
      assert.ok(had.every(({ fallback }) => fallback === null))
      give(had)
    }
  })

  test(`${mode}: calls one after the other, each at another gateway, pass a limit of one`, { skip }, async t => {
    await using server = await RedisServer.start()
    const stores = (await gateways(t, server)).map(each => each.permits({ mode }))
    for (let call = 0; call < 60; call++) {
      const had = await take(stores[call % 3], 1, 1)
      assert.equal(had.length, 1, `call ${call}`)
      give(had)
    }
  })

  test(`${mode}: whatever is taken and given back, never more than the limit is out`, { skip }, async t => {
    await using server = await RedisServer.start()
    const stores = (await gateways(t, server)).map(each => each.permits({ mode }))
    let scope = 0
    const steps = fc.array(fc.tuple(fc.nat(2), fc.integer({ min: -4, max: 4 })), { maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 6 }), steps, async (limit, moves) => {
        const key = `key ${scope++}`
        const out: PermitOutcome[][] = [[], [], []]
        await Promise.all(
          moves.map(async ([at, amount]) => {
            const own = out[at] ?? []
            if (amount > 0) own.push(...(await take(stores[at], amount, limit, key)))
            else give(own.splice(0, -amount))
            assert.ok(out.flat().length <= limit)
          }),
        )
        give(out.flat())
        const again = await take(stores[0], limit, limit, key)
        // What others just gave back may be on its way.
        await until(
          async () => {
            if (again.length < limit) again.push(...(await take(stores[1], limit - again.length, limit, key)))
            return again.length === limit
          },
          () => 'all to come back',
        )
        assert.equal((await take(stores[2], 1, limit, key)).length, 0)
        give(again)
      }),
      { numRuns: 60 },
    )
  })

  test(`${mode}: a gateway that leaves gives back at once`, { skip }, async t => {
    await using server = await RedisServer.start()
    const [a, b] = await gateways(t, server, ['a', 'b'])
    assert.equal((await take(a?.permits({ mode }), 3, 3)).length, 3)
    await a?.settle()
    assert.equal((await take(b?.permits({ mode }), 3, 3)).length, 3)
  })

  test(`${mode}: a connection that is cut neither frees nor doubles what is out`, { skip }, async t => {
    await using server = await RedisServer.start()
    const [a, b] = await gateways(t, server, ['a', 'b'])
    assert.ok(a !== undefined && b !== undefined)
    const had = await take(a.permits({ mode, onFailure: 'open' }), 2, 4)
    for (let round = 0; round < 3; round++) {
      for (const type of ['normal', 'pubsub']) await server.must('CLIENT', 'KILL', 'TYPE', type)
      await until(
        () => !a.link.isAlive,
        () => 'the cut to be noticed',
      )
      await Promise.all([a.ready(), b.ready()])
      const more = await take(b.permits({ mode }), 4, 4)
      assert.equal(more.length, 2, `round ${round}`)
      give(more)
      await until(
        async () => (await server.command('HLEN', await onlyKey(server))) === ':1\r\n',
        () => 'what was given back to be known',
      )
    }
    give(had)
    await untilHad(b.permits({ mode }), 4, 4)
  })
}

test('callers with limits of their own count together', { skip }, async t => {
  await using server = await RedisServer.start()
  const [a, b] = (await gateways(t, server, ['a', 'b'])).map(each => each.permits({ mode: 'leased' }))
  assert.ok(a !== undefined && b !== undefined)
  const many = await take(a, 6, 10)
  assert.equal(many.length, 6)
  give(many.splice(0, 2))
  // Two are at hand, and one of four; but four are out.
  assert.equal((await take(a, 1, 4)).length, 0)
  assert.equal((await take(b, 2, 5)).length, 1)
  assert.equal((await take(a, 9, 10)).length, 5)
})

test('limits of one name with different modes count together', { skip }, async t => {
  await using server = await RedisServer.start()
  const all = await gateways(t, server, ['a', 'b'])
  const exact = all.map(each => each.permits({ mode: 'exact' }))
  const leased = all.map(each => each.permits({ mode: 'leased' }))
  const had = [...(await take(exact[0], 2, 5)), ...(await take(leased[0], 2, 5)), ...(await take(leased[1], 3, 5))]
  assert.equal(had.length, 5)
  assert.equal((await take(exact[1], 1, 5)).length, 0)
  give(had)
  assert.equal((await take(exact[1], 5, 5)).length, 5)
})

test('leased: what is not used for a second is given back, and nothing is left in the store', { skip }, async t => {
  await using server = await RedisServer.start()
  const [a] = await gateways(t, server, ['a'])
  const store = a?.permits({ mode: 'leased' })
  give(await take(store, 20, 100))
  assert.match(await server.command('HVALS', await onlyKey(server)), /\d+ l\r\n/)
  await until(
    async () => (await permitKeys(server)).length === 0,
    () => 'the key to go',
  )
})

test('what is under way survives an empty store, and closed limits wait until all have told', { skip }, async t => {
  await using server = await RedisServer.start()
  const [a, b] = await gateways(t, server, ['a', 'b'])
  assert.ok(a !== undefined && b !== undefined)
  const closed = b.permits({ onFailure: 'closed' })
  assert.equal((await take(a.permits({ onFailure: 'open' }), 3, 4)).length, 3)
  await server.must('FLUSHALL')
  const lostMs = performance.now()
  let fallbacks = 0
  await until(
    async () => {
      const outcome = await closed.take('key', 4)
      assert.ok(!outcome.isAllowed || outcome.fallback === null)
      if (outcome.fallback === 'closed') fallbacks++
      return outcome.isAllowed
    },
    () => 'the limit to count again',
  )
  assert.ok(performance.now() - lostMs > 4_000)
  assert.ok(fallbacks > 3, `${fallbacks} refused`)
  assert.equal((await take(closed, 1, 4)).length, 0)
})

test('a store that stood still for long takes nobody for gone', { skip }, async t => {
  await using server = await RedisServer.start()
  const [a, b] = await gateways(t, server, ['a', 'b'])
  assert.ok(a !== undefined && b !== undefined)
  const store = b.permits()
  const had = await take(a.permits(), 3, 4)
  server.signal('SIGSTOP')
  await pause(7_000)
  assert.deepEqual(
    (await Promise.all([store.take('key', 4), store.take('key', 4)])).map(({ isAllowed, fallback }) => [
      isAllowed,
      fallback,
    ]),
    [
      [false, 'closed'],
      [false, 'closed'],
    ],
  )
  server.signal('SIGCONT')
  await until(
    () => a.link.isAlive || b.link.isAlive,
    () => 'the store to count again',
  )
  for (let round = 0; round < 20; round++) {
    const more = await take(store, 4, 4)
    assert.ok(more.length <= 1, `round ${round}: ${more.length}`)
    give(more)
    await pause(20)
  }
  give(had)
  await untilHad(store, 4, 4)
})

test('local-share counts all that is under way in the gateway', { skip }, async t => {
  await using server = await RedisServer.start()
  const [a, b] = await gateways(t, server, ['a', 'b'])
  assert.ok(a !== undefined && b !== undefined)
  await until(
    () => a.link.gateways === 2,
    () => 'the gateways to see each other',
  )
  const store = a.permits({ onFailure: 'local-share' })
  const had = await take(store, 3, 10)
  await server.kill()
  await until(
    () => !a.link.isAlive,
    () => 'the end of the store to be noticed',
  )
  // A share is five, three of them are taken.
  const more = await take(store, 9, 10)
  assert.deepEqual(
    more.map(({ fallback }) => fallback),
    ['local-share', 'local-share'],
  )
  await server.restart()
  await Promise.all([a.ready(), b.ready()])
  // What the share let in is told to the store.
  await until(
    async () => {
      const others = await take(b.permits({ onFailure: 'open' }), 10, 10)
      give(others)
      return others.length === 5
    },
    () => 'all that is under way to be known',
  )
  give([...had, ...more])
  await untilHad(b.permits({ onFailure: 'open' }), 10, 10)
})

async function permitKeys(server: RedisServer): Promise<string[]> {
  return (await server.must('KEYS', 'test:*')).split('\r\n').filter(text => /^test:[\w-]{43}$/.test(text))
}

/** The one key that counts permits. */
async function onlyKey(server: RedisServer): Promise<string> {
  const keys = await permitKeys(server)
  assert.equal(keys.length, 1, keys.join())
  return keys[0] ?? ''
}
