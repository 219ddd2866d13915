// Large public documents: they compile, in bounded time and memory, and their own examples are judged as ajv judges them.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { compileDescription } from './description.ts'
import { fieldsAt, follow, type OpenApiDocument, readDocument } from './document.ts'
import { operationsOf } from './operations.ts'
import { type Fields, isFields, member, within } from './part.ts'
import { Schemas } from './schema.ts'

const { resolve } = createRequire(import.meta.url)

/** With how many of their JSON examples are as their own schemas say, and how many are not: mistakes of these documents. */
const documents = [
  { file: '@octokit/openapi/generated/api.github.com.json', operations: 1_000, good: 1206, bad: 244, differ: [] },
  { file: '@figma/rest-api-spec/openapi/openapi.yaml', operations: 40, good: 0, bad: 0, differ: [] },
  // Its `([a-z0-9-_ ]|[^\\\\x00-\\\\x7F])+` does take exponential time.
  {
    file: '@readme/oas-examples/3.1/json/readme.json',
    operations: 50,
    good: 0,
    bad: 0,
    differ: [],
    refusal: /could take very long/,
  },
  { file: '@readme/oas-examples/3.0/json/star-trek.json', operations: 100, good: 0, bad: 0, differ: [] },
  {
    file: '@readme/oas-examples/3.1/json/train-travel.json',
    operations: 5,
    good: 46,
    bad: 1,
    // A reply that shows what is `writeOnly`.
    differ: ['/paths/~1bookings~1{bookingId}~1payment/post/responses/200/content/application~1json/examples/Card'],
  },
] as const

interface Example {
  readonly pointer: string
  readonly value: unknown
  /** The pointer of its schema, and the schema. */
  readonly at: string
  readonly schema: unknown
  readonly direction: 'request' | 'reply'
}

for (const { file, operations, good, bad, differ, ...rest } of documents) {
  test(`${file} compiles, and its examples are judged as ajv does`, t => {
    const path = resolve(file)
    const text = readFileSync(path, 'utf8')
    const options = { unsafePatterns: 'refuse', depthMax: 32, hasReplies: true } as const
    const unsafePatterns = 'refusal' in rest ? 'ignore' : 'refuse'
    if ('refusal' in rest) assert.throws(() => compileDescription({ path, text }, [], options), rest.refusal)
    const startedMs = performance.now()
    const before = process.memoryUsage().heapUsed
    compileDescription({ path, text }, [], { ...options, unsafePatterns })
    const tookMs = performance.now() - startedMs
    const grownMb = (process.memoryUsage().heapUsed - before) / 1e6
    t.diagnostic(`${(text.length / 1e6).toFixed(1)} MB: ${tookMs.toFixed(0)} ms, ${grownMb.toFixed(0)} MB of heap`)
    // A tenth of this on a machine with nothing else to do.
    assert.ok(tookMs < 10_000, `${tookMs} ms`)
    assert.ok(grownMb < 50 + (text.length / 1e6) * 20, `${grownMb} MB`)

    const document = readDocument({ path, text })
    assert.ok(operationsOf(document).length >= operations, `${operationsOf(document).length} operations`)
    assert.deepEqual(judged(document, unsafePatterns), { good, bad, differ })
  })
}

function judged(document: OpenApiDocument, unsafePatterns: 'refuse' | 'ignore') {
  const schemas = {
    request: new Schemas(document, { unsafePatterns, direction: 'request' }),
    reply: new Schemas(document, { unsafePatterns, direction: 'reply' }),
  }
  const ajv = new Ajv2020({ strict: false, validateFormats: false, validateSchema: false, logger: false })
  const root = document.version === '3.0' ? plain(document.root) : document.root
  ajv.addSchema({ ...(root as Fields), $id: 'https://document.test/' })
  const counts = { good: 0, bad: 0, differ: [] }
  const differ: string[] = []
  for (const { pointer, value, at, schema, direction } of examplesOf(document)) {
    const mistakes = schemas[direction].validator({ value: schema, pointer: at })(value, 1e6)
    counts[mistakes.length === 0 ? 'good' : 'bad']++
    const validate = ajv.compile({ $ref: `https://document.test/#${encodeURI(at)}` })
    const isRight = mistakes.every(({ message }) => message.includes('of the format'))
    if (validate(value) !== isRight) differ.push(pointer)
  }
  return { ...counts, differ }
}

