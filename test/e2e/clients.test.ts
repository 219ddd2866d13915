// Clients that other people wrote, through the gateway: what they see is what the upstream said.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { Pool } from 'undici'
import { findTool } from '../../scripts/tools.ts'
import { Peer } from '../strictness/wire/peer.ts'
import { answer, answers } from '../tools/answers.ts'
import { type Answer, ask, type Question } from '../tools/ask.ts'
import { type Echoed, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'

const run = promisify(execFile)
const without = (tool: string) => (findTool(tool) === null ? `${tool} is not installed` : false)

const curl = async (...args: string[]) => (await run('curl', ['-sS', '--max-time', '20', ...args])).stdout
/** Fields that the client made up itself. */
const own = (list: string[][]) => list.filter(([key]) => /^x-/i.test(key ?? ''))

let origin: Origin
let program: Program
before(async () => {
  origin = await Origin.start(answer)
  program = await Program.start({
    workers: 2,
    upstreams: { origin: { targets: [origin.url] } },
    routes: [{ match: { path: '/**' }, forward: 'origin' }],
  })
})
after(async () => {
  await program[Symbol.asyncDispose]()
  await origin[Symbol.asyncDispose]()
})

describe('curl', { skip: without('curl') }, () => {
  test('HTTP/1.1: status, fields and body', async () => {
    const out = await curl('-i', `${program.url}/created`)
    assert.match(out, /^HTTP\/1\.1 201 Made Today\r\n/)
    assert.match(out, /\r\nlocation: \/made\/1\r\n/)
    assert.match(out, /\r\n\r\nmade$/)
  })

  test('HTTP/1.0: answered as HTTP/1.0 clients can read it, then closed', async () => {
    const out = await curl('-i', '--http1.0', `${program.url}/chunks`)
    assert.match(out, /^HTTP\/1\.1 200 /)
    assert.doesNotMatch(out, /transfer-encoding/i)
    assert.match(out, /\r\nconnection: close\r\n/i)
    assert.match(out, /\r\n\r\none two three$/)
  })

  test('HEAD: the fields of GET, no body, and the connection goes on', async () => {
    const out = await curl('-I', `${program.url}/large`, `${program.url}/large`)
    assert.equal(out.match(/content-length: 1000000\r\n/gi)?.length, 2)
  })

  test('POST with Expect: 100-continue: the upstream is asked, the body follows', async () => {
    const out = await curl(
      '-v',
      '--stderr',
      '-',
      '-H',
      'Expect: 100-continue',
      '--expect100-timeout',
      '10',
      '-d',
      'hello',
      `${program.url}/post`,
    )
    assert.match(out, /< HTTP\/1\.1 100 Continue/)
    assert.match(out, /"body":"hello"/)
  })

  test('a chunked upload arrives byte for byte', async () => {
    const sent = randomBytes(300_000).toString('hex')
    const child = execFile('curl', ['-sS', '-T', '-', `${program.url}/upload`], { maxBuffer: 1e7 })
    child.stdin?.end(sent)
    let out = ''
    child.stdout?.on('data', text => (out += String(text)))
    await once(child, 'close')
    const got = JSON.parse(out) as Echoed
    assert.equal(got.method, 'PUT')
    assert.equal(got.headers['transfer-encoding'], 'chunked')
    assert.equal(got.body, sent)
  })

  test('--http2 on a plain port: the upgrade to h2c is ignored, the call answered', async () => {
    const out = await curl('-i', '--http2', `${program.url}/echo-h2c`)
    assert.match(out, /^HTTP\/1\.1 200 /)
    const got = JSON.parse(out.split('\r\n\r\n')[1] ?? '') as Echoed
    for (const name of ['upgrade', 'http2-settings']) assert.equal(got.headers[name], undefined)
  })

  test('one connection serves many calls', async () => {
    const urls = Array.from({ length: 20 }, (_, i) => `${program.url}/many/${i}`)
    const out = await curl('-w', '\n%{num_connects}\n', ...urls)
    const connects = out.split('\n').filter(line => /^\d+$/.test(line))
    assert.deepEqual(connects, ['1', ...Array.from({ length: 19 }, () => '0')])
  })

  test('an unused connection to the upstream is taken again', async () => {
    const before = origin.opened
    await curl(...Array.from({ length: 20 }, (_, i) => `${program.url}/reuse/${i}`))
    assert.ok(origin.opened - before <= 1, `${origin.opened - before} connections for 20 calls`)
  })

  test('--compressed: the coding passes untouched', async () => {
    assert.equal(await curl('--compressed', `${program.url}/gzip`), 'packed'.repeat(1000))
  })
})

test('wrk: thousands of calls over 32 connections, every one answered 200', { skip: without('wrk') }, async () => {
  const { stdout } = await run('wrk', ['-t', '2', '-c', '32', '-d', '2s', `${program.url}/load`])
  const calls = Number(/(\d+) requests in/.exec(stdout)?.[1])
  assert.ok(calls > 1000, stdout)
  assert.doesNotMatch(stdout, /Socket errors|Non-2xx/)
})

test('undici with ten calls in the pipeline: 5,000 answers, each to its own question', async () => {
  const pool = new Pool(program.url, { pipelining: 10, connections: 4 })
  const before = origin.targets.size
  let answered = 0
  const calls = Array.from({ length: 5000 }, async (_, i) => {
    const { statusCode, body } = await pool.request({ path: `/pipe/${i}`, method: 'GET' })
    const got = (await body.json()) as Echoed
    assert.equal(statusCode, 200)
    assert.equal(got.url, `/pipe/${i}`)
    answered++
  })
  await Promise.all(calls)
  await pool.close()
  assert.equal(answered, 5000)
  assert.equal(origin.targets.size - before, 5000)
})

test('a pipeline of 100 calls in one write: answered in order, though the first takes longest', async () => {
  const client = await Peer.connect(program.port)
  const count = 100
  client.send(
    Array.from(
      { length: count },
      (_, i) => `GET ${i === 0 ? '/chunks' : `/line/${i}`} HTTP/1.1\r\nHost: a.test\r\n\r\n`,
    ).join(''),
  )
  await client.until(`/line/${count - 1}"`)
  const seen = [...client.text.matchAll(/"url":"\/line\/(\d+)"/g)].map(match => Number(match[1]))
  assert.deepEqual(
    seen,
    Array.from({ length: count - 1 }, (_, i) => i + 1),
  )
  assert.ok(client.text.indexOf('three') < client.text.indexOf('/line/1"'))
  client.socket.destroy()
})

test('node:http with a keep-alive agent: 1,000 calls over 8 connections', async () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 })
  const got = await Promise.all(
    Array.from({ length: 1000 }, (_, i) => ask(program.port, { path: `/agent/${i}`, agent })),
  )
  assert.ok(got.every(({ status, isWhole }) => status === 200 && isWhole))
  assert.equal(Object.values(agent.freeSockets).flat().length, 8)
  agent.destroy()
})

