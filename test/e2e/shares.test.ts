// Shares of calls by weight under real load: slow start, counted slice by slice, and the bound of a busy value of `hash`.
//
// Runs alone: it measures time.

import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { ask } from '../tools/ask.ts'
import { Line } from '../tools/load.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'
import { Stream, untilUsable, Victim } from './sick/ward.ts'

let victims: [Victim, Victim]
before(async () => {
  victims = [await Victim.start('a'), await Victim.start('b')]
})
after(async () => {
  for (const victim of victims ?? []) await victim[Symbol.asyncDispose]()
})

const sliceMs = 700
const slices = 5
const windowMs = sliceMs * slices
/** What a machine with other work may add to a share or take from it, and what chance may: three standard deviations. */
const slackOf = (calls: number) => 0.04 + 1.5 / Math.sqrt(calls)

/** Share of the newcomer among two targets when it has been there for so long. */
function shareAfter(ms: number): number {
  const part = Math.min(1, Math.max(0.1, ms / windowMs))
  return part / (1 + part)
}
/** With more than half of its weight an idle target may take a call from one with a call, and who is slower gets fewer. */
const shareMaxOfFew = 0.5 / 1.5

/** The newcomer has come at a time between these two. */
interface Came {
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/** Counts who got how many calls of these paths in each slice, and holds that against the ramp. */
async function followRamps(context: TestContext, paths: readonly string[], came: Came): Promise<void> {
  const shares = new Map<string, number[]>(paths.map(path => [path, []]))
  let before = await countsOf(paths)
  for (let slice = 0; slice <= slices; slice++) {
    await pause(sliceMs)
    const now = await countsOf(paths)
    const [least, most] = [shareAfter(before.atMs - came.notAfterMs), shareAfter(now.atMs - came.notBeforeMs)]
    for (const [index, path] of paths.entries()) {
      const [old = 0, newcomer = 0] = now.counts.map((counts, server) => {
        return (counts[index] ?? 0) - (before.counts[server]?.[index] ?? 0)
      })
      const calls = old + newcomer
      const share = newcomer / calls
      shares.get(path)?.push(share)
      const what =
        `slice ${slice} of ${path}: ${share.toFixed(2)} of ${calls} calls, ` +
        `${least.toFixed(2)} to ${most.toFixed(2)} are due`
      context.diagnostic(what)
      const isDue =
        path === '/few'
          ? most > shareMaxOfFew || share < most + slackOf(calls)
          : share > least - slackOf(calls) && share < most + slackOf(calls)
      assert.ok(isDue, what)
    }
    before = now
  }
  for (const [first = 1, , third = 0, , , last = 0] of shares.values()) {
    assert.ok(first < third && first < last, `${first}, ${third}, ${last}`)
  }
}

/** How often each of the two was asked for each path until now. */
async function countsOf(paths: readonly string[]): Promise<{ counts: number[][]; atMs: number }> {
  const asked = await Promise.all(victims.map(victim => victim.asked()))
  return { counts: asked.map(({ byPath }) => paths.map(path => byPath[path] ?? 0)), atMs: performance.now() }
}

describe('slow start', () => {
  const slowStart = `${windowMs}ms`
  const health = { path: '/check', interval: '200ms', timeout: '800ms', unhealthy: 2, healthy: 1 }
  // Two calls at a time, so that often one of two targets has none, and shares that depend on nothing but weights.
  const returning = { few: 'least-request', drawn: 'random' }
  const config = (added: readonly Victim[]) => ({
    upstreams: {
      ...Object.fromEntries(
        Object.entries(returning).map(([name, balance]) => {
          return [name, { targets: victims.map(({ url }) => url), balance, health, slowStart }]
        }),
      ),
      added: { targets: added.map(({ url }) => url), balance: 'random', slowStart },
    },
    routes: [...Object.keys(returning), 'added'].map(name => ({ match: { path: `/${name}` }, forward: name })),
  })
  let program: Program
  before(async () => {
    program = await Program.start(config([victims[0]]))
    // From here on those that were there from the beginning have their whole weight.
    await pause(windowMs + 200)
  })
  after(() => program?.stop())

  test('a target that was killed and comes back grows into its share, by draws and by who is less busy', async context => {
    const [, b] = victims
    await b.kill()
    for (const name of Object.keys(returning)) await untilUsable(program, name, b, false)
    await using _few = new Stream({ port: program.port, path: '/few', clients: 2, pauseMs: 0 })
    await using _drawn = new Stream({ port: program.port, path: '/drawn', pauseMs: 0 })
    const notBeforeMs = performance.now()
    await b.revive()
    for (const name of Object.keys(returning)) await untilUsable(program, name, b, true)
    const came = { notBeforeMs, notAfterMs: performance.now() }
    await followRamps(context, ['/few', '/drawn'], came)
  })

  test('a target that a reload adds does too', async context => {
    await using _ = new Stream({ port: program.port, path: '/added', pauseMs: 0 })
    const notBeforeMs = performance.now()
    await program.replace(config(victims))
    await program.untilTotal('turnpike_config_version', {}, 2)
    await followRamps(context, ['/added'], { notBeforeMs, notAfterMs: performance.now() })
  })
})

describe('hash with bounded load', () => {
  const boundedLoad = 1.5
  let servers: Victim[]
  let program: Program
  before(async () => {
    servers = [...victims, await Victim.start('c')]
    program = await Program.start({
      upstreams: {
        bounded: { targets: servers.map(({ url }) => url), balance: 'hash', hashBy: '{header.x-user}', boundedLoad },
      },
      routes: [{ match: {}, forward: 'bounded' }],
    })
  })
  after(async () => {
    await program?.stop()
    await servers?.at(-1)?.[Symbol.asyncDispose]()
  })

  const place = async (user: string) => (await ask(program.port, { path: '/hashed', headers: { 'x-user': user } })).text
  const seen = async () => {
    const counts = await Promise.all(servers.map(server => server.count('/hashed')))
    return counts.reduce((sum, count) => sum + count, 0)
  }

  test('a value goes to its next target exactly while its own has its share of what is under way, and others stay', async context => {
    const users = Array.from({ length: 12 }, (_, index) => `user-${index}`)
    const homes = new Map<string, string>()
    for (const user of users) homes.set(user, await place(user))
    // Ports are others in each run, and so are the places of values: seldom there is a target with none of these.
    assert.ok(new Set(homes.values()).size > 1)

    for (const server of servers) await server.be('holds')
    const hot = users[0] ?? assert.fail()
    // Everybody once, then one alone, then everybody again.
    const callers = [...users, ...Array.from({ length: 40 }, () => hot), ...users]
    const before = await seen()
    const replies: Promise<string>[] = []
    for (const user of callers) {
      replies.push(place(user))
      // In order: a call is under way before the next one is made.
      await until(
        async () => (await seen()) === before + replies.length,
        () => `call ${replies.length} to be held`,
      )
    }
    for (const server of servers) await server.be('none')
    const places = await Promise.all(replies)

    const underWay = new Map(servers.map(({ name }) => [name, 0]))
    const overflowed: string[] = []
    for (const [index, user] of callers.entries()) {
      const allowed = (boundedLoad * (index + 1)) / servers.length
      const [home = '', went = ''] = [homes.get(user), places[index]]
      const hasRoom = (underWay.get(home) ?? 0) < allowed
      assert.equal(
        went === home,
        hasRoom,
        `call ${index} of ${user} went to ${went}, ${home} had ${underWay.get(home)}`,
      )
      assert.ok((underWay.get(went) ?? 0) < allowed, `${went} had ${underWay.get(went)}, ${allowed} are allowed`)
      if (user === hot && went !== home) overflowed.push(went)
      underWay.set(went, (underWay.get(went) ?? 0) + 1)
    }
    context.diagnostic(
      `${JSON.stringify(Object.fromEntries(underWay))} under way, ${overflowed.length} of 42 elsewhere`,
    )
    assert.ok(overflowed.length > 5, String(overflowed.length))
    assert.equal(new Set(overflowed).size, 1, 'the same next one, as long as that has room')
    for (let call = 0; call < 10; call++) assert.equal(await place(hot), homes.get(hot), 'and home again')
  })

  test('calls that come in one moment are no more than others', async context => {
    const lines = await Promise.all(Array.from({ length: 40 }, () => Line.open(program.port)))
    for (const server of servers) await server.be('holds')
    for (const method of ['GET', 'POST']) {
      const path = `/burst-of-${method}`
      const head = `${method} ${path} HTTP/1.1\r\nhost: a.test\r\nx-user: somebody\r\ncontent-length: 0\r\n\r\n`
      const replies = Promise.all(lines.map(line => line.call(head)))
      const counts = () => Promise.all(servers.map(server => server.count(path)))
      await until(
        async () => (await counts()).reduce((sum, count) => sum + count, 0) === lines.length,
        () => 'all calls to be held',
      )
      const most = Math.ceil((boundedLoad * lines.length) / servers.length)
      context.diagnostic(`${method}: ${(await counts()).join(', ')}; ${most} are allowed`)
      for (const count of await counts()) assert.ok(count <= most, `${count} of 40 at one of three`)
      for (const server of servers) await server.be('none')
      await replies
      for (const server of servers) await server.be('holds')
    }
    for (const server of servers) await server.be('none')
    for (const line of lines) line.close()
  })
})
