import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sharedRowSize } from '../core/shared-row.ts'
import { tallyFields } from '../limits/tally.ts'
import { releaseLimits } from './limit-memory.ts'
import { LimitMemories, LimitTables } from './limit-tables.ts'
import { TableRow } from './table-row.ts'

const time = { now: () => 5, wall: () => 0 }

function setUp() {
  const memories = new LimitMemories({ workers: 2, fields: tallyFields, seed: [1, 2] })
  const workers = [0, 1].map(worker => new LimitTables(worker))
  const rows = workers.map(tables => new TableRow(tables.of('breaker catalog', 1), time))
  const adopt = () => {
    const given = memories.for(workers.map(({ wanted }) => wanted))
    memories.keep(given)
    for (const tables of workers) tables.adopt(given)
    return given
  }
  const [one, other] = rows
  assert.ok(one && other)
  return { memories, workers, one, other, adopt }
}

test('a row is as long as it says', () => assert.ok(tallyFields >= sharedRowSize))

test('before the config is in force there is no row', () => {
  const { one, adopt } = setUp()
  assert.equal(one.open(), -1)
  adopt()
  assert.ok(one.open() > 0)
})

test('what one worker writes the other reads, and it stays over reloads', () => {
  const { one, other, workers, adopt } = setUp()
  adopt()
  const at = one.open()
  assert.deepEqual(
    [...one.numbers.subarray(at, at + sharedRowSize)],
    Array.from({ length: sharedRowSize }, () => 0),
  )
  one.numbers[at] = 7
  one.numbers[at + sharedRowSize - 1] = 8
  one.close()
  for (let reload = 0; reload < 3; reload++) {
    for (const tables of workers) {
      tables.begin()
      tables.of('breaker catalog', 1)
    }
    adopt()
    const there = other.open()
    assert.deepEqual([other.numbers[there], other.numbers[there + sharedRowSize - 1]], [7, 8])
    other.close()
  }
  assert.equal(one.now(), 5)
})

test('a worker that dies with the row in its hands leaves it to the others', () => {
  const { one, other, adopt } = setUp()
  const given = adopt()
  one.open()
  for (const memory of given.values()) releaseLimits(memory, 0)
  assert.ok(other.open() > 0)
  other.close()
})
