// Targets that fall sick in every way, as processes of their own under steady load. Each test ends in counts: what was lost before
// the sickness was found out, and what after.
//
// Runs alone: it measures time.

import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { ask, codeOf } from '../tools/ask.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'
import { type Counts, failuresOf, followed, percentile, Stream, untilUsable, Victim } from './sick/ward.ts'

const intervalMs = 250
const health = { path: '/healthz', interval: `${intervalMs}ms`, timeout: '600ms', unhealthy: 2, healthy: 2 }
// Long enough for a machine that stutters, short enough for those who never answer.
const timeouts = { connect: '800ms', response: '800ms' }
const retryOn = ['connect-failure', 'reset', 'timeout', '502', '503', '504']
/** How long calls are counted after a sickness was found out, and how many there are at least. */
const countedMs = 700
const countedMin = 50

let victims: [Victim, Victim, Victim]
let program: Program

before(async () => {
  victims = [await Victim.start('a'), await Victim.start('b'), await Victim.start('c')]
  const targets = victims.map(({ url }) => url)
  const ejection = { consecutive: 3, baseTime: '30s', on: ['connect-failure', 'reset', 'timeout', '503'] }
  program = await Program.start({
    workers: 2,
    upstreams: {
      checked: { targets, timeouts, health },
      retried: { targets, timeouts, health, retry: { attempts: 2, on: retryOn, budget: '100%', backoff: '1ms' } },
      ejecting: { targets, timeouts, ejection },
      sluggish: { targets: targets.slice(2), timeouts: { response: '10s' } },
      panicking: { targets: targets.slice(0, 1), timeouts, health, failover: { panic: '50%' } },
    },
    routes: ['checked', 'retried', 'ejecting', 'panicking', 'sluggish'].map(name => ({
      match: { path: `/${name}` },
      forward: name,
    })),
  })
})
after(async () => {
  await program?.stop()
  for (const victim of victims ?? []) await victim[Symbol.asyncDispose]()
})

interface Ill {
  readonly name: string
  readonly fall: (victim: Victim) => void | Promise<void>
  readonly recover: (victim: Victim) => void | Promise<void>
}

const be = (sickness: Parameters<Victim['be']>[0]) => ({
  fall: (victim: Victim) => victim.be(sickness),
  recover: (victim: Victim) => victim.be('none'),
})

const ills: readonly Ill[] = [
  { name: 'is killed', fall: victim => victim.kill(), recover: victim => victim.revive() },
  { name: 'is stopped', fall: victim => victim.signal('SIGSTOP'), recover: victim => victim.signal('SIGCONT') },
  { name: 'is out of descriptors', fall: victim => victim.exhaust(), recover: victim => victim.relieve() },
  { name: 'refuses connections', ...be('refuses') },
  { name: 'is slow', ...be('slow') },
  { name: 'answers garbage', ...be('garbage') },
  { name: 'half-closes', ...be('half-closes') },
  { name: 'answers 503', ...be('unavailable') },
]

describe('one of three targets', () => {
  for (const { name, fall, recover } of ills) {
    test(`${name}: nothing is lost once that is known, and no call that may be repeated ever`, async context => {
      const [, victim] = victims
      await using checked = new Stream({ port: program.port, path: '/checked' })
      await using retried = new Stream({ port: program.port, path: '/retried' })
      await fall(victim)
      const foundMs = await untilUsable(program, 'checked', victim, false)
      await untilUsable(program, 'retried', victim, false)
      const before = checked.take()
      const after = await counted(checked)
      await recover(victim)
      await untilUsable(program, 'checked', victim, true)
      await untilUsable(program, 'retried', victim, true)
      const back = await followed(checked, 200)
      const repeated = retried.take()
      tell(context, `found after ${foundMs.toFixed(0)} ms, ${failuresOf(before)} of ${before.calls} lost until then`)
      tell(
        context,
        `then ${failuresOf(after)} of ${after.calls} and, with it back, ${failuresOf(back)} of ${back.calls}`,
      )
      tell(context, `with retries ${failuresOf(repeated)} of ${repeated.calls}`)
      assert.deepEqual(after.failed, {})
      assert.deepEqual(repeated.failed, {})
      assert.deepEqual(back.failed, {})
    })
  }

  test('resets at random: calls find that out, and it is left out for long', async context => {
    const [, , victim] = victims
    await using stream = new Stream({ port: program.port, path: '/ejecting' })
    await victim.be('resets')
    const foundMs = await untilUsable(program, 'ejecting', victim, false)
    const before = stream.take()
    const after = await counted(stream)
    await victim.be('none')
    tell(context, `found after ${foundMs.toFixed(0)} ms, ${failuresOf(before)} of ${before.calls} lost until then`)
    tell(context, `then ${failuresOf(after)} of ${after.calls}`)
    assert.deepEqual(after.failed, {})
    await program.untilTotal('turnpike_upstream_ejections_total', { upstream: 'ejecting' }, 1)
  })

  test('with a second one: no more than the share is ejected', async () => {
    // Of three targets half are one, and one is ejected since the test before.
    const [, victim] = victims
    await using stream = new Stream({ port: program.port, path: '/ejecting' })
    await victim.be('unavailable')
    await until(
      async () => (await program.total('turnpike_ceiling_hits_total', { ceiling: 'ejections' })) > 0,
      () => 'an ejection to be refused',
    )
    const { failed } = await followed(stream, 100)
    await victim.be('none')
    assert.deepEqual(Object.keys(failed), ['status 503'])
    assert.equal(await program.total('turnpike_upstream_ejections_total', { upstream: 'ejecting' }), 1)
    await program.untilTotal('turnpike_upstream_targets', { upstream: 'ejecting', state: 'ejected' }, 1)
  })
})

