import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryInUse } from './memory-in-use.ts'

const readings = (values: readonly (readonly [resident: number, tracked: number])[]) => {
  const memory = new MemoryInUse()
  return values.map(([resident, tracked]) => memory.read(resident, tracked, 10))
}

test('what was freed is not in use, though it stays resident', () => {
  assert.deepEqual(
    readings([
      [100, 30],
      [300, 230],
      [300, 40],
      [305, 45],
      [305, 230],
    ]),
    [100, 300, 110, 115, 300],
  )
})

test('what is used again before the process grows counts from when it is tracked', () => {
  assert.deepEqual(
    readings([
      [100, 30],
      [300, 230],
      [300, 40],
      [300, 140],
      // It grows though much is free: that much cannot be used for this.
      [320, 160],
      [320, 160],
    ]),
    [100, 300, 110, 210, 320, 250],
  )
})

test('growth that nothing tracks is in use as long as it is resident', () => {
  assert.deepEqual(
    readings([
      [100, 30],
      [180, 30],
      [180, 30],
      [110, 30],
      [90, 30],
    ]),
    [100, 180, 180, 110, 90],
  )
})
