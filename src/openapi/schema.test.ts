import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import * as fc from 'fast-check'
import { readDocument } from './document.ts'
import { Schemas } from './schema.ts'

/** A validator of a schema in a file of its own. Texts stand for files beside it, by name. */
function validatorOf(schema: unknown, files: Readonly<Record<string, unknown>> = {}) {
  const others = Object.entries({ ...files, 'schema.json': schema })
  const document = readDocument(
    { path: '/api/openapi.json', text: '{"openapi":"3.1.0"}' },
    others.map(([name, value]) => ({ path: `/api/${name}`, text: JSON.stringify(value) })),
  )
  const schemas = new Schemas(document, { direction: 'request', unsafePatterns: 'refuse' })
  return schemas.validator({ value: schema, pointer: 'schema.json#' })
}

const list = (count: number, item: (index: number) => string) =>
  `[${Array.from({ length: count }, (_, i) => item(i)).join()}]`
const nested = (depth: number) => `${'{"c":'.repeat(depth)}1${'}'.repeat(depth)}`
const twice = { type: 'object', properties: { c: { $ref: '#/$defs/node' } } }

/** Schema, JSON, and whether it is right. Each within two seconds on a slow machine. */
const attacks: readonly [what: string, schema: unknown, json: string, isRight: boolean][] = [
  ['half a million equal items', { uniqueItems: true }, list(500_000, () => '0'), false],
  ['many different items', { uniqueItems: true }, list(100_000, String), true],
  ['many objects, the last one equal', { uniqueItems: true }, list(50_000, i => `{"a":${i % 49_999}}`), false],
  ['equal objects in other order', { uniqueItems: true }, '[{"a":1,"b":[2]},{"b":[2.0],"a":1}]', false],
  [
    'alternatives in a circle',
    { $defs: { node: { oneOf: [twice, twice, { type: 'integer' }] } }, $ref: '#/$defs/node' },
    nested(90),
    false,
  ],
  [
    'texts that a pattern takes long on',
    { items: { pattern: '[a-z]+_x' } },
    list(300, () => `"${'a'.repeat(3_000)}"`),
    false,
  ],
  [
    'names that a pattern takes long on',
    { patternProperties: { '[a-z]+_x': true } },
    `{${Array.from({ length: 300 }, (_, i) => `"${'a'.repeat(3_000)}${i}":1`).join()}}`,
    false,
  ],
  ['one very long name', { patternProperties: { '[a-z]+_x': true } }, `{"${'a'.repeat(500_000)}":1}`, false],
  ['one very long text', { pattern: 'a$' }, `"${'a'.repeat(1_000_000)}"`, false],
  [
    'fifty alternatives for each item',
    { items: { anyOf: Array.from({ length: 50 }, (_, i) => ({ const: i })) } },
    list(100_000, () => '49'),
    true,
  ],
  ['a million wrong items', { items: { type: 'string' } }, list(500_000, () => '0'), false],
  ['a number beyond all bounds', { maximum: 10 }, '1e400', false],
  ['a number beyond all numbers', { type: 'number' }, '-1e400', false],
  ['a small multiple', { multipleOf: 1e-12 }, '1.5e-13', false],
  ['a multiple in decimals', { multipleOf: 0.01 }, '19.99', true],
  ['almost a multiple', { multipleOf: 0.01 }, '0.0100000000001', false],
  ['a huge number, and a tiny step', { multipleOf: 5e-324 }, '1e308', true],
  ['a name that all objects have', { required: ['toString'] }, '{}', false],
  ['a member that all objects have', { properties: { valueOf: { type: 'string' } } }, '{}', true],
  [
    '__proto__ is a name like others',
    { properties: JSON.parse('{"__proto__":{"type":"string"}}') as object },
    '{"__proto__":1}',
    false,
  ],
  ['__proto__ brings no members', { required: ['a'] }, '{"__proto__":{"a":1}}', false],
  ['constructor is not there unless written', { dependentRequired: { constructor: ['a'] } }, '{}', true],
  [
    'false looks at nothing',
    { if: { allOf: [{ properties: { a: true } }, { required: ['b'] }] }, unevaluatedProperties: false },
    '{"a":1}',
    false,
  ],
]

for (const [what, schema, json, isRight] of attacks) {
  test(`${what}: ${isRight ? 'right' : 'wrong'}, and soon`, () => {
    const validate = validatorOf(schema)
    const value: unknown = JSON.parse(json)
    const startedMs = performance.now()
    const mistakes = validate(value, json.length)
    assert.ok(performance.now() - startedMs < 10_000)
    assert.equal(mistakes.length === 0, isRight, JSON.stringify(mistakes))
    assert.ok(mistakes.length <= 10)
  })
}

test('references lead into files beside the document, by path, $id and anchor', () => {
  const pets = {
    $id: 'https://shop.test/pets',
    $defs: { dog: { $anchor: 'dog', required: ['bark'] } },
    $ref: 'pets#dog',
  }
  for (const ref of [
    'parts/pets.json',
    './parts/pets.json#/$defs/dog',
    'https://shop.test/pets#dog',
    '/api/parts/pets.json',
  ]) {
    const validate = validatorOf({ $ref: ref }, { 'parts/pets.json': pets })
    assert.deepEqual(validate({}), [{ pointer: '', message: 'must have bark' }], ref)
    assert.deepEqual(validate({ bark: 1 }), [], ref)
  }
  const map = { Cat: { $ref: '#/Animal' }, Animal: { type: 'object' } }
  assert.equal(validatorOf({ $ref: 'map.json#/Cat' }, { 'map.json': map })(1).length, 1)
})