/** Without what only OpenAPI 3.0 means: `nullable`, which needs a `type`, and that nothing counts beside `$ref`. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (!isFields(value)) return value
  if (typeof value['$ref'] === 'string') return { $ref: value['$ref'] }
  const { nullable, ...rest } = value
  const type = nullable === true && typeof rest['type'] === 'string' ? { type: [rest['type'], 'null'] } : {}
  return Object.fromEntries(Object.entries({ ...rest, ...type }).map(([name, inner]) => [name, plain(inner)]))
}

function examplesOf(document: OpenApiDocument): Example[] {
  return operationsOf(document).flatMap(({ operation: { value, pointer } }) => {
    const body = member(value, 'requestBody')
    const replies = member(value, 'responses')
    return [
      ...(body === undefined ? [] : ofContent(document, body, within(pointer, 'requestBody'), 'request')),
      ...Object.entries(isFields(replies) ? replies : {}).flatMap(([status, reply]) =>
        ofContent(document, reply, within(pointer, 'responses', status), 'reply'),
      ),
    ]
  })
}

function ofContent(document: OpenApiDocument, written: unknown, where: string, direction: 'request' | 'reply') {
  const { value, pointer } = fieldsAt(document, { value: written, pointer: where })
  const content = member(value, 'content')
  return Object.entries(isFields(content) ? content : {}).flatMap(([type, inner]) => {
    const media = fieldsAt(document, { value: inner, pointer: within(pointer, 'content', type) })
    const schema = member(media.value, 'schema')
    if (!type.includes('json') || schema === undefined) return []
    const at = within(media.pointer, 'schema')
    return valuesOf(document, media).map((example): Example => ({ ...example, at, schema, direction }))
  })
}

function valuesOf(document: OpenApiDocument, { value, pointer }: { readonly value: Fields; readonly pointer: string }) {
  const only = Object.hasOwn(value, 'example') ? [{ value: value['example'], pointer: within(pointer, 'example') }] : []
  const named = member(value, 'examples')
  return Object.entries(isFields(named) ? named : {}).reduce((found, [name, inner]) => {
    const example = follow(document, { value: inner, pointer: within(pointer, 'examples', name) })
    if (!isFields(example.value) || !Object.hasOwn(example.value, 'value')) return found
    return [...found, { value: example.value['value'], pointer: example.pointer }]
  }, only)
}

test('a document of 66 MB without references is read', t => {
  const path = resolve('@octokit/openapi/generated/ghes-3.19.deref.json')
  const options = { unsafePatterns: 'refuse', depthMax: 32, hasReplies: true } as const
  const startedMs = performance.now()
  const operations = compileDescription({ path, text: readFileSync(path, 'utf8') }, [], options)
  t.diagnostic(`${(performance.now() - startedMs).toFixed(0)} ms`)
  assert.ok(performance.now() - startedMs < 40_000)
  assert.equal(operations.find('GET', '/repos/acme/shop')?.operation.name, 'GET /repos/{owner}/{repo}')
})

test('an operation of GitHub finds mistakes', () => {
  const path = resolve('@octokit/openapi/generated/api.github.com.json')
  const options = { unsafePatterns: 'refuse', depthMax: 32, hasReplies: true } as const
  const operations = compileDescription({ path, text: readFileSync(path, 'utf8') }, [], options)
  const match = operations.find('POST', '/repos/acme/shop/issues')
  assert.equal(match?.operation.name, 'POST /repos/{owner}/{repo}/issues')
  assert.deepEqual([...match.params.values()], ['acme', 'shop'])
  const check = match.operation.body?.find('application/json')?.check
  const mistakes = (value: unknown) => check?.(Buffer.from(JSON.stringify(value)))
  assert.deepEqual(mistakes({ title: 'A bug', labels: ['bug', { name: 'urgent' }] }), [])
  assert.deepEqual(mistakes({ labels: ['bug'] }), [{ pointer: '', message: 'must have title' }])
  assert.notDeepEqual(mistakes({ title: {} }), [])
  const reply = match.operation.reply(201)?.content?.find('application/json')?.check
  assert.notDeepEqual(reply?.(Buffer.from('{"id":1}')), [])
})
