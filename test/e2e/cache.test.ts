// The cache over the wire: one question for many callers, purges and changes on all workers, replies that break off, reloads.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import http2 from 'node:http2'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { ask } from '../tools/ask.ts'
import { get } from '../tools/http2.ts'
import { Origin } from '../tools/origin.ts'
import { Program, runTurnpike } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const run = promisify(execFile)
const page = 'the quick brown fox jumps over the lazy dog. '.repeat(2_000)
const fresh = { 'cache-control': 'public, max-age=600' }

let origin: Origin
let dying = 0
before(async () => {
  origin = await Origin.start(serve)
})
after(() => origin[Symbol.asyncDispose]())

/** What is asked for at `/held` is answered when the test says so. */
let held = Promise.withResolvers<void>()

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname: path } = new URL(request.url ?? '/', 'http://a')
  if (path === '/held') await held.promise
  if (path === '/private')
    return void response.writeHead(200, { 'cache-control': 'private' }).end(randomBytes(8).toString('hex'))
  if (path.startsWith('/dying')) return die(path, response)
  if (path === '/checked') return check(request, response)
  const headers = { ...fresh, etag: '"v1"', 'content-type': 'text/plain', 'cache-tag': `pages, ${path.slice(1)}` }
  response.writeHead(200, headers)
  response.end(request.method === 'HEAD' ? undefined : path === '/page' ? page : `${path} ${origin.calls}`)
}

/** The first two times the connection breaks in the middle of the body. */
function die(path: string, response: ServerResponse): void {
  const isWhole = ++dying > 2
  response.writeHead(200, { ...fresh, ...(path === '/dying/length' && { 'content-length': 20 }) })
  response.write('0123456789')
  if (isWhole) response.end('0123456789')
  else setTimeout(() => response.destroy(), 50)
}

/** Always asked again; the answer is that nothing has changed. */
function check(request: IncomingMessage, response: ServerResponse): void {
  const isKnown = request.headers['if-none-match'] === '"c1"'
  response.writeHead(isKnown ? 304 : 200, { 'cache-control': 'public, no-cache', etag: '"c1"' })
  response.end(isKnown ? undefined : `checked ${asked('/checked')}`)
}

const config = (more: object = {}, policies: object[] = [{ cache: { cacheStatus: 'turnpike' } }]) => ({
  upstreams: { origin: { targets: [origin.url] } },
  routes: [{ name: 'all', match: { path: '/**' }, policies, forward: 'origin' }],
  ...more,
})

const asked = (path: string) => origin.targets.get(path) ?? 0

async function curl(...args: string[]): Promise<string> {
  const { stdout } = await run('curl', ['-sS', '--max-time', '30', ...args], { maxBuffer: 1e8 })
  return stdout
}

