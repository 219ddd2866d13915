// Long bodies: a gigabyte each way in flat memory, and a side that is slow slows the other side down.
//
// Runs alone: it measures time.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import net from 'node:net'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const MB = 1_000_000
const gigabyte = 1000 * MB
const growthMax = 60 * MB
const block = Buffer.alloc(65_536, 'x')

/** What the upstream has sent and received of the bodies of one target. */
const moved = { sent: 0, received: 0 }

let origin: Origin
let program: Program
before(async () => {
  origin = await Origin.start(serve, { isStreaming: true })
  program = await Program.start({
    listeners: [{ port: 0, host: '127.0.0.1', timeouts: { body: '60s' } }],
    upstreams: {
      origin: { targets: [origin.url] },
      stalling: { targets: [origin.url], timeouts: { response: '2s' } },
    },
    routes: [
      { match: { path: '/stall' }, forward: 'stalling' },
      { match: { path: '/**' }, forward: 'origin' },
    ],
  })
})
after(async () => {
  await program[Symbol.asyncDispose]()
  await origin[Symbol.asyncDispose]()
})

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://origin.test')
  moved.sent = 0
  moved.received = 0
  if (pathname === '/down') return send(response, Number(searchParams.get('bytes')), searchParams.has('chunked'))
  if (pathname === '/up') {
    request.on('data', (chunk: Buffer) => {
      moved.received += chunk.length
    })
    await once(request, 'end')
    response.end(String(moved.received))
  }
  // `/stall` reads nothing: what comes waits in the socket.
  if (pathname === '/stall') request.pause()
}

function send(response: ServerResponse, bytes: number, isChunked: boolean): void {
  response.writeHead(200, isChunked ? {} : { 'content-length': bytes })
  const push = () => {
    while (moved.sent < bytes) {
      const piece = block.subarray(0, Math.min(block.length, bytes - moved.sent))
      moved.sent += piece.length
      if (!response.write(piece)) return
    }
    response.end()
  }
  response.on('drain', push)
  push()
}

/** Resident memory is looked at while `work` goes on; tells how far it rose above what it was before. */
async function growthDuring(work: Promise<unknown>): Promise<number> {
  const before = await program.residentBytes()
  let peak = before
  const over = new AbortController()
  const watch = async () => {
    while (!over.signal.aborted) {
      peak = Math.max(peak, await program.residentBytes())
      await pause(25)
    }
  }
  const watched = watch()
  await work.finally(() => over.abort())
  await watched
  return peak - before
}

async function download(path: string): Promise<number> {
  const request = http.get({ host: '127.0.0.1', port: program.port, path, agent: false })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  let bytes = 0
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  await once(response, 'end')
  assert.ok(response.complete)
  return bytes
}

async function upload(bytes: number, headers: http.OutgoingHttpHeaders): Promise<string> {
  const request = http.request({
    host: '127.0.0.1',
    port: program.port,
    method: 'POST',
    path: '/up',
    headers,
    agent: false,
  })
  const answered = once(request, 'response') as Promise<[IncomingMessage]>
  for (let sent = 0; sent < bytes; sent += block.length) {
    if (!request.write(block.subarray(0, Math.min(block.length, bytes - sent)))) await once(request, 'drain')
  }
  request.end()
  const [response] = await answered
  let text = ''
  for await (const chunk of response) text += String(chunk)
  return text
}

describe('a gigabyte in flat memory', { timeout: 300_000 }, () => {
  // The first bodies of a process make its heap and buffers as large as they stay.
  before(async () => {
    await download(`/down?bytes=${100 * MB}`)
    await upload(100 * MB, { 'content-length': 100 * MB })
  })

  for (const [how, query] of [
    ['with a length', ''],
    ['in chunks', '&chunked'],
  ] as const) {
    test(`down, ${how}`, async () => {
      const work = download(`/down?bytes=${gigabyte}${query}`)
      const growth = await growthDuring(work)
      assert.equal(await work, gigabyte)
      assert.ok(growth < growthMax, `${Math.round(growth / MB)} MB more`)
    })
  }

  for (const [how, headers] of [
    ['with a length', { 'content-length': gigabyte }],
    ['in chunks', { 'transfer-encoding': 'chunked' }],
  ] as const) {
    test(`up, ${how}`, async () => {
      const work = upload(gigabyte, headers)
      const growth = await growthDuring(work)
      assert.equal(await work, String(gigabyte))
      assert.ok(growth < growthMax, `${Math.round(growth / MB)} MB more`)
    })
  }
})

/** Waits until a count stands still for half a second, and tells at how much. */
async function settled(count: () => number): Promise<number> {
  let last = -1
  let sinceMs = performance.now()
  await until(
    () => {
      if (count() !== last) sinceMs = performance.now()
      last = count()
      return last > 0 && performance.now() - sinceMs > 500
    },
    () => `a count to stand still; it is ${count()}`,
  )
  return last
}

describe('back-pressure reaches the source', () => {
  /**
   * The buffers of the kernel on the way: two connections, each with up to `tcp_rmem` (often 32 MB) at the reader and `tcp_wmem`
   * at the writer, which it grows by itself. What the gateway holds is bounded by its memory.
   */
  const onTheWayMax = 100 * MB

  test('a client that stops to read stops the upstream, and gets the rest when it reads on', async () => {
    const socket = net.connect({ port: program.port, host: '127.0.0.1' })
    await once(socket, 'connect')
    socket.pause()
    const bytes = 200 * MB
    const growth = await growthDuring(
      (async () => {
        socket.write(`GET /down?bytes=${bytes} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`)
        const sent = await settled(() => moved.sent)
        assert.ok(sent < onTheWayMax, `the upstream had sent ${sent} bytes to a client that reads nothing`)
      })(),
    )
    assert.ok(growth < growthMax, `${Math.round(growth / MB)} MB more`)
    let received = 0
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length
    })
    socket.resume()
    await once(socket, 'close')
    assert.ok(received > bytes && received < bytes + 1000, `${received} bytes came`)
  })

  test('an upstream that reads nothing stops the client, until its time to answer is over', async () => {
    const socket = net.connect({ port: program.port, host: '127.0.0.1' })
    await once(socket, 'connect')
    socket.on('error', () => {})
    let written = 0
    const pump = () => {
      while (!socket.destroyed && written < 200 * MB && socket.write(block)) written += block.length
    }
    socket.on('drain', pump)
    const growth = await growthDuring(
      (async () => {
        socket.write(`POST /stall HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${200 * MB}\r\n\r\n`)
        pump()
        const sent = await settled(() => written)
        assert.ok(sent < onTheWayMax, `the client could send ${sent} bytes to an upstream that reads nothing`)
      })(),
    )
    assert.ok(growth < growthMax, `${Math.round(growth / MB)} MB more`)
    const [reply] = (await once(socket, 'data')) as [Buffer]
    assert.match(reply.toString('latin1'), /^HTTP\/1\.1 504 [^]*"upstream-timeout"/)
    socket.destroy()
    await program.untilTotal('http_server_active_requests', {}, 0)
    await until(
      () => origin.open <= 2,
      () => 'the stalled connection to be closed',
    )
  })

  test('a slow reader gets every byte at its own pace', async () => {
    const request = http.get({
      host: '127.0.0.1',
      port: program.port,
      path: `/down?bytes=${20 * MB}&chunked`,
      agent: false,
    })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    let received = 0
    for await (const chunk of response) {
      received += (chunk as Buffer).length
      if (received % 3 === 0) await pause(1)
    }
    assert.equal(received, 20 * MB)
    assert.ok(response.complete)
  })
})
