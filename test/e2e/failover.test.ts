// Groups of targets, and all of them sick, under steady load and with servers that are processes of their own. Counted are calls that were
// lost, calls that each server saw, and checks that it saw before the first of them.
//
// Runs alone.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ask, codeOf } from '../tools/ask.ts'
import { Program } from '../tools/program.ts'
import { type Counts, failuresOf, followed, Stream, untilUsable, Victim } from './sick/ward.ts'

const timeouts = { connect: '800ms', response: '2s' }

describe('two primaries and a backup', () => {
  const health = { path: '/check', interval: '250ms', timeout: '600ms', unhealthy: 2, healthy: 2 }
  const retry = { attempts: 2, on: ['connect-failure', 'reset'], budget: '100%', backoff: '1ms' }
  const upstreams = ['retried', 'plain']
  let a: Victim
  let b: Victim
  let backup: Victim
  let program: Program
  before(async () => {
    a = await Victim.start('a')
    b = await Victim.start('b')
    backup = await Victim.start('backup')
    const targets = [a.url, b.url, { url: backup.url, priority: 1 }]
    program = await Program.start({
      workers: 2,
      upstreams: {
        retried: { targets, timeouts, health, retry },
        plain: { targets, timeouts, health },
        spilling: { targets, timeouts, health, failover: { spillBelow: '100%' } },
      },
      routes: [...upstreams, 'spilling'].map(name => ({ match: { path: `/${name}` }, forward: name })),
    })
  })
  after(async () => {
    await program?.stop()
    for (const victim of [a, b, backup]) await victim?.[Symbol.asyncDispose]()
  })

  const callsOf = async (victim: Victim) => {
    const { byPath } = await victim.asked()
    return upstreams.reduce((sum, name) => sum + (byPath[`/${name}`] ?? 0), 0)
  }
  const untilBoth = async (victim: Victim, isUsable: boolean) => {
    for (const name of upstreams) await untilUsable(program, name, victim, isUsable)
  }

  test('SIGKILL of one, of both, and both back: calls go where they should, and no call that may be repeated is lost', async context => {
    await using retried = new Stream({ port: program.port, path: '/retried' })
    await using plain = new Stream({ port: program.port, path: '/plain' })
    await using posts = new Stream({ port: program.port, path: '/plain', method: 'POST', clients: 2 })
    const streams = [retried, plain, posts]
    const repeatable: Counts[] = []
    /** None of so many calls of each stream is lost. */
    const wellFor = async (calls: number) => {
      const seen = await Promise.all(streams.map(stream => followed(stream, calls)))
      for (const counts of seen) assert.deepEqual(counts.failed, {})
    }
    /** What was lost until it was known that these are killed. */
    const kill = async (victim: Victim) => {
      for (const stream of streams) stream.take()
      await victim.kill()
      await untilBoth(victim, false)
      const [again, once, posted] = streams.map(stream => stream.take()) as [Counts, Counts, Counts]
      repeatable.push(again)
      context.diagnostic(
        `${victim.name} is killed, until that is known: ${failuresOf(again)} of ${again.calls} with retries lost, ` +
          `${failuresOf(once)} of ${once.calls} without, ${failuresOf(posted)} of ${posted.calls} POSTs`,
      )
      // A client has one call at a time, and no server saw the calls that found no connection.
      assert.ok(failuresOf(once) <= 4, JSON.stringify(once.failed))
      assert.ok(failuresOf(posted) <= 2, JSON.stringify(posted.failed))
    }

    await wellFor(300)
    await kill(a)
    await wellFor(300)
    assert.equal(await callsOf(backup), 0, 'one primary takes all')
    await kill(b)
    const atBackup = await callsOf(backup)
    await wellFor(300)
    assert.ok((await callsOf(backup)) - atBackup >= 900, 'the backup takes all')

    await a.revive()
    await untilBoth(a, true)
    // What was on its way to the backup has come there.
    await wellFor(10)
    const [beside, at] = [await callsOf(backup), await callsOf(a)]
    await wellFor(300)
    assert.equal(await callsOf(backup), beside, 'the backup gets nothing any more')
    assert.ok((await callsOf(a)) - at >= 900)
    await b.revive()
    await untilBoth(b, true)
    await wellFor(300)
    assert.ok((await callsOf(b)) >= 300, `${await callsOf(b)} of 900 calls went to one of two`)
    assert.equal(await callsOf(backup), beside)
    for (const { failed } of repeatable) assert.deepEqual(failed, {})
  })

  test('spillBelow: half of the primaries keep half of the calls, and the backup gets the others', async context => {
    const path = '/spilling'
    await using stream = new Stream({ port: program.port, path })
    for (const victim of [a, b]) await untilUsable(program, 'spilling', victim, true)
    await followed(stream, 300)
    assert.equal(await backup.count(path), 0)
    await a.kill()
    await untilUsable(program, 'spilling', a, false)
    stream.take()
    const [keptBefore, spiltBefore] = [await b.count(path), await backup.count(path)]
    const { failed } = await followed(stream, 800)
    const [kept, spilt] = [(await b.count(path)) - keptBefore, (await backup.count(path)) - spiltBefore]
    context.diagnostic(`${kept} calls stay, ${spilt} go to the backup`)
    assert.deepEqual(failed, {})
    // Six standard deviations of chance.
    assert.ok(Math.abs(spilt / (kept + spilt) - 0.5) < 3 / Math.sqrt(800), `${spilt} of ${kept + spilt}`)
    await a.revive()
    await untilUsable(program, 'spilling', a, true)
    await followed(stream, 10)
    const beside = await backup.count(path)
    await followed(stream, 300)
    assert.equal(await backup.count(path), beside)
  })
})

