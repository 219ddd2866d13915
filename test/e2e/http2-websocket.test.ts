// WebSocket over HTTP/2: an extended CONNECT from the client, an upgrade toward the upstream.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2, { type ClientHttp2Session } from 'node:http2'
import { after, before, describe, test } from 'node:test'
import { WebSocketServer } from 'ws'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { PeerServer } from '../strictness/wire/peer.ts'
import { answerOf } from '../tools/http2.ts'
import { echo, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'

const own = selfSigned(['api.test', 'localhost'])

/** A text frame of a client, with a mask of zeros. */
const frameOf = (message: string) =>
  Buffer.concat([Buffer.from([0x81, 0x80 | message.length, 0, 0, 0, 0]), Buffer.from(message)])

const sessions: Set<ClientHttp2Session> = new Set()
let origin: Origin
let sockets: WebSocketServer
let raw: PeerServer
let program: Program
before(async () => {
  origin = await Origin.start(echo)
  sockets = new WebSocketServer({ server: origin.server, maxPayload: 8e6 })
  raw = new PeerServer()
  sockets.on('connection', socket => socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })))
  program = await Program.start(
    {
      workers: 1,
      admin: { port: 0 },
      listeners: [
        { name: 'plain', port: 0, host: '127.0.0.1' },
        { name: 'secure', port: 0, host: '127.0.0.1', tls: { certificates: [{ cert: 'own.pem', key: 'own.key' }] } },
      ],
      upstreams: { origin: { targets: [origin.url] }, raw: { targets: [`http://127.0.0.1:${await raw.listen()}`] } },
      routes: [
        { match: { path: '/closed' }, upgrade: [], forward: 'origin' },
        { match: { path: '/own' }, upgrade: ['own-protocol'], forward: 'raw' },
        { match: { path: '/reply' }, reply: { body: 'here' } },
        { match: { path: '/**' }, forward: 'origin' },
      ],
    },
    { 'own.pem': own.cert, 'own.key': own.key },
  )
})
after(async () => {
  for (const session of sessions) session.destroy()
  await program[Symbol.asyncDispose]()
  raw.close()
  sockets.close()
  await origin[Symbol.asyncDispose]()
})

function connect(index = 0): ClientHttp2Session {
  const scheme = index === 1 ? 'https' : 'http'
  const session = http2.connect(`${scheme}://127.0.0.1:${program.portOf(index)}`, { rejectUnauthorized: false })
  session.on('error', () => {})
  sessions.add(session)
  return session
}

describe('WebSocket (RFC 8441)', () => {
  const shake = { ':method': 'CONNECT', ':protocol': 'websocket', 'sec-websocket-version': '13' }

  test('an extended CONNECT becomes an upgrade at the upstream, and bytes pass both ways', async () => {
    for (const index of [0, 1]) {
      const session = connect(index)
      await once(session, 'remoteSettings')
      assert.equal(session.remoteSettings.enableConnectProtocol, true)
      const stream = session.request({ ...shake, ':path': '/chat' }, { endStream: false })
      const [head] = await once(stream, 'response')
      assert.equal(head[':status'], 200)
      assert.equal(head['sec-websocket-accept'], undefined)
      stream.write(frameOf('hello'))
      const [reply] = (await once(stream, 'data')) as [Buffer]
      assert.equal(reply.subarray(2).toString(), 'hello')
      const closed = once([...sockets.clients][0] ?? sockets, 'close')
      stream.close(http2.constants.NGHTTP2_CANCEL)
      await closed
      session.destroy()
    }
  })

  test('501, and no call of the upstream, for a protocol that the route does not take', async () => {
    const session = connect()
    await once(session, 'remoteSettings')
    const before = origin.calls
    for (const [path, protocol] of [
      ['/closed', 'websocket'],
      ['/chat', 'webtransport'],
      ['/chat', 'connect-udp'],
      ['/own', 'websocket'],
      ['/reply', 'websocket'],
    ]) {
      const asked = { ...shake, ':path': path, ':protocol': protocol }
      const { status, headers, body } = await answerOf(session.request(asked, { endStream: false }))
      assert.deepEqual([path, protocol, status], [path, protocol, 501])
      assert.equal(headers['content-type'], 'application/problem+json')
      assert.equal(JSON.parse(body).code, 'upgrade-not-supported')
    }
    assert.equal(origin.calls, before)
    assert.equal(raw.peers.length, 0)
    session.destroy()
  })

  test('502 where the upstream answers without an upgrade', async () => {
    const session = connect()
    await once(session, 'remoteSettings')
    const stream = session.request({ ...shake, ':path': '/own', ':protocol': 'own-protocol' }, { endStream: false })
    const server = await raw.accept()
    await server.until(/\r\nupgrade: own-protocol\r\n\r\n$/)
    server.send('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok')
    const { status, body } = await answerOf(stream)
    assert.deepEqual([status, JSON.parse(body).code], [502, 'upstream-malformed-reply'])
    session.destroy()
  })

  test('a protocol that the route takes passes, also where the client has said its last word before the upstream agrees', async () => {
    const session = connect()
    await once(session, 'remoteSettings')
    const stream = session.request({ ...shake, ':path': '/own', ':protocol': 'own-protocol' })
    const server = await raw.accept()
    await server.until('\r\n\r\n')
    stream.end()
    await new Promise(resolve => session.ping(resolve))
    const answer = answerOf(stream)
    server.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: own-protocol\r\n\r\nlast words')
    await server.closed()
    const { status, body } = await answer
    assert.deepEqual([status, body], [200, 'last words'])
    session.destroy()
  })
})

test('afterwards there is no call and no connection left', () => program.untilQuiet())
