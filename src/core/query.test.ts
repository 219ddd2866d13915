import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { queryHas, queryValue } from './query.ts'

const cases: readonly (readonly [query: string, name: string, value: string | undefined])[] = [
  ['', 'a', undefined],
  ['?', 'a', undefined],
  ['?a=1', 'a', '1'],
  ['a=1', 'a', '1'],
  ['?a', 'a', ''],
  ['?a=', 'a', ''],
  ['?aa=1&a=2', 'a', '2'],
  ['?a=1&a=2', 'a', '1'],
  ['?a=b=c', 'a', 'b=c'],
  ['?a&b=1', 'a', ''],
  ['?&&a=1', 'a', '1'],
  ['?a+b=c+d', 'a b', 'c d'],
  ['?%61=%C3%A9', 'a', 'é'],
  ['?a%2Bb=1%2B2', 'a+b', '1+2'],
  ['?a+b=1', 'a+b', undefined],
  ['?a=%', 'a', '%'],
  ['?a=%zz%41', 'a', '%zzA'],
  ['?a=%ff', 'a', '\ufffd'],
]

test('reads the first value of a parameter', () => {
  for (const [query, name, value] of cases) assert.equal(queryValue(query, name), value, `${name} in ${query}`)
})

test('finds any value of a repeated parameter', () => {
  assert.equal(queryHas('?a=1&a=2', 'a', '2'), true)
  assert.equal(queryHas('?a=1&a=2', 'a', '3'), false)
  assert.equal(queryHas('?a', 'a', '*'), true)
  assert.equal(queryHas('?b', 'a', '*'), false)
})

test('agrees with URLSearchParams', () => {
  const query = fc.string({
    unit: fc.constantFrom('a', 'b', '=', '&', '+', '%41', '%20', '%', '%C3%A9'),
    maxLength: 20,
  })
  fc.assert(
    fc.property(query, fc.constantFrom('a', 'b', 'aa', 'A', 'a b'), (text, name) => {
      assert.equal(queryValue(`?${text}`, name) ?? null, new URLSearchParams(text).get(name), text)
    }),
  )
})
