// nginx and HAProxy as upstreams, over HTTP/1.1, HTTP/2 without TLS, and HTTP/2 by ALPN; each passes calls on to a server of ours.

import assert from 'node:assert/strict'
import { Agent } from 'node:http'
import http2 from 'node:http2'
import { after, before, describe, test } from 'node:test'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { findTool } from '../../scripts/tools.ts'
import { ask } from '../tools/ask.ts'
import { freePort } from '../tools/free-port.ts'
import { answerOf, get } from '../tools/http2.ts'
import { echo, type Echoed, Origin } from '../tools/origin.ts'
import { haproxy, nginx, type Outsider } from '../tools/outsiders.ts'
import { Program } from '../tools/program.ts'

const pair = selfSigned(['one.test'])
const files = { 'one.pem': pair.cert, 'one.key': pair.key }
const large = Buffer.alloc(3_000_000, 'a large body ')
const missing = ['nginx', 'haproxy'].filter(tool => findTool(tool) === null)
const skip = missing.length > 0 && `${missing.join(' and ')} not installed (Debian: nginx-light, haproxy)`

/** The ways in which each of them is spoken to, and what it says that it was spoken to by. */
const ways = [
  { name: 'HTTP/1.1', scheme: 'http', protocol: 'http1', version: '1.1' },
  { name: 'HTTP/2 without TLS', scheme: 'http', protocol: 'http2', version: '2' },
  { name: 'HTTP/2 by ALPN', scheme: 'https', protocol: 'auto', version: '2' },
] as const

interface Proxy {
  readonly name: string
  readonly ports: readonly number[]
  readonly outsider: Outsider
}

async function startNginx(port: number): Promise<Proxy> {
  const ports = [await freePort(), await freePort(), await freePort()]
  const [plain, clear, secure] = ports
  const server = (listen: string) => `server { listen 127.0.0.1:${listen};
    ssl_certificate one.pem; ssl_certificate_key one.key; client_max_body_size 10m; keepalive_requests 50;
    location / { proxy_pass http://127.0.0.1:${port}; proxy_http_version 1.1; proxy_set_header X-Spoken $server_protocol; } }`
  const servers = [server(`${plain}`), server(`${clear} http2`), server(`${secure} ssl http2`)]
  const outsider = await nginx(`http { access_log off; ${servers.join('\n')} }`, ports, files)
  return { name: 'nginx', ports, outsider }
}

async function startHaproxy(port: number): Promise<Proxy> {
  const ports = [await freePort(), await freePort(), await freePort()]
  const [plain, clear, secure] = ports
  const sections = [
    `frontend in\n  bind 127.0.0.1:${plain}\n  bind 127.0.0.1:${clear} proto h2`,
    `  bind 127.0.0.1:${secure} ssl crt ./both.pem alpn h2,http/1.1`,
    '  http-request set-header x-spoken HTTP/%[req.ver]\n  default_backend origin',
    `backend origin\n  server one 127.0.0.1:${port}`,
  ]
  return {
    name: 'haproxy',
    ports,
    outsider: await haproxy('http', sections, ports, { 'both.pem': pair.cert + pair.key }),
  }
}

describe('nginx and HAProxy as upstreams', { skip }, () => {
  let origin: Origin
  let program: Program
  const proxies: Proxy[] = []
  before(async () => {
    origin = await Origin.start((request, response, body) => {
      if (request.url?.endsWith('/large') === true) return response.end(large)
      if (request.url?.endsWith('/length') === true) return response.end(String(body.length))
      return echo(request, response, body)
    })
    proxies.push(await startNginx(origin.port), await startHaproxy(origin.port))
    const upstreams = proxies.flatMap(({ name, ports }) =>
      ways.map(({ scheme, protocol }, i) => {
        const tls = scheme === 'https' ? { tls: { ca: 'one.pem', serverName: 'one.test' } } : {}
        return [`${name}-${i}`, { targets: [`${scheme}://127.0.0.1:${ports[i]}`], protocol, ...tls }] as const
      }),
    )
    const routes = upstreams.map(([name]) => ({ match: { path: `/${name}/**` }, forward: name }))
    program = await Program.start({ workers: 1, upstreams: Object.fromEntries(upstreams), routes }, files)
  })
  after(async () => {
    await program?.stop()
    for (const { outsider } of proxies) await outsider.stop()
    await origin?.[Symbol.asyncDispose]()
  })

  for (const proxy of ['nginx', 'haproxy']) {
    for (const [i, { name, version }] of ways.entries()) {
      const path = `/${proxy}-${i}`
      test(`${proxy} by ${name}: calls and bodies of clients of either version`, async () => {
        const first = await ask(program.port, { path: `${path}/x?q=1`, headers: { 'x-one': '1' } })
        const { url, headers } = JSON.parse(first.text) as Echoed
        assert.deepEqual([first.status, url, headers['x-one']], [200, `${path}/x?q=1`, '1'])
        assert.match(headers['x-spoken'] ?? '', new RegExp(`^HTTP/${version}(\\.0)?$`))
        const body = Buffer.from(large)
        const told = await ask(program.port, { method: 'POST', path: `${path}/length`, body })
        const streamed = await ask(program.port, { method: 'POST', path: `${path}/length`, body, isChunked: true })
        assert.deepEqual([told.text, streamed.text], [String(large.length), String(large.length)])
        assert.ok((await ask(program.port, { path: `${path}/large` })).body.equals(large))
        assert.equal((await ask(program.port, { method: 'HEAD', path: `${path}/x` })).status, 200)

        const session = http2.connect(program.url)
        const stream = session.request({ ':method': 'POST', ':path': `${path}/length` })
        stream.end(large)
        assert.equal((await answerOf(stream)).body, String(large.length))
        assert.equal((await get(session, `${path}/large`)).body.length, large.length)
        session.close()
      })
    }
  }

  for (const [i, { name }] of ways.entries()) {
    test(`nginx by ${name}: none of 400 calls is lost to connections that it ends after 50 calls each`, async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 8 })
      const path = `/nginx-${i}/length`
      const answers = await Promise.all(
        Array.from({ length: 400 }, (_, n) =>
          ask(program.port, n % 2 === 0 ? { path, agent } : { path, agent, method: 'POST', body: 'a' }),
        ),
      )
      agent.destroy()
      const statuses = new Map<number, number>()
      for (const { status } of answers) statuses.set(status, (statuses.get(status) ?? 0) + 1)
      assert.deepEqual([...statuses], [[200, 400]])
    })
  }

  test('afterwards there is no call and no connection left but idle ones', () => program.untilQuiet())
})
