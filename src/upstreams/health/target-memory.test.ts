import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cell, createTargetMemory, Flag, rowsMax, TargetTable } from './target-memory.ts'

function setUp() {
  const time = { nowMs: 1_000 }
  const memory = createTargetMemory(1, time.nowMs)
  const open = () => new TargetTable(memory, { now: () => time.nowMs })
  return { time, open }
}

const id = (n: number) => `http://10.0.0.${n}:9001 10.0.0.${n}`

test('all threads have the same row for an endpoint', () => {
  const { open } = setUp()
  const [one, other] = [open(), open()]
  const rows = [1, 2, 3].map(n => one.claim(id(n)))
  assert.equal(new Set(rows).size, 3)
  assert.deepEqual(
    [1, 2, 3].map(n => other.claim(id(n))),
    rows,
  )
  assert.deepEqual(
    other.rows().map(row => other.owner(row)?.id),
    [id(1), id(2), id(3)],
  )
})

test('flags of one thread are seen by the others, with another version', () => {
  const { open } = setUp()
  const [one, other] = [open(), open()]
  const row = one.claim(id(1))
  const before = other.version
  assert.equal(one.raise(row, Flag.ejected), true)
  assert.equal(other.raise(row, Flag.ejected), false)
  one.publish()
  assert.notEqual(other.version, before)
  assert.equal(other.load(row, Cell.flags), Flag.ejected)
  assert.equal(other.lower(row, Flag.unhealthy), false)
  assert.equal(other.lower(row, Flag.ejected), true)
  assert.equal(one.load(row, Cell.flags), 0)
})

test('a row that nobody stamps is nobody’s, and starts anew for who comes back', () => {
  const { time, open } = setUp()
  const table = open()
  const [kept, left] = [table.claim(id(1)), table.claim(id(2))]
  for (const row of [kept, left]) table.raise(row, Flag.unhealthy)
  const generation = table.load(left, Cell.generation)
  time.nowMs += 6_000
  table.stamp(kept)
  time.nowMs += 6_000
  assert.deepEqual(table.rows(), [kept])
  assert.equal(table.claim(id(1)), kept)
  assert.equal(table.load(kept, Cell.flags), Flag.unhealthy)
  assert.equal(table.claim(id(2)), left)
  assert.equal(table.load(left, Cell.flags), 0)
  assert.equal(table.load(left, Cell.generation), generation + 2)
})

test('who was away for seconds comes back as one who has just come, with all else that was known of it', () => {
  const { time, open } = setUp()
  const table = open()
  const [kept, left] = [table.claim(id(1)), table.claim(id(2))]
  table.raise(left, Flag.unhealthy)
  const cameAt = table.load(kept, Cell.since)
  for (let second = 0; second < 5; second++) {
    time.nowMs += 1_000
    table.stamp(kept)
  }
  // As with a reload that keeps one and brings the other back.
  assert.deepEqual([table.claim(id(1)), table.claim(id(2))], [kept, left])
  assert.equal(table.load(kept, Cell.since), cameAt)
  assert.equal(table.load(left, Cell.since), table.now)
  assert.equal(table.load(left, Cell.flags), Flag.unhealthy)
})

test('a full table has no room, until rows have been left for long', () => {
  const { time, open } = setUp()
  const table = open()
  for (let n = 0; n < rowsMax; n++) assert.equal(table.claim(id(n)), n)
  assert.equal(table.claim(id(999)), -1)
  time.nowMs += 31_000
  const row = table.claim(id(999))
  assert.notEqual(row, -1)
  assert.equal(table.owner(row)?.id, id(999))
})

test('an id too long for a row has none', () => {
  const { open } = setUp()
  assert.equal(open().claim(`http://${'x'.repeat(400)}:80 10.0.0.1`), -1)
  const long = `http://${'x'.repeat(300)}:80 10.0.0.1`
  const table = open()
  assert.equal(table.owner(table.claim(long))?.id, long)
})

test('a lock that a dead thread left is taken after a while', () => {
  const { open } = setUp()
  const table = open()
  table.cells[1] = 1
  assert.equal(table.claim(id(1)), 0)
  assert.equal(table.cells[1], 0)
})
