// WebSockets by an extended CONNECT (RFC 8441) behind policies: let in, counted and refused as by an upgrade of HTTP/1.1.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http, { type IncomingHttpHeaders } from 'node:http'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { WebSocketServer } from 'ws'
import { BothVersions } from '../tools/both-versions.ts'
import { echo, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { claims, head, keyFile, signed } from '../tools/tokens.ts'
import { key, upgrade } from '../tools/tunnels.ts'
import { until } from '../tools/until.ts'

const exp = Math.floor(Date.now() / 1000) + 600
const token = signed(head, { ...claims, exp })
const bearer = { authorization: `Bearer ${token}` }

let origin: Origin
let sockets: WebSocketServer
let program: Program
let clients: BothVersions
/** The handshakes that the upstream saw. */
const handshakes: IncomingHttpHeaders[] = []

before(async () => {
  origin = await Origin.start(echo)
  sockets = new WebSocketServer({ server: origin.server })
  sockets.on('connection', (_, { headers }) => handshakes.push(headers))
  const byVersion = { by: { header: 'x-version' } }
  const jwt = { keys: { file: 'keys.json' }, issuer: claims.iss, audience: 'api', forward: { 'x-who': 'claims.sub' } }
  const policies: Readonly<Record<string, readonly object[]>> = {
    jwt: [{ jwt }, { expression: 'request.method == "GET"' }],
    limited: [{ 'rate-limit': { limit: '3/1000h', ...byVersion } }],
    calls: [{ concurrency: { limit: 1, ...byVersion } }],
    csrf: [{ csrf: { origins: ['https://shop.acme.test'] } }],
    cors: [{ cors: { origins: ['https://shop.acme.test'] } }, { jwt }],
  }
  program = await Program.start(
    {
      upstreams: { origin: { targets: [origin.url] } },
      routes: Object.entries(policies).map(([name, list]) => ({
        match: { path: `/${name}` },
        policies: list,
        forward: 'origin',
      })),
    },
    { 'keys.json': keyFile },
  )
  clients = await BothVersions.connect(program.port)
})
after(async () => {
  clients?.[Symbol.dispose]()
  await program?.stop()
  sockets?.close()
  await origin?.[Symbol.asyncDispose]()
})

interface Opened {
  /** 101 and the 200 of HTTP/2 are both `open`. */
  readonly status: number | 'open'
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** Null where it was refused. */
  readonly socket: Duplex | null
}

type Open = (path: string, headers?: Record<string, string>) => Promise<Opened>

const open: Readonly<Record<'HTTP/1.1' | 'HTTP/2', Open>> = {
  async 'HTTP/1.1'(path, headers = {}) {
    const request = http.request({
      ...{ host: '127.0.0.1', port: program.port, path, agent: false },
      headers: { host: 'api.acme.test', 'x-version': '1', ...upgrade, ...key, ...headers },
    })
    request.end()
    const [reply, socket] = (await Promise.race([once(request, 'upgrade'), once(request, 'response')])) as [
      http.IncomingMessage,
      Duplex?,
    ]
    if (socket === undefined) {
      return { status: reply.statusCode ?? 0, headers: plain(reply.headers), text: await text(reply), socket: null }
    }
    return { status: 'open', headers: plain(reply.headers), text: '', socket }
  },
  async 'HTTP/2'(path, headers = {}) {
    const asked = { ':method': 'CONNECT', ':protocol': 'websocket', ':path': path, ':authority': 'api.acme.test' }
    const more = { 'sec-websocket-version': '13', 'x-version': '2', ...headers }
    const stream = clients.session.request({ ...asked, ...more }, { endStream: false })
    stream.on('error', () => {})
    const [{ ':status': status, ...fields }] = (await once(stream, 'response')) as [
      IncomingHttpHeaders & { ':status': number },
    ]
    if (status !== 200) return { status, headers: plain(fields), text: await text(stream), socket: null }
    return { status: 'open', headers: plain(fields), text: '', socket: stream }
  },
}

/** Without what belongs to the version or the moment. */
function plain(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const own = ['connection', 'upgrade', 'sec-websocket-accept', 'date', 'x-request-id', 'content-length', 'keep-alive']
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !own.includes(name)))
}

/** Asks by each version; both must be answered alike. */
async function same(
  path: string,
  headers: Record<string, string>,
  status: number | 'open',
  code = '',
): Promise<Opened> {
  const old = await open['HTTP/1.1'](path, headers)
  const current = await open['HTTP/2'](path, headers)
  old.socket?.destroy()
  current.socket?.destroy()
  assert.equal(old.status, status, old.text)
  assert.deepEqual({ ...current, socket: null }, { ...old, socket: null })
  if (code !== '') assert.equal((JSON.parse(old.text) as { code: string }).code, code)
  return old
}

const byUpstream = () => sockets.clients.forEach(client => client.terminate())

describe('behind policies', () => {
  test('jwt: a good token opens, as the GET that the policies see, and the upstream is told whose it is', async () => {
    await same('/jwt', { ...bearer, 'x-who': 'root', x_who: 'root' }, 'open')
    const [old, current] = handshakes
      .splice(0)
      .map(headers => [headers['x-who'], headers['x_who'], headers['authorization']])
    assert.deepEqual(old, ['alice', undefined, bearer.authorization])
    assert.deepEqual(current, old)
  })

  test('jwt: without a good token nothing is asked of the upstream', async () => {
    for (const headers of [{}, { authorization: `Bearer ${token}x` }, { authorization: 'Basic YTpi' }]) {
      const { headers: fields } = await same('/jwt', headers, 401, 'unauthenticated')
      assert.match(String(fields['www-authenticate']), /^Bearer realm="api"/)
    }
    assert.deepEqual(handshakes, [])
  })

  test('a page of another site is refused by its origin', async () => {
    await same('/csrf', { origin: 'https://evil.test' }, 403, 'csrf-refused')
    await same('/csrf', { origin: 'https://shop.acme.test' }, 'open')
    await same('/cors', { origin: 'https://shop.acme.test' }, 401, 'unauthenticated')
    await same('/cors', { origin: 'https://shop.acme.test', ...bearer }, 'open')
    handshakes.splice(0)
  })

  test('rate-limit: each counts once, and one more is told when to come back', async () => {
    for (let left = 2; left >= 0; left--) {
      const { headers } = await same('/limited', {}, 'open')
      assert.match(String(headers['ratelimit']), new RegExp(`;r=${left};`))
    }
    await same('/limited', {}, 429, 'rate-limited')
    assert.equal(handshakes.splice(0).length, 6)
  })

  for (const [version, ask] of Object.entries(open)) {
    test(`${version}: concurrency counts one until it closes, whoever closes it`, async () => {
      const held: Duplex[] = []
      const opens = async () => {
        const { socket } = await ask('/calls')
        if (socket !== null) held.push(socket)
        return socket !== null
      }
      const byClient = () => held.pop()?.destroy()
      for (const close of [byClient, byUpstream]) {
        await until(opens, () => 'a place to be free')
        for (let i = 0; i < 3; i++) assert.equal((await ask('/calls')).status, 503)
        close()
      }
      await until(opens, () => 'a place to be free')
      byClient()
    })
  }
})

test('afterwards there is no call and no connection left', async () => {
  clients.session.close()
  await program.untilQuiet()
})
