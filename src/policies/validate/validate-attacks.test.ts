// Calls made to get by, or to cost much: each is answered 400 soon, or passes for what it is.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakePorts, makeCall, makeNext } from '../../../test/tools/call.ts'
import { resolveOptions } from '../../../test/tools/options.ts'
import { Body } from '../../core/body.ts'
import { Headers } from '../../core/headers.ts'
import { Reply } from '../../core/reply.ts'
import { validate } from './validate.ts'

const files = {
  'api.yaml': `
openapi: 3.1.0
paths:
  /items/{id}:
    parameters: [{ name: id, in: path, required: true, schema: { type: string, pattern: "^[a-z0-9]+$" } }]
    get:
      parameters:
        - { name: limit, in: query, schema: { type: integer, maximum: 100 } }
        - { name: filter, in: query, style: deepObject, schema: { type: object, properties: { age: { type: integer } }, additionalProperties: false } }
        - { name: where, in: query, content: { application/json: { schema: { type: object, maxProperties: 1 } } } }
        - { name: token, in: cookie, schema: { type: string, maxLength: 4 } }
        - { name: X-Size, in: header, schema: { type: integer } }
      responses:
        "200":
          description: ok
          headers: { X-Left: { required: true, schema: { type: integer } } }
          content: { application/json: { schema: { $ref: "parts/item.yaml#/Item" } } }
    post:
      requestBody:
        required: true
        content:
          application/json: { schema: { $ref: "#/components/schemas/Tree" } }
          application/*: { schema: { type: string } }
          multipart/form-data: { schema: { type: object } }
          application/vnd.shop+json: { schema: { type: array, uniqueItems: true } }
      responses: { default: { description: any } }
components:
  schemas:
    Tree: { type: object, required: [name], properties: { name: { type: string }, children: { type: array, items: { $ref: "#/components/schemas/Tree" } } } }
`,
  'parts/item.yaml':
    'Item: { type: object, required: [id], properties: { id: { $ref: "#/Id" } } }\nId: { type: integer }',
}

interface Asked {
  readonly method?: string
  readonly target: string
  readonly headers?: Record<string, string>
  readonly body?: string | Buffer
}

async function ask(asked: Asked, options: object = {}, answer = () => Reply.empty(204)) {
  const written = { document: 'api.yaml', references: 'parts/item.yaml', ...options }
  const given = resolveOptions(validate, written, files)
  const ports = fakePorts(
    {},
    { files: Object.fromEntries(Object.entries(files).map(([name, text]) => [`/${name}`, text])) },
  )
  const { body = '', ...head } = asked
  const call = makeCall(head)
  call.body = Body.of(body)
  const next = makeNext(async ({ body: forwarded }) => {
    assert.deepEqual(await forwarded.bytes(1e7), Buffer.from(body), 'what was checked is what is forwarded')
    return answer()
  })
  const startedMs = performance.now()
  const reply = await validate.build(given, ports, { route: 'r', key: 'r' })(next)(call)
  assert.ok(performance.now() - startedMs < 10_000)
  return { reply, call, isPassed: next.calls.length === 1 }
}

const get = (query: string, headers: Record<string, string> = {}): Asked => ({ target: `/items/a${query}`, headers })
const post = (body: string | Buffer, type = 'application/json'): Asked => ({
  method: 'POST',
  target: '/items/a',
  headers: { 'content-type': type },
  body,
})
const deep = (levels: number) =>
  `{"name":"a","children":[${'{"name":"a","children":['.repeat(levels)}${']}'.repeat(levels)}]}`

