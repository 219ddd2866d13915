// Targets that succeed less often than their siblings, with servers that are processes of their own: who is left out, for how long, and
// how many at most. Counted are the calls that each server saw.
//
// Runs alone: it measures time.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'
import { followed, statesOf, Stream, untilUsable, Victim } from './sick/ward.ts'

const intervalMs = 1_000
/** A target comes back just before rates are compared, with too few calls by then to be judged. */
const baseMs = 900
const path = '/call'

let victims: Victim[]
let program: Program
before(async () => {
  victims = await Promise.all(['a', 'b', 'c', 'd', 'e'].map(name => Victim.start(name)))
  const successRate = { minimumHosts: 4, requestVolume: 50, stdevFactor: 1.5 }
  const ejection = {
    consecutive: 0,
    successRate,
    interval: `${intervalMs}ms`,
    baseTime: `${baseMs}ms`,
    maxPercent: '20%',
  }
  program = await Program.start({
    workers: 2,
    upstreams: { rated: { targets: victims.map(({ url }) => url), ejection } },
    routes: [{ match: { path }, forward: 'rated' }],
  })
})
after(async () => {
  await program?.stop()
  for (const victim of victims ?? []) await victim[Symbol.asyncDispose]()
})

interface Ejected {
  readonly target: string
  readonly endsInMs: number
}

/** Ejections that the log tells of, in their order. */
function ejections(): Ejected[] {
  const lines = program.stderr.split('\n').filter(line => line.includes('is ejected for'))
  return lines.map(line => JSON.parse(line) as Ejected)
}

async function untilEjections(count: number): Promise<void> {
  await until(
    () => ejections().length >= count,
    () => `${count} ejections; there were ${JSON.stringify(ejections())}`,
  )
}

const countsNow = () => Promise.all(victims.map(victim => victim.count(path)))

/** Share that each server gets of so many calls. */
async function sharesOf(stream: Stream, calls: number): Promise<number[]> {
  // What was on its way has come.
  await followed(stream, 20)
  const before = await countsNow()
  await followed(stream, calls)
  const gained = (await countsNow()).map((count, index) => count - (before[index] ?? 0))
  const sum = gained.reduce((total, count) => total + count, 0)
  return gained.map(count => count / sum)
}

const shown = (shares: readonly number[]) => shares.map(share => share.toFixed(2)).join(' ')

test('one fails half of its calls: it is left out for longer each time, no second one is, and it comes back', async context => {
  const [, , , d, e] = victims as [Victim, Victim, Victim, Victim, Victim]
  await using stream = new Stream({ port: program.port, path, clients: 8, pauseMs: 10 })
  await followed(stream, 500)
  stream.take()
  await e.be('half-unavailable')
  await untilEjections(3)
  const { failed } = stream.take()
  const without = await sharesOf(stream, 200)
  assert.equal(without[4], 0)
  for (const { target } of ejections()) assert.equal(target, e.url)
  for (const [index, { endsInMs }] of ejections().entries()) {
    const due = baseMs * (index + 1)
    // It is told on a beat.
    assert.ok(
      endsInMs <= due + 100 && endsInMs > due - 800,
      `ejection ${index + 1} lasts ${endsInMs} ms, ${due} are due`,
    )
  }
  assert.deepEqual(Object.keys(failed), ['status 503'])
  context.diagnostic(
    `ejected for ${ejections()
      .map(({ endsInMs }) => endsInMs)
      .join(', ')} ms; shares ${shown(without)}`,
  )

  // While one of five is left out, no other one may be, whatever it does.
  await d.be('half-unavailable')
  await until(
    async () => (await program.total('turnpike_ceiling_hits_total', { ceiling: 'ejections', name: 'rated' })) > 0,
    () => 'an ejection to be refused',
  )
  assert.equal((await statesOf(program, 'rated'))[d.port], 'usable')
  assert.equal((await statesOf(program, 'rated'))[e.port], 'ejected')
  await d.be('none')
  await e.be('none')
  await untilUsable(program, 'rated', e, true)
  stream.take()
  const shares = await sharesOf(stream, 1_000)
  context.diagnostic(`back: shares ${shown(shares)}`)
  for (const share of shares) assert.ok(share > 0.1 && share < 0.3, shares.join())
  assert.deepEqual((await followed(stream, 200)).failed, {})
  assert.equal(ejections().length, 3)
})
