import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { resolveOptions } from '../../../test/tools/options.ts'
import { Body } from '../../core/body.ts'
import { Failure } from '../../core/failure.ts'
import { Reply } from '../../core/reply.ts'
import { validate } from './validate.ts'

const shop = `
openapi: 3.0.3
info: { title: Shop, version: "1" }
paths:
  /pets:
    get:
      parameters:
        - { name: limit, in: query, schema: { type: integer, minimum: 1, maximum: 100 } }
        - { name: tags, in: query, schema: { type: array, items: { type: string, maxLength: 5 }, maxItems: 2 } }
        - { name: ids, in: query, explode: false, style: pipeDelimited, schema: { type: array, items: { type: integer } } }
        - { name: filter, in: query, style: deepObject, schema: { type: object, properties: { age: { type: integer } }, additionalProperties: false } }
        - { name: X-Trace, in: header, required: true, schema: { type: string, pattern: "^[a-f0-9]{4}$" } }
        - { name: session, in: cookie, schema: { type: boolean } }
      responses: { "200": { description: ok, content: { application/json: { schema: { type: array, items: { $ref: "#/components/schemas/Pet" } } } } } }
    post:
      requestBody:
        required: true
        content:
          application/json: { schema: { $ref: "#/components/schemas/Pet" } }
          application/x-www-form-urlencoded: { schema: { type: object, required: [name], properties: { name: { type: string }, age: { type: integer } } } }
          text/plain: {}
      responses: { default: { description: any } }
  /pets/{id}:
    parameters: [{ name: id, in: path, required: true, schema: { type: integer, format: int32 } }]
    get: { responses: { "204": { description: none } } }
  /pets/mine: { get: { responses: { "204": { description: none } } } }
  /files/{name}.{type}:
    get:
      parameters:
        - { name: name, in: path, required: true, schema: { type: string } }
        - { name: type, in: path, required: true, schema: { enum: [pdf, txt] } }
      responses: { "2XX": { description: ok } }
components:
  schemas:
    Pet:
      type: object
      required: [id, name]
      additionalProperties: false
      properties:
        id: { type: integer, readOnly: true }
        name: { type: string, minLength: 1 }
        secret: { type: string, writeOnly: true }
        weight: { type: number, minimum: 0, exclusiveMinimum: true, nullable: true }
        mother: { $ref: "#/components/schemas/Pet" }
`

interface Asked {
  readonly method?: string
  readonly target: string
  readonly headers?: Record<string, string>
  readonly body?: string
}

function build(options: object = {}, text = shop) {
  const given = resolveOptions(validate, { document: 'api.yaml', ...options }, { 'api.yaml': text })
  return validate.build(given, fakePorts({}, { files: { [given.document]: text } }), {
    route: 'r',
    key: 'r/policies/0',
  })
}

async function ask(asked: Asked, options: object = {}, reply = () => Reply.empty(204)) {
  const next = makeNext(async call => {
    const bytes = await call.body.bytes(1e6)
    assert.equal(bytes.toString('utf8'), asked.body ?? '', 'the body arrives as it was sent')
    return reply()
  })
  const call = makeCall({ ...asked, body: asked.body ?? '' })
  const got = await build(options)(next)(call)
  const problem = got.code === null ? null : JSON.parse((await got.body.bytes(1e6)).toString('utf8'))
  return { got, problem, call, reached: next.calls.length === 1 }
}

const trace = { 'x-trace': 'ab12' }
const json = { 'content-type': 'application/json' }
const good: readonly Asked[] = [
  { target: '/pets', headers: trace },
  { target: '/pets?limit=100&tags=a&tags=b', headers: trace },
  { target: '/pets?ids=1|2&filter[age]=3', headers: trace },
  { target: '/pets?ids=1%7C2&filter%5Bage%5D=3&other=1', headers: trace },
  { target: '/pets', headers: { ...trace, cookie: 'a=b; session=true' } },
  { method: 'HEAD', target: '/pets/7' },
  { target: '/pets/7' },
  { target: '/pets/mine' },
  { target: '/files/a.b.pdf' },
  {
    method: 'POST',
    target: '/pets',
    headers: json,
    body: ' {"name": "Rex", "mother": {"name": "Ada", "weight": null}} ',
  },
  { method: 'POST', target: '/pets', headers: { 'content-type': 'text/plain' }, body: 'anything' },
  {
    method: 'POST',
    target: '/pets',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'name=Rex+A&age=7',
  },
]

for (const asked of good) {
  test(`passes ${asked.method ?? 'GET'} ${asked.target} ${asked.body ?? ''}`, async () => {
    const { problem, reached } = await ask(asked)
    assert.equal(problem, null)
    assert.ok(reached)
  })
}

