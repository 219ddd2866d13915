// HTTP/2 toward upstreams: servers that others wrote, and Node's own for what they do not do.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import http2, {
  type Http2SecureServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import net, { type AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { findTool } from '../../scripts/tools.ts'
import { ask } from '../tools/ask.ts'
import { freePort } from '../tools/free-port.ts'
import { answerOf } from '../tools/http2.ts'
import { echo, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const own = selfSigned(['inside.test'])
const large = Buffer.alloc(5_000_000, 'large ')

/** A route to each upstream. */
const to = (upstream: string) => ({ match: { path: `/${upstream}/**` }, forward: { to: upstream, path: '/{rest}' } })

/** A server of Node that counts its connections and calls. */
class Peer {
  readonly server: Http2Server | Http2SecureServer
  readonly sessions: Set<ServerHttp2Session> = new Set()
  opened = 0
  calls = 0
  most = 0
  now = 0
  resets = 0
  /** Calls that are to be refused as not looked at. */
  refuse = 0

  constructor(server: Http2Server | Http2SecureServer) {
    this.server = server
    server.on('session', (session: ServerHttp2Session) => {
      this.opened++
      this.sessions.add(session)
      session.on('error', () => {})
      session.on('close', () => this.sessions.delete(session))
    })
    server.on(
      'stream',
      (stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void this.#serve(stream, headers),
    )
  }

  async listen(): Promise<number> {
    this.server.listen(0, '127.0.0.1')
    await once(this.server, 'listening')
    return (this.server.address() as AddressInfo).port
  }

  close(): void {
    this.server.close()
    for (const session of this.sessions) session.destroy()
  }

  async #serve(stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders): Promise<void> {
    stream.on('error', () => {})
    stream.on('close', () => (this.resets += stream.rstCode === http2.constants.NGHTTP2_CANCEL ? 1 : 0))
    if (this.refuse > 0) {
      this.refuse--
      return stream.close(http2.constants.NGHTTP2_REFUSED_STREAM)
    }
    this.calls++
    this.most = Math.max(this.most, ++this.now)
    stream.on('close', () => this.now--)
    const target = headers[':path'] ?? ''
    if (target === '/never') return
    if (target === '/large') return void stream.end(large)
    if (target === '/cut') {
      stream.respond({ ':status': 200 })
      stream.write('half')
      await pause(30)
      return void stream.destroy(new Error('cut'))
    }
    if (target === '/early') {
      stream.respond({ ':status': 413 }, { endStream: false })
      return void stream.end('too much')
    }
    if (target === '/slow') await pause(60)
    const body = await buffer(stream).catch(() => Buffer.alloc(0))
    if (stream.destroyed) return
    stream.respond({ ':status': 200, 'x-count': body.length }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }))
    stream.end(JSON.stringify({ headers, size: body.length }))
  }
}

let plain: Peer
let secure: Peer
let narrow: Peer
let old: Origin
let program: Program
before(async () => {
  plain = new Peer(http2.createServer())
  secure = new Peer(http2.createSecureServer({ key: own.key, cert: own.cert }))
  narrow = new Peer(http2.createServer({ settings: { maxConcurrentStreams: 3 } }))
  old = await Origin.start(echo, { tls: own })
  const [plainPort, securePort, narrowPort] = [await plain.listen(), await secure.listen(), await narrow.listen()]
  const tls = { ca: 'own.pem', serverName: 'inside.test' }
  program = await Program.start(
    {
      workers: 1,
      admin: { port: 0 },
      listeners: [{ name: 'front', port: 0, host: '127.0.0.1' }],
      upstreams: {
        plain: { protocol: 'http2', targets: [`http://127.0.0.1:${plainPort}`] },
        hasty: { protocol: 'http2', targets: [`http://127.0.0.1:${plainPort}`], timeouts: { response: '2s' } },
        secure: { protocol: 'http2', targets: [`https://127.0.0.1:${securePort}`], tls },
        narrow: { protocol: 'http2', targets: [`http://127.0.0.1:${narrowPort}`], limits: { connections: 2 } },
        auto: { protocol: 'auto', targets: [`https://127.0.0.1:${securePort}`], tls },
        old: { protocol: 'auto', targets: [`https://127.0.0.1:${old.port}`], tls },
        wrong: { protocol: 'http2', targets: [`https://127.0.0.1:${old.port}`], tls },
      },
      routes: ['plain', 'hasty', 'secure', 'narrow', 'auto', 'old', 'wrong'].map(to),
    },
    { 'own.pem': own.cert },
  )
})
after(async () => {
  await program[Symbol.asyncDispose]()
  for (const peer of [plain, secure, narrow]) peer.close()
  await old[Symbol.asyncDispose]()
})