test('a slow upstream does not slow the others', async context => {
  const [, , victim] = victims
  await using stream = new Stream({ port: program.port, path: '/checked' })
  const p99: { alone: number[]; beside: number[] } = { alone: [], beside: [] }
  await victim.be('slow')
  await untilUsable(program, 'checked', victim, false)
  const measure = async (kind: keyof typeof p99) => {
    stream.take()
    await pause(500)
    p99[kind].push(percentile(stream.take(), 0.99))
  }
  // In turn, so that what else the machine does falls on both.
  for (let round = 0; round < 3; round++) {
    await measure('alone')
    const slow = new Stream({ port: program.port, path: '/sluggish', clients: 100 })
    // Opening so many connections is another load than to have them.
    await until(
      async () => (await program.total('http_server_active_requests')) >= 100,
      () => 'a hundred calls to wait',
    )
    await measure('beside')
    await slow[Symbol.asyncDispose]()
    assert.deepEqual(slow.counts.failed, {})
    assert.ok(percentile(slow.counts, 0.01) > 900, 'they all waited')
  }
  await victim.be('none')
  const [alone, beside] = [median(p99.alone), median(p99.beside)]
  tell(context, `p99 ${alone.toFixed(1)} ms alone, ${beside.toFixed(1)} ms beside 100 calls that wait`)
  assert.ok(beside < 2 * alone + 150, `${p99.alone.join()} alone, ${p99.beside.join()} beside`)
})

test('all sick: a fast 503, and calls get through within one interval of the first one that is well', async context => {
  await Promise.all(victims.map(victim => victim.be('deaf')))
  for (const victim of victims) await untilUsable(program, 'checked', victim, false)
  await using stream = new Stream({ port: program.port, path: '/checked' })
  const sick = await followed(stream, 100)
  assert.deepEqual(Object.keys(sick.failed), ['status 503'])
  assert.equal(failuresOf(sick), sick.calls)
  const refused = await ask(program.port, { path: '/checked' })
  assert.deepEqual([codeOf(refused), refused.headers['retry-after']], ['upstream-unhealthy', '1'])
  // A call that waited for a target would have taken `timeouts.response`.
  assert.ok(percentile(sick, 0.5) < 400, `${percentile(sick, 0.5)} ms`)
  await untilUsable(program, 'panicking', victims[0], false)
  assert.equal(codeOf(await ask(program.port, { path: '/panicking' })), 'upstream-timeout', 'panic tries all the same')
  const wellMs = performance.now()
  await victims[0].be('none')
  while ((await ask(program.port, { path: '/checked' })).status !== 200) await pause(5)
  const recoveredMs = performance.now() - wellMs
  await Promise.all(victims.map(victim => victim.be('none')))
  for (const victim of victims) await untilUsable(program, 'checked', victim, true)
  tell(
    context,
    `503 within ${percentile(sick, 0.99).toFixed(1)} ms (p99), well again after ${recoveredMs.toFixed(0)} ms`,
  )
  // One interval, and what a busy machine adds.
  assert.ok(recoveredMs < intervalMs + 2_000, `${recoveredMs} ms`)
})

/** What becomes of the next calls. */
async function counted(stream: Stream): Promise<Counts> {
  await pause(countedMs)
  return followed(stream, countedMin)
}

/** The one in the middle of three. */
function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[1] ?? NaN
}

function tell(context: TestContext, text: string): void {
  context.diagnostic(text)
}
