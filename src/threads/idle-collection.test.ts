import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { IdleCollection } from './idle-collection.ts'

/** A heap of which so much is in use, and a thread that is so busy. */
function start(liveBytes: number) {
  const heap = { nowMs: 0, busy: 0, live: liveBytes, garbage: 0, connections: 0, collections: 0 }
  const idle = new IdleCollection({
    now: () => heap.nowMs,
    busyShare: () => heap.busy,
    oldBytes: () => heap.live + heap.garbage,
    connections: () => heap.connections,
    collect() {
      heap.collections++
      heap.garbage = 0
    },
  })
  /** Looks for so many seconds; says how often garbage was collected. */
  const after = (seconds: number): number => {
    const before = heap.collections
    for (let second = 0; second < seconds; second++) {
      heap.nowMs += 1_000
      idle.look()
    }
    return heap.collections - before
  }
  // What the start has left.
  assert.equal(after(20), 1)
  return { heap, after }
}

describe('garbage of a burst', () => {
  test('is collected once, when the thread has been quiet for three seconds', () => {
    const { heap, after } = start(30e6)
    ;[heap.busy, heap.garbage] = [0.5, 90e6]
    assert.equal(after(20), 0)
    heap.busy = 0.01
    assert.equal(after(2), 0)
    assert.equal(after(1), 1)
    assert.equal(after(1_000), 0)
  })

  test('… and not when a call comes now and then that takes longer', () => {
    const { heap, after } = start(30e6)
    heap.garbage = 90e6
    for (let i = 0; i < 20; i++) {
      heap.busy = i % 3 === 0 ? 0.2 : 0
      assert.equal(after(1), 0)
    }
  })

  test('is left where it is little', () => {
    const { heap, after } = start(100e6)
    heap.garbage = 24e6
    assert.equal(after(100), 0)
    heap.garbage = 26e6
    assert.equal(after(3), 1)
  })

  test('is known by the connections that are gone, where it was still in use at the last look', () => {
    const { heap, after } = start(30e6)
    ;[heap.live, heap.connections] = [70e6, 10_000]
    assert.equal(after(20), 1)
    ;[heap.live, heap.garbage, heap.connections] = [30e6, 40e6, 0]
    assert.equal(after(3), 1)
    assert.equal(after(100), 0)
  })

  test('is collected every ten seconds at most', () => {
    const { heap, after } = start(30e6)
    let collections = 0
    for (let second = 0; second < 100; second++) {
      heap.garbage = 90e6
      collections += after(1)
    }
    assert.equal(collections, 10)
  })

  test('is left to V8 where the heap is large, for that would stop all calls for long', () => {
    const { heap, after } = start(400e6)
    heap.garbage = 200e6
    assert.equal(after(100), 0)
  })
})

test('what V8 has collected itself is the new measure', () => {
  const { heap, after } = start(100e6)
  heap.live = 40e6
  assert.equal(after(20), 0)
  heap.garbage = 12e6
  assert.equal(after(1), 1)
})
