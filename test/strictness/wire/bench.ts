// A gateway and an upstream for each test of a suite, and the look for what a test left behind.

import assert from 'node:assert/strict'
import { afterEach, beforeEach } from 'node:test'
import { startGateway, type TestGateway } from './gateway.ts'
import { Peer, PeerServer } from './peer.ts'

export interface Bench {
  /** Connections that the upstream has had. */
  readonly peers: () => readonly Peer[]
  readonly connect: () => Promise<Peer>
  /** A client whose request the upstream has received up to the end of its head. */
  readonly begin: (request: string) => Promise<{ client: Peer; server: Peer }>
}

/** Gives each test of the suite a gateway and an upstream of its own, and looks for what it left behind. */
export function useGateway(): Bench {
  let gateway: TestGateway
  let upstream: PeerServer
  beforeEach(async () => {
    upstream = new PeerServer()
    const target = `http://127.0.0.1:${await upstream.listen()}`
    const timeouts = { head: '400ms', body: '400ms', idle: '600ms' }
    gateway = await startGateway({
      workers: 1,
      admin: { port: 0 },
      listeners: [{ name: 'front', host: '127.0.0.1', port: 0, timeouts }],
      upstreams: { raw: { targets: [target], timeouts: { response: '3s', idle: '3s' } } },
      routes: [{ match: {}, forward: 'raw' }],
    })
  })
  afterEach(async () => {
    try {
      await nothingLeft(gateway)
    } finally {
      await gateway.close()
      upstream.close()
    }
  })
  const connect = () => Peer.connect(gateway.port)
  return {
    peers: () => upstream.peers,
    connect,
    begin: async request => {
      const client = await connect()
      client.send(request)
      const server = await upstream.accept()
      await server.until('\r\n\r\n')
      return { client, server }
    },
  }
}

/** Looked at until it is so, because the metrics lag by a beat. */
async function nothingLeft(gateway: TestGateway): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const left = await Promise.all([
      gateway.metric(/^turnpike_downstream_connections\{/),
      gateway.metric(/^http_server_active_requests\{/),
      gateway.metric(/^turnpike_upstream_pending\{|^turnpike_upstream_connections\{.*state="active"/),
    ])
    if (left.every(count => count === 0)) return
    if (attempt > 60) assert.deepEqual(left, [0, 0, 0], 'connections, calls and upstream calls left behind')
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}