const get = (target: string) => ask(program.port, { path: target })

describe('calls', () => {
  test('become streams, with the fields of the call, and trailers both ways', async () => {
    const { status, text, trailers, headers } = await ask(program.port, {
      ...{ method: 'POST', path: '/plain/a?b=1', body: 'four', isChunked: true },
      headers: { host: 'api.test', 'x-one': '1', connection: 'te', te: 'trailers' },
    })
    const seen = JSON.parse(text)
    assert.equal(status, 200)
    assert.equal(headers['x-count'], '4')
    assert.equal(seen.headers[':path'], '/a?b=1')
    assert.equal(seen.headers[':authority'], 'api.test')
    assert.equal(seen.headers[':scheme'], 'http')
    assert.equal(seen.headers['x-one'], '1')
    assert.equal(seen.headers.te, 'trailers')
    assert.equal(trailers['x-end'], 'yes')
  })

  test('share one connection', async () => {
    const before = plain.opened
    plain.most = 0
    const answers = await Promise.all(Array.from({ length: 40 }, () => get('/plain/slow')))
    assert.ok(answers.every(({ status }) => status === 200))
    assert.equal(plain.opened, before)
    assert.ok(plain.most > 5, `${plain.most} at once`)
  })

  test('are no more at once than the server takes; the others wait, or have a second connection', async () => {
    narrow.most = 0
    const answers = await Promise.all(Array.from({ length: 30 }, () => get('/narrow/slow')))
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
    assert.ok(narrow.most <= 6, `${narrow.most} at once`)
    assert.ok(narrow.opened <= 2)
  })

  test('go over TLS, and by ALPN where the server has both or one', async () => {
    assert.equal((await get('/secure/')).headers['x-count'], '0')
    assert.equal((await get('/auto/')).headers['x-count'], '0')
    const { status, text } = await get('/old/here')
    assert.equal(status, 200)
    assert.equal(JSON.parse(text).url, '/here')
  })

  test('502 where a server that is to speak HTTP/2 does not', async () => {
    const { status } = await get('/wrong/')
    assert.equal(status, 502)
  })

  test('bodies of five megabytes pass both ways', async () => {
    const { body } = await get('/plain/large')
    assert.ok(body.equals(large))
    const { headers } = await ask(program.port, { method: 'POST', path: '/plain/', body: large })
    assert.equal(headers['x-count'], String(large.length))
  })

  test('a reply before the end of the request is passed on', async () => {
    const { status, text } = await ask(program.port, {
      method: 'PUT',
      path: '/plain/early',
      body: Buffer.alloc(300_000),
    })
    assert.deepEqual([status, text], [413, 'too much'])
  })

  test('a reply that breaks off is not passed off as whole', async () => {
    assert.equal((await get('/plain/cut')).isWhole, false)
    assert.equal((await get('/plain/')).status, 200)
  })

  test('what a server refuses unseen is sent again, whatever it is', async () => {
    plain.refuse = 1
    const { status } = await ask(program.port, { method: 'POST', path: '/plain/' })
    assert.equal(status, 200)
    assert.equal(plain.refuse, 0)
  })

  test('a client that leaves resets the stream, and nothing else', async () => {
    const [opened, resets] = [plain.opened, plain.resets]
    const before = plain.now
    const socket = net.connect(program.port, '127.0.0.1')
    socket.write('GET /plain/never HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(
      () => plain.now === before + 1,
      () => 'the call to arrive',
    )
    socket.destroy()
    await until(
      () => plain.now === before,
      () => 'the stream to end',
    )
    assert.equal((await get('/plain/')).status, 200)
    assert.equal(plain.opened, opened)
    assert.equal(plain.resets, resets + 1)
  })

  test('504 where no answer comes in time, and the connection lives on', async () => {
    assert.equal((await get('/hasty/never')).status, 504)
    assert.equal((await get('/hasty/')).status, 200)
  })
})

