import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { chooseCoding } from './accepted.ts'

const offered = ['zstd', 'br', 'gzip'] as const

const cases: readonly (readonly [field: string, coding: string])[] = [
  ['', ''],
  ['gzip', 'gzip'],
  ['GZip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['gzip, deflate, br, zstd', 'zstd'],
  ['gzip, deflate, br', 'br'],
  ['gzip;q=1.0, br;q=0.5', 'gzip'],
  ['gzip;q=0.5, br;q=0.501', 'br'],
  ['gzip ; q=0.5 , br ; q=0.4', 'gzip'],
  ['gzip;q=0', ''],
  ['gzip;q=0.000, br', 'br'],
  ['*', 'zstd'],
  ['*;q=0', ''],
  ['*, zstd;q=0', 'br'],
  ['zstd;q=0, *;q=0.1', 'br'],
  ['identity', ''],
  ['identity, gzip', 'gzip'],
  ['identity, gzip;q=0.5', ''],
  ['identity;q=0.5, gzip;q=0.5', 'gzip'],
  ['identity;q=0, gzip;q=0.1', 'gzip'],
  ['identity;q=0', ''],
  ['deflate, compress', ''],
  ['gzip;q=2', ''],
  ['gzip;q=0.1234', ''],
  ['gzip;q=', ''],
  ['gzip;q=abc, br;q=0.1', 'br'],
  ['gzip;q=0, gzip', ''],
  [',,gzip,,', 'gzip'],
]

for (const [field, coding] of cases) {
  test(`RFC 9110 §12.5.3: \`${field}\` chooses ${coding || 'nothing'}`, () => {
    assert.equal(chooseCoding(field, offered), coding)
  })
}

test('nothing that the field forbids or does not name is ever chosen, whatever it looks like', () => {
  const weight = fc.constantFrom('', ';q=0', ';q=0.000', ';q=0.3', ';q=1', ';q=x')
  const item = fc.tuple(fc.constantFrom('gzip', 'br', 'zstd', 'deflate', 'identity'), weight)
  fc.assert(
    fc.property(fc.array(item, { maxLength: 6 }), items => {
      const chosen = chooseCoding(items.map(([name, q]) => name + q).join(', '), offered)
      if (chosen === '') return
      const first = items.find(([name, q]) => name === chosen && q !== ';q=x')
      assert.ok(first !== undefined && !first[1].startsWith(';q=0.000') && first[1] !== ';q=0')
    }),
  )
})
