import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { makeCall } from '../../test/tools/call.ts'
import { clientOf } from '../core/client-of.ts'
import { compileKey } from './key.ts'

for (const [address, prefix, expected] of [
  ['192.0.2.7', 64, '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', 64, '2001:db8:1:2:'],
  ['2001:db8:1:2::', 64, '2001:db8:1:2:'],
  ['2001:DB8:1:2::ffff', 64, '2001:db8:1:2:'],
  ['2001:db8:1:2ff::1', 56, '2001:db8:1:200:'],
  ['fe80::1%eth0', 64, 'fe80:0:0:0:'],
  ['::1', 128, '0:0:0:0:0:0:0:1:'],
  ['::ffff:192.0.2.1', 64, '192.0.2.1'],
  ['::FFFF:c000:201', 128, '192.0.2.1'],
  ['::fffe:192.0.2.1', 64, '0:0:0:0:'],
  ['1::', 1, '0:'],
  ['8000::', 1, '8000:'],
] as const) {
  test(`${address} by /${prefix}`, () => assert.equal(clientOf(address, prefix), expected))
}

const bitsOf = (parts: readonly number[]) => parts.map(part => part.toString(2).padStart(16, '0')).join('')
const textOf = (parts: readonly number[]) => parts.map(part => part.toString(16)).join(':')

test('two addresses are one client exactly where their first bits are alike', () => {
  const groups = fc.array(fc.constantFrom(0, 1, 0xff, 0xabcd), { minLength: 8, maxLength: 8 })
  fc.assert(
    fc.property(groups, groups, fc.integer({ min: 1, max: 128 }), (a, b, prefix) => {
      const isSame = clientOf(textOf(a), prefix) === clientOf(textOf(b), prefix)
      assert.equal(isSame, bitsOf(a).slice(0, prefix) === bitsOf(b).slice(0, prefix))
    }),
  )
})

test('no two lists of parts read alike', () => {
  const { of } = compileKey([{ header: 'a' }, { header: 'b' }], 64)
  const key = (a: string, b: string) => of(makeCall({ headers: { a, b } }))
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), fc.string(), (a, b, c, d) => {
      assert.equal(key(a, b) === key(c, d), a === c && b === d)
    }),
  )
  assert.notEqual(key('1:x', ''), key('1', 'x'))
})

test('a long text is counted by a digest, and takes no more room than a short one', () => {
  const { of } = compileKey([{ header: 'a' }], 64)
  const key = (a: string) => of(makeCall({ headers: { a } }))
  assert.equal(key('a'.repeat(128)), 'a'.repeat(128))
  assert.ok(key('a'.repeat(15_000)).length < 64)
  assert.equal(key('a'.repeat(15_000)), key('a'.repeat(15_000)))
  assert.notEqual(key('a'.repeat(15_000)), key(`${'a'.repeat(14_999)}b`))
})

test('texts from outside never break an address', () => {
  fc.assert(fc.property(fc.string(), fc.integer({ min: 1, max: 128 }), (text, prefix) => void clientOf(text, prefix)))
})
