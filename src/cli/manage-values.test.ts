import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { expiryOf, labelsOf, pairsOf, wordsOf } from './manage-values.ts'

test('words stand between commas, with or without spaces', () => {
  assert.deepEqual(wordsOf('gold, partners,,x '), ['gold', 'partners', 'x'])
  assert.deepEqual(wordsOf(''), [])
})

test('pairs are split at the first equals sign; names that objects have anyway are names like others', () => {
  assert.deepEqual(labelsOf(['city=Ulm', 'sum=a=b', 'none=']), { city: 'Ulm', sum: 'a=b', none: '' })
  assert.deepEqual(labelsOf('city=Ulm'), { city: 'Ulm' })
  assert.equal(JSON.stringify(labelsOf('__proto__=x')), '{"__proto__":"x"}')
  for (const text of ['city', '=Ulm', '']) {
    assert.throws(() => pairsOf(text, '--limit'), new Error(`--limit ${text}: write it as name=value`))
  }
})

const nowMs = Date.UTC(2026, 0, 1)

for (const [text, expected] of [
  ['90s', '2026-01-01T00:01:30.000Z'],
  ['5m', '2026-01-01T00:05:00.000Z'],
  ['36h', '2026-01-02T12:00:00.000Z'],
  ['30d', '2026-01-31T00:00:00.000Z'],
  ['never', null],
  ['2027-06-30', '2027-06-30'],
  ['5 minutes', '5 minutes'],
  ['999999999d', '999999999d'],
] as const) {
  test(`what ends in ${text} ends ${expected}`, () => assert.equal(expiryOf(text, nowMs), expected))
}

test('no text breaks the parser of times', () => {
  const durations = fc.tuple(fc.nat(), fc.constantFrom('s', 'm', 'h', 'd')).map(([count, unit]) => `${count}${unit}`)
  fc.assert(fc.property(fc.oneof(fc.string(), durations), text => void expiryOf(text, nowMs)))
})
