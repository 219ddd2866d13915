// Policies between both versions on both sides: what an upstream sees, trailers too, and what comes back, are the same on every way.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import type { AddressInfo, Server } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { BothVersions, type Outcome, type Question } from '../tools/both-versions.ts'
import { Program } from '../tools/program.ts'
import { digestOf, publicPem, signFields } from '../tools/signatures.ts'
import { claims, head, keyFile, signed } from '../tools/tokens.ts'

const own = 'a-key-from-outside-0123'
const exp = Math.floor(Date.now() / 1000) + 600
const bearer = { authorization: `Bearer ${signed(head, { ...claims, exp })}` }
const json = { 'content-type': 'application/json' }
const body = '{"sku":"a"}'
const digest = { 'content-digest': digestOf(body) }
const openapi = `openapi: 3.1.0
info: { title: orders, version: "1" }
paths:
  /{version}/validate:
    parameters: [{ name: version, in: path, required: true, schema: { type: string } }]
    post:
      requestBody:
        required: true
        content: { application/json: { schema: { type: object, required: [sku], properties: { sku: { type: string } } } } }
      responses: { "200": { description: ok } }
`

/** Trailers that pass, and one under a name that only the gateway writes. */
const late = { 'x-sum': '42', 'x-who': 'root', x_who: 'root' }

interface Case {
  readonly policies: readonly (object | string)[]
  readonly ask?: () => Partial<Question>
  /** Trailers that the upstream gets, where they are not what was sent. */
  readonly trailers?: Readonly<Record<string, string>>
  /** What the upstream is told of the caller. */
  readonly who?: string
}

const jwt = { keys: { file: 'keys.json' }, issuer: claims.iss, audience: 'api', forward: { 'x-who': 'claims.sub' } }
const key = { 'api-key': { forward: { 'x-who': 'consumer.name' } } }
const passing = { 'x-sum': '42' }
const cases: Readonly<Record<string, Case>> = {
  none: { policies: [], trailers: late },
  jwt: { policies: [{ jwt }], ask: () => ({ headers: bearer }), trailers: passing, who: 'alice' },
  'api-key': { policies: [key], ask: () => ({ headers: { 'x-api-key': own } }), trailers: passing, who: 'bolt' },
  hmac: {
    policies: [{ hmac: { cover: '@method', replay: 'none', forward: { 'x-who': 'consumer.name' } } }],
    ask: () => ({ headers: { ...sign('POST'), ...digest } }),
    ...{ trailers: {}, who: 'bolt' },
  },
  'any-of': {
    policies: [{ 'any-of': [key, { jwt }] }],
    ask: () => ({ headers: bearer }),
    ...{ trailers: passing, who: 'alice' },
  },
  'rate-limit': { policies: [{ 'rate-limit': { limit: '1000/1000h', headers: 'none' } }], trailers: late },
  concurrency: { policies: [{ concurrency: 5 }], trailers: late },
  headers: {
    policies: [{ headers: { request: { set: { 'x-host': '{host}' } }, reply: { set: { 'x-a': 'b' } } } }],
    trailers: late,
  },
  'body-guard': { policies: ['body-guard'], ask: () => ({ headers: json }), trailers: late },
  'body-limit': { policies: [{ 'body-limit': '1kB' }], trailers: late },
  buffer: { policies: [{ buffer: '1kB' }], trailers: {} },
  validate: {
    policies: [{ validate: { document: 'openapi.yaml' } }],
    ask: () => ({ headers: json }),
    trailers: late,
  },
  timeout: { policies: [{ timeout: '20s' }], trailers: late },
  cors: {
    policies: [{ cors: { origins: ['https://shop.acme.test'] } }],
    ask: () => ({ headers: { origin: 'https://shop.acme.test' } }),
    trailers: late,
  },
}

/** Signed for every upstream: the path is not covered. */
function sign(method: string): Record<string, string> {
  const created = Math.floor(Date.now() / 1000)
  const components = [['"@method"', method] as const, ['"content-digest"', digest['content-digest']] as const]
  return signFields({ components, parameters: `;created=${created};keyid="ed25519"` })
}