test('fetch: a streamed request body and a streamed reply', async () => {
  const body = new ReadableStream({
    start(controller) {
      for (const word of ['a', 'b', 'c']) controller.enqueue(new TextEncoder().encode(word))
      controller.close()
    },
  })
  const init: RequestInit & { duplex: 'half' } = { method: 'POST', body, duplex: 'half' }
  const got = (await (await fetch(`${program.url}/fetch`, init)).json()) as Echoed
  assert.equal(got.body, 'abc')
})

describe('direct and through the gateway are the same', () => {
  /** `Trailer` is of one hop, and a reply without a body has no coding of one. */
  const added = /^(connection|keep-alive|date|x-request-id|trailer)$/i
  const seen = ({ status, reason, rawHeaders, trailers, body, isWhole, interim }: Answer) => ({
    status,
    reason,
    headers: sorted(pairs(rawHeaders).filter(([name]) => !added.test(name ?? ''))),
    trailers: { ...trailers },
    body: body.toString('latin1'),
    isWhole,
    interim: [...interim],
  })

  for (const path of Object.keys(answers)) {
    for (const method of ['GET', 'HEAD', 'POST']) {
      // Node's own server cannot answer this.
      if (method === 'HEAD' && path === '/trailers') continue
      test(`reply ${method} ${path}`, async () => {
        const question: Question = {
          method,
          path,
          headers: { te: 'trailers', connection: 'te' },
          ...(method === 'POST' && { body: 'x' }),
        }
        const [direct, through] = await Promise.all([ask(origin.port, question), ask(program.port, question)])
        const expected = seen(direct)
        if (method === 'HEAD')
          expected.headers = expected.headers.filter(field => !field.startsWith('transfer-encoding'))
        assert.deepEqual(seen(through), expected)
      })
    }
  }

  const questions: [name: string, question: Question][] = [
    [
      'fields in their order and case, twice and empty',
      { headers: ['Host', 'a.test', 'X-B', '2', 'x-a', '1', 'X-B', '3', 'X-Empty', ''] },
    ],
    ['a query with odd characters', { path: "/q?a=1&a=2&b=%2F%00%ff&c[]=x;y'z&&=" }],
    ['an encoded path', { path: "/caf%C3%A9/%20/%41/a:b@c/!$&'()*+,=~" }],
    ['an absolute-form target', { path: 'http://a.test/abs?x=1', headers: { host: 'a.test' } }],
    ['DELETE without a body', { method: 'DELETE' }],
    ['PUT of nothing', { method: 'PUT', headers: { host: 'a.test', 'content-length': '0' } }],
    [
      'PATCH with a body',
      { method: 'PATCH', body: '{}', headers: { host: 'a.test', 'content-type': 'application/json' } },
    ],
    ['a method nobody registered', { method: 'PURGE' }],
    ['POST of all octets', { method: 'POST', body: Buffer.from(Array.from({ length: 256 }, (_, i) => i)) }],
    ['POST in chunks', { method: 'POST', body: 'y'.repeat(100_000), isChunked: true }],
    ['GET with a body', { method: 'GET', body: 'unusual' }],
    ['cookies and authorization', { headers: { host: 'a.test', cookie: 'a=1; b=2', authorization: 'Bearer x.y.z' } }],
    ['a conditional and a range', { headers: { host: 'a.test', 'if-none-match': '"a"', range: 'bytes=0-1' } }],
  ]
  const ours = /^(connection|via|x-request-id|traceparent|x-forwarded-(for|proto|host))$/i
  /** A length of nothing says the same as none. */
  const isOurs = ([name = '', value]: string[]) => ours.test(name) || (/^content-length$/i.test(name) && value === '0')
  const told = (got: Answer) => {
    const echoed = JSON.parse(got.text) as Echoed
    const { method, url, body } = echoed
    return { method, url, body, headers: pairs(echoed.rawHeaders).filter(pair => !isOurs(pair)) }
  }
  for (const [name, question] of questions) {
    test(`request: ${name}`, async () => {
      const fixed = { headers: { host: 'a.test' }, ...question }
      const [direct, through] = await Promise.all([ask(origin.port, fixed), ask(program.port, fixed)])
      const [expected, got] = [told(direct), told(through)]
      if (name.startsWith('an absolute')) expected.url = '/abs?x=1'
      assert.deepEqual({ ...got, headers: sorted(got.headers) }, { ...expected, headers: sorted(expected.headers) })
      // Framing and Host may move; what the client wrote itself keeps its order.
      assert.deepEqual(own(got.headers), own(expected.headers))
    })
  }
})

function pairs(raw: readonly string[]): string[][] {
  return Array.from({ length: raw.length / 2 }, (_, i) => raw.slice(2 * i, 2 * i + 2))
}

/** By name; names in lower case where the gateway writes the field anew. */
function sorted(list: string[][]): string[] {
  return list
    .map(([name = '', value = '']) => `${rewritten.test(name) ? name.toLowerCase() : name}: ${value}`)
    .sort((a, b) => (a < b ? -1 : 1))
}

const rewritten = /^(content-length|transfer-encoding|host)$/i
