// What is counted and written down, held against what was sent.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, rename } from 'node:fs/promises'
import http2 from 'node:http2'
import http, { type IncomingMessage } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { Peer } from '../strictness/wire/peer.ts'
import { ask } from '../tools/ask.ts'
import { get } from '../tools/http2.ts'
import { echo, type Echoed, Origin } from '../tools/origin.ts'
import { Program, sumOf } from '../tools/program.ts'
import { until } from '../tools/until.ts'

interface Line {
  readonly id: string
  readonly client: string
  readonly protocol: string
  readonly method: string
  readonly host: string
  readonly path: string
  readonly query?: string
  readonly status: number
  readonly code?: string
  readonly route: string
  readonly upstream?: string
  readonly bytesIn: number
  readonly bytesOut: number
  readonly durationMs: number
  readonly upstreamMs: number
  readonly traceId?: string
  readonly userAgent?: string
}

let origin: Origin
let program: Program
before(async () => {
  origin = await Origin.start((request, response, body) => {
    if (request.url !== '/fails') return echo(request, response, body)
    return response.writeHead(500).end('failed')
  })
  program = await Program.start({
    workers: 2,
    listeners: [{ name: 'front', port: 0, host: '127.0.0.1', trustedProxies: ['127.0.0.2', '198.51.100.0/24'] }],
    telemetry: { accessLog: '{folder}/access.log', trace: 'start' },
    upstreams: { origin: { targets: [origin.url] } },
    routes: [
      { name: 'reply', match: { path: '/reply' }, reply: { body: 'four' } },
      { name: 'forward', match: { path: '/**' }, forward: 'origin' },
    ],
  })
})
after(async () => {
  await program[Symbol.asyncDispose]()
  await origin[Symbol.asyncDispose]()
})

async function linesOf(name: string): Promise<Line[]> {
  return wholeLines(await readFile(program.file(name), 'utf8').catch(() => '')).map(line => JSON.parse(line) as Line)
}

/** The last line may be on its way still. */
function wholeLines(text: string): string[] {
  return text.split('\n').slice(0, -1)
}

/** Lines of calls below a path. */
async function linesBelow(prefix: string, ...names: string[]): Promise<Line[]> {
  const all = await Promise.all(names.map(linesOf))
  return all.flat().filter(({ path }) => path.startsWith(prefix))
}

/** Labels but for the bucket's own, as a text. */
function seriesOf(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(labels).filter(([name]) => name !== 'le'))
}

async function lineWith(text: string, name = 'access.log'): Promise<Line> {
  let found: Line | undefined
  await until(
    async () => {
      found = (await linesOf(name)).find(line => JSON.stringify(line).includes(text))
      return found !== undefined
    },
    () => `a line with ${text}`,
  )
  return found as Line
}

