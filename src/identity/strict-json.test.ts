import assert from 'node:assert/strict'
import { performance } from 'node:perf_hooks'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { strictObject, strictValue } from './strict-json.ts'

const read = (text: string, depth = 8) => strictValue(Buffer.from(text), depth)

test('a name that stands twice in one object is found, however it is written', () => {
  const gap = ' \t\r\n'.repeat(100)
  const texts = [
    '{"a":1,"a":2}',
    `{"a"${gap}:1,"a"${gap}:2}`,
    `{"a":1,${gap}"a"${gap}:2}`,
    '{"a":1,"\\u0061":2}',
    '{"\\"":1,"\\u0022":2}',
    '{"":1,"":2}',
    '{"__proto__":1,"__proto__":2}',
    '[{"b":[{"a":{},"a":[]}]}]',
    '{"a":"a","b":["a","a"],"a":1}',
  ]
  for (const text of texts) assert.equal(read(text), undefined, text)
})

test('names may stand in other objects, and as values', () => {
  const texts = [
    '{"a":{"a":{"a":"a"}}}',
    '[{"a":1},{"a":1}]',
    '{"a":"\\\\","b":"a","c":["a","a"]}',
    '{"a\\\\":1,"a":2}',
    '{"a":":","b":"{[","c":"\\"a\\":"}',
    ' " { " ',
    '0',
  ]
  for (const text of texts) assert.deepEqual(read(text), JSON.parse(text), text)
})

test('objects and arrays are counted, not brackets in texts', () => {
  assert.deepEqual(read('[[[]]]', 3), [[[]]])
  assert.equal(read('[[[[]]]]', 3), undefined)
  assert.equal(read('[{"a":[{}]}]', 3), undefined)
  assert.equal(read('["[[[[","{{{{"]', 1) === undefined, false)
})

test('whatever JSON.stringify writes is read as it was, with any white space', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(0, 1, 9), (value, indent) => {
      const text = JSON.stringify(value, null, indent)
      assert.deepEqual(read(text, 100), JSON.parse(text))
    }),
  )
})

test('what is no object, and none in UTF-8, is refused', () => {
  for (const text of ['[]', '"a"', 'null', '{', '{"a":1,"a":1}', ''])
    assert.equal(strictObject(Buffer.from(text)), null)
  assert.equal(strictObject(Buffer.from('{"a":"\xff"}', 'latin1')), null)
})

test('a text of a megabyte takes no longer than it is long', () => {
  const names = Array.from({ length: 130_000 }, (_, index) => `"${index.toString(36)}":1`)
  const worst = [`{${names.join(',')}}`, `[${'"",'.repeat(330_000)}""]`, `["${'\\n'.repeat(500_000)}"]`]
  for (const text of worst) {
    const startMs = performance.now()
    read(text)
    assert.ok(performance.now() - startMs < 2_000, text.slice(0, 10))
  }
})