const wrong: readonly [schema: unknown, message: RegExp][] = [
  [{ $ref: 'https://elsewhere.test/a.json' }, /leads out of the document \(at schema\.json#\)/],
  [{ $ref: '#/$defs/a' }, /leads nowhere/],
  [{ $ref: '#a' }, /leads nowhere/],
  [{ $ref: '#%' }, /malformed/],
  [{ $id: 'https://a.test/#b' }, /no URI without fragment/],
  [{ $defs: { a: { $id: 'https://a.test' }, b: { $id: 'https://a.test/' } } }, /stands twice/],
  [{ $defs: { a: { $anchor: 'a' }, b: { $anchor: 'a' } } }, /anchor `a` stands twice/],
  [{ $anchor: '1' }, /`\$anchor` is malformed/],
  [{ $schema: 'http://json-schema.org/draft-07/schema#', type: 'string' }, /dialect .* is not known/],
  [{ $dynamicAnchor: 'a', allOf: [{ $dynamicRef: '#a' }] }, /without end/],
  [{ $recursiveRef: '#' }, /older JSON Schema/],
  [{ items: [{}] }, /no schema \(at schema\.json#\/items\)/],
  [{ minLength: '3' }, /`minLength` is malformed/],
]

for (const [schema, message] of wrong) {
  test(`${JSON.stringify(schema)} is a mistake in the document`, () =>
    assert.throws(() => validatorOf(schema), message))
}

const kind = (name: string) => ({
  type: 'object',
  required: ['kind'],
  properties: { kind: { const: name }, [name]: { type: 'integer' } },
})

test('mistakes in alternatives are those of the one that was meant', () => {
  const validate = validatorOf({ items: { oneOf: [kind('cat'), kind('dog'), { type: 'string' }] } })
  assert.deepEqual(validate([{ kind: 'dog', dog: 'x' }]), [
    { pointer: '/0', message: 'must fit exactly one of the allowed forms' },
    { pointer: '/0/dog', message: 'must be of type integer' },
  ])
})

// Not such as toString: what ajv compares values with calls it.
const names = fc.constantFrom('a', 'b', 'other')
const { schema: schemas } = fc.letrec<{ schema: unknown; fields: object; containing: object }>(tie => ({
  schema: fc.oneof(
    { depthSize: 'small' },
    fc.boolean(),
    fc.constant({ $ref: '#/$defs/a' }),
    tie('fields'),
    tie('containing'),
  ),
  fields: fc.record(
    {
      type: fc.oneof(
        ...['object', 'array', 'integer', 'string', 'null'].map(name => fc.constant(name)),
        fc.constant(['number', 'object']),
      ),
      const: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constant({ a: 1 }), fc.constant([])),
      enum: fc.array(fc.oneof(fc.integer({ min: 0, max: 3 }), names), { minLength: 1, maxLength: 3 }),
      minimum: fc.integer({ min: 0, max: 3 }),
      multipleOf: fc.constantFrom(2, 3),
      maxLength: fc.integer({ min: 0, max: 3 }),
      pattern: fc.constantFrom('^a', 'b$'),
      required: fc.uniqueArray(names, { maxLength: 2 }),
      properties: fc.dictionary(names, tie('schema'), { maxKeys: 2 }),
      patternProperties: fc.dictionary(fc.constantFrom('^a', 'o'), tie('schema'), { maxKeys: 1 }),
      additionalProperties: tie('schema'),
      unevaluatedProperties: tie('schema'),
      propertyNames: fc.constantFrom({ maxLength: 3 }, true),
      maxProperties: fc.integer({ min: 0, max: 2 }),
      dependentRequired: fc.dictionary(names, fc.uniqueArray(names, { maxLength: 2 }), { maxKeys: 1 }),
      dependentSchemas: fc.dictionary(names, tie('schema'), { maxKeys: 1 }),
      items: tie('schema'),
      prefixItems: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }),
      uniqueItems: fc.boolean(),
      anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }),
      oneOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }),
      allOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }),
      not: tie('schema'),
      if: tie('schema'),
      // A schema, nothing to be awaited.
      // oxlint-disable-next-line unicorn/no-thenable
      then: tie('schema'),
      else: tie('schema'),
    },
    { requiredKeys: [] },
  ),
  // Not beside `prefixItems`: there, ajv lets an empty array contain something.
  containing: fc.record({ contains: tie('schema') }),
}))
const { value: values } = fc.letrec<{ value: unknown }>(tie => ({
  value: fc.oneof(
    { depthSize: 'medium' },
    fc.integer({ min: 0, max: 6 }),
    fc.constantFrom(null, true, 'a', 'ab', 'other', 1.5),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(names, tie('value'), { maxKeys: 3 }),
  ),
}))

test('random schemas judge random values as ajv does', () => {
  let right = 0
  let wrongCount = 0
  fc.assert(
    fc.property(schemas, schemas, fc.array(values, { minLength: 5, maxLength: 20 }), (schema, shared, tried) => {
      const whole = {
        allOf: [schema],
        $defs: { a: { type: ['object', 'array', 'string', 'integer'], properties: { a: shared } } },
      }
      const ajv = new Ajv2020({ strict: false, validateSchema: false, ownProperties: true, logger: false })
      const [ours, theirs] = [judge(() => validatorOf(whole)), ajv.compile(whole)]
      if (ours === null) return
      for (const value of tried) {
        const isRight: boolean = ours(value).length === 0
        if (isRight) right++
        else wrongCount++
        assert.equal(isRight, theirs(value), JSON.stringify(value))
      }
    }),
    { numRuns: 100 },
  )
  assert.ok(right > 300 && wrongCount > 300, `${right} right, ${wrongCount} wrong`)
})

/** Null for a schema that refers to itself without end. */
function judge<T>(make: () => T): T | null {
  try {
    return make()
  } catch (error) {
    assert.match(String(error), /without end/)
    return null
  }
}
