import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import { pieceOf, putDigits, putPiece, putQuoted, putText, putThousandths, putWhole } from './json-bytes.ts'

/** What `put` writes into the middle of a buffer; nothing around it may change. */
function written(put: (bytes: Uint8Array, at: number) => number): string {
  const bytes = Buffer.alloc(4096, 0x7e)
  const end = put(bytes, 5)
  assert.ok(bytes.subarray(0, 5).every(byte => byte === 0x7e) && bytes.subarray(end).every(byte => byte === 0x7e))
  return bytes.toString('latin1', 5, end)
}

test('strings read back as they were, and are ASCII', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 100 }), text => {
      const json = written((bytes, at) => putQuoted(bytes, at, text))
      assert.match(json, /^[ -~]*$/)
      assert.equal(JSON.parse(json), text)
    }),
  )
})

test('whole numbers are those of JSON', () => {
  for (const value of [
    0,
    1,
    9,
    10,
    99,
    100,
    4096,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32,
    1e9,
    1e18 / 1e3,
    5e15,
    Number.MAX_SAFE_INTEGER,
  ]) {
    assert.equal(
      written((bytes, at) => putWhole(bytes, at, value)),
      JSON.stringify(value),
    )
  }
  fc.assert(
    fc.property(fc.maxSafeNat(), value =>
      assert.equal(
        written((bytes, at) => putWhole(bytes, at, value)),
        `${value}`,
      ),
    ),
  )
})

test('fractions are rounded to three decimals, without zeros behind', () => {
  for (const [value, text] of [
    [0, '0'],
    [0.0004, '0'],
    [0.0006, '0.001'],
    [0.01, '0.01'],
    [1.5, '1.5'],
    [12.34567, '12.346'],
    [99.9996, '100'],
    [1e9 + 0.25, '1000000000.25'],
    [2147483.647, '2147483.647'],
    [2147483.648, '2147483.648'],
    [Infinity, 'Infinity'],
  ] as const) {
    assert.equal(
      written((bytes, at) => putThousandths(bytes, at, value)),
      text,
    )
  }
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e9, noNaN: true }), value => {
      assert.equal(
        written((bytes, at) => putThousandths(bytes, at, value)),
        String(Math.round(value * 1000) / 1000),
      )
    }),
  )
})

test('digits have zeros before them', () => {
  assert.equal(
    written((bytes, at) => putDigits(bytes, at, 7, 3)),
    '007',
  )
})

test('pieces stand as they are, also up to the last byte', () => {
  for (const text of ['', ',', '}\n', ',"client":', ',"protocol":"HTTP/1.1"']) {
    for (const room of [0, 1, 2, 3, 100]) {
      const bytes = Buffer.alloc(5 + text.length + room, 0x7e)
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
      assert.equal(putPiece(bytes, view, 5, pieceOf(text)), 5 + text.length)
      assert.equal(bytes.toString('latin1', 0, 5 + text.length), `~~~~~${text}`)
      assert.ok(bytes.subarray(5 + text.length + 3).every(byte => byte === 0x7e))
    }
  }
})

test('what does not fit is counted', () => {
  assert.equal(putText(new Uint8Array(4), 2, 'abcdef'), 8)
  assert.equal(putQuoted(new Uint8Array(4), 0, 'abcdef'), 8)
  assert.equal(putPiece(new Uint8Array(4), new DataView(new ArrayBuffer(4)), 2, pieceOf('abcdef')), 8)
})
