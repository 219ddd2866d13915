// WebSockets and other upgrades through the gateway, with the `ws` package at both ends.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { Peer, PeerServer } from '../strictness/wire/peer.ts'
import { codeOf, ask, type Answer } from '../tools/ask.ts'
import { echo, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const handshake = (path: string, token = 'websocket') =>
  `GET ${path} HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: ${token}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`
const switched = (token: string) =>
  `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${token}\r\n\r\n`

let origin: Origin
let raw: PeerServer
let sockets: WebSocketServer
let program: Program
before(async () => {
  origin = await Origin.start(echo)
  sockets = new WebSocketServer({ server: origin.server, maxPayload: 8e6 })
  sockets.on('connection', serve)
  raw = new PeerServer()
  const rawPort = await raw.listen()
  program = await Program.start({
    workers: 2,
    listeners: [{ port: 0, host: '127.0.0.1', timeouts: { tunnel: '60s' } }],
    upstreams: { origin: { targets: [origin.url] }, raw: { targets: [`http://127.0.0.1:${rawPort}`] } },
    routes: [
      { match: { path: '/closed' }, upgrade: [], forward: 'origin' },
      { match: { path: '/raw' }, forward: 'raw' },
      { match: { path: '/raw/own' }, upgrade: ['own-protocol'], forward: 'raw' },
      { match: { path: '/limited' }, policies: [{ concurrency: 1 }], forward: 'origin' },
      { match: { path: '/**' }, forward: 'origin' },
    ],
  })
})
after(async () => {
  await program[Symbol.asyncDispose]()
  raw.close()
  sockets.close()
  await origin[Symbol.asyncDispose]()
})

/** Echoes; on demand it closes with a code, dies, or never reads. */
function serve(socket: WebSocket, { url = '' }: { url?: string }): void {
  socket.on('error', () => {})
  if (url === '/deaf') return socket.pause()
  socket.on('message', (data, isBinary) => {
    const text = isBinary ? '' : (data as Buffer).toString()
    if (text.startsWith('close ')) socket.close(Number(text.slice(6)), 'as asked')
    else if (text === 'die') rawOf(socket).destroy()
    else socket.send(data, { binary: isBinary })
  })
}

function rawOf(socket: WebSocket): Duplex {
  return (socket as unknown as { _socket: Duplex })._socket
}

async function open(path = '/chat'): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${program.port}${path}`, { maxPayload: 8e6, perMessageDeflate: false })
  await once(socket, 'open')
  return socket
}

async function say(socket: WebSocket, data: string | Buffer): Promise<{ data: Buffer; isBinary: boolean }> {
  socket.send(data)
  const [got, isBinary] = (await once(socket, 'message')) as [Buffer, boolean]
  return { data: got, isBinary }
}

describe('a WebSocket', () => {
  test('carries text', async () => {
    const socket = await open()
    const got = await say(socket, 'grüße')
    assert.deepEqual([got.data.toString(), got.isBinary], ['grüße', false])
    socket.close()
  })

  test('carries binary', async () => {
    const socket = await open()
    const sent = randomBytes(1000)
    const got = await say(socket, sent)
    assert.ok(got.isBinary && got.data.equals(sent))
    socket.close()
  })

  test('carries frames of 1 MB', async () => {
    const socket = await open()
    for (let i = 0; i < 5; i++) {
      const sent = randomBytes(1_000_000)
      assert.ok((await say(socket, sent)).data.equals(sent))
    }
    socket.close()
  })

  test('carries pings and pongs', async () => {
    const socket = await open()
    socket.ping('are you there')
    const [data] = (await once(socket, 'pong')) as [Buffer]
    assert.equal(data.toString(), 'are you there')
    socket.close()
  })

  test('negotiates a subprotocol and compression with the upstream', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${program.port}/chat`, ['chat.v2'])
    await once(socket, 'open')
    assert.equal(socket.protocol, 'chat.v2')
    assert.equal((await say(socket, 'x'.repeat(100_000))).data.length, 100_000)
    socket.close()
  })

  test('close codes of the upstream reach the client', async () => {
    for (const code of [1000, 1001, 1011, 4321]) {
      const socket = await open()
      socket.send(`close ${code}`)
      const [got, reason] = (await once(socket, 'close')) as [number, Buffer]
      assert.deepEqual([got, reason.toString()], [code, 'as asked'])
    }
  })

  test('close codes of the client reach the upstream', async () => {
    const socket = await open()
    const [server] = [...sockets.clients].slice(-1)
    assert.ok(server !== undefined)
    socket.close(4001, 'enough')
    const [code, reason] = (await once(server, 'close')) as [number, Buffer]
    assert.deepEqual([code, reason.toString()], [4001, 'enough'])
  })

  test('a client that dies is gone at the upstream too', async () => {
    const socket = await open()
    const [server] = [...sockets.clients].slice(-1)
    assert.ok(server !== undefined)
    socket.on('error', () => {})
    const closed = once(server, 'close')
    socket.terminate()
    assert.equal(((await closed) as [number])[0], 1006)
  })

  test('an upstream that dies is gone at the client too', async () => {
    const socket = await open()
    socket.on('error', () => {})
    socket.send('die')
    assert.equal(((await once(socket, 'close')) as [number])[0], 1006)
  })

  test('an upstream that does not read stops the client', async () => {
    const socket = await open('/deaf')
    const tcp = rawOf(socket)
    const block = Buffer.alloc(100_000)
    let sent = 0
    await until(
      () => {
        if (tcp.writableLength > 2_000_000) return true
        for (let i = 0; i < 20; i++) socket.send(block)
        sent += 20 * block.length
        return false
      },
      () => `the client to be held back; it sent ${sent} bytes`,
    )
    const heldBack = sent - tcp.writableLength
    assert.ok(heldBack < 40e6, `${heldBack} bytes went out to an upstream that reads nothing`)
    for (const server of sockets.clients) rawOf(server).destroy()
    await once(socket, 'close')
  })

  test('a client that does not read stops the upstream', async () => {
    const socket = await open()
    const [server] = [...sockets.clients].slice(-1)
    assert.ok(server !== undefined)
    socket.pause()
    const tcp = rawOf(server)
    const block = Buffer.alloc(100_000)
    let sent = 0
    await until(
      () => {
        if (tcp.writableLength > 2_000_000) return true
        for (let i = 0; i < 20; i++) server.send(block)
        sent += 20 * block.length
        return false
      },
      () => `the upstream to be held back; it sent ${sent} bytes`,
    )
    assert.ok(sent - tcp.writableLength < 40e6)
    socket.resume()
    let received = 0
    socket.on('message', data => {
      received += (data as Buffer).length
    })
    await until(
      () => received === sent,
      () => `all ${sent} bytes; ${received} came`,
    )
    socket.close()
  })

  test('a hundred at once, none mixed up with another', async () => {
    const all = await Promise.all(Array.from({ length: 100 }, () => open()))
    const echoes = await Promise.all(all.map(async (socket, i) => (await say(socket, `I am ${i}`)).data.toString()))
    assert.deepEqual(
      echoes,
      all.map((_, i) => `I am ${i}`),
    )
    await program.untilTotal('turnpike_downstream_connections', { state: 'upgraded' }, 100)
    for (const socket of all) socket.close()
    await program.untilTotal('turnpike_downstream_connections', { state: 'upgraded' }, 0)
  })

  test('counts under `concurrency` for as long as it is open', async () => {
    const socket = await open('/limited')
    const refused = await ask(program.port, { path: '/limited' })
    assert.deepEqual([refused.status, codeOf(refused)], [503, 'concurrency-exceeded'])
    socket.close()
    await once(socket, 'close')
    let last: Answer = refused
    await until(
      async () => (last = await ask(program.port, { path: '/limited' })).status === 200,
      () => `200; it is ${last.status}`,
    )
  })
})

