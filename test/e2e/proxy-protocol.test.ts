// The PROXY protocol in and out, with HAProxy and nginx at the other end, and with bytes by hand.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { after, before, describe, test } from 'node:test'
import tls from 'node:tls'
import { promisify } from 'node:util'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { findTool } from '../../scripts/tools.ts'
import { writeProxyHeader } from '../../src/http/proxy-header.ts'
import { Peer } from '../strictness/wire/peer.ts'
import { ask } from '../tools/ask.ts'
import { freePort, refusingPort } from '../tools/free-port.ts'
import { haproxy, nginx, nginxHasStream, type Outsider } from '../tools/outsiders.ts'
import { echo, type Echoed, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const pair = selfSigned(['one.test'])
const get = 'GET /x HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n'
const ends = { source: { address: '198.51.100.7', port: 4711 }, destination: { address: '203.0.113.1', port: 443 } }

let origin: Origin
let program: Program
const [plain, secure, strangers, slow] = [0, 1, 2, 3]

before(async () => {
  origin = await Origin.start(echo)
  const certificates = [{ cert: 'one.pem', key: 'one.key' }]
  const listener = { port: 0, host: '127.0.0.1', proxyProtocol: { from: ['127.0.0.0/8'] } }
  program = await Program.start(
    {
      workers: 2,
      listeners: [
        { ...listener, name: 'plain', trustedProxies: ['198.51.100.99'] },
        { ...listener, name: 'secure', tls: { certificates } },
        { ...listener, name: 'strangers', proxyProtocol: { from: ['10.0.0.0/8'] } },
        { ...listener, name: 'slow', timeouts: { head: '300ms' } },
      ],
      upstreams: { origin: { targets: [origin.url] } },
      routes: [{ match: { path: '/**' }, forward: 'origin' }],
    },
    { 'one.pem': pair.cert, 'one.key': pair.key },
  )
})
after(async () => {
  await program[Symbol.asyncDispose]()
  await origin[Symbol.asyncDispose]()
})

/** What the upstream was told, of the reply on a connection. */
function echoed(text: string): Readonly<Record<string, string>> {
  assert.match(text, /^HTTP\/1\.1 200 /)
  return (JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)) as Echoed).headers
}

