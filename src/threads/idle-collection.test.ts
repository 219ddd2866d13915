import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { IdleCollection } from './idle-collection.ts'

/** A thread that is so busy and has so many connections. */
function start() {
  const thread = { nowMs: 0, busy: 0, old: 30e6, connections: 10, collections: 0 }
  const idle = new IdleCollection({
    now: () => thread.nowMs,
    busyShare: () => thread.busy,
    oldBytes: () => thread.old,
    connections: () => thread.connections,
    collect: () => void thread.collections++,
  })
  /** Looks for so many seconds; says how often garbage was collected. */
  const after = (seconds: number): number => {
    const before = thread.collections
    for (let second = 0; second < seconds; second++) {
      thread.nowMs += 1_000
      idle.look()
    }
    return thread.collections - before
  }
  assert.equal(after(20), 0)
  return { thread, after }
}

describe('what a crowd has left', () => {
  test('is collected once, when it is gone and the thread has been quiet for three seconds', () => {
    const { thread, after } = start()
    ;[thread.busy, thread.connections] = [0.5, 10_000]
    assert.equal(after(20), 0)
    ;[thread.busy, thread.connections] = [0.01, 100]
    assert.equal(after(2), 0)
    assert.equal(after(1), 1)
    assert.equal(after(1_000), 0)
  })

  test('… and not while it is there', () => {
    const { thread, after } = start()
    thread.connections = 10_000
    assert.equal(after(100), 0)
  })

  test('… and not when a call comes now and then that takes longer', () => {
    const { thread, after } = start()
    thread.connections = 10_000
    after(1)
    thread.connections = 0
    for (let i = 0; i < 20; i++) {
      thread.busy = i % 3 === 0 ? 0.2 : 0
      assert.equal(after(1), 0)
    }
  })

  test('is left where it was no crowd', () => {
    const { thread, after } = start()
    thread.connections = 1_900
    after(1)
    thread.connections = 0
    assert.equal(after(100), 0)
  })

  test('is collected every ten seconds at most', () => {
    const { thread, after } = start()
    let collections = 0
    for (let second = 0; second < 100; second++) {
      thread.connections = second % 2 === 0 ? 5_000 : 0
      collections += after(1)
    }
    assert.equal(collections, 10)
  })

  test('is left to V8 where the heap is large, for that would stop all calls for long', () => {
    const { thread, after } = start()
    ;[thread.old, thread.connections] = [600e6, 10_000]
    after(1)
    thread.connections = 0
    assert.equal(after(100), 0)
  })
})
