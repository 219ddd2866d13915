import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { createTextTable } from './text-table.ts'

test('finds what a Map would find, for every piece of a text', () => {
  const texts = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '/', 'é'), maxLength: 4 }), { maxLength: 12 })
  fc.assert(
    fc.property(texts, fc.string({ unit: fc.constantFrom('a', 'b', '/', 'é'), maxLength: 10 }), (keys, whole) => {
      const table = createTextTable<number>()
      const map = new Map<string, number>()
      keys.forEach((key, index) => {
        table.set(key, index)
        map.set(key, index)
      })
      assert.equal(table.size, map.size)
      for (const key of keys) assert.equal(table.get(key), map.get(key))
      for (let start = 0; start <= whole.length; start++) {
        for (let end = start; end <= whole.length; end++) {
          assert.equal(table.find(whole, start, end), map.get(whole.slice(start, end)))
        }
      }
    }),
  )
})

test('texts of one hash are told apart', () => {
  // "Aa" and "BB" have the same polynomial hash of base 31.
  const table = createTextTable<number>()
  table.set('Aa', 1)
  table.set('BB', 2)
  assert.equal(table.find('xAax', 1, 3), 1)
  assert.equal(table.find('xBBx', 1, 3), 2)
  assert.equal(table.find('xC"x', 1, 3), undefined)
})
