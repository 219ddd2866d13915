// The store of limits against a real server, without a gateway around it: what it admits, and what decides when the server fails.

import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import * as fc from 'fast-check'
import type { LimitRule } from '../../src/core/limits.ts'
import { Counting, ruleOf as rule } from '../tools/counting.ts'
import { noServer, RedisServer } from '../tools/redis.ts'
import { until } from '../tools/until.ts'

function gateway(t: TestContext, server: RedisServer, id: string): Counting {
  const counting = new Counting({ url: server.url, timeout: 500 }, id)
  t.after(() => counting.close())
  return counting
}

test('exactly the limit passes three gateways, in every algorithm and both modes', { skip: noServer }, async t => {
  await using server = await RedisServer.start()
  const gateways = ['a', 'b', 'c'].map(id => gateway(t, server, id))
  await until(
    () => gateways.every(({ link }) => link.isAlive),
    () => 'all to be connected',
  )
  for (const mode of ['exact', 'leased'] as const) {
    for (const algorithm of ['gcra', 'sliding-window', 'period'] as const) {
      for (let round = 0; round < 5; round++) {
        const limit = 200 + round
        const rules = [rule(algorithm, limit)]
        const stores = gateways.map(each => each.store({ mode, scope: `${mode}${algorithm}${round}` }))
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
  const one = await gateway(t, server, 'a').ready()
  let scope = 0
  const algorithms = fc.constantFrom<LimitRule['algorithm']>('gcra', 'sliding-window', 'period')
  const ruleOf = fc.record({ algorithm: algorithms, limit: fc.integer({ min: 0, max: 40 }) })
  await fc.assert(
    fc.asyncProperty(
      fc.array(ruleOf, { minLength: 1, maxLength: 4 }),
      fc.array(fc.integer({ min: 0, max: 15 }), { maxLength: 20 }),
      async (wanted, costs) => {
        const rules = wanted.map(({ algorithm, limit }) => rule(algorithm, limit))
        const counting = one.store({ scope: `model ${scope++}` })
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
  const one = await gateway(t, server, 'a').ready()
  for (const algorithm of ['sliding-window', 'period'] as const) {
    const rules = [rule(algorithm, 5)]
    const counting = one.store({ scope: `back ${algorithm}` })
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
    const [one = gateway(t, server, 'c')] = gateways
    const { link } = one
    const rules = [rule('sliding-window', 20)]
    const stores = (['open', 'closed', 'local-share'] as const).map(onFailure =>
      one.store({ onFailure, scope: onFailure }),
    )
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
    // A server that came back empty has forgotten what passed: a closed limit waits until that is over.
    const wanted = failure === 'killed' ? [null, 'closed', null] : [null, null, null]
    const after = []
    for (const each of stores) after.push((await each.take('key', rules, 1)).fallback)
    assert.deepEqual(after, wanted)
  })
}

test('a primary that became a replica counts no more until it is one again', { skip: noServer }, async t => {
  await using server = await RedisServer.start()
  await using other = await RedisServer.start()
  const one = await gateway(t, server, 'a').ready()
  const rules = [rule('gcra', 5)]
  const counting = one.store({ scope: 'failover' })
  assert.equal((await counting.take('key', rules, 1)).isAllowed, true)
  await server.command('REPLICAOF', '127.0.0.1', String(other.port))
  const outcome = await counting.take('key', rules, 1)
  assert.deepEqual([outcome.isAllowed, outcome.fallback], [false, 'closed'])
  await server.command('REPLICAOF', 'NO', 'ONE')
  await until(
    () => one.link.isAlive,
    () => 'the store to be found again',
  )
  assert.equal((await counting.take('key', rules, 1)).fallback, null)
})
