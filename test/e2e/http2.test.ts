// HTTP/2 from clients: those that others wrote, and Node's own for what they cannot say.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import http2, { type ClientHttp2Session } from 'node:http2'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { findTool } from '../../scripts/tools.ts'
import { ask } from '../tools/ask.ts'
import { answerOf, codeOf, get } from '../tools/http2.ts'
import { echo, type Echoed, type Handler, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const run = promisify(execFile)
const own = selfSigned(['api.test', 'localhost'])
const large = Buffer.alloc(8_000_000, 'large ')

/** Why a test that needs this program is skipped. */
const needs = (tool: string) => (findTool(tool) === null ? `${tool} is not installed` : false)

/** Resets seen by the origin: calls whose client went away. */
let abandoned = 0
const paused: (() => void)[] = []

const serve: Handler = async (request, response) => {
  const { pathname } = new URL(request.url ?? '', 'http://a.test')
  response.on('close', () => {
    if (!response.writableFinished) abandoned++
  })
  if (pathname === '/large') return response.writeHead(200, { 'content-length': large.length }).end(large)
  if (pathname === '/drip') return response.writeHead(200).write('first')
  if (pathname === '/cut') {
    response.writeHead(200, { 'content-length': 100 }).write('half')
    return setTimeout(() => response.destroy(), 50)
  }
  if (pathname === '/never') return undefined
  if (pathname === '/hints') {
    response.writeEarlyHints({ link: '</style.css>; rel=preload' })
    return response.end('hinted')
  }
  if (pathname === '/count') {
    let size = 0
    for await (const chunk of request) size += (chunk as Buffer).length
    return response.end(String(size))
  }
  if (pathname === '/lazy') {
    await new Promise<void>(resolve => paused.push(resolve))
    const body = await buffer(request)
    return response.end(String(body.length))
  }
  if (pathname === '/trailers') {
    const body = await buffer(request)
    response.writeHead(200, { trailer: 'x-sum' })
    response.write(body)
    response.addTrailers({ 'x-sum': request.trailers['x-sum'] ?? 'none' })
    return response.end()
  }
  if (pathname === '/empty') return response.writeHead(204).end()
  return echo(request, response, await buffer(request))
}

let origin: Origin
let program: Program
before(async () => {
  origin = await Origin.start(serve, { isStreaming: true })
  program = await Program.start(
    {
      workers: 1,
      admin: { port: 0 },
      listeners: [
        { name: 'plain', port: 0, host: '127.0.0.1' },
        { name: 'secure', port: 0, host: '127.0.0.1', tls: { certificates: [{ cert: 'own.pem', key: 'own.key' }] } },
        { name: 'hasty', port: 0, host: '127.0.0.1', timeouts: { body: '1s', idle: '1s', head: '1s' } },
        { name: 'old', port: 0, host: '127.0.0.1', http2: { enabled: false } },
        { name: 'narrow', port: 0, host: '127.0.0.1', http2: { streams: 2 } },
      ],
      upstreams: { origin: { targets: [origin.url] } },
      routes: [
        {
          match: { path: '/limited' },
          policies: [{ 'rate-limit': { limit: '2/hour', by: 'client' } }],
          forward: 'origin',
        },
        {
          match: { path: '/timed/{what}' },
          policies: [{ timeout: '300ms' }],
          forward: { to: 'origin', path: '/{what}' },
        },
        { match: { path: '/**' }, forward: 'origin' },
      ],
    },
    { 'own.pem': own.cert, 'own.key': own.key },
  )
})
after(async () => {
  await program[Symbol.asyncDispose]()
  await origin[Symbol.asyncDispose]()
})

function connect(index = 0, options: http2.SecureClientSessionOptions = {}): ClientHttp2Session {
  const scheme = index === 1 ? 'https' : 'http'
  const session = http2.connect(`${scheme}://127.0.0.1:${program.portOf(index)}`, {
    rejectUnauthorized: false,
    ...options,
  })
  session.on('error', () => {})
  return session
}

const hit = (ceiling: string, name: string) => program.total('turnpike_ceiling_hits_total', { ceiling, name })

describe('clients that others wrote', () => {
  test('curl, with prior knowledge and by ALPN', { skip: needs('curl') }, async () => {
    const say = ['-s', '-k', '-w', '\n%{http_version} %{http_code}']
    for (const [index, args] of [
      [0, ['--http2-prior-knowledge']],
      [1, ['--http2']],
    ] as const) {
      const url = `${index === 1 ? 'https' : 'http'}://127.0.0.1:${program.portOf(index)}`
      const { stdout } = await run('curl', [
        ...say,
        ...args,
        '-d',
        'a=1',
        '-H',
        'x-one: 1',
        '-b',
        'c=1; d=2',
        `${url}/posted?q=1`,
      ])
      const [body = '', last] = stdout.split('\n')
      const echoed = JSON.parse(body) as Echoed
      assert.equal(last, '2 200')
      assert.equal(echoed.body, 'a=1')
      assert.equal(echoed.url, '/posted?q=1')
      assert.equal(echoed.headers['x-one'], '1')
      assert.equal(echoed.headers.cookie, 'c=1; d=2')
      assert.equal(echoed.headers.host, url.slice(url.indexOf('//') + 2))
      assert.equal(echoed.headers.via, '2 turnpike')
    }
  })

  test('curl is told trailers', { skip: needs('curl') }, async () => {
    const url = `http://127.0.0.1:${program.port}/trailers`
    const { stdout } = await run('curl', ['-s', '--http2-prior-knowledge', '-D', '-', '-d', 'body', url])
    assert.match(stdout, /\r\n\r\nbodyx-sum: none\s*$/)
  })

  test('curl sends and gets eight megabytes', { skip: needs('curl') }, async () => {
    const url = `http://127.0.0.1:${program.port}`
    const args = ['-s', '--http2-prior-knowledge']
    const got = await run('curl', [...args, `${url}/large`], { encoding: 'buffer', maxBuffer: 1e8 })
    assert.ok(got.stdout.equals(large))
    const child = run('curl', [...args, '-T', '-', `${url}/count`])
    child.child.stdin?.end(large)
    assert.equal((await child).stdout, String(large.length))
  })

  test('nghttp, many streams on one connection, with padding and priorities', { skip: needs('nghttp') }, async () => {
    const urls = Array.from({ length: 20 }, (_, i) => `http://127.0.0.1:${program.port}/n/${i}`)
    const { stdout } = await run('nghttp', ['-b', '40', '--stat', '-n', ...urls])
    assert.equal(stdout.match(/ 200 /g)?.length, 20, stdout)
  })

  test('h2load, two thousand calls on ten connections', { skip: needs('h2load') }, async () => {
    const url = `http://127.0.0.1:${program.port}/`
    const { stdout } = await run('h2load', ['-n', '2000', '-c', '10', '-m', '20', url])
    assert.match(stdout, /2000 succeeded, 0 failed, 0 errored, 0 timeout/)
    assert.match(stdout, /status codes: 2000 2xx/)
  })

  test('HTTP/1.1 on the same ports, and HTTP/2 nowhere where it is switched off', { skip: needs('curl') }, async () => {
    assert.equal((await ask(program.port)).status, 200)
    const say = ['-s', '-k', '-o', '/dev/null', '-w', '%{http_version} %{http_code}', '--http1.1']
    assert.equal((await run('curl', [...say, `https://127.0.0.1:${program.portOf(1)}/`])).stdout, '1.1 200')
    const session = connect(3)
    await once(session, 'error')
    session.destroy()
  })
})

describe('calls', () => {
  let session: ClientHttp2Session
  before(() => {
    session = connect()
  })
  after(() => session.destroy())

  test('trailers pass both ways', async () => {
    const stream = session.request(
      { ':method': 'POST', ':path': '/trailers', te: 'trailers' },
      { waitForTrailers: true },
    )
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '42' }))
    stream.end('body')
    const { body, trailers } = await answerOf(stream)
    assert.equal(body, 'body')
    assert.equal(trailers['x-sum'], '42')
  })

  test('HEAD and 204 have no body', async () => {
    const head = await get(session, '/large', { ':method': 'HEAD' })
    assert.deepEqual([head.status, head.body, head.headers['content-length']], [200, '', String(large.length)])
    assert.equal((await get(session, '/empty')).status, 204)
  })

  test('103 comes before the reply', async () => {
    const stream = session.request({ ':path': '/hints' })
    const early = once(stream, 'headers')
    const answer = answerOf(stream)
    const [hints] = await early
    assert.equal(hints[':status'], 103)
    assert.equal((await answer).body, 'hinted')
  })

  test('100 comes when the body is wanted', async () => {
    const stream = session.request({ ':method': 'POST', ':path': '/count', expect: '100-continue' })
    await once(stream, 'continue')
    stream.end('twelve bytes')
    assert.equal((await answerOf(stream)).body, '12')
  })

  test('policies do what they do over HTTP/1.1', async () => {
    const statuses = []
    for (let i = 0; i < 3; i++) statuses.push((await get(session, '/limited')).status)
    assert.deepEqual(statuses, [200, 200, 429])
  })

  test('a path that could be read in two ways is refused, and so is Host beside another :authority', async () => {
    assert.equal((await get(session, '/a/%2e%2e/b')).status, 400)
    const { status, body } = await get(session, '/', { ':authority': 'api.test', host: 'other.test' })
    assert.equal(status, 400)
    assert.equal(JSON.parse(body).code, 'malformed-request')
    assert.equal((await get(session, '/')).status, 200)
  })

  test('a list of fields that is too large is answered, and the connection goes on', async () => {
    const fields = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`x-${i}`, 'v'.repeat(1_000)]))
    const stream = session.request({ ':path': '/', ...fields })
    assert.equal((await answerOf(stream)).status, 431)
    assert.equal((await get(session, '/')).status, 200)
  })

  test('a client that resets its stream ends the call at the upstream', async () => {
    const before = abandoned
    const stream = session.request({ ':path': '/drip' })
    await once(stream, 'data')
    stream.close(http2.constants.NGHTTP2_CANCEL)
    await until(
      () => abandoned === before + 1,
      () => 'the origin to see it',
    )
    assert.equal((await get(session, '/')).status, 200)
  })

  test('a reply that breaks off is a stream that is reset', async () => {
    const stream = session.request({ ':path': '/cut' })
    assert.equal(await codeOf(stream), http2.constants.NGHTTP2_INTERNAL_ERROR)
    assert.equal((await get(session, '/')).status, 200)
  })

  test('deadlines are kept', async () => {
    const { status, body } = await get(session, '/timed/never')
    assert.equal(status, 504)
    assert.equal(JSON.parse(body).code, 'call-timeout')
  })

  test('a slow call does not hold up the others', async () => {
    const slow = session.request({ ':path': '/never' })
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => get(session, `/${i}`)))
    assert.ok(answers.every(({ status }) => status === 200))
    slow.close()
  })

  test('what an upstream does not read is not sent', async () => {
    const stream = session.request({ ':method': 'POST', ':path': '/lazy' })
    let sent = 0
    const piece = Buffer.alloc(100_000)
    const writeOn = () => {
      for (let hasRoom = true; hasRoom && sent < 20_000_000; sent += piece.length) hasRoom = stream.write(piece)
    }
    stream.on('drain', writeOn)
    writeOn()
    await until(
      () => paused.length > 0,
      () => 'the call to arrive',
    )
    let last = -1
    await until(
      () => {
        const isStill = sent === last
        last = sent
        return isStill
      },
      () => 'the client to be held up',
    )
    assert.ok(sent < 20_000_000, `${sent} bytes went out though nobody read`)
    // Others go on meanwhile.
    assert.equal((await get(session, '/')).status, 200)
    for (const go of paused.splice(0)) go()
    await until(
      () => sent >= 20_000_000,
      () => 'the rest to be sent',
    )
    stream.end()
    assert.equal((await answerOf(stream)).body, String(sent))
  })

  test('what a client does not read is not fetched, and others go on', async () => {
    const slow = session.request({ ':path': '/large' })
    slow.pause()
    await once(slow, 'response')
    assert.equal((await get(session, '/')).status, 200)
    assert.ok((await buffer(slow)).equals(large))
  })

  test('64 MB at once, each frame of which the client says to have taken, is no flood', async () => {
    const bodies = await Promise.all(Array.from({ length: 8 }, () => buffer(session.request({ ':path': '/large' }))))
    assert.ok(bodies.every(body => body.equals(large)))
  })
})