describe('one worker', () => {
  let program: Program
  before(async () => {
    program = await Program.start(config())
  })
  after(() => program[Symbol.asyncDispose]())

  /** Has calls answered when all of them have come. */
  async function together<T>(calls: readonly Promise<T>[]): Promise<T[]> {
    held = Promise.withResolvers()
    await program.untilTotal('http_server_active_requests', {}, calls.length)
    held.resolve()
    return Promise.all(calls)
  }

  test('64 callers at once are one call of the service', async () => {
    const answers = await together(Array.from({ length: 64 }, () => ask(program.port, { path: '/held' })))
    assert.equal(new Set(answers.map(({ text }) => text)).size, 1)
    assert.ok(answers.every(({ status }) => status === 200))
    assert.equal(asked('/held'), 1)
    await program.untilTotal('turnpike_cache_calls_total', { http_route: 'all', outcome: 'collapsed' }, 63)
  })

  test('a reply that is for one caller alone is fetched for each, and none sees another’s', async () => {
    const answers = await Promise.all(Array.from({ length: 16 }, () => ask(program.port, { path: '/private' })))
    assert.equal(new Set(answers.map(({ text }) => text)).size, 16)
    assert.equal(asked('/private'), 16)
  })

  test('curl: a whole reply, its head, a part of it, and 304', async () => {
    const url = `${program.url}/page`
    assert.equal(await curl(url), page)
    assert.equal(await curl(url), page)
    const head = await curl('-I', url)
    assert.match(head, /^HTTP\/1.1 200 OK\r\n/)
    assert.match(head, /^content-length: 90000\r$/m)
    assert.match(head, /^Age: \d\r$/m)
    assert.match(head, /^Cache-Status: turnpike; hit; ttl=\d+\r$/m)
    assert.equal(await curl('-r', '4-8', url), 'quick')
    assert.equal(await curl('-r', '-5', url), 'dog. ')
    assert.equal(
      await curl('-o', '/dev/null', '-w', '%{http_code} %{size_download}', '-H', 'If-None-Match: W/"v1"', url),
      '304 0',
    )
    assert.equal(asked('/page'), 1)
  })

  test('over HTTP/2: a hit, 304, a revalidation, and one call of the service for many streams at once', async () => {
    const session = http2.connect(program.url)
    session.on('error', () => {})
    const first = await get(session, '/modern')
    const hit = await get(session, '/modern')
    assert.equal(hit.body, first.body)
    assert.match(String(hit.headers['cache-status']), /^turnpike; hit; ttl=\d+$/)
    assert.match(String(hit.headers['age']), /^\d$/)
    const known = await get(session, '/modern', { 'if-none-match': '"v1"' })
    assert.deepEqual([known.status, known.body, known.headers['etag']], [304, '', '"v1"'])
    const head = await get(session, '/modern', { ':method': 'HEAD' })
    assert.deepEqual([head.status, head.body], [200, ''])
    // What a client over HTTP/1.1 fetched is the same reply.
    assert.equal((await ask(program.port, { path: '/modern' })).text, first.body)
    assert.equal(asked('/modern'), 1)

    for (let i = 1; i <= 3; i++) {
      const { status, body } = await get(session, '/checked')
      assert.deepEqual([status, body], [200, 'checked 1'])
      assert.equal(asked('/checked'), i)
    }

    const outcome = { http_route: 'all', outcome: 'collapsed' }
    const before = await program.total('turnpike_cache_calls_total', outcome)
    const answers = await together(Array.from({ length: 32 }, () => get(session, '/held?streams')))
    assert.deepEqual([new Set(answers.map(({ body }) => body)).size, asked('/held?streams')], [1, 1])
    await program.untilTotal('turnpike_cache_calls_total', outcome, before + 31)
    session.destroy()
  })

  for (const path of ['/dying/length', '/dying/chunked']) {
    test(`a service that dies in the middle: the client sees it, and nothing is kept (${path})`, async () => {
      dying = 0
      for (let i = 0; i < 2; i++) {
        const { text, isWhole } = await ask(program.port, { path })
        assert.deepEqual([text, isWhole], ['0123456789', false])
      }
      for (let i = 0; i < 3; i++) {
        const { text, isWhole } = await ask(program.port, { path })
        assert.deepEqual([text, isWhole], ['01234567890123456789', true])
      }
      assert.equal(asked(path), 3)
    })
  }

  test('a client that leaves in the middle leaves the others their reply', async () => {
    held = Promise.withResolvers()
    const request = http.get({ host: '127.0.0.1', port: program.port, path: '/held?leaving', agent: false })
    request.on('error', () => {})
    await until(
      () => asked('/held?leaving') === 1,
      () => 'the service to be asked',
    )
    const other = ask(program.port, { path: '/held?leaving' })
    await program.untilTotal('http_server_active_requests', {}, 2)
    request.destroy()
    await program.untilTotal('http_server_active_requests', {}, 1)
    held.resolve()
    const { status, isWhole } = await other
    assert.deepEqual([status, isWhole], [200, true])
    assert.equal(asked('/held?leaving'), 1)
  })
})