describe('an upgrade', () => {
  test('is ignored on a route with `upgrade: []`, and the call answered without it', async () => {
    const got = await ask(program.port, {
      path: '/closed',
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      },
    })
    assert.equal(got.status, 200)
    assert.equal((JSON.parse(got.text) as { headers: Record<string, string> }).headers.upgrade, undefined)
  })

  test('of another token is ignored where it is not allowed', async () => {
    const client = await Peer.connect(program.port)
    client.send(handshake('/raw', 'own-protocol'))
    const server = await raw.accept()
    await server.until('\r\n\r\n')
    assert.doesNotMatch(server.text, /upgrade/i)
    server.send('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok')
    await client.until('ok')
    client.socket.destroy()
    await server.closed()
  })

  test('of another token opens a tunnel where it is allowed', async () => {
    const { client, server } = await upgraded('/raw/own', 'own-protocol')
    server.send('from the server')
    await client.until('from the server')
    client.send('\0from the client')
    await server.until('\0from the client')
    client.socket.destroy()
    await server.closed()
  })

  test('bytes sent right behind the request are the first of the tunnel', async () => {
    const client = await Peer.connect(program.port)
    client.send(`${handshake('/raw')}early bytes`)
    const server = await raw.accept()
    await server.until('\r\n\r\n')
    assert.ok(!server.text.includes('early'), 'sent before the upstream agreed')
    server.send(`${switched('websocket')}early answer`)
    await server.until(/\r\n\r\nearly bytes$/)
    await client.until(/\r\n\r\nearly answer$/)
    client.socket.destroy()
    await server.closed()
  })

  test('that the upstream refuses is an ordinary reply, and the connection goes on', async () => {
    const client = await Peer.connect(program.port)
    client.send(handshake('/raw'))
    const server = await raw.accept()
    await server.until('\r\n\r\n')
    server.send('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno')
    await client.until(/^HTTP\/1\.1 403 [^]*no$/)
    client.send('GET /chat HTTP/1.1\r\nHost: a.test\r\n\r\n')
    await client.until('"url":"/chat"')
    client.socket.destroy()
    server.socket.destroy()
  })

  test('a half-close passes through, and the other direction goes on', async () => {
    const { client, server } = await upgraded('/raw', 'websocket')
    const ended = once(client.socket, 'end')
    server.socket.end('last words')
    await ended
    assert.ok(client.text.endsWith('last words'))
    client.socket.destroy()
    await server.closed()
  })

  test('leaves nothing behind', async () => {
    await program.untilQuiet()
    await until(
      () => raw.open === 0,
      () => `${raw.open} connections to close`,
    )
    assert.equal(sockets.clients.size, 0)
  })
})

async function upgraded(path: string, token: string): Promise<{ client: Peer; server: Peer }> {
  const client = await Peer.connect(program.port)
  client.send(handshake(path, token))
  const server = await raw.accept()
  await server.until('\r\n\r\n')
  assert.match(server.text, new RegExp(`\\r\\nupgrade: ${token}\\r\\n`, 'i'))
  server.send(switched(token))
  await client.until(/^HTTP\/1\.1 101 [^]*\r\n\r\n/)
  return { client, server }
}
