import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { Pace } from './pace.ts'

class FakeSocket {
  destroyed = false
  destroy(): void {
    this.destroyed = true
  }
}

function start(perSecond: number, waitMs = 10_000) {
  let nowMs = 1_000
  const counts = { waits: 0, losses: 0 }
  const pace = new Pace(
    { perMs: perSecond / 1000, waitMs },
    {
      clock: { now: () => nowMs, wall: () => nowMs },
      deadlines: { add: () => {}, remove: () => {} },
      waits: { add: amount => void (counts.waits += amount) },
      losses: { add: amount => void (counts.losses += amount) },
    },
  )
  const through: number[] = []
  const sockets: FakeSocket[] = []
  const arrive = (count: number) => {
    for (let each = 0; each < count; each++) {
      const socket = new FakeSocket()
      const number = sockets.push(socket)
      // Only `destroyed` and `destroy` are used of it.
      pace.enter(socket as unknown as Socket, () => through.push(number))
    }
  }
  const pass = (ms: number) => {
    nowMs += ms
    if (nowMs > pace.dueMs) pace.due(nowMs)
  }
  return { pace, through, sockets, counts, arrive, pass }
}

test('lets through what comes in a beat, and the rest in its order at the pace', () => {
  const { pace, through, counts, arrive, pass } = start(50)
  arrive(12)
  assert.deepEqual(through, [1, 2, 3, 4, 5])
  assert.deepEqual([pace.waiting, counts.waits], [7, 7])
  pass(100)
  arrive(1)
  assert.deepEqual(through, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  pass(100)
  assert.deepEqual(through.slice(10), [11, 12, 13])
  assert.deepEqual([pace.waiting, pace.dueMs], [0, Infinity])
})

test('saves up no more than a beat', () => {
  const { through, arrive, pass } = start(50)
  pass(60_000)
  arrive(100)
  assert.equal(through.length, 5)
})

test('a pace of less than one in a beat lets one through when it is time', () => {
  const { through, arrive, pass } = start(2)
  arrive(3)
  assert.equal(through.length, 1)
  for (let beat = 0; beat < 4; beat++) pass(100)
  assert.equal(through.length, 1)
  pass(101)
  assert.equal(through.length, 2)
})

test('who has left takes no turn; who waits too long is let go', () => {
  const { pace, through, sockets, counts, arrive, pass } = start(10, 250)
  arrive(4)
  sockets[1]?.destroy()
  pass(101)
  assert.deepEqual(through, [1, 3])
  pace.adopt({ perMs: 0.000_001, waitMs: 250 })
  pass(100)
  assert.equal(counts.losses, 0)
  pass(100)
  assert.deepEqual([counts.losses, sockets[3]?.destroyed, pace.waiting], [1, true, 0])
})

test('closes what waits when it ends', () => {
  const { pace, sockets, arrive } = start(10)
  arrive(3)
  pace.close()
  assert.deepEqual(
    sockets.map(({ destroyed }) => destroyed),
    [false, true, true],
  )
})
