// Bodies read whole before the upstream is asked.

import assert from 'node:assert/strict'
import http from 'node:http'
import { test } from 'node:test'
import { ask, codeOf } from '../tools/ask.ts'
import { echo, type Echoed, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

test('what came in chunks goes on with its length, when it has come whole', async () => {
  await using origin = await Origin.start(echo)
  await using program = await Program.start({
    upstreams: { origin: { targets: [origin.url] } },
    routes: [{ match: { path: '/**' }, policies: [{ buffer: '100kB' }], forward: 'origin' }],
  })
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  const request = http.request({
    port: program.port,
    method: 'POST',
    headers: { 'transfer-encoding': 'chunked' },
    agent,
  })
  const answered = new Promise<string>((resolve, reject) => {
    request.on('error', reject)
    request.on('response', response => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString())).on('end', () => resolve(text))
    })
  })
  request.write('first, ')
  await until(
    async () => (await program.total('http_server_active_requests')) === 1,
    () => 'the call to begin',
  )
  assert.equal(origin.calls, 0)
  request.end('second')
  const { headers, body } = JSON.parse(await answered) as Echoed
  assert.equal(body, 'first, second')
  assert.deepEqual([headers['content-length'], headers['transfer-encoding']], ['13', undefined])

  const large = await ask(program.port, { method: 'POST', body: 'x'.repeat(100_001), isChunked: true })
  assert.deepEqual([large.status, codeOf(large)], [413, 'body-too-large'])
  const announced = await ask(program.port, {
    method: 'POST',
    headers: { 'content-length': '100001', expect: '100-continue' },
  })
  assert.deepEqual([announced.status, announced.interim], [413, []])
  assert.equal(origin.calls, 1)
  agent.destroy()
})

test('a client that leaves in the middle: the upstream hears nothing', async () => {
  await using origin = await Origin.start(echo)
  await using program = await Program.start({
    upstreams: { origin: { targets: [origin.url] } },
    routes: [{ match: { path: '/**' }, policies: [{ buffer: '100kB' }], forward: 'origin' }],
  })
  const request = http.request({ port: program.port, method: 'POST', headers: { 'content-length': '100' } })
  request.on('error', () => {})
  request.write('half')
  await until(
    async () => (await program.total('http_server_active_requests')) === 1,
    () => 'the call to begin',
  )
  request.destroy()
  await until(
    async () => (await program.total('http_server_active_requests')) === 0,
    () => 'the call to be over',
  )
  assert.equal(origin.calls, 0)
})

test('`replies`: a reply in chunks gets a length', async () => {
  await using origin = await Origin.start((_request, response) => {
    response.write('one, ')
    response.end('two')
  })
  await using program = await Program.start({
    upstreams: { origin: { targets: [origin.url] } },
    routes: [{ match: { path: '/**' }, policies: [{ buffer: { replies: '1kB' } }], forward: 'origin' }],
  })
  const { headers, text } = await ask(program.port)
  assert.deepEqual([headers['content-length'], headers['transfer-encoding'], text], ['8', undefined, 'one, two'])
})