const bad: readonly [Asked, object][] = [
  [{ target: '/pets' }, { in: 'header', name: 'X-Trace', message: 'is missing' }],
  [
    { target: '/pets', headers: { 'x-trace': 'zz' } },
    { in: 'header', name: 'X-Trace', message: 'must match the pattern of the document' },
  ],
  [
    { target: '/pets?limit=0', headers: trace },
    { in: 'query', name: 'limit', message: 'must be at least 1' },
  ],
  [
    { target: '/pets?limit=1&limit=2', headers: trace },
    { in: 'query', name: 'limit', message: 'is not written as the document says' },
  ],
  [
    { target: '/pets?limit=abc', headers: trace },
    { in: 'query', name: 'limit', message: 'must be of type integer' },
  ],
  [
    { target: '/pets?tags=a&tags=b&tags=c', headers: trace },
    { in: 'query', name: 'tags', message: 'must have at most 2 items' },
  ],
  [
    { target: '/pets?tags=toolong', headers: trace },
    { in: 'query', name: 'tags', pointer: '/0', message: 'must have at most 5 characters' },
  ],
  [
    { target: '/pets?ids=1|x', headers: trace },
    { in: 'query', name: 'ids', pointer: '/1', message: 'must be of type integer' },
  ],
  [
    { target: '/pets?filter[age]=x', headers: trace },
    { in: 'query', name: 'filter', pointer: '/age', message: 'must be of type integer' },
  ],
  [
    { target: '/pets', headers: { ...trace, cookie: 'session=maybe' } },
    { in: 'cookie', name: 'session', message: 'must be of type boolean' },
  ],
  [{ target: '/pets/x' }, { in: 'path', name: 'id', message: 'must be of type integer' }],
  [{ target: '/pets/3000000000' }, { in: 'path', name: 'id', message: 'must be an int32' }],
  [{ target: '/files/a.exe' }, { in: 'path', name: 'type', message: 'must be one of the allowed values' }],
  [{ target: '/unknown' }, { in: 'operation', message: 'is not described' }],
  [
    { method: 'DELETE', target: '/pets' },
    { in: 'operation', message: 'is not described' },
  ],
  [
    { target: '/pets/7', body: 'x' },
    { in: 'body', message: 'must not be there' },
  ],
  [
    { method: 'POST', target: '/pets', headers: json },
    { in: 'body', message: 'is missing' },
  ],
  [
    { method: 'POST', target: '/pets', headers: json, body: '{}' },
    { in: 'body', message: 'must have name' },
  ],
  [
    { method: 'POST', target: '/pets', headers: json, body: '{"name":"a","mother":{"name":""}}' },
    { in: 'body', pointer: '/mother/name', message: 'must have at least 1 characters' },
  ],
  [
    { method: 'POST', target: '/pets', headers: json, body: '{"name":"a","weight":0}' },
    { in: 'body', pointer: '/weight', message: 'must be more than 0' },
  ],
  [
    { method: 'POST', target: '/pets', headers: json, body: '{"name":"a","name":"b"}' },
    { in: 'body', message: 'must be JSON, without a name twice and not nested too deeply' },
  ],
  [
    { method: 'POST', target: '/pets', headers: { 'content-type': 'application/xml' }, body: '<a/>' },
    { in: 'header', name: 'content-type', message: 'is not among the described types' },
  ],
  [
    { method: 'POST', target: '/pets', headers: { ...json, 'content-encoding': 'gzip' }, body: '{}' },
    { in: 'header', name: 'content-encoding', message: 'must not be there: encoded bodies cannot be checked' },
  ],
  [
    {
      method: 'POST',
      target: '/pets',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'name=a&age=x',
    },
    { in: 'body', pointer: '/age', message: 'must be of type integer' },
  ],
]

for (const [asked, violation] of bad) {
  test(`refuses ${asked.method ?? 'GET'} ${asked.target} ${JSON.stringify(asked.headers ?? {})} ${asked.body ?? ''}`, async () => {
    const { problem, reached, got } = await ask(asked)
    assert.equal(reached, false)
    assert.equal(got.status, 400)
    assert.equal(problem.code, 'invalid-request')
    assert.deepEqual(problem.violations, [violation])
  })
}

test('refuses names of the query that are not known, where it is told to', async () => {
  const { problem } = await ask({ target: '/pets?other=1', headers: trace }, { unknownParameters: 'refuse' })
  assert.deepEqual(problem.violations, [{ in: 'query', name: 'other', message: 'is not known' }])
})