const refused: readonly [string, Asked][] = [
  ['a limit with an escaped name', get('?limi%74=101')],
  ['a limit that stands twice', get('?limit=1&limit=101')],
  ['a limit in another script', get('?limit=%D9%A1')],
  ['a limit that is hexadecimal', get('?limit=0x10')],
  ['a limit with a sign', get('?limit=+5')],
  ['a limit beyond all numbers', get('?limit=1e400')],
  ['a malformed escape in a value', get('?limit=%zz')],
  ['a malformed escape in a name', get('?%zz=1')],
  ['a limit that is no UTF-8', get('?limit=%ff')],
  ['a path parameter with an escaped slash', { target: '/items/a%2Fb' }],
  ['a path parameter with an escaped zero', { target: '/items/a%00' }],
  ['a path parameter with an escaped line end', { target: '/items/a%0a' }],
  ['a filter with two levels', get('?filter[age][x]=1')],
  ['a filter without its end', get('?filter[age=1')],
  ['a filter with a name twice', get('?filter[age]=1&filter[age]=2')],
  ['a filter with __proto__', get('?filter[__proto__]=1')],
  ['a filter that is also a text', get('?filter=1&filter[age]=1')],
  ['JSON with a name twice in the query', get('?where={"a":1,"a":2}')],
  ['JSON that is nested deeply in the query', get(`?where={"a":${'['.repeat(1000)}${']'.repeat(1000)}}`)],
  ['a cookie that stands twice', get('', { cookie: 'token=a; token=abcdefgh' })],
  ['a cookie that is too long', get('', { cookie: 'a=b; token=abcdefgh' })],
  ['a field with two values', get('', { 'x-size': '1, 2' })],
  ['JSON nested more deeply than allowed', post(deep(40))],
  ['JSON nested so deeply that a parser may break', post('['.repeat(500_000))],
  [
    'JSON that is no UTF-8',
    post(Buffer.from([0x7b, 0x22, 0x6e, 0x61, 0x6d, 0x65, 0x22, 0x3a, 0x22, 0xff, 0x22, 0x7d])),
  ],
  ['JSON with a byte order mark', post('\uFEFF{"name":"a"}')],
  ['JSON with an escaped name twice', post('{"name":"a","n\\u0061me":1}')],
  ['JSON in UTF-16', post(Buffer.from('{"name":"a"}', 'utf16le'))],
  ['JSON in another charset', post('{"name":"a"}', 'application/json; charset=utf-16')],
  ['JSON and more', post('{"name":"a"} {"name":"b"}')],
  ['no body', post('')],
  ['another type', post('{"name":"a"}', 'text/html')],
  ['two types', post('{"name":"a"}', 'application/json, text/html')],
  ['no type', { method: 'POST', target: '/items/a', body: '{"name":"a"}' }],
  [
    'an array of equal items',
    post(`[${Array.from({ length: 300_000 }, () => '0').join()}]`, 'application/vnd.shop+json'),
  ],
  ['a type in capitals, checked nevertheless', post('{}', 'Application/JSON;charset="UTF-8"')],
]

for (const [what, asked] of refused) {
  test(`refuses ${what}`, async () => {
    const { reply, isPassed } = await ask(asked)
    assert.equal(isPassed, false)
    assert.equal(reply.status, 400)
    const { violations } = JSON.parse((await reply.body.bytes(1e5)).toString()) as { violations: unknown[] }
    assert.ok(violations.length > 0 && violations.length <= 10)
  })
}

const passed: readonly [string, Asked][] = [
  ['a tree', post(deep(10))],
  ['a tree, with white space and escapes', post(' {"n\\u0061me" : "a"}\n', 'application/json; charset=utf-8')],
  ['another type of application, unread', post('{', 'application/x-other')],
  ['a multipart form, unread', post('--b--', 'multipart/form-data; boundary=b')],
  ['a type of its own', post('[1,2]', 'application/vnd.shop+json')],
  ['names that are not described', get('?limit[]=500&other=1')],
]

for (const [what, asked] of passed) {
  test(`passes ${what}`, async () => assert.ok((await ask(asked)).isPassed))
}

test('names with brackets are not known', async () => {
  assert.equal((await ask(get('?limit[]=500'), { unknownParameters: 'refuse' })).isPassed, false)
})

const answer = (fields: [string, string][], body: string) => () => {
  const headers = new Headers()
  for (const [name, value] of [['content-type', 'application/json'] as const, ...fields]) headers.set(name, value)
  return new Reply(200, headers, Body.of(body))
}

test('fields of replies, and what they refer to in other files', async () => {
  const fine = await ask(get(''), { replies: 'enforce' }, answer([['x-left', '3']], '{"id":1}'))
  assert.equal(fine.reply.status, 200)
  for (const [fields, body, noted] of [
    [[], '{"id":1}', /header X-Left is missing/],
    [[['x-left', 'many']], '{"id":1}', /header X-Left must be of type integer/],
    [[['x-left', '3']], '{"id":"1"}', /body \/id must be of type integer/],
  ] as [[string, string][], string, RegExp][]) {
    const { reply } = await ask(get(''), { replies: 'enforce' }, answer(fields, body))
    assert.equal(reply.code, 'invalid-reply')
    const reported = await ask(get(''), { replies: 'report' }, answer(fields, body))
    assert.equal((await reported.reply.body.bytes(100)).toString(), body)
    assert.match(reported.call.refusal, noted)
  }
})

test('a file that is not named in `references` is a mistake in the document', () => {
  const options = { document: 'api.yaml', replies: 'report' }
  assert.throws(() => resolveOptions(validate, options, files), /leads out of the document/)
})
