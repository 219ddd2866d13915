// Replies that come bit by bit: server-sent events, interim replies, and bodies in both directions at once.
//
// Runs alone.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { EventSource } from 'eventsource'
import { Peer, PeerServer } from '../strictness/wire/peer.ts'
import { ask } from '../tools/ask.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

/** Replies that are open, for the test to write to. */
const open: ServerResponse[] = []
let origin: Origin
let raw: PeerServer
let program: Program
before(async () => {
  origin = await Origin.start(serve, { isStreaming: true })
  raw = new PeerServer()
  const rawPort = await raw.listen()
  program = await Program.start({
    upstreams: { origin: { targets: [origin.url] }, raw: { targets: [`http://127.0.0.1:${rawPort}`] } },
    routes: [
      { match: { path: '/raw' }, forward: 'raw' },
      { match: { path: '/**' }, forward: 'origin' },
    ],
  })
})
after(async () => {
  await program[Symbol.asyncDispose]()
  raw.close()
  await origin[Symbol.asyncDispose]()
})

function serve(request: IncomingMessage, response: ServerResponse): void {
  if (request.url === '/events') {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.flushHeaders()
    open.push(response)
  } else if (request.url === '/echo') {
    response.writeHead(200)
    response.flushHeaders()
    request.pipe(response)
  } else if (request.url === '/hints') {
    response.writeEarlyHints({ link: '</a.css>; rel=preload; as=style' })
    response.writeEarlyHints({ link: '</b.js>; rel=preload; as=script' })
    response.end('page')
  } else request.resume().on('end', () => response.end('done'))
}

/** The reply that the next call of `/events` opens. */
async function nextStream(): Promise<ServerResponse> {
  await until(
    () => open.length > 0,
    () => 'the upstream to be asked',
  )
  return open.shift() as ServerResponse
}

describe('server-sent events', () => {
  test('each arrives before the next is sent', async () => {
    const source = new EventSource(`${program.url}/events`)
    const opened = once(source, 'open')
    const stream = await nextStream()
    await opened
    for (let i = 0; i < 50; i++) {
      const arrived = once(source, 'message') as Promise<[MessageEvent]>
      stream.write(`id: ${i}\ndata: event ${i}\n\n`)
      const [event] = await arrived
      assert.deepEqual([event.data, event.lastEventId], [`event ${i}`, String(i)])
    }
    source.close()
    await once(stream, 'close')
  })

  test('the head comes before the first event', async () => {
    const request = http.get({ host: '127.0.0.1', port: program.port, path: '/events', agent: false })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    assert.equal(response.headers['content-type'], 'text/event-stream')
    const stream = await nextStream()
    stream.end('data: last\n\n')
    let text = ''
    for await (const chunk of response) text += String(chunk)
    assert.equal(text, 'data: last\n\n')
  })

  test('an event of one byte after another is passed on byte by byte', async () => {
    const client = await Peer.connect(program.port)
    client.send('GET /events HTTP/1.1\r\nHost: a.test\r\n\r\n')
    const stream = await nextStream()
    await client.until('\r\n\r\n')
    let expected = ''
    for (const letter of 'data: x') {
      stream.write(letter)
      expected += `1\r\n${letter}\r\n`
      await client.until(expected)
    }
    client.socket.destroy()
    await once(stream, 'close')
  })

  test('an upstream that breaks off: EventSource reconnects with the last id', async () => {
    const source = new EventSource(`${program.url}/events`)
    const opened = once(source, 'open')
    const first = await nextStream()
    await opened
    const arrived = once(source, 'message')
    first.write('retry: 10\nid: 7\ndata: x\n\n')
    await arrived
    first.socket?.destroy()
    const second = await nextStream()
    assert.equal(second.req.headers['last-event-id'], '7')
    source.close()
    await once(second, 'close')
  })

  test('a client that leaves ends the stream at the upstream', async () => {
    const source = new EventSource(`${program.url}/events`)
    const opened = once(source, 'open')
    const stream = await nextStream()
    await opened
    source.close()
    await once(stream, 'close')
    await program.untilTotal('http_server_active_requests', {}, 0)
  })
})

test('both directions at once: each piece of the request comes back before the next is sent', async () => {
  const request = http.request({ host: '127.0.0.1', port: program.port, method: 'POST', path: '/echo', agent: false })
  request.write('first')
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  assert.equal(String((await once(response, 'data'))[0]), 'first')
  for (let i = 0; i < 20; i++) {
    const back = once(response, 'data')
    request.write(`piece ${i}`)
    assert.equal(String((await back)[0]), `piece ${i}`)
  }
  request.end()
  response.resume()
  await once(response, 'end')
  assert.ok(response.complete)
})

describe('interim replies', () => {
  test('103 Early Hints reach the client, each with its fields, before the reply', async () => {
    const request = http.get({ host: '127.0.0.1', port: program.port, path: '/hints', agent: false })
    const links: unknown[] = []
    request.on('information', ({ statusCode, headers }) => links.push([statusCode, headers.link]))
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    assert.deepEqual(links, [
      [103, '</a.css>; rel=preload; as=style'],
      [103, '</b.js>; rel=preload; as=script'],
    ])
    assert.equal(response.statusCode, 200)
    response.resume()
  })

  test('100 Continue comes once, when the upstream asks for the body', async () => {
    const got = await new Promise<string>((resolve, reject) => {
      const headers = { expect: '100-continue', 'content-length': '4' }
      const request = http.request({
        host: '127.0.0.1',
        port: program.port,
        method: 'POST',
        path: '/post',
        headers,
        agent: false,
      })
      let continues = 0
      request.on('continue', () => {
        continues++
        request.end('body')
      })
      request.on('error', reject)
      request.on('response', response => {
        response.resume()
        resolve(`${continues} ${response.statusCode}`)
      })
      request.flushHeaders()
    })
    assert.equal(got, '1 200')
  })

  test('102 reaches HTTP/1.1 clients as it comes, and no interim reply those of HTTP/1.0', async () => {
    const client = await Peer.connect(program.port)
    client.send('GET /raw HTTP/1.1\r\nHost: a.test\r\n\r\n')
    const server = await raw.accept()
    await server.until('\r\n\r\n')
    server.send('HTTP/1.1 102 Processing\r\n\r\n')
    await client.until(/^HTTP\/1\.1 102 Processing\r\n\r\n$/)
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    await client.until('ok')
    client.socket.destroy()
    const plain = await ask(program.port, { path: '/hints' })
    assert.deepEqual(plain.interim, [103, 103])
    const ten = await Peer.connect(program.port)
    ten.send('GET /hints HTTP/1.0\r\nHost: a.test\r\n\r\n')
    await ten.closed()
    assert.match(ten.text, /^HTTP\/1\.1 200 [^]*page$/)
  })
})
