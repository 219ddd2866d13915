import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { Chunks } from './chunks.ts'

test('holds what was added, in its order, whatever the sizes', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(3), fc.nat(1_500), fc.nat(9_000)), { maxLength: 40 }), sizes => {
      const chunks = new Chunks()
      const added = sizes.map((size, index) => Buffer.alloc(size, index + 1))
      for (const chunk of added) chunks.add(chunk)
      const whole = Buffer.concat(added)
      assert.equal(chunks.size, whole.length)
      assert.ok(Buffer.concat(chunks.list()).equals(whole))
      assert.ok(chunks.whole().equals(whole))
      const next = Buffer.from('next')
      chunks.add(next)
      assert.ok(chunks.whole().equals(Buffer.concat([whole, next])))
    }),
    { numRuns: 300 },
  )
})

test('a body that comes byte by byte is held in few pieces', () => {
  const chunks = new Chunks()
  for (let i = 0; i < 100_000; i++) chunks.add(Buffer.from([i & 255]))
  assert.equal(chunks.list().length, Math.ceil(100_000 / 4_096))
})

test('a chunk that is alone, and a large one, are not copied', () => {
  const small = Buffer.from('alone')
  const one = new Chunks()
  one.add(small)
  assert.equal(one.whole(), small)
  const large = Buffer.alloc(2_000)
  one.add(large)
  assert.equal(one.list()[1], large)
})
