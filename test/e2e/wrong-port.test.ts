// Clients that speak plain HTTP to a port for TLS, and TLS to one for plain HTTP.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { writeProxyHeader } from '../../src/http/proxy-header.ts'
import { Peer } from '../strictness/wire/peer.ts'
import { ask } from '../tools/ask.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const pair = selfSigned(['one.test'])
const request = 'GET /x HTTP/1.1\r\nHost: one.test\r\n\r\n'
const header = writeProxyHeader('v2', {
  source: { address: '198.51.100.7', port: 4711 },
  destination: { address: '203.0.113.1', port: 443 },
})
const problem = {
  type: 'urn:turnpike:error:plain-http-on-tls-port',
  title: 'This port speaks TLS: call it by https.',
  status: 400,
  code: 'plain-http-on-tls-port',
}

let program: Program
const [secure, proxied, paced, http1, slow, plain, counted] = [0, 1, 2, 3, 4, 5, 6]

before(async () => {
  const listener = { port: 0, host: '127.0.0.1', tls: { certificates: [{ cert: 'one.pem', key: 'one.key' }] } }
  program = await Program.start(
    {
      workers: 2,
      listeners: [
        { ...listener, name: 'secure' },
        { ...listener, name: 'proxied', proxyProtocol: { from: ['127.0.0.0/8'] } },
        { ...listener, name: 'paced', limits: { accepts: '1000/s' } },
        { ...listener, name: 'http1', http2: { enabled: false } },
        { ...listener, name: 'slow', timeouts: { head: '300ms' } },
        { port: 0, host: '127.0.0.1', name: 'plain' },
        { ...listener, name: 'counted', proxyProtocol: { from: ['127.0.0.0/8'] } },
      ],
      telemetry: { accessLog: '{folder}/access.log' },
      routes: [{ match: { path: '/**' }, reply: { body: 'pong' } }],
    },
    { 'one.pem': pair.cert, 'one.key': pair.key },
  )
})
after(() => program[Symbol.asyncDispose]())

/** Lines of the access log. */
async function logged(code: string): Promise<Record<string, unknown>[]> {
  const lines = (await readFile(program.file('access.log'), 'utf8')).split('\n').slice(0, -1)
  return lines.map(line => JSON.parse(line) as Record<string, unknown>).filter(line => line['code'] === code)
}