/** Asks on many connections, so that every worker is asked. */
async function everywhere(program: Program, path: string): Promise<Set<string>> {
  const statuses = new Set<string>()
  for (let i = 0; i < 16; i++) {
    const { headers } = await ask(program.port, { path })
    statuses.add(String(headers['cache-status']).split('; ')[1] ?? '')
  }
  return statuses
}

describe('two workers', () => {
  let program: Program
  before(async () => {
    program = await Program.start(config({ workers: 2 }))
  })
  after(() => program[Symbol.asyncDispose]())

  /** Until both have it: the system chooses who gets a connection. */
  const filled = (path: string) =>
    until(
      async () => !(await everywhere(program, path)).has('fwd=uri-miss'),
      () => `all workers to have ${path}`,
    )
  const purge = async (body: object) => {
    const answer = await program.admin('/cache/purge', { method: 'POST', body: JSON.stringify(body) })
    return { status: answer.status, value: (await answer.json()) as { purged?: number; errors?: object[] } }
  }

  for (const [title, body] of [
    ['URL', { url: '/one' }],
    ['URL with a host', { url: 'http://127.0.0.1/one' }],
    ['prefix', { prefix: '/on' }],
    ['tag', { tag: 'one' }],
    ['route', { route: 'all' }],
    ['all', { all: true }],
  ] as const) {
    test(`a purge by ${title} is in force on both when it is answered`, async () => {
      await filled('/one')
      const { status, value } = await purge(body)
      assert.equal(status, 200)
      assert.ok((value.purged ?? 0) >= 1, JSON.stringify(value))
      const before = asked('/one')
      await everywhere(program, '/one')
      assert.ok(asked('/one') > before, 'no worker asked the service again')
      assert.equal((await purge({ url: '/one' })).value.purged, asked('/one') - before)
    })
  }

  test('the command line purges', async () => {
    await filled('/two')
    const admin = ['--admin', `http://127.0.0.1:${program.adminPort}`]
    const done = await runTurnpike(['cache', 'purge', '--tag', 'two', ...admin, '--json'])
    assert.equal(done.code, 0, done.stderr)
    const { purged, ...what } = JSON.parse(done.stdout) as { purged: number }
    assert.deepEqual(what, { by: 'tag', value: 'two' })
    assert.ok(purged >= 1)
    const unclear = await runTurnpike(['cache', 'purge', '--tag', 'two', '--all', ...admin])
    assert.equal(unclear.code, 1)
    assert.match(unclear.stderr, /say what to purge by one of --url/)
  })

  test('a purge by a route that there is not is refused, and says which there are', async () => {
    const admin = ['--admin', `http://127.0.0.1:${program.adminPort}`]
    const { code, stderr } = await runTurnpike(['cache', 'purge', '--route', 'nowhere', ...admin])
    assert.equal(code, 1)
    assert.equal(stderr, 'turnpike: there is no route `nowhere`. Known routes: `all`.\n')
    const near = await purge({ route: 'al' })
    assert.equal(near.status, 400)
    const expected = { member: 'route', message: 'there is no route `al`', hint: 'Did you mean `all`?' }
    assert.deepEqual(near.value.errors, [expected])
  })

  test('a purge that says nothing, too much or nonsense is answered 400', async () => {
    for (const body of [
      {},
      { all: false },
      { tag: 'a', url: '/b' },
      { url: 'ftp://x/' },
      { url: 'one' },
      { tags: 'a' },
    ]) {
      const { status, value } = await purge(body)
      assert.equal(status, 400, JSON.stringify(body))
      assert.equal(value.errors?.length, 1)
    }
  })

  test('a call that changes something is seen by the other worker at once', async () => {
    for (let i = 0; i < 5; i++) {
      await filled('/three')
      assert.equal((await ask(program.port, { method: 'POST', path: '/three', body: 'x' })).status, 200)
      const { headers } = await ask(program.port, { path: '/three' })
      assert.doesNotMatch(String(headers['cache-status']), /; hit/)
      const before = asked('/three')
      await everywhere(program, '/three')
      assert.ok(asked('/three') - before <= 1, 'a worker asked more than once')
    }
  })

  test('what is kept outlives a reload, but not a change of the policy', async () => {
    await filled('/four')
    const before = asked('/four')
    await program.replace(config({ workers: 2, drain: '2s' }))
    await until(
      async () => ((await (await program.admin('/config')).json()) as { version: number }).version === 2,
      () => 'the reload',
    )
    assert.deepEqual(await everywhere(program, '/four'), new Set(['hit']))
    assert.equal(asked('/four'), before)
    const other = [{ cache: { cacheStatus: 'turnpike', bodyMax: '2MB' } }]
    await program.replace(config({ workers: 2, drain: '2s' }, other))
    await until(
      async () => ((await (await program.admin('/config')).json()) as { version: number }).version === 3,
      () => 'the second reload',
    )
    await everywhere(program, '/four')
    assert.ok(asked('/four') > before)
  })
})

