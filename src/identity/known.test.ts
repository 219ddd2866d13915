import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import { Known } from './known.ts'

function start(entriesMax = 64) {
  const told = { full: 0 }
  const known = new Known<number>({ entriesMax, seed: [1, 2], onFull: () => told.full++ })
  return { known, told }
}

test('texts of any length are told apart, also by their last character and by their tag', () => {
  // Around where texts no longer stand in the records, which is at 60 units.
  for (const length of [1, 2, 3, 25, 26, 58, 59, 60, 61, 200, 512]) {
    const { known } = start()
    const text = 'x'.repeat(length - 1)
    known.set(1, `${text}a`, 'one', 1)
    known.set(1, `${text}b`, 'two', 2)
    known.set(2, `${text}a`, 'three', 3)
    assert.deepEqual([known.get(1, `${text}a`), known.get(1, `${text}b`), known.get(2, `${text}a`)], [1, 2, 3])
    for (const other of [`${text}c`, text, `${text}aa`, `${text}a\0`, `y${text}`.slice(0, length)]) {
      assert.equal(known.get(1, other), undefined, `${length}`)
    }
    known.forget('one')
    assert.deepEqual([known.get(1, `${text}a`), known.get(1, `${text}b`), known.size], [undefined, 2, 2])
    known.clear()
    assert.deepEqual([known.get(1, `${text}b`), known.get(2, `${text}a`), known.size], [undefined, undefined, 0])
  }
})

test('whatever is set, forgotten and asked for, it knows what a map knows', () => {
  const text = fc.string({ unit: 'binary', maxLength: 70 })
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom('set', 'get', 'forget'), text), { maxLength: 100 }), steps => {
      const { known } = start(4096)
      const map = new Map<string, number>()
      steps.forEach(([step, of], value) => {
        if (step === 'forget') {
          known.forget(`name ${of}`)
          map.delete(of)
        } else if (step === 'set') {
          known.set(1, of, `name ${of}`, value)
          map.set(of, value)
        }
        assert.equal(known.get(1, of), map.get(of))
      })
      for (const [of, value] of map) assert.equal(known.get(1, of), value)
      assert.equal(known.size, map.size)
    }),
  )
})

test('the entry unused for longest makes room', () => {
  const { known, told } = start(8)
  for (let n = 0; n < 8; n++) known.set(1, `text ${n}`, `name ${n}`, n)
  for (const n of [0, 1, 3, 4, 5, 6, 7]) assert.equal(known.get(1, `text ${n}`), n)
  known.set(1, 'text 8', 'name 8', 8)
  known.set(1, 'text 9', 'name 9', 9)
  assert.equal(told.full, 2)
  const left = Array.from({ length: 10 }, (_, n) => known.get(1, `text ${n}`) ?? null)
  assert.deepEqual(left, [null, 1, null, 3, 4, 5, 6, 7, 8, 9])
})