describe('connections', () => {
  test('a server that says GOAWAY gets no further calls there, and loses none', async () => {
    const slow = Promise.all(Array.from({ length: 10 }, () => get('/plain/slow')))
    await until(
      () => plain.now > 0,
      () => 'the calls to arrive',
    )
    for (const session of plain.sessions) session.close()
    const after = Promise.all(Array.from({ length: 10 }, () => get('/plain/')))
    for (const { status } of [...(await slow), ...(await after)]) assert.equal(status, 200)
  })

  test('one that broke is replaced', async () => {
    for (const session of plain.sessions) session.destroy()
    await program.untilTotal('turnpike_upstream_connections', { upstream: 'plain' }, 0)
    assert.equal((await get('/plain/')).status, 200)
  })

  test('503 at once for more calls than may wait, where a server never begins to speak', async () => {
    const silent = net.createServer(socket => socket.on('error', () => {}).resume())
    await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as AddressInfo
    await using alone = await Program.start({
      workers: 1,
      upstreams: {
        silent: {
          protocol: 'http2',
          targets: [`http://127.0.0.1:${port}`],
          limits: { pending: 5 },
          timeouts: { response: '3s' },
        },
      },
      routes: [to('silent')],
    })
    try {
      const answers = await Promise.all(Array.from({ length: 150 }, () => ask(alone.port, { path: '/silent/' })))
      // One connection is worth a hundred calls, and five may wait besides.
      const busy = answers.filter(({ text }) => text.includes('upstream-busy'))
      assert.ok(busy.length >= 45, `${busy.length} were told so`)
      await alone.untilTotal('turnpike_ceiling_hits_total', { ceiling: 'upstream-pending' }, 45)
      assert.equal(answers.filter(({ status }) => status === 200).length, 0)
    } finally {
      silent.close()
    }
  })

  const skip = findTool('nghttpd') === null ? 'nghttpd is not installed' : false
  test('nghttpd, and when it stands still, the calls of one connection fail and the next have another', {
    skip,
  }, async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'turnpike-nghttpd-'))
    await writeFile(path.join(folder, 'page.html'), 'a page')
    const port = await freePort()
    const gateway = await Program.start({
      admin: { port: 0 },
      upstreams: {
        stood: { protocol: 'http2', targets: [`http://127.0.0.1:${port}`], timeouts: { response: '1s' } },
      },
      routes: [{ match: { path: '/**' }, forward: 'stood' }],
    })
    const child = spawn('nghttpd', ['--no-tls', '-d', folder, '--trailer=x-end: yes', String(port)], {
      stdio: 'ignore',
    })
    try {
      await until(
        async () => (await ask(gateway.port, { path: '/page.html' })).status === 200,
        () => 'nghttpd to answer',
      )
      const session = http2.connect(gateway.url)
      const { body, trailers } = await answerOf(session.request({ ':path': '/page.html' }))
      assert.deepEqual([body, trailers['x-end']], ['a page', 'yes'])
      session.close()
      child.kill('SIGSTOP')
      const answers = await Promise.all(Array.from({ length: 5 }, () => ask(gateway.port, { path: '/page.html' })))
      assert.ok(answers.every(({ status }) => status === 504 || status === 502))
      child.kill('SIGCONT')
      assert.equal((await ask(gateway.port, { path: '/page.html' })).status, 200)
    } finally {
      await stop(child)
      await gateway.stop()
      await rm(folder, { recursive: true })
    }
  })
})

async function stop(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

test('afterwards there is no call and no connection left but idle ones', () => program.untilQuiet())
