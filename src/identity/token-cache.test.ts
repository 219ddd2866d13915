import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { TokenCache } from './token-cache.ts'

function make(entriesMax: number, hashedCharacters = 43) {
  const state = { full: 0 }
  const cache = new TokenCache<number>({ entriesMax, hashedCharacters, onFull: () => state.full++ })
  return { cache, state }
}

test('a token is found by its whole text only', () => {
  const { cache } = make(100)
  const end = 's'.repeat(86)
  cache.set(`header.payload.${end}`, 1)
  assert.equal(cache.get(`header.payload.${end}`), 1)
  for (const other of [`header.payloae.${end}`, `eader.payload.${end}`, end, `header.payload.${end}s`, '']) {
    assert.equal(cache.get(other), undefined, other)
  }
})

test('tokens of one end do not replace each other, until their places are taken', () => {
  const { cache, state } = make(80)
  const end = 's'.repeat(43)
  for (let i = 0; i < 9; i++) cache.set(`${i}.${end}`, i)
  assert.equal(cache.size, 8)
  assert.equal(state.full, 1)
  assert.equal(cache.get(`0.${end}`), undefined)
  for (let i = 1; i < 9; i++) assert.equal(cache.get(`${i}.${end}`), i)
})

test('the entry unused for longest makes room', () => {
  const { cache } = make(2)
  cache.set('a', 1)
  cache.set('b', 2)
  cache.get('a')
  cache.set('c', 3)
  assert.deepEqual([cache.get('a'), cache.get('b'), cache.get('c')], [1, undefined, 3])
})

test('long tokens leave room for fewer of them; one longer than all room is not kept', () => {
  const { cache, state } = make(16)
  for (let i = 0; i < 16; i++) cache.set(`${i}`.padEnd(8192, 'x'), i)
  assert.equal(cache.size, 2)
  assert.ok(state.full > 0)
  cache.set('y'.repeat(16 * 1024 + 1), 1)
  assert.equal(cache.size, 2)
})

test('never more than it may hold, and never a wrong answer', () => {
  const token = fc.string({ unit: fc.constantFrom('a', 'b', 'é'), minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.array(fc.tuple(token, fc.nat(), fc.boolean())), (max, steps) => {
      const { cache } = make(max, 2)
      const model = new Map<string, number>()
      for (const [text, value, isSet] of steps) {
        if (isSet) {
          cache.set(text, value)
          model.set(text, value)
          assert.equal(cache.get(text), value)
        } else assert.ok([undefined, model.get(text)].includes(cache.get(text)))
        assert.ok(cache.size <= Math.min(max, model.size))
      }
      cache.close()
      assert.equal(cache.size, 0)
      for (const text of model.keys()) assert.equal(cache.get(text), undefined)
    }),
  )
})
