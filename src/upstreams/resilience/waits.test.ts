import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeTime } from '../fakes.ts'
import { type Waiting, Waits } from './waits.ts'

function setUp() {
  const time = new FakeTime()
  const waits = new Waits(() => time.nowMs, time.startTimer)
  const called: string[] = []
  const begin = (name: string, ms: number, due = () => {}): Waiting => {
    const waiting: Waiting = {
      ...{ dueMs: 0, before: null, after: null },
      due() {
        called.push(`${name} ${time.nowMs}`)
        due()
      },
    }
    waits.add(waiting, time.nowMs, ms)
    return waiting
  }
  return { time, waits, called, begin }
}

test('calls each when its time is up, by one timer', async () => {
  const { time, called, begin } = setUp()
  begin('a', 20)
  await time.pass(5)
  begin('b', 20)
  begin('c', 20)
  assert.equal(time.timers.size, 1)
  await time.pass(30, 1)
  assert.deepEqual(called, ['a 20', 'b 25', 'c 25'])
  assert.equal(time.timers.size, 0)
})

test('a wait that is called off is not called, wherever it stands', async () => {
  for (const gone of ['a', 'b', 'c']) {
    const { time, waits, called, begin } = setUp()
    const line = new Map(['a', 'b', 'c'].map(name => [name, begin(name, 20)]))
    const waiting = line.get(gone)
    assert.ok(waiting)
    waits.remove(waiting)
    waits.remove(waiting)
    await time.pass(50, 1)
    assert.deepEqual(
      called,
      ['a', 'b', 'c'].filter(name => name !== gone).map(name => `${name} 20`),
    )
    waits.remove(waiting)
  }
})

test('all called off, then another: it is called in time', async () => {
  const { time, waits, called, begin } = setUp()
  for (const waiting of [begin('a', 20), begin('b', 20)]) waits.remove(waiting)
  await time.pass(15)
  begin('c', 20)
  await time.pass(40, 1)
  assert.deepEqual(called, ['c 35'])
})

test('a wait that begins while others are called is called too', async () => {
  const { time, called, begin } = setUp()
  begin('a', 20, () => void begin('again', 10))
  await time.pass(60, 1)
  assert.deepEqual(called, ['a 20', 'again 30'])
})

test('a shorter wait behind a longer one comes no later than that one', async () => {
  const { time, called, begin } = setUp()
  begin('long', 20)
  begin('short', 10)
  await time.pass(60, 1)
  assert.deepEqual(called, ['long 20', 'short 20'])
})
