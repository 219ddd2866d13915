// A connection to an upstream whose numbers for streams are used up, as they are after a billion calls (RFC 9113 §5.1.1).
//
// Runs alone.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UpstreamBlueprint } from '../../src/core/upstream-schema.ts'
import { WriteBatch } from '../../src/http/write-batch.ts'
import { windowMax } from '../../src/http2/protocol.ts'
import { SharedMemory } from '../../src/http2/shared-memory.ts'
import { createCall, FakePorts } from '../../src/upstreams/fakes.ts'
import { Http2UpstreamConnection } from '../../src/upstreams/http2-connection.ts'
import { sendOnce } from '../../src/upstreams/endpoint.ts'
import { Http2Pool } from '../../src/upstreams/http2-pool.ts'
import type { PoolOptions } from '../../src/upstreams/pool.ts'
import { FrameServer } from '../tools/frame-server.ts'
import { until } from '../tools/until.ts'

const blueprint: UpstreamBlueprint = {
  targets: [],
  ...{ protocol: 'http2', balance: 'random', hashBy: null, boundedLoad: null, affinity: null, proxyProtocol: null },
  ...{ health: null, ejection: null, slowStart: null, failover: { spillBelow: 0, panic: 0 } },
  dns: { refresh: 30_000 },
  tls: { verify: true, serverName: null, ca: null, cert: null, key: null },
  timeouts: { connect: 2000, response: 30_000, idle: 60_000, keepAlive: 60_000, call: null },
  ...{ retry: null, hedge: null, breaker: null, adaptive: null, deadlineHeader: null },
  limits: { connections: 1, pending: 10 },
}

/** A pool that may have one connection. */
function openPool(port: number): { pool: Http2Pool; connection: () => Http2UpstreamConnection } {
  const ports = new FakePorts()
  const counter = { add: () => {} }
  const writes = new WriteBatch(run => void setImmediate(run))
  const share: PoolOptions['share'] = {
    ...{ connectionsMax: 1, pendingMax: 10, connections: 0, idle: 0, pending: 0, starved: new Set() },
    ...{ scratch: Buffer.alloc(65_536), writes, http2Memory: new SharedMemory(writes) },
    ...{ opened: counter, connectFailures: counter, http2Hit: counter, connectionsHit: counter, pendingHit: counter },
  }
  const address = { id: 'peer', scheme: 'http', hostname: '127.0.0.1', address: '127.0.0.1', port } as const
  const pem = { ca: null, cert: null, key: null }
  const pool = new Http2Pool(address, 1, { name: 'peer', blueprint, pem, preface: null, share }, ports)
  const connection = () => {
    for (const entry of ports.time.entries) if (entry instanceof Http2UpstreamConnection) return entry
    throw new Error('no connection')
  }
  return { pool, connection }
}

test('§5.1.1: the last number is used, then the connection ends with its calls, and the next has another', {
  timeout: 20_000,
}, async () => {
  await using peer = await FrameServer.start()
  const { pool, connection } = openPool(peer.port)
  const send = async () => {
    const { body } = await sendOnce(pool, createCall(), false)
    return (await body.bytes(100)).toString()
  }
  try {
    assert.equal(await send(), '0/1')
    connection().session.nextId = windowMax
    peer.acts.push(() => {})
    const last = send()
    await peer.called(2)
    const next = send()
    peer.at(0).answer(windowMax)
    assert.deepEqual(await Promise.all([last, next]), [`0/${windowMax}`, '1/1'])
    await until(
      () => peer.at(0).isClosed,
      () => 'the connection that is used up to be closed',
    )
  } finally {
    pool.close()
  }
})
