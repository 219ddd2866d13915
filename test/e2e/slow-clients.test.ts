// Clients that are slow, or give no time, cannot make an upstream pass for a sick one, nor hold up what others get of it.
//
// Runs alone.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2, { type ServerHttp2Stream } from 'node:http2'
import net, { type AddressInfo, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { UpstreamStatus } from '../../src/control/admin-view.ts'
import { ask } from '../tools/ask.ts'
import { answerOf } from '../tools/http2.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const breaker = { minimum: 4, open: '1m' }
const grpc = { ':status': 200, 'content-type': 'application/grpc' }

/** A route to each upstream. */
const to = (upstream: string) => ({ match: { path: `/${upstream}/**` }, forward: { to: upstream, path: '/{rest}' } })

/** Endless replies that were begun, and the pieces of them that were sent. */
let begun = 0
let pieces = 0
const said = () => `${begun} replies, ${pieces} pieces`

/** An endless reply at `/endless`, a status of gRPC at `/STATUS`, and what came elsewhere. */
async function serve(stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders): Promise<void> {
  stream.on('error', () => {})
  const { ':path': path = '' } = headers
  const [, status] = /^\/(\d+)$/.exec(path) ?? []
  if (status !== undefined) return stream.respond({ ...grpc, 'grpc-status': status }, { endStream: true })
  if (path === '/never') return
  if (path === '/endless') {
    begun++
    stream.respond({ ':status': 200 })
    return void Readable.from(endless()).pipe(stream)
  }
  const body = await text(stream)
  stream.respond({ ':status': 200 })
  stream.end(body)
}

function* endless(): Generator<Buffer> {
  for (;;) {
    pieces++
    yield Buffer.alloc(16_384)
  }
}

const server = http2.createServer()
server.on(
  'stream',
  (stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void serve(stream, headers).catch(() => {}),
)

let origin: Origin
let program: Program
before(async () => {
  origin = await Origin.start((_, response) => response.end('whole'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const h2 = { targets: [`http://127.0.0.1:${port}`], protocol: 'http2' }
  program = await Program.start({
    workers: 1,
    admin: { port: 0 },
    upstreams: {
      one: { targets: [origin.url], timeouts: { call: '3s' }, breaker: { ...breaker, slow: { over: '600ms' } } },
      two: { ...h2, timeouts: { call: '3s' }, breaker: { ...breaker, slow: { over: '600ms' } } },
      watched: { ...h2, ejection: { consecutive: 3, maxPercent: '100%' } },
      shared: h2,
    },
    routes: ['one', 'two', 'watched', 'shared'].map(to),
  })
})
after(async () => {
  for (const socket of sockets) socket.destroy()
  await program[Symbol.asyncDispose]()
  await origin[Symbol.asyncDispose]()
  server.close()
})

const sockets: Socket[] = []

function open(head: string): Socket {
  const socket = net.connect(program.port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(`${head} HTTP/1.1\r\nhost: a\r\n`)
  sockets.push(socket)
  return socket
}

/** Sends a body piece by piece until there is an answer, and the rest of it behind so many pieces; returns the status line. */
async function drip(path: string, pieces: number): Promise<string> {
  const socket = open(`POST ${path}`)
  socket.write('content-length: 100\r\n\r\n')
  let answer = ''
  socket.on('data', bytes => (answer += bytes.toString('latin1')))
  for (let sent = 0; sent < 99 && !answer.includes('\r\n'); sent++) {
    if (sent === pieces) socket.write('x'.repeat(100 - pieces))
    else if (sent < pieces) socket.write('x')
    await pause(100)
  }
  return answer.split('\r\n')[0] ?? ''
}

const isClosed = async (upstream: string) => (await program.total('turnpike_breaker_state', { upstream })) === 0

describe('a breaker', () => {
  for (const upstream of ['one', 'two']) {
    test(`stays closed for bodies that come slowly, or not in time: ${upstream}`, async () => {
      const path = `/${upstream}/x`
      const slow = await Promise.all(Array.from({ length: 6 }, () => drip(path, 8)))
      assert.deepEqual(new Set(slow), new Set(['HTTP/1.1 200 OK']))
      assert.equal((await ask(program.port, { method: 'POST', path, body: 'x' })).status, 200)
      const late = await Promise.all(Array.from({ length: 12 }, () => drip(path, Infinity)))
      assert.deepEqual(new Set(late), new Set(['HTTP/1.1 504 Gateway Timeout']))
      assert.equal((await ask(program.port, { method: 'POST', path, body: 'x' })).status, 200)
      assert.ok(await isClosed(upstream))
    })
  }

  test('stays closed for methods that a service does not have', async () => {
    for (let i = 0; i < 12; i++) assert.equal(await callGrpc('/two/12'), '12')
    assert.ok(await isClosed('two'))
  })
})

test('deadlines that nobody can meet eject no target', async () => {
  // Kept by the service, and by the gateway. Ejected it would get no further call, and the answer be another.
  for (let i = 0; i < 12; i++) assert.equal(await callGrpc('/watched/4'), '4')
  for (let i = 0; i < 6; i++) assert.equal(await callGrpc('/watched/never', '20m'), '4')
  assert.equal(await stateOfWatched(), 'usable')
  // As many failures of the service itself do it.
  for (let i = 0; i < 3; i++) assert.equal(await callGrpc('/watched/14'), '14')
  assert.equal(await stateOfWatched(), 'ejected')
})

test('clients that do not read hold up no others on the same HTTP/2 connection to an upstream', async () => {
  for (let i = 0; i < 40; i++) open('GET /shared/endless').pause().write('\r\n')
  await until(() => begun === 40, said)
  // Until the buffers on the way are full.
  let sent = 0
  await until(async () => {
    sent = pieces
    await pause(300)
    return pieces === sent
  }, said)
  const answer = await ask(program.port, { method: 'POST', path: '/shared/x', body: 'through', timeoutMs: 5_000 })
  assert.equal(answer.text, 'through')
})

async function stateOfWatched(): Promise<string | undefined> {
  const all = (await (await program.admin('/upstreams')).json()) as UpstreamStatus[]
  return all.find(({ name }) => name === 'watched')?.targets[0]?.state
}

/** The status of a call of gRPC, with a deadline where one is given. */
async function callGrpc(path: string, timeout?: string): Promise<unknown> {
  const session = http2.connect(`http://127.0.0.1:${program.port}`)
  const fields = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' }
  const deadline = timeout === undefined ? {} : { 'grpc-timeout': timeout }
  const stream = session.request({ ...fields, ...deadline, ':path': path })
  stream.end()
  const { headers } = await answerOf(stream)
  session.close()
  return headers['grpc-status']
}
