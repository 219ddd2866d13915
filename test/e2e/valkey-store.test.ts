// The store of limits against a real server, without a gateway around it: what it admits, and what decides when the server fails.

import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import * as fc from 'fast-check'
import type { LimitRule, LimitStoreOptions } from '../../src/core/limits.ts'
import { createLimitMemory } from '../../src/stores/limit-memory.ts'
import { createLocalLimits } from '../../src/stores/local-limits.ts'
import { StoreLink } from '../../src/stores/valkey/link.ts'
import { createValkeyLimits } from '../../src/stores/valkey/valkey-limits.ts'
import { tallyFields } from '../../src/limits/tally.ts'
import { noServer, RedisServer } from '../tools/redis.ts'
import { until } from '../tools/until.ts'

const clock = { now: () => performance.now(), wall: () => Date.now() }
const none = () => {}
const log = { debug: none, info: none, warn: none, error: none }
const meter = {
  counter: () => ({ add: none }),
  gauge: () => ({ set: none }),
  histogram: () => ({ record: none }),
}
const hourMs = 3_600_000

function gateway(t: TestContext, server: RedisServer, id: string) {
  const definition = {
    ...{ url: server.url, sentinels: [], master: null, username: null, password: null, ca: null },
    ...{ timeout: 200, keyPrefix: 'test:' },
  }
  const link = new StoreLink({ name: 'shared', definition, ca: null, gatewayId: id, log })
  t.after(() => link.close())
  const memory = createLimitMemory({ workers: 1, fields: tallyFields, seed: [1, 2] })
  const local = createLocalLimits({ memory, worker: 0, time: clock })
  const store = (options: Partial<LimitStoreOptions>) =>
    createValkeyLimits(
      {
        ...{ scope: 'test', store: 'shared', mode: 'exact', onFailure: 'closed', isDurable: false, name: 'test' },
        ...options,
      },
      { link, clock, meter, local },
    )
  return { link, store }
}

const rule = (algorithm: LimitRule['algorithm'], limit: number): LimitRule => ({
  ...{ algorithm, limit, windowMs: hourMs, burst: limit },
  startMs: Math.floor(Date.now() / hourMs) * hourMs,
})

test('exactly the limit passes three gateways, in every algorithm and both modes', { skip: noServer }, async t => {
  await using server = await RedisServer.start()
  const gateways = ['a', 'b', 'c'].map(id => gateway(t, server, id))
  await until(
    () => gateways.every(({ link }) => link.isAlive),
    () => 'all to be connected',
  )
  for (const mode of ['exact', 'leased'] as const) {
    for (const algorithm of ['gcra', 'sliding-window', 'period'] as const) {
      for (let round = 0; round < 20; round++) {
        const limit = 200 + round
        const rules = [rule(algorithm, limit)]
        const stores = gateways.map(({ store }) => store({ mode, scope: `${mode}${algorithm}${round}` }))
        let passed = 0
        const one = async (index: number) => {
          for (let call = 0; call < 25; call++) {
            const outcome = await stores[index % 3]?.take('key', rules, 1)
            assert.equal(outcome?.fallback, null)
            if (outcome.isAllowed) passed++
          }
        }
        await Promise.all(Array.from({ length: 24 }, (_, index) => one(index)))
        assert.equal(passed, limit, `${mode} ${algorithm}, round ${round}`)
      }
    }
  }
})