test('passes operations that are not described, where it is told to', async () => {
  assert.ok((await ask({ target: '/unknown' }, { unknownOperations: 'pass' })).reached)
})

test('takes the base path away', async () => {
  assert.ok((await ask({ target: '/v1/pets/7' }, { basePath: '/v1' })).reached)
  assert.equal((await ask({ target: '/pets/7' }, { basePath: '/v1' })).reached, false)
})

test('report lets pass, and notes', async () => {
  const { reached, call } = await ask(
    { method: 'POST', target: '/pets', headers: json, body: '{"a":1}' },
    { mode: 'report' },
  )
  assert.ok(reached)
  assert.match(call.refusal, /^would be refused: body must have name/)
})

test('a body that is too large: refused, or passed unchecked', async () => {
  const asked = { method: 'POST', target: '/pets', headers: json, body: `{"name":"${'a'.repeat(200)}"}` }
  await assert.rejects(
    ask(asked, { bodyMax: 100 }),
    (thrown: unknown) => thrown instanceof Failure && thrown.code === 'body-too-large',
  )
  assert.ok((await ask(asked, { bodyMax: 100, mode: 'report' })).reached)
})

const pets = (text: string) => () => {
  const reply = new Reply(200, makeCall().headers, Body.of(text))
  reply.headers.set('content-type', 'application/json')
  return reply
}

test('replies', async () => {
  const asked = { target: '/pets', headers: trace }
  const fine = await ask(asked, { replies: 'enforce' }, pets('[{"id": 1, "name": "Rex"}]'))
  assert.equal((await fine.got.body.bytes(1000)).toString(), '[{"id": 1, "name": "Rex"}]')
  for (const text of ['[{"name":"Rex"}]', '[{"id":1,"name":"Rex","secret":"x"}]', '{}', 'x']) {
    assert.equal((await ask(asked, { replies: 'enforce' }, pets(text))).got.code, 'invalid-reply')
    const reported = await ask(asked, { replies: 'report' }, pets(text))
    assert.equal((await reported.got.body.bytes(1000)).toString(), text)
    assert.notEqual(reported.call.refusal, '')
  }
  assert.equal((await ask(asked, { replies: 'enforce' }, () => Reply.empty(500))).got.code, 'invalid-reply')
})

const documents: readonly [string, RegExp][] = [
  ['{', /cannot be read in line 1, column \d+: (?!.* at line )/],
  ['[]', /not an object/],
  ['swagger: "2.0"', /Swagger 2/],
  ['openapi: 4.0.0', /neither 3.0 nor 3.1/],
  ['{openapi: 3.1.0, paths: {a: {}}}', /at \/paths\/a/],
  ['{openapi: 3.1.0, paths: {/a: {$ref: "other.yaml"}}}', /leads out of the document/],
  [
    '{openapi: 3.1.0, paths: {/a: {get: {parameters: [{name: q, in: query, schema: {$ref: "#/x"}}]}}}}',
    /leads nowhere/,
  ],
  [
    '{openapi: 3.1.0, paths: {/a: {get: {parameters: [{name: q, in: query, schema: {type: text}}]}}}}',
    /`type` is malformed \(at \/paths\/~1a\/get\/parameters\/0\/schema\/type\)/,
  ],
  [
    '{openapi: 3.1.0, paths: {/a: {get: {parameters: [{name: q, in: query, schema: {pattern: "(a+)+$"}}]}}}}',
    /very long/,
  ],
  [
    '{openapi: 3.1.0, paths: {/a: {get: {parameters: [{name: q, in: query, schema: {$ref: "#/components/schemas/A"}}]}}}, components: {schemas: {A: {allOf: [{$ref: "#/components/schemas/A"}]}}}}',
    /without end/,
  ],
  ['{openapi: 3.1.0, paths: {"/{a}": {get: {}}, "/{b}": {get: {}}}}', /means the same/],
]

for (const [text, message] of documents) {
  test(`the check of the config refuses ${text}`, () => {
    assert.throws(() => resolveOptions(validate, { document: 'api.yaml' }, { 'api.yaml': text }), message)
  })
}

test('whatever is sent: no crash, and no pass of what is invalid', async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.json(), fc.string()), async body => {
      const { reached } = await ask({ method: 'POST', target: '/pets', headers: json, body })
      if (!reached) return
      const value: unknown = JSON.parse(body)
      assert.ok(typeof value === 'object' && value !== null && 'name' in value && typeof value.name === 'string')
    }),
  )
  await fc.assert(
    fc.asyncProperty(fc.webQueryParameters(), async query => {
      const { reached } = await ask({ target: `/pets?limit=5000&${query}`, headers: trace })
      assert.equal(reached, false)
    }),
  )
})