async function exchange(listener: number, ...parts: (string | Buffer)[]): Promise<string> {
  const peer = await Peer.connect(program.portOf(listener))
  for (const part of parts) {
    peer.socket.write(part)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  await peer.closed()
  return peer.text
}

const changingConfig = (proxyProtocol: object | null) => ({
  listeners: [{ port: 0, host: '127.0.0.1', proxyProtocol }],
  upstreams: { origin: { targets: [origin.url] } },
  routes: [{ match: { path: '/**' }, forward: 'origin' }],
})

describe('in', () => {
  for (const version of ['v1', 'v2'] as const) {
    const header = writeProxyHeader(version, ends)
    test(`${version}: the client is who the header says`, async () => {
      assert.equal(
        echoed(await exchange(plain, Buffer.concat([header, Buffer.from(get)])))['x-forwarded-for'],
        '198.51.100.7',
      )
    })
    test(`${version}: byte by byte`, async () => {
      const bytes = [...header].map(byte => Buffer.from([byte]))
      assert.equal(echoed(await exchange(plain, ...bytes, get))['x-forwarded-for'], '198.51.100.7')
    })
    test(`${version}: before TLS, with and without a pause`, async () => {
      for (const isTogether of [true, false]) {
        const socket = net.connect(program.portOf(secure), '127.0.0.1')
        if (isTogether) socket.write(header)
        else await once(socket, 'connect').then(() => socket.write(header))
        const client = tls.connect({ socket, ca: pair.cert, servername: 'one.test' })
        client.write(get)
        let text = ''
        for await (const chunk of client) text += String(chunk)
        const headers = echoed(text)
        assert.deepEqual([headers['x-forwarded-for'], headers['x-forwarded-proto']], ['198.51.100.7', 'https'])
      }
    })
  }

  test('the trusted-proxy rule goes by the address of the header', async () => {
    const call = get.replace('\r\n\r\n', '\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n')
    const proxy = { ...ends, source: { address: '198.51.100.99', port: 1 } }
    const trusted = echoed(await exchange(plain, writeProxyHeader('v2', proxy), call))
    assert.equal(trusted['x-forwarded-for'], '192.0.2.1, 198.51.100.99')
    assert.equal(echoed(await exchange(plain, writeProxyHeader('v2', ends), call))['x-forwarded-for'], '198.51.100.7')
  })

  test('a proxy that speaks for itself is the client', async () => {
    const healthCheck = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex')
    for (const header of [healthCheck, 'PROXY UNKNOWN\r\n']) {
      assert.equal(echoed(await exchange(plain, header, get))['x-forwarded-for'], '127.0.0.1')
    }
  })

  test('without a good header the connection of a sender is closed without a word, counted, and the log says why', async () => {
    const before = origin.calls
    const hostile = [get, 'PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n', '\r\n\r\n\0\r\nQUIT\n\x21\x12\0\0', '\x16\x03\x01\0\xc8']
    for (const bytes of hostile) {
      for (const listener of [plain, secure]) assert.equal(await exchange(listener, Buffer.from(bytes, 'latin1')), '')
    }
    assert.equal(origin.calls, before)
    for (const name of ['plain', 'secure']) {
      await program.untilTotal('turnpike_proxy_header_refusals_total', { listener: name }, hostile.length)
    }
    await program.untilSaid(/`proxyProtocol` expects a PROXY header of this sender/)
    await program.untilSaid(/"problem":"no PROXY header"/)
  })

  test('a second header is no header', async () => {
    const before = origin.calls
    for (const version of ['v1', 'v2'] as const) {
      const header = writeProxyHeader(version, ends)
      assert.match(await exchange(plain, header, header, get), /^HTTP\/1\.1 400 /)
      assert.equal(await exchange(secure, header, header), '')
    }
    assert.equal(origin.calls, before)
  })

  test('one who is no sender needs no header, and is not believed', async () => {
    assert.equal(echoed(await exchange(strangers, get))['x-forwarded-for'], '127.0.0.1')
    assert.match(await exchange(strangers, writeProxyHeader('v1', ends), get), /^HTTP\/1\.1 400 /)
    assert.equal((await exchange(strangers, writeProxyHeader('v2', ends), get)).slice(0, 12), 'HTTP/1.1 400')
  })

  test('a header that does not come in time closes the connection', async () => {
    assert.equal(await exchange(slow, 'PROXY TCP4 '), '')
    await program.untilTotal('turnpike_proxy_header_refusals_total', { listener: 'slow' }, 1)
  })

  test('a client that leaves in its header is not counted against anybody', async () => {
    const peer = await Peer.connect(program.portOf(plain))
    peer.send('PROXY ')
    peer.socket.end()
    await peer.closed()
    await program.untilQuiet()
  })

  test('listeners change to it and back while they serve', async () => {
    await using changing = await Program.start(changingConfig(null))
    for (const from of ['127.0.0.1', null]) {
      await changing.rewrite(changingConfig(from === null ? null : { from: [from] }))
      assert.equal((await changing.admin('/reload', { method: 'POST' })).status, 200)
      const peer = await Peer.connect(changing.port)
      if (from !== null) peer.socket.write(writeProxyHeader('v2', ends))
      peer.send(get)
      await peer.closed()
      assert.equal(echoed(peer.text)['x-forwarded-for'], from === null ? '127.0.0.1' : '198.51.100.7')
    }
  })
})

/** One call through a proxy, from another address of loopback. */
function askFrom(localAddress: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path: '/x', localAddress, agent: false }, response => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve(text))
    })
    request.on('error', reject)
  })
}

describe('in, from curl', { skip: findTool('curl') === null && 'curl is not installed' }, () => {
  for (const [what, listener, args] of [
    ['HTTP/1.1', plain, ['--http1.1']],
    ['HTTP/2 by its preface', plain, ['--http2-prior-knowledge']],
    ['HTTP/1.1 over TLS', secure, ['--http1.1']],
    ['HTTP/2 over TLS', secure, ['--http2']],
  ] as const) {
    test(`--haproxy-protocol, then ${what}`, async () => {
      const url = `${listener === secure ? 'https' : 'http'}://127.0.0.1:${program.portOf(listener)}/x`
      const from = ['--interface', '127.0.0.6', '--haproxy-protocol']
      const format = ['-w', '%{stderr}%{http_version}']
      const { stdout, stderr } = await promisify(execFile)('curl', ['-sk', ...from, ...format, ...args, url])
      assert.equal(stderr, what.startsWith('HTTP/2') ? '2' : '1.1')
      assert.equal((JSON.parse(stdout) as Echoed).headers['x-forwarded-for'], '127.0.0.6')
    })
  }
})

