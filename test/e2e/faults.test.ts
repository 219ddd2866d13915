// Upstreams that fail in every way: what the client gets, which code it counts under, and that nothing is passed off as whole.
//
// Runs alone.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import { Pool } from 'undici'
import { Peer } from '../strictness/wire/peer.ts'
import { ask, codeOf } from '../tools/ask.ts'
import { refusingPort } from '../tools/free-port.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

interface Fault {
  readonly name: string
  /** What the upstream does once it has read the request. */
  readonly does: (socket: Socket) => void
  /** What the client gets: a problem of the gateway, or the head of the upstream with a body that is cut or whole. */
  readonly gets: { readonly status: number; readonly code: string } | 'cut' | 'whole'
}

const say = (text: string) => (socket: Socket) => void socket.write(text, 'latin1')
const sayAndEnd = (text: string) => (socket: Socket) => void socket.end(text, 'latin1')
const sayAndReset = (text: string) => (socket: Socket) =>
  void socket.write(text, 'latin1', () => setImmediate(() => socket.resetAndDestroy()))
const repeat = (first: string, more: string, everyMs: number) => (socket: Socket) => {
  socket.write(first, 'latin1')
  const timer = setInterval(() => socket.write(more, 'latin1'), everyMs)
  socket.on('close', () => clearInterval(timer))
}
const problem = (status: number, code: string) => ({ status, code })
const reset = problem(502, 'upstream-reset')
const malformed = problem(502, 'upstream-malformed-reply')
const late = problem(504, 'upstream-timeout')

const faults: readonly Fault[] = [
  { name: 'closes before the head', does: socket => void socket.end(), gets: reset },
  { name: 'resets before the head', does: socket => void socket.resetAndDestroy(), gets: reset },
  { name: 'closes within the head', does: sayAndEnd('HTTP/1.1 200 OK\r\nContent-Le'), gets: reset },
  { name: 'resets within the head', does: sayAndReset('HTTP/1.1 200 OK\r\nContent-Le'), gets: reset },
  { name: 'closes behind an interim reply', does: sayAndEnd('HTTP/1.1 103 Early Hints\r\n\r\n'), gets: reset },
  { name: 'never says a word', does: () => {}, gets: late },
  { name: 'says half a head and no more', does: say('HTTP/1.1 200 OK\r\nConte'), gets: late },
  { name: 'drips a head that never ends', does: repeat('HTTP/1.1 200 OK\r\nX: ', 'x', 20), gets: late },
  {
    name: 'floods with a head that never ends',
    does: repeat('HTTP/1.1 200 OK\r\n', `X-More: ${'x'.repeat(8000)}\r\n`, 1),
    gets: malformed,
  },
  {
    name: 'sends nothing but interim replies',
    does: repeat('', 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(10), 1),
    gets: malformed,
  },
  { name: 'speaks no HTTP', does: say('SSH-2.0-OpenSSH_9.9\r\n\r\n'), gets: malformed },
  { name: 'speaks TLS', does: say('\x15\x03\x01\x00\x02\x02\x0a\r\n\r\n'), gets: malformed },
  { name: 'sends a bare LF as line end', does: say('HTTP/1.1 200 OK\nContent-Length: 2\n\nok'), gets: malformed },
  {
    name: 'sends a status of four digits',
    does: say('HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok'),
    gets: malformed,
  },
  {
    name: 'sends a length and chunks',
    does: say('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'),
    gets: malformed,
  },
  {
    name: 'sends two lengths',
    does: say('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok'),
    gets: malformed,
  },
  { name: 'sends a negative length', does: say('HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok'), gets: malformed },
  {
    name: 'sends an unknown coding',
    does: say('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'),
    gets: malformed,
  },
  {
    name: 'switches protocols unasked',
    does: say('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'),
    gets: malformed,
  },
  {
    name: 'closes within a body with a length',
    does: sayAndEnd('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome'),
    gets: 'cut',
  },
  {
    name: 'resets within a body with a length',
    does: sayAndReset('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome'),
    gets: 'cut',
  },
  {
    name: 'closes within a chunk',
    does: sayAndEnd('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nsome'),
    gets: 'cut',
  },
  {
    name: 'closes between two chunks',
    does: sayAndEnd('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n'),
    gets: 'cut',
  },
  {
    name: 'closes within the last chunk',
    does: sayAndEnd('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n0\r\n'),
    gets: 'cut',
  },
  {
    name: 'resets between two chunks',
    does: sayAndReset('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n'),
    gets: 'cut',
  },
  {
    name: 'sends a malformed chunk size',
    does: say('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\nzz\r\n'),
    gets: 'cut',
  },
  { name: 'resets within a body until close', does: sayAndReset('HTTP/1.1 200 OK\r\n\r\nsome'), gets: 'cut' },
  {
    name: 'stops in the middle of a body',
    does: say('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome'),
    gets: 'cut',
  },
  {
    name: 'stops in the middle of chunks',
    does: say('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n'),
    gets: 'cut',
  },
  { name: 'ends a body by closing', does: sayAndEnd('HTTP/1.1 200 OK\r\n\r\nsome'), gets: 'whole' },
  {
    name: 'answers and goes on talking',
    does: say('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsomeHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'),
    gets: 'whole',
  },
  {
    name: 'sends a body with 204',
    does: say('HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil'),
    gets: 'whole',
  },
]

