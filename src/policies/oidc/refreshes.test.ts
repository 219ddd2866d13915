import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakePorts } from '../../../test/tools/call.ts'
import { Refreshes } from './refreshes.ts'
import type { Session } from './session.ts'

const session = (refresh: string, accessEndsMs = 60_000): Session => ({
  claims: { sub: 'ada' },
  tokens: { access: 'a', refresh, id: '', accessEndsMs, refreshAtMs: 30_000, scopes: null },
  startedMs: 0,
  seenMs: 0,
})

const fail = () => Promise.reject(new Error('down'))

/** Two workers, that is: two sets of ports over the same shared counters. */
function setup() {
  const ports = fakePorts()
  const renewed = session('new', 120_000)
  let asks = 0
  const renew = async () => {
    asks++
    return renewed
  }
  const taken = () => [...ports.taken.values()].reduce((sum, count) => sum + count, 0)
  return {
    ...{ ports, renewed, renew, taken, asks: () => asks },
    ...{ mine: new Refreshes(ports, 'https://id.acme.test'), other: new Refreshes(ports, 'https://id.acme.test') },
  }
}

test('one worker asks, and calls that come to it with the session of before share the answer', async () => {
  const { mine, other, renewed, renew, asks, ports } = setup()
  const answers = await Promise.all([mine.once(session('r'), renew), mine.once(session('r'), renew)])
  assert.deepEqual(answers, [renewed, renewed])
  assert.equal(await other.once(session('r'), renew), null)
  ports.advance(29_000)
  assert.equal(await mine.once(session('r'), renew), renewed)
  assert.equal(await other.once(session('r'), renew), null)
  assert.equal(asks(), 1)
})

test('the turn is given back when nobody comes with the session of before any more', async () => {
  const { mine, other, renewed, renew, taken, ports } = setup()
  await mine.once(session('r'), renew)
  assert.equal(taken(), 1)
  ports.advance(30_000)
  mine.due(ports.clock.now())
  assert.equal(taken(), 0)
  assert.equal(mine.dueMs, Infinity)
  assert.equal(await other.once(session('r'), renew), renewed)
  other.close()
  assert.equal(taken(), 0)
})

test('a refresh that failed is tried again after a second, by whoever comes first', async () => {
  const { mine, other, renewed, renew, ports } = setup()
  assert.equal(await mine.once(session('r'), fail), null)
  assert.equal(await mine.once(session('r'), renew), null)
  ports.advance(1_000)
  mine.due(ports.clock.now())
  assert.equal(await other.once(session('r'), renew), renewed)
})

test('a provider may give the same refresh token again: the next refresh is another one', async () => {
  const { mine, renew, asks } = setup()
  await mine.once(session('r', 60_000), renew)
  await mine.once(session('r', 120_000), renew)
  assert.equal(asks(), 2)
})

test('of too many the oldest is forgotten, and its turn with it', async () => {
  const { mine, renew, taken } = setup()
  for (let i = 0; i < 4_100; i++) await mine.once(session(`r${i}`), renew)
  assert.equal(taken(), 4_096)
})
