// WebSocket over HTTP/2: an extended CONNECT from the client, an upgrade toward the upstream.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2, { type ClientHttp2Session } from 'node:http2'
import { after, before, describe, test } from 'node:test'
import { WebSocketServer } from 'ws'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { echo, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'

const own = selfSigned(['api.test', 'localhost'])

/** A text frame of a client, with a mask of zeros. */
const frameOf = (message: string) =>
  Buffer.concat([Buffer.from([0x81, 0x80 | message.length, 0, 0, 0, 0]), Buffer.from(message)])

let origin: Origin
let sockets: WebSocketServer
let program: Program
before(async () => {
  origin = await Origin.start(echo)
  sockets = new WebSocketServer({ server: origin.server, maxPayload: 8e6 })
  sockets.on('connection', socket => socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })))
  program = await Program.start(
    {
      workers: 1,
      admin: { port: 0 },
      listeners: [
        { name: 'plain', port: 0, host: '127.0.0.1' },
        { name: 'secure', port: 0, host: '127.0.0.1', tls: { certificates: [{ cert: 'own.pem', key: 'own.key' }] } },
      ],
      upstreams: { origin: { targets: [origin.url] } },
      routes: [
        { match: { path: '/closed' }, upgrade: [], forward: 'origin' },
        { match: { path: '/**' }, forward: 'origin' },
      ],
    },
    { 'own.pem': own.cert, 'own.key': own.key },
  )
})
after(async () => {
  await program[Symbol.asyncDispose]()
  sockets.close()
  await origin[Symbol.asyncDispose]()
})

function connect(index = 0): ClientHttp2Session {
  const scheme = index === 1 ? 'https' : 'http'
  const session = http2.connect(`${scheme}://127.0.0.1:${program.portOf(index)}`, { rejectUnauthorized: false })
  session.on('error', () => {})
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

  test('a route that takes no upgrades takes none this way either', async () => {
    const session = connect()
    await once(session, 'remoteSettings')
    const stream = session.request({ ...shake, ':path': '/closed' }, { endStream: false })
    const [head] = await once(stream, 'response')
    assert.equal(head[':status'], 501)
    session.destroy()
  })
})

test('afterwards there is no call and no connection left', () => program.untilQuiet())
