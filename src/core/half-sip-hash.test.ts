import assert from 'node:assert/strict'
import test from 'node:test'
import { halfSipHash } from './half-sip-hash.ts'

// From the authors' vectors.h (HalfSipHash-2-4, 64 bits): key 00 01 … 07, message 00 01 … of the length given.
const vectors: [length: number, hash: string][] = [
  [0, '218d1f59b9b83cc8'],
  [2, '064f39ef7c50eb57'],
  [4, 'd5e78a175be52ea1'],
  [6, 'ce3e91358aa2bc25'],
  [8, 'edfee820bce4858c'],
  [10, '95b0469f06a6f2ee'],
  [30, '291aaf864898179d'],
  [62, 'f90b3ab572d46693'],
]

for (const [length, expected] of vectors) {
  test(`a message of ${length} bytes hashes as the reference implementation says`, () => {
    const bytes = Buffer.from(Array.from({ length }, (_, index) => index))
    const out = new Int32Array(2)
    halfSipHash(bytes.toString('utf16le'), 0x03020100, 0x07060504, out)
    assert.equal(Buffer.from(out.buffer).toString('hex'), expected)
  })
}

test('another key gives another hash', () => {
  const one = new Int32Array(2)
  const other = new Int32Array(2)
  halfSipHash('catalog', 1, 2, one)
  halfSipHash('catalog', 1, 3, other)
  assert.notDeepEqual(one, other)
})

test('what there is more room for is filled with the words of the text', () => {
  const out = new Int32Array(5)
  halfSipHash('abcdefgh', 1, 2, out)
  const [low, high] = out
  assert.deepEqual([...out.subarray(2)], [0x620061, 0x640063, 0x660065])
  out.fill(0)
  halfSipHash('abc', 1, 2, out)
  assert.deepEqual([...out.subarray(2)], [0x620061, (3 << 25) | 0x63, 0])
  const hashOnly = new Int32Array(2)
  halfSipHash('abcdefgh', 1, 2, hashOnly)
  assert.deepEqual([...hashOnly], [low, high])
})
