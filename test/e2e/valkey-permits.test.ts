// Calls under way, counted against a real server without a gateway around them: never more than the limit, and nothing is lost.

import assert from 'node:assert/strict'
import test from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import * as fc from 'fast-check'
import type { PermitOutcome } from '../../src/core/permits.ts'
import { Counting } from '../tools/counting.ts'
import { gateways, give, onlyKey, permitKeys, take, untilHad } from '../tools/permits.ts'
import { noServer, RedisServer } from '../tools/redis.ts'
import { until } from '../tools/until.ts'

const skip = noServer
const modes = ['exact', 'leased'] as const

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
      // Until the old connection is forgotten, what was told by both counts twice.
      await until(
        async () => {
          const more = await take(b.permits({ mode }), 4, 4)
          assert.ok(more.length <= 2, `round ${round}: ${more.length}`)
          give(more)
          return more.length === 2
        },
        () => 'all that is free to be had',
      )
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

test('leased: a caller with a lower limit asks, however long ago its permits were had', { skip }, async t => {
  await using server = await RedisServer.start()
  const [a, b] = (await gateways(t, server, ['a', 'b'])).map(each => each.permits({ mode: 'leased' }))
  assert.ok(a !== undefined && b !== undefined)
  const low = await take(a, 3, 4)
  const high = await take(b, 3, 10)
  assert.deepEqual([low.length, high.length], [3, 3])
  // For a second after it was called back, a key is counted as by `exact`.
  await pause(1_200)
  give(low.splice(0, 1))
  // The store is told by a statement of its own.
  await pause(100)
  assert.equal((await take(a, 1, 4)).length, 0)
  give(high)
  await untilHad(a, 2, 4)
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
  assert.ok(exact[1] !== undefined)
  await untilHad(exact[1], 5, 5)
})

test('leased: what is not used for a second is given back, and nothing is left in the store', { skip }, async t => {
  await using server = await RedisServer.start()
  const [a] = await gateways(t, server, ['a'])
  const store = a?.permits({ mode: 'leased' })
  await until(
    async () => {
      give(await take(store, 20, 100))
      const [key] = await permitKeys(server)
      return key !== undefined && /\d+ l 100\r\n/.test(await server.command('HVALS', key))
    },
    () => 'something to be kept',
  )
  await until(
    async () => (await permitKeys(server)).length === 0,
    () => 'the key to go',
  )
})

test('a limit of nothing lets nobody in, whatever the store does', { skip }, async t => {
  await using server = await RedisServer.start()
  const [a] = await gateways(t, server, ['a'])
  assert.ok(a !== undefined)
  const store = a.permits({ mode: 'leased', onFailure: 'open' })
  give(await take(store, 5, 5))
  assert.equal((await take(store, 2, 0)).length, 0)
  await server.kill()
  await until(
    () => !a.link.isAlive,
    () => 'the end of the store to be noticed',
  )
  assert.equal((await take(store, 2, 0)).length, 0)
  assert.equal((await take(store, 2, 1)).length, 2)
})

test('leased: a flood of keys that come once neither overwhelms the store nor stays', { skip }, async t => {
  await using server = await RedisServer.start()
  const a = await new Counting({ url: server.url, timeout: 400 }, 'a').ready()
  t.after(() => a.close())
  const store = a.permits({ mode: 'leased' })
  for (let from = 0; from < 20_000; from += 50) {
    const had = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => take(store, 1, 100, `key ${from + index}`)),
    )
    assert.equal(had.flat().length, 50)
    give(had.flat())
  }
  await until(
    async () => (await permitKeys(server)).length === 0,
    () => 'the keys to go',
  )
  assert.equal(a.failures.size, 0, JSON.stringify([...a.failures]))
})