/** A call from one of the addresses of this machine. */
async function callFrom(
  localAddress: string,
  headers: http.OutgoingHttpHeaders,
  path = '/whoami',
): Promise<Echoed & { reply: IncomingMessage }> {
  const request = http.get({ host: '127.0.0.1', port: program.port, path, localAddress, headers, agent: false })
  const [reply] = (await once(request, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of reply) text += String(chunk)
  return { ...(JSON.parse(text) as Echoed), reply }
}

const requests = 'http_server_request_duration_seconds'

describe('/metrics', () => {
  test('adds up with what was sent, over both workers', async () => {
    const before = await program.metrics()
    const agent = new http.Agent({ keepAlive: true, maxSockets: 16 })
    const calls = [
      ...Array.from({ length: 300 }, () => ask(program.port, { path: '/reply', agent })),
      ...Array.from({ length: 200 }, () =>
        ask(program.port, { method: 'POST', path: '/sum', body: 'x'.repeat(100), agent }),
      ),
      ...Array.from({ length: 50 }, () => ask(program.port, { path: '/fails', agent })),
      ...Array.from({ length: 25 }, () => ask(program.port, { path: '/a//b', agent })),
    ]
    const bytes = (await Promise.all(calls)).slice(300, 500).reduce((sum, { body }) => sum + body.length, 0)
    agent.destroy()
    await program.untilTotal(`${requests}_count`, {}, sumOf(before, `${requests}_count`) + 575)
    const now = await program.metrics()
    const grown = (name: string, labels: Record<string, string> = {}) =>
      sumOf(now, name, labels) - sumOf(before, name, labels)
    assert.equal(
      grown(`${requests}_count`, { http_route: 'reply', http_response_status_code: '200', url_scheme: 'http' }),
      300,
    )
    assert.equal(grown(`${requests}_count`, { http_route: 'forward', http_request_method: 'POST' }), 200)
    assert.equal(grown(`${requests}_count`, { http_response_status_code: '500' }), 50)
    assert.equal(grown(`${requests}_count`, { error_type: 'unsafe-path', http_response_status_code: '400' }), 25)
    assert.equal(grown(`${requests}_bucket`, { le: '+Inf' }), 575)
    assert.equal(grown('http_client_request_duration_seconds_count', { turnpike_upstream: 'origin' }), 250)
    assert.equal(
      grown('http_server_request_body_size_bytes_sum', { http_route: 'forward', http_request_method: 'POST' }),
      200 * 100,
    )
    assert.equal(grown('http_server_response_body_size_bytes_sum', { http_route: 'reply' }), 300 * 4)
    assert.equal(
      grown('http_server_response_body_size_bytes_sum', { http_route: 'forward', http_request_method: 'POST' }),
      bytes,
    )
    // A refused request ends its connection.
    const opened = grown('turnpike_downstream_connections_opened_total', { listener: 'front' })
    assert.ok(opened >= 16 && opened <= 16 + 25, `${opened} connections`)
    assert.ok(grown('turnpike_upstream_connections_opened_total', { upstream: 'origin' }) <= 16)
  })

  test('buckets of every histogram grow and end in the count', async () => {
    const { samples } = await program.metrics()
    const seen = new Map<string, number>()
    for (const { name, labels, value } of samples) {
      if (name.endsWith('_bucket')) {
        const series = name.slice(0, -7) + seriesOf(labels)
        assert.ok(value >= (seen.get(series) ?? 0), `${series} goes back`)
        seen.set(series, value)
      } else if (name.endsWith('_count')) assert.equal(seen.get(name.slice(0, -6) + seriesOf(labels)), value, name)
    }
    assert.ok(seen.size > 5)
  })

  test('is OpenMetrics where that is asked for', async () => {
    const reply = await program.admin('/metrics', {
      headers: { accept: 'application/openmetrics-text; version=1.0.0' },
    })
    assert.match(reply.headers.get('content-type') ?? '', /^application\/openmetrics-text; version=1\.0\.0/)
    const open = await program.metrics('application/openmetrics-text; version=1.0.0')
    assert.ok(open.hasEnd)
    assert.equal(open.types.get('turnpike_config_version'), 'gauge')
    assert.equal(sumOf(open, 'turnpike_config_version'), 1)
  })

  test('health and readiness', async () => {
    assert.equal((await program.admin('/healthz')).status, 200)
    assert.equal((await program.admin('/readyz')).status, 200)
  })
})

describe('the access log', () => {
  test('says what the client speaks, also of calls that are refused', async () => {
    const old = await Peer.connect(program.port)
    old.send('GET /spoken/1.0 HTTP/1.0\r\n\r\n')
    await old.closed()
    await ask(program.port, { path: '/spoken/1.1' })
    const broken = await Peer.connect(program.port)
    broken.send('GET /spoken HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')
    await broken.closed()
    const session = http2.connect(program.url)
    await get(session, '/spoken/2')
    assert.equal((await get(session, '/spoken', { ':authority': 'a.test', host: 'b.test' })).status, 400)
    session.close()
    let said: string[] = []
    await until(
      async () => {
        const lines = await linesOf('access.log')
        const wanted = lines.filter(({ path, code }) => path.startsWith('/spoken/') || code === 'malformed-request')
        said = wanted.map(({ path, protocol }) => `${path} ${protocol}`).sort()
        return said.length === 5
      },
      () => `the lines: ${said.join()}`,
    )
    assert.deepEqual(said, [' HTTP/1.1', ' HTTP/2', '/spoken/1.0 HTTP/1.0', '/spoken/1.1 HTTP/1.1', '/spoken/2 HTTP/2'])
  })

  test('has one line for each call, and each says what happened', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 8 })
    const marked = Array.from({ length: 200 }, (_, i) => `/logged/${i}`)
    const replies = await Promise.all(
      marked.map(path =>
        ask(program.port, {
          method: 'POST',
          path: `${path}?token=s3cret&x=1`,
          body: 'body',
          agent,
          headers: { 'user-agent': 'tester/1' },
        }),
      ),
    )
    agent.destroy()
    await until(
      async () => (await linesBelow('/logged/', 'access.log')).length >= 200,
      () => '200 lines',
    )
    const lines = await linesBelow('/logged/', 'access.log')
    assert.equal(lines.length, 200)
    for (const [i, path] of marked.entries()) {
      const line = lines.find(item => item.path === path) as Line
      const reply = replies[i]
      assert.equal(line.id, reply?.headers['x-request-id'])
      assert.equal(line.bytesOut, reply?.body.length)
      const { method, status, route, upstream, client, bytesIn, query, userAgent } = line
      assert.deepEqual(
        { method, status, route, upstream, client, bytesIn, query, userAgent },
        {
          method: 'POST',
          status: 200,
          route: 'forward',
          upstream: 'origin',
          client: '127.0.0.1',
          bytesIn: 4,
          query: '?token=[redacted]&x=1',
          userAgent: 'tester/1',
        },
      )
      assert.ok(line.durationMs >= line.upstreamMs && line.upstreamMs > 0)
    }
  })

  test('says why the gateway refused', async () => {
    await ask(program.port, { path: '/refused/..' })
    assert.equal((await lineWith('"unsafe-path"')).status, 400)
  })

  test('goes to a new file after a rename and SIGUSR1, and loses no line', async () => {
    let sent = 0
    const over = new AbortController()
    const agent = new http.Agent({ keepAlive: true })
    const load = (async () => {
      while (!over.signal.aborted) {
        await ask(program.port, { path: `/rotated/${sent}`, agent })
        sent++
      }
    })()
    await until(
      () => sent > 50,
      () => 'some calls',
    )
    await rename(program.file('access.log'), program.file('access.log.1'))
    program.signal('SIGUSR1')
    await until(
      async () => (await linesOf('access.log')).length > 20,
      () => 'lines in the new file',
    )
    over.abort()
    await load
    agent.destroy()
    await until(
      async () => (await linesBelow('/rotated/', 'access.log.1', 'access.log')).length >= sent,
      () => `${sent} lines`,
    )
    assert.equal(
      new Set((await linesBelow('/rotated/', 'access.log.1', 'access.log')).map(({ path }) => path)).size,
      sent,
    )
  })

  test('on the standard output', async () => {
    await using other = await Program.start({
      telemetry: { accessLog: 'stdout' },
      routes: [{ match: {}, reply: { body: 'x' } }],
    })
    await Promise.all(Array.from({ length: 20 }, (_, i) => ask(other.port, { path: `/${i}` })))
    const lines = () => wholeLines(other.stdout)
    await until(
      () => lines().length >= 20,
      () => '20 lines',
    )
    assert.deepEqual(
      lines()
        .map(line => (JSON.parse(line) as Line).path)
        .sort((a, b) => Number(a.slice(1)) - Number(b.slice(1))),
      Array.from({ length: 20 }, (_, i) => `/${i}`),
    )
  })
})

