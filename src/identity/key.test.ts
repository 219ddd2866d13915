import assert from 'node:assert/strict'
import { randomFillSync } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { createKeyText, digestOf, hintOf, isKeyText, keyPattern } from './key.ts'

const create = (prefix?: string) => createKeyText(bytes => randomFillSync(bytes), prefix)

test('a new key has the documented shape, and its checksum fits', () => {
  for (const prefix of ['tpk', 'acme2']) {
    const key = create(prefix)
    assert.match(key, keyPattern)
    assert.ok(key.startsWith(`${prefix}_`))
    assert.ok(isKeyText(key))
  }
  assert.notEqual(create(), create())
})

test('the form is fixed: a key made of known octets', () => {
  const key = createKeyText(bytes => bytes.forEach((_, index) => (bytes[index] = index)))
  assert.equal(key.slice(0, 34), 'tpk_0123456789ABCDEFGHIJKLMNOPQRST')
  assert.ok(isKeyText(key))
})

test('octets that would make some characters likelier are not used', () => {
  let round = 0
  const key = createKeyText(bytes => bytes.fill(round++ === 0 ? 255 : 1))
  assert.equal(key.slice(4, 34), '1'.repeat(30))
})

test('no key with one other character has a fitting checksum', () => {
  const key = create()
  fc.assert(
    fc.property(fc.nat(key.length - 1), fc.constantFrom(...'0123456789ABCXYZabcxyz_'.split('')), (at, character) => {
      const changed = key.slice(0, at) + character + key.slice(at + 1)
      assert.equal(isKeyText(changed), changed === key)
    }),
  )
})

test('no other text is a key', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 80 }), text => assert.equal(isKeyText(text), false)))
})

test('the digest is SHA-256 as hex', () => {
  assert.equal(digestOf('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
})

test('a hint shows the beginning of a long text alone', () => {
  const key = create()
  assert.equal(hintOf(key), `${key.slice(0, 8)}…`)
  assert.equal(hintOf('hunter2'), '…')
  assert.equal(hintOf('a-long-secret-of-the-config-file'), 'a-lo…')
})

test('a prefix that scanners could not find is refused', () => {
  for (const prefix of ['', 'T', 'a', 'a_b', '1a', 'x'.repeat(17)]) assert.throws(() => create(prefix), RangeError)
})