test('takes from all rules or none, as a count of the simplest kind does', { skip: noServer }, async t => {
  await using server = await RedisServer.start()
  const { link, store } = gateway(t, server, 'a')
  await until(
    () => link.isAlive,
    () => 'it to be connected',
  )
  let scope = 0
  const algorithms = fc.constantFrom<LimitRule['algorithm']>('gcra', 'sliding-window', 'period')
  const ruleOf = fc.record({ algorithm: algorithms, limit: fc.integer({ min: 0, max: 40 }) })
  await fc.assert(
    fc.asyncProperty(
      fc.array(ruleOf, { minLength: 1, maxLength: 4 }),
      fc.array(fc.integer({ min: 0, max: 15 }), { maxLength: 20 }),
      async (wanted, costs) => {
        const rules = wanted.map(({ algorithm, limit }) => rule(algorithm, limit))
        const counting = store({ scope: `model ${scope++}` })
        const least = Math.min(...rules.map(({ limit }) => limit))
        let used = 0
        for (const cost of costs) {
          const outcome = await counting.take('key', rules, cost)
          assert.equal(outcome.isAllowed, used + Math.max(cost, 1) <= least)
          if (outcome.isAllowed) used += cost
          assert.deepEqual(
            outcome.standings.map(({ remaining }) => remaining),
            rules.map(({ limit }) => limit - used),
          )
        }
      },
    ),
    { numRuns: 60 },
  )
})

test('what is given back may be had again, once', { skip: noServer }, async t => {
  await using server = await RedisServer.start()
  const { link, store } = gateway(t, server, 'a')
  await until(
    () => link.isAlive,
    () => 'it to be connected',
  )
  for (const algorithm of ['sliding-window', 'period'] as const) {
    const rules = [rule(algorithm, 5)]
    const counting = store({ scope: `back ${algorithm}` })
    const outcome = await counting.take('key', rules, 5)
    assert.equal((await counting.take('key', rules, 1)).isAllowed, false)
    counting.correct('key', rules, -2, outcome.atMs)
    assert.equal((await counting.take('key', rules, 2)).isAllowed, true, algorithm)
    assert.equal((await counting.take('key', rules, 1)).isAllowed, false)
  }
})

for (const failure of ['killed', 'paused'] as const) {
  test(`while the server is ${failure}, each onFailure does what it says, and then all is well again`, {
    skip: noServer,
  }, async t => {
    await using server = await RedisServer.start()
    const gateways = ['a', 'b'].map(id => gateway(t, server, id))
    await until(
      () => gateways.every(({ link }) => link.isAlive && link.gateways === 2),
      () => 'both to be seen',
    )
    const [{ link, store } = gateway(t, server, 'c')] = gateways
    const rules = [rule('sliding-window', 20)]
    const stores = (['open', 'closed', 'local-share'] as const).map(onFailure => store({ onFailure, scope: onFailure }))
    for (const each of stores) assert.equal((await each.take('key', rules, 1)).fallback, null)
    if (failure === 'killed') await server.kill()
    else server.signal('SIGSTOP')
    const passed: number[] = []
    for (const each of stores) {
      let count = 0
      for (let call = 0; call < 30; call++) {
        const outcome = await each.take('key', rules, 1)
        assert.notEqual(outcome.fallback, null)
        if (outcome.isAllowed) count++
      }
      passed.push(count)
    }
    assert.deepEqual(passed, [30, 0, 10])
    if (failure === 'killed') await server.restart()
    else server.signal('SIGCONT')
    await until(
      () => link.isAlive,
      () => 'the store to be found again',
    )
    for (const each of stores) assert.equal((await each.take('key', rules, 1)).fallback, null)
  })
}

test('a primary that became a replica counts no more until it is one again', { skip: noServer }, async t => {
  await using server = await RedisServer.start()
  await using other = await RedisServer.start()
  const { link, store } = gateway(t, server, 'a')
  await until(
    () => link.isAlive,
    () => 'it to be connected',
  )
  const rules = [rule('gcra', 5)]
  const counting = store({ scope: 'failover' })
  assert.equal((await counting.take('key', rules, 1)).isAllowed, true)
  await server.command('REPLICAOF', '127.0.0.1', String(other.port))
  const outcome = await counting.take('key', rules, 1)
  assert.deepEqual([outcome.isAllowed, outcome.fallback], [false, 'closed'])
  await server.command('REPLICAOF', 'NO', 'ONE')
  await until(
    () => link.isAlive,
    () => 'the store to be found again',
  )
  assert.equal((await counting.take('key', rules, 1)).fallback, null)
})