let server: Server
let program: Program
before(async () => {
  server = net.createServer({ noDelay: true }, socket => {
    socket.on('error', () => {})
    let text = ''
    socket.on('data', chunk => {
      text += chunk.toString('latin1')
      if (!text.includes('\r\n\r\n')) return
      const index = Number(/^[A-Z]+ \/(\d+) /.exec(text)?.[1] ?? NaN)
      text = ''
      faults[index]?.does(socket)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  program = await Program.start({
    telemetry: { accessLog: 'stdout' },
    upstreams: {
      // Those that answer have time to.
      faulty: { targets: [url], timeouts: { response: '1s', idle: '1s' } },
      refusing: { targets: [`http://127.0.0.1:${await refusingPort()}`] },
    },
    routes: [
      { match: { path: '/refused' }, forward: 'refusing' },
      { match: { path: '/**' }, forward: 'faulty' },
    ],
  })
})
after(async () => {
  await program[Symbol.asyncDispose]()
  server.close()
})

describe('an upstream that', () => {
  for (const [index, { name, gets }] of faults.entries()) {
    const expected =
      typeof gets === 'string' ? (gets === 'cut' ? 'a cut reply' : 'a whole reply') : `${gets.status} ${gets.code}`
    test(`${name}: ${expected}`, async () => {
      const got = await ask(program.port, { path: `/${index}` })
      if (gets === 'cut') {
        assert.equal(got.text, 'some')
        assert.equal(got.isWhole, false)
      } else if (gets === 'whole') {
        assert.ok(got.isWhole)
        assert.doesNotMatch(got.text, /evil/)
      } else {
        assert.deepEqual([got.status, codeOf(got)], [gets.status, gets.code])
        assert.equal(got.headers['content-type'], 'application/problem+json')
        assert.doesNotMatch(got.text, /127\.0\.0\.1|\d{5}/, 'tells of the inside')
      }
    })
  }

  test('refuses the connection: 502 upstream-connect-failed', async () => {
    const got = await ask(program.port, { path: '/refused' })
    assert.deepEqual([got.status, codeOf(got)], [502, 'upstream-connect-failed'])
  })

  test('resets at once, before it has read anything: 502', async () => {
    const resetting = net.createServer(socket => socket.resetAndDestroy()).listen(0, '127.0.0.1')
    await once(resetting, 'listening')
    await using other = await Program.start({
      upstreams: { a: { targets: [`http://127.0.0.1:${(resetting.address() as AddressInfo).port}`] } },
      routes: [{ match: {}, forward: 'a' }],
    })
    const got = await ask(other.port)
    assert.equal(got.status, 502)
    assert.match(codeOf(got), /^upstream-(reset|connect-failed)$/)
    resetting.close()
  })

  test('HTTP/1.0 clients learn of a cut by a reset', async () => {
    const index = faults.findIndex(({ name }) => name === 'closes between two chunks')
    const client = await Peer.connect(program.port)
    let error = ''
    client.socket.on('error', (thrown: NodeJS.ErrnoException) => (error = thrown.code ?? ''))
    client.send(`GET /${index} HTTP/1.0\r\nHost: a.test\r\n\r\n`)
    await client.closed()
    assert.equal(error, 'ECONNRESET')
  })

  test('does any of this is in the access log, with its code', async () => {
    await until(
      () => faults.every((_, index) => lineOf(index) !== undefined),
      () => 'all lines in the access log',
    )
    for (const [index, { name, gets }] of faults.entries()) {
      const code = lineOf(index)?.code ?? 'none'
      if (gets === 'cut') assert.match(code, /^upstream-(reply-cut-short|malformed-reply)$/, name)
      else assert.equal(code, gets === 'whole' ? 'none' : gets.code, name)
    }
  })

  test('does any of this leaves no connection behind', async () => {
    await program.untilQuiet()
    assert.equal(await program.total('turnpike_worker_replacements_total'), 0)
  })

  test('is stopped by a signal: 504 while it is, 200 when it goes on', { timeout: 90_000 }, async () => {
    const script = `require('node:http').createServer((_, r) => r.end('up')).listen(0, '127.0.0.1', function () { console.log(this.address().port) })`
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [port] = (await once(child.stdout, 'data')) as [Buffer]
    await using other = await Program.start({
      upstreams: { a: { targets: [`http://127.0.0.1:${String(port).trim()}`], timeouts: { response: '2s' } } },
      routes: [{ match: {}, forward: 'a' }],
    })
    assert.equal((await ask(other.port)).text, 'up')
    child.kill('SIGSTOP')
    const stopped = await Promise.all(Array.from({ length: 5 }, () => ask(other.port)))
    for (const got of stopped) assert.deepEqual([got.status, codeOf(got)], [504, 'upstream-timeout'])
    child.kill('SIGCONT')
    assert.equal((await ask(other.port)).text, 'up')
    child.kill('SIGKILL')
    await once(child, 'exit')
    const gone = await ask(other.port)
    assert.deepEqual([gone.status, codeOf(gone)], [502, 'upstream-connect-failed'])
  })
})

describe('an upstream that answers before the request body ended', () => {
  test('413 with a close: the client gets the reply though it is still sending', async () => {
    const early = net.createServer({ noDelay: true }, socket => {
      socket.on('error', () => {})
      socket.once('data', () =>
        socket.write('HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 8\r\n\r\ntoo much', () =>
          socket.end(),
        ),
      )
    })
    early.listen(0, '127.0.0.1')
    await once(early, 'listening')
    await using other = await Program.start({
      upstreams: { a: { targets: [`http://127.0.0.1:${(early.address() as AddressInfo).port}`] } },
      routes: [{ match: {}, forward: 'a' }],
    })
    for (let round = 0; round < 20; round++) {
      const client = await Peer.connect(other.port)
      client.send(
        `POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 500000\r\n\r\n${'x'.repeat(round % 2 === 0 ? 10 : 400_000)}`,
      )
      await client.until('too much')
      assert.match(client.text, /^HTTP\/1\.1 413 Content Too Large\r\n/)
      assert.match(client.text, /\r\nconnection: close\r\n/i)
      client.socket.destroy()
    }
    await other.untilQuiet()
    early.close()
  })
})

describe('an upstream that closes idle connections at will', { timeout: 180_000 }, () => {
  let idler: Server
  let other: Program
  /** Calls that reached it, by method. */
  const reached: Record<string, number> = { GET: 0, POST: 0 }
  let closedIdle = 0
  before(async () => {
    idler = net.createServer({ noDelay: true }, closeAtWill)
    idler.listen({ port: 0, host: '127.0.0.1', backlog: 1024 })
    await once(idler, 'listening')
    other = await Program.start({
      upstreams: { a: { targets: [`http://127.0.0.1:${(idler.address() as AddressInfo).port}`] } },
      routes: [{ match: {}, forward: 'a' }],
    })
  })
  after(async () => {
    await other[Symbol.asyncDispose]()
    idler.close()
  })

  /** Answers each call, and closes 0 to 50 ms after a reply unless another call has begun by then. */
  function closeAtWill(socket: Socket): void {
    let timer: NodeJS.Timeout | undefined
    let text = ''
    socket.on('error', () => {})
    socket.on('data', chunk => {
      clearTimeout(timer)
      text += chunk.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      if (end === -1 || text.length < end + 4 + Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)) return
      const method = text.slice(0, text.indexOf(' '))
      reached[method] = (reached[method] ?? 0) + 1
      text = ''
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      timer = setTimeout(() => {
        closedIdle++
        socket.destroy()
      }, Math.random() * 50)
    })
    socket.on('close', () => clearTimeout(timer))
  }

  /** So many calls from 48 clients, each with pauses in which its upstream connection may be closed. */
  async function load(method: 'GET' | 'POST', count: number): Promise<Map<string, number>> {
    const pool = new Pool(other.url, { connections: 48 })
    const outcomes = new Map<string, number>()
    let next = 0
    const work = async () => {
      while (next++ < count) {
        const { statusCode, body } = await pool.request({ path: '/', method, ...(method === 'POST' && { body: 'x' }) })
        const outcome =
          statusCode === 200
            ? `200 ${await body.text()}`
            : `${statusCode} ${((await body.json()) as { code: string }).code}`
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        if (Math.random() < 0.3) await new Promise(resolve => setTimeout(resolve, Math.random() * 20))
      }
    }
    await Promise.all(Array.from({ length: 48 }, work))
    await pool.close()
    return outcomes
  }

  test('20,000 GETs: not one fails', async t => {
    const outcomes = await load('GET', 20_000)
    t.diagnostic(`${closedIdle} idle connections were closed`)
    assert.deepEqual(Object.fromEntries(outcomes), { '200 ok': 20_000 })
    assert.ok(closedIdle > 500, `only ${closedIdle} connections were closed`)
  })

  test('10,000 POSTs: none is sent twice, and only one that crossed a close can fail', async t => {
    reached.POST = 0
    const { '200 ok': good = 0, ...failed } = Object.fromEntries(await load('POST', 10_000))
    const failures = 10_000 - good
    t.diagnostic(`${failures} of 10,000 POSTs failed: ${JSON.stringify(failed)}`)
    assert.equal(reached.POST, good, 'a call that failed was seen, or one was seen twice')
    assert.ok(
      Object.keys(failed).every(outcome => outcome === '502 upstream-stale'),
      JSON.stringify(failed),
    )
    assert.ok(failures < 200, `${failures} failed`)
  })
})

function lineOf(index: number): { code?: string } | undefined {
  const line = program.stdout.split('\n').find(text => text.includes(`"path":"/${index}"`))
  return line === undefined ? undefined : (JSON.parse(line) as { code?: string })
}
