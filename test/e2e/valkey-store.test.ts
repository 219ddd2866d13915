// The store of limits against a real server, without a gateway around it: what it admits, and what decides when the server fails.

import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import * as fc from 'fast-check'
import type { LimitRule, LimitStore } from '../../src/core/limits.ts'
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

/** Calls come evenly for a while, so that blocks grow; resolves with how many passed. */
async function callEvenly(store: LimitStore, rules: readonly LimitRule[], calls: number): Promise<number> {
  let passed = 0
  for (let call = 0; call < calls; call++) {
    if ((await store.take('key', rules, 1)).isAllowed) passed++
    if (call % 10 === 9) await new Promise(resolve => setTimeout(resolve, 5))
  }
  return passed
}

async function callToTheEnd(store: LimitStore, rules: readonly LimitRule[]): Promise<number> {
  let passed = 0
  while ((await store.take('key', rules, 1)).isAllowed) passed++
  return passed
}

for (const algorithm of ['gcra', 'sliding-window', 'period'] as const) {
  test(`${algorithm}: permits that lie idle are called back, to the last one`, { skip: noServer }, async t => {
    await using server = await RedisServer.start()
    const [one, other, third] = await Promise.all(['a', 'b', 'c'].map(id => gateway(t, server, id).ready()))
    // So long that of `gcra` nothing comes back.
    const rules = [rule(algorithm, 2000, 1000 * 3_600_000)]
    const idle = one?.store({ mode: 'leased' })
    const busy = other?.store({ mode: 'leased' })
    const exact = third?.store({})
    assert.ok(idle !== undefined && busy !== undefined && exact !== undefined)
    const passed = await callEvenly(idle, rules, 600)
    assert.equal(passed, 600)
    const left = Number((await exact.take('key', rules, 0)).standings[0]?.remaining)
    assert.ok(left < 2000 - passed, `nothing is held ahead: ${left} are left in the store`)
    // One block and half of the next, none of which is more than an eighth of what there was.
    assert.ok(2000 - passed - left <= (2000 / 8) * 1.5, `${2000 - passed - left} lie idle`)
    assert.equal(passed + (await callToTheEnd(busy, rules)), 2000)
    assert.equal((await idle.take('key', rules, 1)).isAllowed, false)
    assert.equal((await exact.take('key', rules, 1)).isAllowed, false)
  })
}

test('over time, permits that come back are lent to nobody twice', { skip: noServer }, async t => {
  await using server = await RedisServer.start()
  const gateways = await Promise.all(['a', 'b', 'c'].map(id => gateway(t, server, id).ready()))
  const windowMs = 400
  for (const algorithm of ['gcra', 'sliding-window', 'period'] as const) {
    const stores = gateways.map(each => each.store({ mode: 'leased', scope: `over time ${algorithm}` }))
    const limit = 200
    const startMs = performance.now()
    const untilMs = startMs + 2000
    let passed = 0
    let most = Infinity
    const one = async (store: LimitStore, index: number) => {
      for (let call = 0; performance.now() < untilMs; call++) {
        const rules = [{ ...rule(algorithm, limit, windowMs), burst: 50 }]
        if ((await store.take('key', rules, 1)).isAllowed) passed++
        const sinceMs = performance.now() - startMs
        // A call is seen later than it was let through: what is seen can only be too little.
        most = algorithm === 'gcra' ? 50 + (limit * sinceMs) / windowMs : limit * (Math.floor(sinceMs / windowMs) + 2)
        assert.ok(passed <= most, `${algorithm}: ${passed} passed, ${most} may in ${sinceMs} ms`)
        // In bursts and pauses, each at its own time, so that permits lie idle now and then.
        if (call % 40 === 0) await new Promise(resolve => setTimeout(resolve, 30 + 25 * index))
        else if (call % 4 === 0) await new Promise(resolve => setTimeout(resolve, 1))
      }
    }
    await Promise.all(stores.flatMap((store, index) => [one(store, index), one(store, index + 1)]))
    assert.ok(passed > 0.7 * limit * (2000 / windowMs), `${algorithm}: only ${passed} passed`)
  }
})

test('permits are given back at the end; those of a dead worker keep nobody waiting', { skip: noServer }, async t => {
  await using server = await RedisServer.start()
  const rules = [rule('sliding-window', 2000, 1000 * 3_600_000)]
  const leftIn = async (counting: Counting, scope: string) =>
    Number((await counting.store({ scope }).take('key', rules, 0)).standings[0]?.remaining)
  const watch = await gateway(t, server, 'w').ready()
  const ending = await gateway(t, server, 'a').ready()
  await callEvenly(ending.store({ mode: 'leased', scope: 'ending' }), rules, 600)
  assert.ok((await leftIn(watch, 'ending')) < 1400)
  await ending.settle()
  assert.equal(await leftIn(watch, 'ending'), 1400)

  const dying = await gateway(t, server, 'b').ready()
  await callEvenly(dying.store({ mode: 'leased', scope: 'dying' }), rules, 600)
  dying.link.close()
  const held = 1400 - (await leftIn(watch, 'dying'))
  const store = watch.store({ scope: 'dying' })
  assert.equal(await callToTheEnd(store, rules), 1400 - held)
  await new Promise(resolve => setTimeout(resolve, 250))
  assert.equal((await store.take('key', rules, 1)).isAllowed, false)
  // The quickest of several, so that a machine that is busy elsewhere is not taken for one that waits.
  let leastMs = Infinity
  for (let call = 0; call < 5; call++) {
    const startMs = performance.now()
    assert.equal((await store.take('key', rules, 1)).isAllowed, false)
    leastMs = Math.min(leastMs, performance.now() - startMs)
  }
  assert.ok(leastMs < 150, 'the dead are still waited for')
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