describe('checks that it takes', () => {
  const health = { path: '/check', interval: '1s', timeout: '900ms', unhealthy: 2, healthy: 3 }
  let victims: [Victim, Victim, Victim]
  let program: Program
  before(async () => {
    victims = [await Victim.start('a'), await Victim.start('b'), await Victim.start('c')]
    program = await Program.start({
      workers: 2,
      upstreams: { checked: { targets: victims.map(({ url }) => url), timeouts, health } },
      routes: [{ match: { path: '/call' }, forward: 'checked' }],
    })
  })
  after(async () => {
    await program?.stop()
    for (const victim of victims ?? []) await victim[Symbol.asyncDispose]()
  })

  test('one of three: the third good one brings calls back; all of them: the first does, and until then none comes', async context => {
    const [a, b, c] = victims
    await using stream = new Stream({ port: program.port, path: '/call' })
    await b.be('unavailable')
    await untilUsable(program, 'checked', b, false)
    await b.be('none')
    await untilUsable(program, 'checked', b, true)
    await followed(stream, 100)
    const back = (await b.asked()).runs
    assert.deepEqual(back[0], ['/check', health.healthy])
    assert.equal(back[1]?.[0], '/call')

    for (const victim of victims) await victim.be('unavailable')
    for (const victim of victims) await untilUsable(program, 'checked', victim, false)
    await followed(stream, 10)
    const before = await Promise.all(victims.map(victim => victim.count('/call')))
    const sick = await followed(stream, 500)
    const refused = await ask(program.port, { path: '/call' })
    assert.deepEqual([refused.status, codeOf(refused)], [503, 'upstream-unhealthy'])
    assert.deepEqual(sick.failed, { 'status 503': sick.calls })
    assert.deepEqual(await Promise.all(victims.map(victim => victim.count('/call'))), before, 'no call was tried')

    await c.be('none')
    await untilUsable(program, 'checked', c, true)
    stream.take()
    assert.deepEqual((await followed(stream, 200)).failed, {})
    const { runs } = await c.asked()
    context.diagnostic(`all sick: ${sick.calls} calls refused, then ${JSON.stringify(runs.slice(0, 2))}`)
    assert.deepEqual(runs[0], ['/check', 1])
    assert.equal(runs[1]?.[0], '/call')
    assert.deepEqual(
      [await a.count('/call'), await b.count('/call')],
      before.slice(0, 2),
      'those that are sick get none',
    )
  })
})
