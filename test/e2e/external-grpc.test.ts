// The policy `external` against real gRPC services: what they are told, what their answers do, and every way in which they fail.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2 from 'node:http2'
import net, { type AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { Authorizer, type CheckRequestSeen, messages } from '../tools/authorizer.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const header = (key: string, value: string, more: object = {}) => ({ header: { key, value }, ...more })
const pass = (ok_response: object = {}) => ({ status: { code: 0 }, ok_response })

/** What the service does next. */
let decide: (request: CheckRequestSeen, deadlineMs: number) => object | Promise<object>
let asked = 0
let service: Authorizer
let secure: Authorizer
let broken: Broken
let origin: Origin
let program: Program

const count = (request: CheckRequestSeen, deadlineMs: number) => {
  asked++
  return decide(request, deadlineMs)
}

before(async () => {
  const certificate = selfSigned(['localhost'])
  origin = await Origin.start((request, response, body) => {
    const { url, headers } = request
    response.setHeader('x-origin', '1')
    response.end(JSON.stringify({ url, headers, body: body.toString() }))
  })
  service = await Authorizer.start(count)
  secure = await Authorizer.start(count, { tls: certificate })
  broken = await Broken.start()
  const url = `grpc://127.0.0.1:${service.port}`
  const route = (path: string, external: object) => ({
    match: { path },
    // A warm machine needs no second; a busy one may.
    policies: [{ external: { url, timeout: '2s', upstreamHeaders: ['x-user'], ...external } }],
    forward: 'origin',
  })
  program = await Program.start(
    {
      upstreams: { origin: { targets: [origin.url] } },
      outbound: { ca: 'ca.pem' },
      routes: [
        route('/closed', { context: { shop: 'a' } }),
        route('/body', { body: '100B' }),
        route('/brief', { timeout: '250ms' }),
        route('/open', { timeout: '1500ms', onFailure: 'open' }),
        route('/kept', { send: 'authorization', cache: { key: '{path}', ttl: '1h' } }),
        route('/secure', { url: `grpcs://localhost:${secure.port}` }),
        route('/stranger', { url: `grpcs://127.0.0.1:${secure.port}` }),
        route('/inner', { url: `grpc://169.254.169.254:${service.port}` }),
        route('/any', { url: `grpc://0.0.0.0:${service.port}` }),
        route('/broken', { url: `grpc://127.0.0.1:${broken.port}`, timeout: '1s' }),
      ],
    },
    { 'ca.pem': certificate.cert },
  )
})

after(async () => {
  await program.stop()
  service[Symbol.dispose]()
  secure[Symbol.dispose]()
  broken.close()
  await origin[Symbol.asyncDispose]()
})

const ask = (path: string, init: RequestInit = {}) => fetch(`${program.url}${path}`, init)

async function seenBy(path: string, init: RequestInit = {}) {
  const reply = await ask(path, init)
  assert.equal(reply.status, 200, `${path}: ${program.stderr}`)
  return (await reply.json()) as { url: string; headers: Record<string, string>; body: string }
}

/** The log comes by a pipe, a moment after the reply. */
async function logged(pattern: RegExp): Promise<void> {
  await until(
    () => pattern.test(program.stderr),
    () => `${pattern} in ${program.stderr}`,
  )
}

async function codeOf(path: string): Promise<string> {
  const reply = await ask(path)
  const { code = '' } = (await reply.json()) as { code?: string }
  return `${reply.status} ${code}`
}

describe('a service that answers', () => {
  test('is told the call and its deadline, and its edits are made', async () => {
    let told: CheckRequestSeen | undefined
    let leftMs = 0
    decide = (request, deadlineMs) => {
      told = request
      leftMs = deadlineMs
      return pass({
        headers: [header('x-user', 'alice', { append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' })],
        headers_to_remove: ['authorization'],
        query_parameters_to_remove: ['key'],
        response_headers_to_add: [header('x-plan', 'gold')],
      })
    }
    const headers = { authorization: 'Bearer a', 'x-user': 'root', 'x-more': 'b' }
    const reply = await ask('/closed?key=s&c=d', { method: 'POST', body: 'untold', headers })
    const seen = (await reply.json()) as { url: string; headers: Record<string, string>; body: string }
    assert.deepEqual([reply.status, reply.headers.get('x-plan'), reply.headers.get('x-origin')], [200, 'gold', '1'])
    assert.deepEqual([seen.url, seen.body], ['/closed?c=d', 'untold'])
    assert.deepEqual(
      [seen.headers['x-user'], seen.headers['authorization'], seen.headers['x-more']],
      ['alice', undefined, 'b'],
    )
    const { source, destination, request, context_extensions } = told?.attributes ?? assert.fail('nobody was asked')
    assert.equal(source.address.socket_address.address, '127.0.0.1')
    assert.ok(source.address.socket_address.port_value > 0)
    assert.deepEqual(destination.address.socket_address, { address: '127.0.0.1', port_value: program.port })
    const { http } = request
    assert.deepEqual(
      [http.method, http.path, http.host, http.protocol, http.size, http.body],
      ['POST', '/closed?key=s&c=d', `127.0.0.1:${program.port}`, 'HTTP/1.1', 6, undefined],
    )
    assert.deepEqual(
      [http.headers?.['authorization'], http.headers?.['x-user'], http.headers?.['x-forwarded-for']],
      ['Bearer a', 'root', '127.0.0.1'],
    )
    assert.ok(Math.abs(request.time.seconds * 1000 - Date.now()) < 60_000)
    assert.deepEqual(context_extensions, { shop: 'a' })
    assert.ok(leftMs > 0 && leftMs <= 2000, String(leftMs))
  })

  test('denies with status, fields and body; a denial without any is 403', async () => {
    decide = () => ({
      status: { code: 16 },
      denied_response: { status: { code: 401 }, headers: [header('www-authenticate', 'Bearer')], body: 'who are you?' },
    })
    const before = origin.calls
    const reply = await ask('/closed')
    assert.deepEqual(
      [reply.status, reply.headers.get('www-authenticate'), await reply.text()],
      [401, 'Bearer', 'who are you?'],
    )
    decide = () => ({ status: { code: 7 } })
    assert.equal((await ask('/open')).status, 403)
    assert.equal(origin.calls, before)
  })

  test('is told a body under its bound', async () => {
    let body = ''
    decide = ({ attributes }) => {
      body = attributes.request.http.body ?? ''
      return pass()
    }
    assert.equal((await seenBy('/body', { method: 'POST', body: 'hello' })).body, 'hello')
    assert.equal(body, 'hello')
    assert.equal((await ask('/body', { method: 'POST', body: 'x'.repeat(101) })).status, 413)
  })

  test('is asked once per key', async () => {
    decide = () => pass({ headers: [header('x-user', 'alice')] })
    const before = asked
    for (let i = 0; i < 3; i++) assert.equal((await seenBy('/kept')).headers['x-user'], 'alice')
    await seenBy('/kept', { headers: { authorization: 'other' } })
    assert.equal(asked, before + 2)
  })

  test('is reached over TLS by the authority of the config, under its own name', async () => {
    decide = () => pass()
    await seenBy('/secure')
    assert.equal(await codeOf('/stranger'), '503 access-unavailable')
    await logged(/127\.0\.0\.1 is not in the cert/)
  })

  test('is asked many questions at once on one connection, no more than it takes', async () => {
    broken.mode = 'well'
    const before = broken.connections
    const codes = await Promise.all(Array.from({ length: 60 }, () => codeOf('/broken')))
    assert.deepEqual(new Set(codes), new Set(['200 ']))
    assert.equal(broken.connections, before + 1)
    assert.ok(broken.streamsMax <= 10, String(broken.streamsMax))
  })
})

describe('a service that gives no answer', () => {
  const failures: Readonly<Record<string, () => object | Promise<object>>> = {
    slow: () => new Promise(() => {}),
    'an error of the call': () => Promise.reject(Object.assign(new Error('x'), { code: 7, details: 'no' })),
    'an answer without status': () => ({}),
    'a field that is none': () => pass({ headers: [header('x-user', 'a\r\nb: c')] }),
    'too large an answer': () => pass({ headers: [header('x-user', 'x'.repeat(70_000))] }),
  }
  for (const [what, decision] of Object.entries(failures)) {
    test(what, async () => {
      decide = decision
      assert.equal(await codeOf('/brief'), '503 access-unavailable')
      const { headers } = await seenBy('/open', { headers: { 'x-user': 'root' } })
      assert.deepEqual([headers['x-access-unchecked'], headers['x-user']], ['1', undefined])
      decide = () => pass()
      assert.equal((await seenBy('/open')).headers['x-access-unchecked'], undefined)
    })
  }

  test('addresses that nobody shall ask are refused, and the log says how to allow them', async () => {
    decide = () => pass()
    const before = asked
    for (const path of ['/inner', '/any']) assert.equal(await codeOf(path), '503 access-unavailable')
    assert.equal(asked, before)
    await logged(/169\.254\.169\.254 is link-local.*169\.254\.169\.254\/32/)
  })

  test('what is no gRPC: each fails, each is over by the deadline, and a good answer counts again', async () => {
    for (const mode of Broken.modes) {
      broken.mode = mode
      const startedMs = performance.now()
      assert.equal(await codeOf('/broken'), '503 access-unavailable', mode)
      assert.ok(performance.now() - startedMs < 5000, mode)
      broken.mode = 'well'
      await until(
        async () => (await codeOf('/broken')) === '200 ',
        () => `the service to be asked again after ${mode}: ${program.stderr}`,
      )
    }
  })

  test('told to go away (GOAWAY), a new connection is made and no call is lost', async () => {
    broken.mode = 'well'
    assert.equal(await codeOf('/broken'), '200 ')
    const before = broken.connections
    broken.mode = 'goaway'
    for (let i = 0; i < 5; i++) assert.equal(await codeOf('/broken'), '200 ', program.stderr)
    assert.ok(broken.connections > before)
    broken.mode = 'refuse-first'
    assert.equal(await codeOf('/broken'), '200 ')
  })

  test('away and back again: what is remembered counts on, the rest recovers by itself', async () => {
    decide = () => pass()
    await seenBy('/kept')
    const { port } = service
    service[Symbol.dispose]()
    assert.equal(await codeOf('/closed'), '503 access-unavailable')
    assert.equal((await seenBy('/open')).headers['x-access-unchecked'], '1')
    await seenBy('/kept')
    service = await Authorizer.start(count, { port })
    await until(
      async () => (await codeOf('/closed')) === '200 ',
      () => `the service to be asked again: ${program.stderr}`,
    )
    // An orderly end between two calls is noticed by none.
    await service.drain()
    service = await Authorizer.start(count, { port })
    assert.equal(await codeOf('/closed'), '200 ')
    await until(
      async () => (await program.total('turnpike_external_unchecked_total', { http_route: '/open' })) === 6,
      () => 'six unchecked calls to be counted',
    )
  })
})

type Mode = (typeof Broken.modes)[number] | 'well' | 'goaway' | 'refuse-first'

/** An HTTP/2 server whose answers are wrong in the way that `mode` says. */
class Broken {
  static readonly modes = [
    ...(['html', 'no-status', 'reset', 'cut', 'compressed', 'two-messages', 'nonsense', 'silent'] as const),
    ...(['socket-closed', 'http/1'] as const),
  ] as const
  mode: Mode = 'well'
  connections = 0
  /** The most that were open at once. */
  streamsMax = 0
  #streams = 0
  readonly port: number
  readonly #front: net.Server
  readonly #server: http2.Http2Server
  readonly #sockets = new Set<net.Socket>()
  #refused = false

  private constructor(front: net.Server, server: http2.Http2Server) {
    this.#front = front
    this.#server = server
    this.port = (front.address() as AddressInfo).port
    front.on('connection', socket => {
      this.connections++
      this.#sockets.add(socket)
      socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket))
      if (this.mode === 'http/1') socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
      else this.#server.emit('connection', socket)
    })
    server.on('sessionError', () => {})
    server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
      this.streamsMax = Math.max(this.streamsMax, ++this.#streams)
      stream.on('error', () => {}).on('close', () => this.#streams--)
      assert.equal(headers[':path'], '/envoy.service.auth.v3.Authorization/Check')
      this.#answer(stream)
    })
  }

  static async start(): Promise<Broken> {
    const front = net.createServer().listen(0, '127.0.0.1')
    await once(front, 'listening')
    return new Broken(front, http2.createServer({ settings: { maxConcurrentStreams: 10 } }))
  }

  close(): void {
    this.#front.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #answer(stream: http2.ServerHttp2Stream): void {
    const { mode } = this
    const { NGHTTP2_INTERNAL_ERROR, NGHTTP2_REFUSED_STREAM } = http2.constants
    if (mode === 'silent') return
    if (mode === 'socket-closed' || mode === 'http/1') return stream.session?.socket.destroySoon()
    if (mode === 'reset') return stream.close(NGHTTP2_INTERNAL_ERROR)
    if (mode === 'refuse-first' && !this.#refused) {
      this.#refused = true
      return stream.close(NGHTTP2_REFUSED_STREAM)
    }
    const frame = framed(messages.writeResponse(pass()))
    const type = mode === 'html' ? 'text/html' : 'application/grpc'
    stream.respond({ 'content-type': type }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers(mode === 'no-status' ? {} : { 'grpc-status': '0' }))
    if (mode === 'cut') stream.write(frame.subarray(0, 6), () => stream.close(NGHTTP2_INTERNAL_ERROR))
    else if (mode === 'compressed') stream.end(Buffer.concat([Buffer.from([1]), frame.subarray(1)]))
    else if (mode === 'two-messages') stream.end(Buffer.concat([frame, frame]))
    else if (mode === 'nonsense') stream.end(framed(Buffer.from('nonsense')))
    else stream.end(frame)
    if (mode === 'goaway') stream.session?.close()
  }
}

function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}