describe('connections', () => {
  test('a client is told how many streams it may have, and others have their turn', async () => {
    const session = connect(4)
    await once(session, 'remoteSettings')
    const streams = Array.from({ length: 2 }, () => session.request({ ':path': '/never' }))
    assert.equal(session.remoteSettings.maxConcurrentStreams, 2)
    // Node keeps to the bound by itself, and sends the third when one of the two is over.
    const third = get(session, '/')
    for (const stream of streams) stream.close()
    assert.equal((await third).status, 200)
    session.destroy()
  })

  test('one without a call is closed with GOAWAY', async () => {
    const session = connect(2)
    assert.equal((await get(session, '/')).status, 200)
    const [code] = await once(session, 'goaway')
    assert.equal(code, 0)
    if (!session.closed) await once(session, 'close')
  })

  test('a client that opens no window is given up', async () => {
    const session = connect(2, { settings: { initialWindowSize: 100 } })
    const stream = session.request({ ':path': '/large' })
    stream.pause()
    stream.on('error', () => {})
    await new Promise<void>(resolve => stream.once('close', resolve))
    await until(
      async () => (await hit('http2-stalls', 'hasty')) === 1,
      () => 'the metric',
    )
    session.destroy()
  })

  test('a body that stops moving is answered', async () => {
    const session = connect(2)
    const stream = session.request({ ':method': 'POST', ':path': '/count' })
    stream.write('some')
    assert.equal((await answerOf(stream)).status, 408)
    session.destroy()
  })
})

test('a gateway that stops says GOAWAY and finishes the calls under way', async () => {
  const own = await Program.start({
    drain: '10s',
    upstreams: { origin: { targets: [origin.url] } },
    routes: [{ match: { path: '/**' }, forward: 'origin' }],
  })
  const session = http2.connect(own.url)
  const goneAway = once(session, 'goaway')
  const stream = session.request({ ':method': 'POST', ':path': '/count' })
  const answer = answerOf(stream)
  stream.write('first ')
  await until(
    async () => (await own.total('http_server_active_requests', {})) === 1,
    () => 'the call to be counted',
  )
  const stopped = own.stop()
  await goneAway
  stream.end('second')
  assert.equal((await answer).body, '12')
  assert.equal(await stopped, 0)
  session.destroy()
})

test('afterwards there is no call and no connection left', () => program.untilQuiet())