describe('x-request-id', () => {
  test('is one and the same at the upstream, in the reply and in the log', async () => {
    const { headers, reply } = await callFrom('127.0.0.1', {}, '/request-id')
    const id = headers['x-request-id'] ?? ''
    assert.match(id, /^[0-9a-f]{32}$/)
    assert.equal(reply.headers['x-request-id'], id)
    assert.equal((await lineWith('/request-id')).id, id)
  })

  test('of a stranger is replaced, of a trusted proxy kept', async () => {
    const given = { 'x-request-id': 'given-by-client' }
    assert.notEqual((await callFrom('127.0.0.1', given)).headers['x-request-id'], 'given-by-client')
    assert.equal((await callFrom('127.0.0.2', given)).headers['x-request-id'], 'given-by-client')
  })
})

describe('traceparent', () => {
  const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  test('is continued under a new parent, and the trace is in the log', async () => {
    const { headers } = await callFrom('127.0.0.1', { traceparent: parent, tracestate: 'a=1' }, '/traced')
    assert.match(headers.traceparent ?? '', /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/)
    assert.notEqual(headers.traceparent, parent)
    assert.equal(headers.tracestate, 'a=1')
    assert.equal((await lineWith('/traced')).traceId, '0af7651916cd43dd8448eb211c80319c')
  })

  test('is started where there is none, or a broken one', async () => {
    for (const headers of [{}, { traceparent: `${parent}-x`, tracestate: 'a=1' }] as http.OutgoingHttpHeaders[]) {
      const got = await callFrom('127.0.0.1', headers)
      assert.match(got.headers.traceparent ?? '', /^00-(?!0af7651916cd43dd)[0-9a-f]{32}-[0-9a-f]{16}-01$/)
      assert.equal(got.headers.tracestate, undefined)
    }
  })
})

