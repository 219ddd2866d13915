import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { Body } from '../core/body.ts'
import { Failure } from '../core/failure.ts'
import { Headers } from '../core/headers.ts'
import type { Reply } from '../core/reply.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import { WriteBatch } from '../http/write-batch.ts'
import { SharedMemory } from '../http2/shared-memory.ts'
import type { Endpoint } from './endpoint.ts'
import { createCall, FakePorts, failure, settle } from './fakes.ts'
import { Pool, type PoolOptions } from './pool.ts'
import { ProxiedPools } from './proxied-pools.ts'

const blueprint: UpstreamBlueprint = {
  targets: [],
  protocol: 'http1',
  balance: 'round-robin',
  ...{ hashBy: null, boundedLoad: null, affinity: null },
  ...{ health: null, ejection: null, slowStart: null, failover: { spillBelow: 0, panic: 0 } },
  dns: { refresh: 30_000 },
  tls: { verify: true, serverName: null, ca: null, cert: null, key: null },
  proxyProtocol: null,
  timeouts: { connect: 2000, response: 30_000, idle: 60_000, keepAlive: 60_000, call: null },
  ...{ retry: null, hedge: null, breaker: null, adaptive: null, deadlineHeader: null },
  limits: { connections: 8, pending: 8 },
}

const counter = { add: () => {} }

function createOptions(): PoolOptions {
  const writes = new WriteBatch(setImmediate)
  return {
    ...{ name: 'catalog', blueprint, pem: { ca: null, cert: null, key: null }, preface: null },
    share: {
      ...{ connectionsMax: 8, pendingMax: 8, connections: 0, idle: 0, pending: 0, starved: new Set() },
      ...{ scratch: Buffer.allocUnsafeSlow(65_536), writes, http2Memory: new SharedMemory(writes) },
      ...{ opened: counter, connectFailures: counter },
      ...{ http2Hit: counter, connectionsHit: counter, pendingHit: counter },
    },
  }
}

const endpoints: Record<string, (port: number) => Endpoint> = {
  'a pool': port => new Pool(addressAt(port), 1, createOptions(), new FakePorts()),
  'pools of clients': port => new ProxiedPools(addressAt(port), 1, { ...createOptions(), version: 'v1' }, new FakePorts()),
}

const addressAt = (port: number) =>
  ({ id: 'one', scheme: 'http', hostname: '127.0.0.1', address: '127.0.0.1', port }) as const

for (const [what, open] of Object.entries(endpoints)) {
  test(`${what}: a body that breaks when the server asks for it ends the try once, whatever is read behind`, async () => {
    const server = net.createServer(socket => {
      socket.on('error', () => {})
      socket.once('data', () => {
        socket.write('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy')
      })
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const endpoint = open((server.address() as net.AddressInfo).port)
    const tooLarge = failure('body-too-large')
    const body = new Body(-1, { start: sink => sink.fail(tooLarge), resume: () => {}, cancel: () => {} })
    const call = createCall({ method: 'PUT', headers: Headers.of({ host: 'api.test' }), body })
    call.expectsContinue = true
    const ends: (Reply | Failure)[] = []
    const end = (outcome: Reply | Failure) => void ends.push(outcome)
    await new Promise<void>(resolve => {
      endpoint.send(call, false, {
        answered: end,
        failed: outcome => {
          end(outcome)
          resolve()
        },
      })
    })
    await settle()
    assert.deepEqual(ends, [tooLarge])
    assert.equal(endpoint.active, 0)
    endpoint.close()
    server.close()
  })
}