describe('in, from HAProxy', {
  skip: findTool('haproxy') === null && 'haproxy is not installed (Debian: apt-get install haproxy)',
}, () => {
  let sender: Outsider
  const ways = ['send-proxy', 'send-proxy-v2', 'send-proxy-v2 proxy-v2-options crc32c,unique-id', 'send-proxy-v2 check']
  const ports: number[] = []
  before(async () => {
    const sections: string[] = []
    for (const [index, way] of ways.entries()) {
      const port = await freePort()
      ports.push(port)
      sections.push(
        `listen way${index}\n  bind 127.0.0.1:${port}\n  unique-id-format %[uuid()]\n  server gateway 127.0.0.1:${program.portOf(plain)} ${way}`,
      )
    }
    sender = await haproxy('tcp', sections, ports)
  })
  after(() => sender.stop())

  for (const [index, way] of ways.entries()) {
    test(way, async () => {
      const { headers } = JSON.parse(await askFrom('127.0.0.2', ports[index] ?? 0)) as Echoed
      assert.equal(headers['x-forwarded-for'], '127.0.0.2')
    })
  }
})

describe('in, from nginx', {
  skip: !nginxHasStream() && 'nginx has no stream module (Debian: libnginx-mod-stream)',
}, () => {
  test('proxy_protocol on', async () => {
    const port = await freePort()
    const sender = await nginx(
      `stream { server { listen 127.0.0.1:${port}; proxy_pass 127.0.0.1:${program.portOf(plain)}; proxy_protocol on; } }`,
      [port],
    )
    try {
      const { headers } = JSON.parse(await askFrom('127.0.0.3', port)) as Echoed
      assert.equal(headers['x-forwarded-for'], '127.0.0.3')
    } finally {
      await sender.stop()
    }
  })
})

const hasReceivers = findTool('haproxy') !== null && findTool('nginx') !== null

