// Compressed replies over the wire: what curl makes of them, streams, clients that are slow or leave, upstreams that die.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import net from 'node:net'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { ask } from '../tools/ask.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const run = promisify(execFile)
const words = Array.from({ length: 400 }, () => randomBytes(3).toString('hex'))
const page = Array.from({ length: 200_000 }, (_, i) => words[(i * 7919) % 400]).join(' ')
const digest = (content: Buffer | string) => createHash('sha256').update(content).digest('hex')

/** Replies that are open, for the test to write to. */
const open: ServerResponse[] = []
let origin: Origin
let program: Program
before(async () => {
  origin = await Origin.start(serve, { isStreaming: true })
  program = await Program.start({
    upstreams: { origin: { targets: [origin.url] } },
    policies: [{ compress: {} }],
    routes: [{ match: { path: '/**' }, forward: 'origin' }],
  })
})
after(async () => {
  await program[Symbol.asyncDispose]()
  await origin[Symbol.asyncDispose]()
})

function serve(request: IncomingMessage, response: ServerResponse): void {
  request.resume()
  const headers = { 'content-type': 'text/plain', etag: '"v1"' }
  switch (request.url) {
    case '/page':
      response.writeHead(200, { ...headers, 'content-length': page.length })
      return void response.end(request.method === 'HEAD' ? undefined : page)
    case '/chunked':
      response.writeHead(200, headers)
      for (let at = 0; at < page.length; at += 9999) response.write(page.slice(at, at + 9999))
      return void response.end()
    case '/part':
      response.writeHead(206, { ...headers, 'content-range': `bytes 0-9999/${page.length}` })
      return void response.end(page.slice(0, 10_000))
    case '/encoded': {
      response.writeHead(200, { ...headers, 'content-encoding': 'gzip' })
      return void response.end(zlib.gzipSync(page))
    }
    case '/endless': {
      response.writeHead(200, { 'content-type': 'text/plain' })
      const more = () => {
        while (!response.destroyed && response.write(randomBytes(12_000).toString('hex')));
      }
      response.on('drain', more)
      return more()
    }
    default:
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.flushHeaders()
      open.push(response)
  }
}

async function curl(...args: string[]): Promise<Buffer> {
  const { stdout } = await run('curl', ['-sS', '--max-time', '30', ...args], { encoding: 'buffer', maxBuffer: 1e8 })
  return stdout
}

for (const coding of ['gzip', 'br', 'zstd']) {
  for (const path of ['/page', '/chunked']) {
    test(`curl decodes ${coding} of ${path}, and less than half of it travelled`, async () => {
      const wire = await curl('-H', `Accept-Encoding: ${coding}`, `${program.url}${path}`)
      assert.ok(wire.length < page.length / 2, `${wire.length} bytes`)
      const decoded = await curl('--compressed', '-H', `Accept-Encoding: ${coding}`, `${program.url}${path}`)
      assert.equal(digest(decoded), digest(page))
    })
  }
}

test('curl --compressed, with what it accepts by itself', async () => {
  assert.equal(digest(await curl('--compressed', `${program.url}/page`)), digest(page))
})

describe('what is left as it is', () => {
  const accept = { 'accept-encoding': 'gzip, br, zstd' }

  test('a client that names no coding gets the bytes, with their length and their tag', async () => {
    const { headers, text } = await ask(program.port, { path: '/page' })
    assert.equal(digest(text), digest(page))
    const { 'content-encoding': coding, 'content-length': length, etag, vary } = headers
    assert.deepEqual([coding, Number(length), etag, vary], [undefined, page.length, '"v1"', 'Accept-Encoding'])
  })

  test('HEAD', async () => {
    const { headers, body } = await ask(program.port, { method: 'HEAD', path: '/page', headers: accept })
    assert.deepEqual([headers['content-encoding'], body.length], [undefined, 0])
  })

  test('a part (206)', async () => {
    const { headers, text } = await ask(program.port, { path: '/part', headers: accept })
    assert.equal(headers['content-encoding'], undefined)
    assert.equal(text, page.slice(0, 10_000))
  })

  test('what the service encoded, byte for byte', async () => {
    const { headers, body } = await ask(program.port, { path: '/encoded', headers: accept })
    assert.equal(headers['content-encoding'], 'gzip')
    assert.equal(digest(zlib.gunzipSync(body)), digest(page))
  })
})

/** One reply that stays open, decoded as it comes. */
function listen(coding: keyof typeof decoders) {
  const seen = { text: '', isCut: false }
  const request = http.get({
    port: program.port,
    path: '/events',
    headers: { 'accept-encoding': coding },
    agent: false,
  })
  request.on('error', () => (seen.isCut = true))
  request.on('response', response => {
    assert.equal(response.headers['content-encoding'], coding)
    const decoder = decoders[coding]()
    decoder.on('data', (chunk: Buffer) => (seen.text += chunk.toString()))
    decoder.on('error', () => {})
    response.on('error', () => {})
    response.on('close', () => (seen.isCut = !response.complete))
    response.pipe(decoder)
  })
  return { seen, request }
}
const decoders = {
  gzip: () => zlib.createGunzip(),
  br: () => zlib.createBrotliDecompress(),
  zstd: () => zlib.createZstdDecompress(),
}

async function nextStream(): Promise<ServerResponse> {
  await until(
    () => open.length > 0,
    () => 'the upstream to be asked',
  )
  return open.shift() as ServerResponse
}

for (const coding of ['gzip', 'br', 'zstd'] as const) {
  test(`${coding}: server-sent events come one by one; an upstream that dies is seen as cut`, async () => {
    const { seen } = listen(coding)
    const stream = await nextStream()
    let sent = ''
    for (let id = 0; id < 10; id++) {
      stream.write(`id: ${id}\ndata: hello\n\n`)
      sent += `id: ${id}\ndata: hello\n\n`
      await until(
        () => seen.text === sent,
        () => `event ${id}`,
      )
    }
    stream.destroy()
    await until(
      () => seen.isCut,
      () => 'the stream to be cut',
    )
  })
}

test('a client that leaves is told to the upstream', async () => {
  const { seen, request } = listen('gzip')
  const stream = await nextStream()
  stream.write('data: 1\n\n')
  await until(
    () => seen.text !== '',
    () => 'the first event',
  )
  request.destroy()
  await until(
    () => stream.destroyed,
    () => 'the upstream to hear of it',
  )
})

test('clients that do not read cost a bounded amount of memory, and others are served meanwhile', async () => {
  const compressions = () => program.total('turnpike_compressions_total', { coding: 'zstd' })
  const before = { bytes: await program.residentBytes(), zstd: await compressions() }
  const clients = Array.from({ length: 24 }, () => {
    const socket = net.connect(program.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write('GET /endless HTTP/1.1\r\nHost: a\r\nAccept-Encoding: zstd\r\n\r\n')
    socket.pause()
    return socket
  })
  await until(
    async () => (await compressions()) === before.zstd + 24,
    () => 'all of them to be answered',
  )
  for (let i = 0; i < 20; i++) {
    const { body } = await ask(program.port, { path: '/page', headers: { 'accept-encoding': 'br' } })
    assert.equal(digest(zlib.brotliDecompressSync(body)), digest(page))
  }
  const grown = (await program.residentBytes()) - before.bytes
  assert.ok(grown < 100e6, `grew by ${Math.round(grown / 1e6)} MB`)
  for (const socket of clients) socket.destroy()
  await until(
    async () => (await program.total('http_server_active_requests')) === 0,
    () => 'all calls to be over',
  )
})
