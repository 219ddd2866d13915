import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { bytesField, mapField, numberField, octetsOf, readFields, textField, utf8, type WireValue } from './wire.ts'

const fieldsOf = (bytes: Buffer): [number, WireValue][] => {
  const fields: [number, WireValue][] = []
  readFields(bytes, (field, value) => fields.push([field, value]))
  return fields
}

const good: readonly (readonly [what: string, hex: string, fields: readonly (readonly [number, number | string])[]])[] =
  [
    ['nothing', '', []],
    ['a number', '0896 01', [[1, 150]]],
    ['a text', '1207 74657374696e67', [[2, 'testing']]],
    ['an empty text', '1200', [[2, '']]],
    ['a number longer than it must be', '0880 8000', [[1, 0]]],
    ['the highest field', 'f8ffffff0f 01', [[2 ** 29 - 1, 1]]],
    ['-1 as ten bytes', '08ffffffffffffffffff01', [[1, 2 ** 64]]],
    ['2^32, which as int32 would be zero', '088080808010', [[1, 2 ** 32]]],
    ['fixed widths are skipped', '0d01020304 110102030405060708 1801', [[3, 1]]],
    ['groups are skipped, whatever is in them', '0b 0801 13 1201ff 14 0c 1801', [[3, 1]]],
  ]

for (const [what, hex, fields] of good) {
  test(what, () => {
    const found = fieldsOf(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
    assert.deepEqual(
      found.map(([field, value]) => [field, typeof value === 'number' ? value : value.toString('latin1')]),
      fields,
    )
  })
}

const bad: readonly (readonly [what: string, hex: string])[] = [
  ['a tag alone', '08'],
  ['a tag cut short', '80'],
  ['a number cut short', '0880'],
  ['a number of eleven bytes', '08ffffffffffffffffffff01'],
  ['the field 0', '0001'],
  ['a field above 2^29', '8080808010 01'],
  ['a text longer than the message', '120a 61'],
  ['a text of 2^63 bytes', '12ffffffffffffffff7f 61'],
  ['a fixed width cut short', '0d 0102'],
  ['the type 6', '0e 01'],
  ['the type 7', '0f 01'],
  ['a group that does not end', '0b'],
  ['a group that did not begin', '0c'],
  ['a group that ends as another', '0b 14'],
]

for (const [what, hex] of bad) {
  test(`refused: ${what}`, () => {
    assert.throws(() => fieldsOf(Buffer.from(hex.replaceAll(' ', ''), 'hex')), /malformed/)
  })
}

test('a group in a group in a group, ten thousand deep, is no matter', () => {
  const deep = Buffer.concat([Buffer.alloc(10_000, 0x0b), Buffer.alloc(10_000, 0x0c), Buffer.from([0x08, 1])])
  assert.deepEqual(fieldsOf(deep), [[1, 1]])
})

test('what is written is read again', () => {
  const field = fc.integer({ min: 1, max: 2 ** 29 - 1 })
  const octets = fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes).toString('latin1'))
  const entry = fc.oneof(fc.tuple(field, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })), fc.tuple(field, octets))
  fc.assert(
    fc.property(fc.array(entry), entries => {
      const text = entries
        .map(([number, value]) => (typeof value === 'number' ? numberField(number, value) : bytesField(number, value)))
        .join('')
      const found = fieldsOf(Buffer.from(text, 'latin1'))
      assert.deepEqual(
        found.map(([number, value]) => [number, typeof value === 'number' ? value : value.toString('latin1')]),
        entries,
      )
    }),
  )
})

test('any bytes are read or refused, and a message that is cut is never read longer', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      try {
        for (const [, value] of fieldsOf(Buffer.from(bytes)))
          assert.ok(typeof value === 'number' || value.length <= 200)
      } catch (error) {
        assert.match(String(error), /malformed/)
      }
    }),
    { numRuns: 2000 },
  )
})

test('texts', () => {
  assert.equal(textField(1, ''), '')
  assert.equal(numberField(1, 0), '')
  assert.equal(Buffer.from(numberField(9, -1), 'latin1').toString('hex'), '48ffffffffffffffffff01')
  assert.equal(Buffer.from(mapField(3, [['a', '']]), 'latin1').toString('hex'), '1a030a0161')
  assert.equal(octetsOf('é'), '\xc3\xa9')
  assert.equal(utf8('\xc3\xa9 a'), '\xc3\xa9 a')
  assert.equal(utf8('\xe9'), '\xef\xbf\xbd')
})