describe('out', { skip: !hasReceivers && 'haproxy or nginx is not installed (Debian: haproxy, nginx-light)' }, () => {
  const receivers: Outsider[] = []
  let gateway: Program
  let closedPort: number
  before(async () => {
    const [viaHaproxy, viaNginx, secureNginx] = [await freePort(), await freePort(), await freePort()]
    closedPort = await refusingPort()
    receivers.push(
      await haproxy(
        'http',
        [
          `frontend in\n  bind 127.0.0.1:${viaHaproxy} accept-proxy\n  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"`,
        ],
        [viaHaproxy],
      ),
    )
    const says =
      'return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port";'
    receivers.push(
      await nginx(
        `http { access_log off;
          server { listen 127.0.0.1:${viaNginx} proxy_protocol; location / { ${says} } }
          server { listen 127.0.0.1:${secureNginx} ssl proxy_protocol; ssl_certificate one.pem; ssl_certificate_key one.key; location / { ${says} } } }`,
        [viaNginx, secureNginx],
        { 'one.pem': pair.cert, 'one.key': pair.key },
      ),
    )
    const tlsOptions = { ca: 'one.pem', serverName: 'one.test' }
    const upstreams = Object.fromEntries(
      (['v1', 'v2'] as const).flatMap(proxyProtocol => [
        [`haproxy-${proxyProtocol}`, { targets: [`http://127.0.0.1:${viaHaproxy}`], proxyProtocol }],
        [`nginx-${proxyProtocol}`, { targets: [`http://127.0.0.1:${viaNginx}`], proxyProtocol }],
        [`secure-${proxyProtocol}`, { targets: [`https://127.0.0.1:${secureNginx}`], proxyProtocol, tls: tlsOptions }],
        [`closed-${proxyProtocol}`, { targets: [`https://127.0.0.1:${closedPort}`], proxyProtocol, tls: tlsOptions }],
        [
          `checked-${proxyProtocol}`,
          {
            ...{ targets: [`http://127.0.0.1:${viaNginx}`], proxyProtocol },
            health: { path: '/', interval: '100ms', timeout: '5s', unhealthy: 1 },
          },
        ],
        [
          `few-${proxyProtocol}`,
          { targets: [`http://127.0.0.1:${viaNginx}`], proxyProtocol, limits: { connections: 2, pending: 50 } },
        ],
      ]),
    )
    gateway = await Program.start(
      {
        workers: 1,
        listeners: [
          { port: 0, host: '127.0.0.1', trustedProxies: ['127.0.0.9'], proxyProtocol: { from: ['127.0.0.8'] } },
        ],
        upstreams,
        routes: Object.keys(upstreams).map(name => ({ match: { path: `/${name}` }, forward: name })),
      },
      { 'one.pem': pair.cert },
    )
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
    for (const receiver of receivers) await receiver.stop()
  })

  /** A client with one connection that it keeps. */
  function client(localAddress: string) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1, localAddress })
    return {
      ask: async (path: string, headers = {}) => (await ask(gateway.port, { path, agent, headers })).text,
      end: () => agent.destroy(),
    }
  }

  for (const name of ['haproxy', 'nginx', 'secure']) {
    for (const version of ['v1', 'v2']) {
      test(`${name} learns of each client by ${version}, whoever called before on kept connections`, async () => {
        const clients = ['127.0.0.2', '127.0.0.3', '127.0.0.2'].map(client)
        const first = await Promise.all(clients.map(({ ask }) => ask(`/${name}-${version}`)))
        assert.equal(new Set(first).size, 3)
        for (const [index, told] of first.entries()) {
          const [address, , destination, port] = told.split(' ')
          const expected = index === 1 ? '127.0.0.3' : '127.0.0.2'
          assert.deepEqual([address, destination, port], [expected, '127.0.0.1', String(gateway.port)])
        }
        const opened = await gateway.total('turnpike_upstream_connections_opened_total', {
          upstream: `${name}-${version}`,
        })
        for (let i = 0; i < 5; i++) {
          assert.deepEqual(await Promise.all(clients.map(({ ask }) => ask(`/${name}-${version}`))), first)
        }
        // Each kept connection of a client has gone on with its own connection to the upstream.
        assert.equal(
          await gateway.total('turnpike_upstream_connections_opened_total', { upstream: `${name}-${version}` }),
          opened,
        )
        for (const { end } of clients) end()
      })
    }
  }

  test('health checks begin with a header of their own, and pass', async () => {
    for (const version of ['v1', 'v2']) {
      const labels = { upstream: `checked-${version}` }
      await until(
        async () =>
          (await gateway.total('turnpike_upstream_health_checks_total', { ...labels, outcome: 'passed' })) > 1,
        () => 'checks that pass',
      )
      assert.equal(await gateway.total('turnpike_upstream_health_checks_total', { ...labels, outcome: 'failed' }), 0)
    }
  })

  test('the client is that of the trusted-proxy rule; its port is not known then', async () => {
    const proxy = client('127.0.0.9')
    // nginx writes no port where it is 0.
    const told = await proxy.ask('/nginx-v2', { 'x-forwarded-for': '2001:db8::7' })
    assert.equal(told, `2001:db8::7  ::ffff:127.0.0.1 ${gateway.port}`)
    proxy.end()
  })

  test('ends of a PROXY header that came are passed on', async () => {
    const socket = net.connect({ port: gateway.port, host: '127.0.0.1', localAddress: '127.0.0.8' })
    socket.write(writeProxyHeader('v2', ends))
    socket.write('GET /haproxy-v1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    let text = ''
    for await (const chunk of socket) text += String(chunk)
    assert.match(text, /198\.51\.100\.7 4711 203\.0\.113\.1 443$/)
  })

  for (const version of ['v1', 'v2']) {
    test(`${version}: clients that left make room for others under the ceiling`, async () => {
      for (let i = 0; i < 70; i++) {
        const one = client('127.0.0.4')
        assert.match(await one.ask(`/few-${version}`), /^127\.0\.0\.4 /)
        one.end()
      }
      const many = Array.from({ length: 12 }, () => client('127.0.0.5'))
      const told = await Promise.all(many.map(({ ask }) => ask(`/few-${version}`)))
      assert.equal(new Set(told).size, 12)
      for (const { end } of many) end()
    })

    test(`${version}: 502 where nobody listens`, async () => {
      assert.equal((await ask(gateway.port, { path: `/closed-${version}` })).status, 502)
    })
  }
})