/** What came on a connection until it was closed. */
async function exchange(listener: number, ...parts: (string | Buffer)[]): Promise<string> {
  const peer = await Peer.connect(program.portOf(listener))
  for (const part of parts) {
    peer.socket.write(part)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
  await peer.closed()
  return peer.text
}

function assertTold(text: string): void {
  const [head = '', body = ''] = text.split('\r\n\r\n')
  assert.match(head, /^HTTP\/1\.1 400 Bad Request\r\n/)
  assert.match(head, /\r\nconnection: close$/)
  assert.deepEqual(JSON.parse(body), problem)
}

async function overTls(listener: number, before: Buffer | null = null): Promise<string> {
  const socket = net.connect(program.portOf(listener), '127.0.0.1')
  if (before !== null) socket.write(before)
  const client = tls.connect({ socket, ca: pair.cert, servername: 'one.test' })
  client.write(request.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'))
  let text = ''
  for await (const chunk of client) text += String(chunk)
  return text
}

describe('plain HTTP on a TLS port', () => {
  for (const method of ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS', 'M-SEARCH']) {
    test(`${method} is answered 400 by what the port is`, async () => {
      const body = method === 'POST' ? 'x'.repeat(300_000) : ''
      const answer = await ask(program.port, { method, body, path: '/x' })
      assert.equal(answer.status, 400)
      assert.equal(answer.headers['content-type'], 'application/problem+json')
      assert.equal(answer.headers.connection, 'close')
      if (method !== 'HEAD') assert.deepEqual(JSON.parse(answer.text), problem)
    })
  }

  for (const [name, listener, before] of [
    ['alone', secure, ''],
    ['behind a PROXY header', proxied, header],
    ['where new connections have a pace', paced, ''],
    ['without HTTP/2', http1, ''],
  ] as const) {
    test(`${name}: whole, byte by byte, and half closed; and TLS goes on`, async () => {
      const start = Buffer.from(before)
      assertTold(await exchange(listener, Buffer.concat([start, Buffer.from(request)])))
      assertTold(await exchange(listener, start, ...Array.from(request.slice(0, 5))))
      const peer = await Peer.connect(program.portOf(listener))
      peer.socket.end(Buffer.concat([start, Buffer.from(request)]))
      await peer.closed()
      assertTold(peer.text)
      assert.match(await overTls(listener, listener === proxied ? header : null), /^HTTP\/1\.1 200 OK/)
    })
  }

  test('is counted, and logged with its code and the client of the PROXY header', async () => {
    // A listener of its own: lines and counts of the tests before come late.
    assertTold(await exchange(counted, header, request))
    const labels = { listener: 'counted', reason: 'plain-http' }
    await program.untilTotal('turnpike_tls_handshake_failures_total', labels, 1)
    let lines: Record<string, unknown>[] = []
    await until(
      async () => {
        lines = (await logged(problem.code)).filter(({ listener }) => listener === 'counted')
        return lines.length > 0
      },
      () => 'a line in the access log',
    )
    assert.deepEqual(
      lines.map(({ status, client }) => [status, client]),
      [[400, '198.51.100.7']],
    )
  })

  for (const [name, bytes] of [
    ['SSH', 'SSH-2.0-OpenSSH_10.0\r\n'],
    ['HTTP/2 without asking', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a PROXY header that nobody expects', `PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n${request}`],
    ['lower case', 'get / http/1.1\r\n\r\n'],
    ['an empty line before', `\r\n${request}`],
    ['a method without end', 'A'.repeat(100)],
    ['zeros', '\0\0\0\0\0\0\0\0'],
  ] as const) {
    test(`${name} is closed without a word of HTTP`, async () => {
      const before = await program.total('turnpike_tls_handshake_failures_total', { reason: 'protocol' })
      assert.doesNotMatch(await exchange(secure, bytes), /HTTP/)
      await program.untilTotal('turnpike_tls_handshake_failures_total', { reason: 'protocol' }, before + 1)
    })
  }

  test('who says nothing, or begins a method and goes quiet, is closed in time and counted', async () => {
    const startedMs = performance.now()
    assert.deepEqual(await Promise.all(['', 'G', 'GET'].map(text => exchange(slow, text))), ['', '', ''])
    const tookMs = performance.now() - startedMs
    assert.ok(tookMs > 250 && tookMs < 3_000, `${tookMs} ms`)
    await program.untilTotal('turnpike_tls_handshake_failures_total', { listener: 'slow', reason: 'timeout' }, 3)
    const peer = await Peer.connect(program.portOf(slow))
    peer.socket.end('GE')
    await peer.closed()
    await program.untilTotal('turnpike_tls_handshake_failures_total', { listener: 'slow', reason: 'closed' }, 1)
  })

  test('a client that goes on sending is cut off', async () => {
    // It does not close its side either.
    const peer = new Peer(net.connect({ port: program.port, host: '127.0.0.1', allowHalfOpen: true }))
    peer.send('POST / HTTP/1.1\r\n\r\n')
    await peer.until('plain-http-on-tls-port')
    let sent = 0
    const chunk = Buffer.alloc(65_536)
    const flood = setInterval(() => {
      sent += chunk.length
      peer.socket.write(chunk)
    }, 1)
    await peer.closed()
    clearInterval(flood)
    assert.ok(sent < 50_000_000, `${sent} bytes were taken`)
  })

  test('leaves nothing behind', () => program.untilQuiet())
})

test('TLS whose handshake comes byte by byte is served', async () => {
  const raw = net.connect(program.portOf(secure), '127.0.0.1')
  await once(raw, 'connect')
  const hello = await clientHello()
  for (const byte of hello) {
    raw.write(Buffer.from([byte]))
    await new Promise(resolve => setImmediate(resolve))
  }
  const [answer] = (await once(raw, 'data')) as [Buffer]
  // A record that is a handshake: the ServerHello.
  assert.equal(answer[0], 0x16)
  raw.destroy()
})

describe('TLS on a plain port', () => {
  test('is closed at once, and the access log says what it was', async () => {
    const startedMs = performance.now()
    const client = tls.connect({ port: program.portOf(plain), host: '127.0.0.1', rejectUnauthorized: false })
    await assert.rejects(once(client, 'secureConnect'), /wrong version number|packet length too long|SSL/i)
    assert.ok(performance.now() - startedMs < 3_000, 'it waited for the end of a head')
    await until(
      async () => (await logged('malformed-request')).length > 0,
      () => 'a line in the access log',
    )
    const [line] = await logged('malformed-request')
    assert.deepEqual([line?.['status'], line?.['listener']], [400, 'plain'])
    assert.equal(line?.['detail'], 'TLS is spoken where plain HTTP was expected')
  })

  test('is told by its first byte', async () => {
    const peer = await Peer.connect(program.portOf(plain))
    peer.send('\x16')
    await peer.closed()
    assert.match(peer.text, /^HTTP\/1\.1 400 /)
  })
})

/** The first record of a client of TLS. */
async function clientHello(): Promise<Buffer> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const client = tls.connect({ port, host: '127.0.0.1', servername: 'one.test' }).on('error', () => {})
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  client.destroy()
  socket.destroy()
  server.close()
  return bytes
}