/** Says what it was asked, and something behind its body. */
const echo = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
  const bytes = await buffer(request)
  const { method, url, trailers } = request
  const { ':authority': host, ':method': _, ':path': __, ':scheme': ___, ...headers } = request.headers
  response.setHeader('content-type', 'application/json')
  response.write(JSON.stringify({ method, url, headers: { host, ...headers }, body: bytes.toString(), trailers }))
  response.addTrailers({ 'x-reply-sum': '43' })
  response.end()
}

const servers: readonly Server[] = [
  http.createServer((request, response) => void echo(request, response)),
  // The other interface of Node is made to look like the first one.
  http2.createServer((request, response) => {
    void echo(request as unknown as http.IncomingMessage, response as unknown as http.ServerResponse)
  }),
]

let program: Program
let clients: BothVersions
before(async () => {
  for (const server of servers) await once(server.listen(0, '127.0.0.1'), 'listening')
  const targets = servers.map(server => [`http://127.0.0.1:${(server.address() as AddressInfo).port}`])
  const signature = { keyId: 'ed25519', publicKey: '{folder}/ed25519.pem', algorithm: 'ed25519' }
  program = await Program.start(
    {
      data: 'state',
      upstreams: { '1': { targets: targets[0] }, '2': { targets: targets[1], protocol: 'http2' } },
      consumers: [{ name: 'bolt', credentials: [{ key: '${file:key}' }, { signature }] }],
      routes: ['1', '2'].flatMap(upstream =>
        Object.entries(cases).map(([name, { policies }]) => ({
          match: { path: `/${upstream}/${name}` },
          policies,
          forward: upstream,
        })),
      ),
    },
    { key: own, 'keys.json': keyFile, 'ed25519.pem': publicPem('ed25519'), 'openapi.yaml': openapi },
  )
  clients = await BothVersions.connect(program.port)
})
after(async () => {
  clients?.[Symbol.dispose]()
  await program?.stop()
  for (const server of servers) server.close()
})

/** Without what the way to the upstream adds. */
function plain({ seen, headers, ...outcome }: Outcome): object {
  const { 'x-forwarded-for': _, te: __, trailer: ___, ...fields } = seen?.headers ?? {}
  const { trailer: ____, ...told } = headers
  return { ...outcome, headers: told, seen: { ...seen, url: seen?.url.slice(2), headers: fields } }
}

describe('the same call and the same reply on each of four ways', () => {
  for (const [name, { ask = (): Partial<Question> => ({}), trailers, who }] of Object.entries(cases)) {
    test(name, async () => {
      const outcomes: Outcome[] = []
      for (const upstream of ['1', '2']) {
        const call = (): Question => {
          const asked = ask()
          const headers = { te: 'trailers', ...asked.headers }
          return { path: `/${upstream}/${name}`, method: 'POST', body, trailers: late, ...asked, headers }
        }
        outcomes.push(await clients.overHttp1(call()), await clients.overHttp2(call()))
      }
      const [first, ...others] = outcomes
      assert.ok(first !== undefined)
      assert.equal(first.status, 200, first.text)
      assert.deepEqual([first.seen?.body, first.seen?.trailers], [body, trailers])
      assert.deepEqual(first.trailers, { 'x-reply-sum': '43' })
      if (who !== undefined) assert.equal(first.seen?.headers['x-who'], who)
      for (const other of others) assert.deepEqual(plain(other), plain(first))
      // Over HTTP/2 trailers may stand behind a length, too.
      const asked = ask()
      const headers = { ...asked.headers, 'content-length': `${body.length}` }
      const call = { path: `/2/${name}`, method: 'POST', body, trailers: late, ...asked, headers }
      assert.deepEqual((await clients.overHttp2(call)).seen?.trailers, trailers)
    })
  }
})

test('afterwards there is no call and no connection left', async () => {
  clients.session.close()
  await program.untilQuiet()
})