describe('the rule of trusted proxies', () => {
  const spoofed = {
    'x-forwarded-for': '203.0.113.7',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'evil.test',
    forwarded: 'for=203.0.113.7',
    'x-real-ip': '203.0.113.7',
    'x-forwarded-prefix': '/evil',
    'X-Forwarded-Ssl': 'on',
    x_forwarded_scheme: 'https',
    'X-Forwarded-User': 'root',
    x_forwarded_user: 'root',
    'x-turnpike-mirrored': 'true',
  }
  test('what a stranger claims is dropped and made anew', async () => {
    const { headers } = await callFrom('127.0.0.1', { ...spoofed, host: 'api.acme.test' }, '/stranger')
    assert.equal(headers['x-forwarded-for'], '127.0.0.1')
    assert.equal(headers['x-forwarded-proto'], 'http')
    assert.equal(headers['x-forwarded-host'], 'api.acme.test')
    assert.equal(headers.forwarded, undefined)
    assert.equal(headers['x-real-ip'], undefined)
    assert.equal(headers['x-forwarded-prefix'], undefined)
    assert.equal(headers['x-forwarded-ssl'], undefined)
    assert.equal(headers['x_forwarded_scheme'], undefined)
    assert.equal(headers['x-forwarded-user'], undefined)
    assert.equal(headers['x_forwarded_user'], undefined)
    assert.equal(headers['x-turnpike-mirrored'], undefined)
    assert.equal((await lineWith('/stranger')).client, '127.0.0.1')
  })

  test('what a trusted proxy says is continued', async () => {
    const { headers } = await callFrom('127.0.0.2', spoofed, '/proxied')
    assert.equal(headers['x-forwarded-for'], '203.0.113.7, 127.0.0.2')
    assert.equal(headers['x-forwarded-proto'], 'https')
    assert.equal(headers['x-forwarded-host'], 'evil.test')
    assert.match(headers.forwarded ?? '', /^for=203\.0\.113\.7, for=127\.0\.0\.2;proto=http/)
    assert.equal((await lineWith('/proxied')).client, '203.0.113.7')
  })

  test('the client is the last address that is no trusted proxy', async () => {
    await callFrom('127.0.0.2', { 'x-forwarded-for': '192.0.2.66, 203.0.113.7, 198.51.100.3' }, '/chain')
    assert.equal((await lineWith('/chain')).client, '203.0.113.7')
  })
})
