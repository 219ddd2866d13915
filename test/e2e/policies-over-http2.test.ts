// Policies over HTTP/2: what each does to a call, and tells the upstream, is what it does to the same call over HTTP/1.1.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { assertSame, BothVersions, type Outcome, type Question } from '../tools/both-versions.ts'
import { echo, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'

const json = { 'content-type': 'application/json' }
const deep = `${'['.repeat(40)}${']'.repeat(40)}`
const openapi = `openapi: 3.1.0
info: { title: orders, version: "1" }
paths:
  /validate:
    post:
      requestBody:
        required: true
        content: { application/json: { schema: { type: object, required: [sku], properties: { sku: { type: string } } } } }
      responses: { "200": { description: ok } }
`

interface Asked extends Omit<Question, 'path'> {
  /** Asked so often; the last answer counts. */
  readonly times?: number
  readonly status: number
}

interface Case {
  /** The policy, or policies, as the config has it. */
  readonly policy: object | string
  readonly questions: readonly Asked[]
}

const cases: Readonly<Record<string, Case>> = {
  acl: {
    policy: ['api-key', { acl: { allow: { groups: 'staff' } } }],
    questions: [{ headers: { 'x-api-key': 'a-key-from-outside-0123' }, status: 403 }],
  },
  'api-key': {
    policy: { 'api-key': { forward: { 'x-who': 'consumer.name' } } },
    questions: [{ headers: { 'x-api-key': 'a-key-from-outside-0123' }, status: 200 }, { status: 401 }],
  },
  basic: {
    policy: { basic: {} },
    questions: [{ headers: { authorization: `Basic ${Buffer.from('bolt:guess').toString('base64')}` }, status: 401 }],
  },
  'body-guard': {
    policy: { 'body-guard': {} },
    questions: [
      { method: 'POST', headers: json, body: '{"a":[1]}', status: 200 },
      { method: 'POST', headers: json, body: deep, status: 400 },
    ],
  },
  'body-limit': {
    policy: { 'body-limit': '1kB' },
    questions: [
      { method: 'POST', body: 'x'.repeat(900), status: 200 },
      { method: 'POST', body: 'x'.repeat(2_000), status: 413 },
    ],
  },
  bot: { policy: 'bot', questions: [{ headers: { 'user-agent': 'sqlmap/1.7' }, status: 403 }] },
  buffer: { policy: { buffer: '1kB' }, questions: [{ method: 'POST', body: 'x'.repeat(900), status: 200 }] },
  compress: { policy: { compress: { min: 0 } }, questions: [{ headers: { 'accept-encoding': 'gzip' }, status: 200 }] },
  cors: {
    policy: { cors: { origins: ['https://shop.acme.test'], credentials: true } },
    questions: [
      { headers: { origin: 'https://shop.acme.test' }, status: 200 },
      {
        method: 'OPTIONS',
        headers: { origin: 'https://shop.acme.test', 'access-control-request-method': 'PUT' },
        status: 204,
      },
    ],
  },
  csrf: {
    policy: { csrf: { origins: ['https://shop.acme.test'] } },
    questions: [
      { method: 'POST', body: 'a', headers: { origin: 'https://shop.acme.test' }, status: 200 },
      { method: 'POST', body: 'a', headers: { origin: 'https://evil.test' }, status: 403 },
    ],
  },
  expression: {
    policy: { expression: 'request.method == "GET" && request.headers["x-team"] == "a"' },
    questions: [{ headers: { 'x-team': 'a' }, status: 200 }, { status: 403 }],
  },
  headers: {
    policy: {
      headers: { request: { set: { 'x-host': '{host}' }, remove: ['x-old'] }, reply: { set: { 'x-a': 'b' } } },
    },
    questions: [{ headers: { 'x-old': '1' }, status: 200 }],
  },
  ip: { policy: { ip: { allow: ['10.0.0.0/8'] } }, questions: [{ status: 403 }] },
  'rate-limit': {
    policy: { 'rate-limit': { limit: '4/day', by: { header: 'x-version' } } },
    questions: [{ times: 4, status: 200 }, { status: 429 }],
  },
  'security-headers': { policy: 'security-headers', questions: [{ status: 200 }] },
  timeout: { policy: { timeout: '300ms' }, questions: [{ headers: { 'x-never': '1' }, status: 504 }] },
  validate: {
    policy: { validate: { document: 'openapi.yaml' } },
    questions: [
      { method: 'POST', headers: json, body: '{"sku":"a"}', status: 200 },
      { method: 'POST', headers: json, body: '{"sku":1}', status: 400 },
    ],
  },
}

describe('what policies do is the same over HTTP/2', () => {
  let origin: Origin
  let program: Program
  let clients: BothVersions
  before(async () => {
    origin = await Origin.start((request, response, body) => {
      if (request.headers['x-never'] === undefined) echo(request, response, body)
    })
    const credentials = [{ key: '${file:bolt.key}' }]
    program = await Program.start(
      {
        ...{ data: 'state', workers: 1, upstreams: { origin: { targets: [origin.url] } } },
        consumers: [{ name: 'bolt', credentials }],
        routes: Object.entries(cases).map(([name, { policy }]) => ({
          match: { path: `/${name}` },
          policies: [policy].flat(),
          forward: 'origin',
        })),
      },
      { 'bolt.key': 'a-key-from-outside-0123', 'openapi.yaml': openapi },
    )
    clients = await BothVersions.connect(program.port)
  })
  after(async () => {
    clients?.[Symbol.dispose]()
    await program?.stop()
    await origin?.[Symbol.asyncDispose]()
  })

  for (const [name, { questions }] of Object.entries(cases)) {
    test(name, async () => {
      for (const { status, times = 1, ...question } of questions) {
        const outcomes: Outcome[] = []
        for (let i = 0; i < times; i++) {
          const asked = { ...question, path: `/${name}` }
          outcomes.splice(0, 2, await clients.overHttp1(asked), await clients.overHttp2(asked))
        }
        const [old, current] = outcomes
        assert.ok(old !== undefined && current !== undefined)
        assert.equal(old.status, status, old.text)
        assertSame(current, old)
      }
    })
  }

  test('afterwards there is no call and no connection left', async () => {
    clients.session.close()
    await program.untilQuiet()
  })
})