test('the memory is bounded over all routes', async () => {
  await using program = await Program.start(config({ memory: { replies: '1MB' } }))
  for (let i = 0; i < 40; i++) await ask(program.port, { path: `/page?${i}` })
  let bytes = NaN
  await until(
    async () => {
      bytes = await program.total('turnpike_cache_bytes')
      assert.ok(bytes <= 1_000_000, `${bytes} bytes`)
      return bytes > 500_000 && (await program.total('turnpike_cache_evictions_total')) > 0
    },
    () => `replies to take the place of others; ${bytes} bytes are kept`,
  )
})

for (const [title, policies, stored] of [
  ['cache before compress: compressed once for each coding', [{ cache: {} }, { compress: {} }], 1],
  ['compress before cache: compressed for each call', [{ compress: {} }, { cache: {} }], 2],
] as const) {
  test(title, async () => {
    await using program = await Program.start(config({}, [...policies]))
    const before = asked('/page')
    for (const coding of ['gzip', 'br', 'zstd']) {
      for (let i = 0; i < 2; i++) {
        const url = `${program.url}/page`
        assert.equal(await curl('--compressed', '-H', `Accept-Encoding: ${coding}`, url), page)
      }
      await program.untilTotal('turnpike_compressions_total', { coding }, stored)
    }
    assert.equal(await curl(`${program.url}/page`), page)
    assert.equal(asked('/page') - before, stored === 1 ? 4 : 1)
    const known = await curl(
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      '-H',
      'Accept-Encoding: br',
      '-H',
      'If-None-Match: W/"v1"',
      `${program.url}/page`,
    )
    assert.equal(known, '304')
  })
}

test('an API key is asked for before the cache, and what is kept for one consumer is not for another', async () => {
  const consumers = ['ada', 'bob'].map(name => ({ name, credentials: [{ key: `\${file:${name}.key}` }] }))
  const files = { 'ada.key': 'the-key-of-ada-0123456789', 'bob.key': 'the-key-of-bob-0123456789' }
  await using echo = await Origin.start((request, response) => {
    response.writeHead(200, { 'cache-control': 'max-age=60' }).end(String(request.headers['x-who']))
  })
  const apiKey = { 'api-key': { forward: { 'x-who': 'consumer.name' } } }
  await using program = await Program.start(
    {
      consumers,
      upstreams: { echo: { targets: [echo.url] } },
      routes: [
        { match: { path: '/shared' }, policies: [apiKey, { cache: {} }], forward: 'echo' },
        { match: { path: '/own' }, policies: [apiKey, { cache: { key: { consumer: true } } }], forward: 'echo' },
      ],
    },
    files,
  )
  const as = (name: 'ada' | 'bob', path: string) =>
    ask(program.port, { path, headers: { 'x-api-key': files[`${name}.key`] } })
  for (const path of ['/shared', '/own']) {
    for (let i = 0; i < 2; i++) {
      for (const name of ['ada', 'bob'] as const) assert.equal((await as(name, path)).text, name)
    }
    assert.equal((await ask(program.port, { path })).status, 401)
  }
  assert.deepEqual([echo.targets.get('/shared'), echo.targets.get('/own')], [4, 2])
})
