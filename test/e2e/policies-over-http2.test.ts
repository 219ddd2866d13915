// Policies over HTTP/2: what each does to a call, and tells the upstream, is what it does to the same call over HTTP/1.1.

import assert from 'node:assert/strict'
import http2, { type ClientHttp2Session } from 'node:http2'
import { after, before, describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { ask } from '../tools/ask.ts'
import { Origin } from '../tools/origin.ts'
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

interface Question {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string
  /** Asked so often; the last answer counts. */
  readonly times?: number
}

interface Case {
  /** The policy, or policies, as the config has it. */
  readonly policy: object | string
  readonly questions: readonly (Question & { readonly status: number })[]
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

interface Outcome {
  readonly status: number
  readonly headers: Record<string, unknown>
  readonly text: string
}

describe('what policies do is the same over HTTP/2', () => {
  let origin: Origin
  let program: Program
  let session: ClientHttp2Session
  before(async () => {
    origin = await Origin.start((request, response, body) => {
      if (request.headers['x-never'] !== undefined) return
      const { method, url, headers } = request
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ method, url, headers, body: body.toString() }))
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
    session = http2.connect(program.url)
  })
  after(async () => {
    session?.destroy()
    await program?.stop()
    await origin?.[Symbol.asyncDispose]()
  })

  for (const [name, { questions }] of Object.entries(cases)) {
    test(name, async () => {
      for (const { status, times = 1, ...question } of questions) {
        const outcomes: Outcome[] = []
        for (let i = 0; i < times; i++) {
          outcomes.splice(0, 2, await overHttp1(program.port, name, question), await overHttp2(session, name, question))
        }
        const [old, current] = outcomes
        assert.equal(old?.status, status, old?.text ?? '')
        assert.deepEqual(current, old)
      }
    })
  }

  test('afterwards there is no call and no connection left', async () => {
    session.close()
    await program.untilQuiet()
  })
})

/** Of a body without a length, as over HTTP/2. */
async function overHttp1(port: number, name: string, { body, ...question }: Question): Promise<Outcome> {
  const headers = { host: 'api.acme.test', 'x-version': '1', ...question.headers }
  const more = body === undefined ? {} : { body, isChunked: true }
  const { status, headers: fields, body: bytes } = await ask(port, { ...question, path: `/${name}`, headers, ...more })
  return outcomeOf(status, fields, bytes)
}

async function overHttp2(session: ClientHttp2Session, name: string, question: Question): Promise<Outcome> {
  const { method = 'GET', headers, body } = question
  const stream = session.request({
    ...{ ':method': method, ':path': `/${name}`, ':authority': 'api.acme.test', 'x-version': '2', ...headers },
  })
  stream.end(body)
  const chunks: Buffer[] = []
  let head: http2.IncomingHttpHeaders = {}
  stream.on('response', came => (head = came))
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  const { ':status': status = 0, ...fields } = head
  return outcomeOf(Number(status), fields, Buffer.concat(chunks))
}

/** Without what belongs to the version, the moment or the connection. */
function outcomeOf(status: number, fields: Record<string, unknown>, bytes: Buffer): Outcome {
  const dropped = ['date', 'x-request-id', 'connection', 'keep-alive', 'transfer-encoding', 'content-length']
  const headers = Object.fromEntries(Object.entries(fields).filter(([name]) => !dropped.includes(name)))
  const text = (headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString()
  return { status, headers, text: text.replaceAll(/"via":"[\d.]+|"x-version":"\d"|"x-request-id":"\w+"/g, '') }
}
