import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'
import { test } from 'node:test'
import { Body } from '../core/body.ts'
import type { Call } from '../core/call.ts'
import type { Failure } from '../core/failure.ts'
import { Headers } from '../core/headers.ts'
import { Reply } from '../core/reply.ts'
import { WriteBatch } from '../http/write-batch.ts'
import { SharedMemory } from '../http2/shared-memory.ts'
import type { Endpoint } from './endpoint.ts'
import { createCall, FakePorts, failure, plainBlueprint, settle } from './fakes.ts'
import { Http2Pool } from './http2-pool.ts'
import { Pool, type PoolOptions } from './pool.ts'
import { ProxiedPools } from './proxied-pools.ts'

const counter = { add: () => {} }

function createOptions(): PoolOptions {
  const writes = new WriteBatch(setImmediate)
  return {
    ...{ name: 'catalog', blueprint: plainBlueprint, pem: { ca: null, cert: null, key: null }, preface: null },
    share: {
      ...{ connectionsMax: 8, pendingMax: 8, connections: 0, idle: 0, pending: 0, starved: new Set() },
      ...{ scratch: Buffer.allocUnsafeSlow(65_536), writes, http2Memory: new SharedMemory(writes) },
      ...{ opened: counter, connectFailures: counter },
      ...{ http2Hit: counter, connectionsHit: counter, pendingHit: counter },
    },
  }
}

const addressAt = (port: number) =>
  ({ id: 'one', scheme: 'http', hostname: '127.0.0.1', address: '127.0.0.1', port }) as const

const endpoints: Record<string, (port: number) => Endpoint> = {
  'a pool': port => new Pool(addressAt(port), 1, createOptions(), new FakePorts()),
  'pools of clients': port =>
    new ProxiedPools(addressAt(port), 1, { ...createOptions(), version: 'v1' }, new FakePorts()),
}

/** Says the same to each call. */
const sayingServer = (said: string) =>
  net.createServer(socket => {
    socket.on('error', () => {})
    socket.on('data', () => socket.write(said))
  })

async function setUp(open: (port: number) => Endpoint, server: net.Server) {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const endpoint = open((server.address() as net.AddressInfo).port)
  const ends: (Reply | Failure)[] = []
  /** Settles when the first end of the try was told. */
  const send = (call: Call) =>
    new Promise<void>(resolve => {
      const ended = (outcome: Reply | Failure) => {
        ends.push(outcome)
        resolve()
      }
      endpoint.send(call, false, { answered: ended, failed: ended })
    })
  const close = () => {
    endpoint.close()
    server.close()
  }
  return { endpoint, ends, send, close }
}

const headers = () => Headers.of({ host: 'api.test' })

for (const [what, open] of Object.entries(endpoints)) {
  test(`${what}: a body that breaks when the server asks for it ends the try once, whatever is read behind`, async () => {
    const busy = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy'
    const { endpoint, ends, send, close } = await setUp(open, sayingServer(busy))
    const tooLarge = failure('body-too-large')
    const body = new Body(-1, { start: sink => sink.fail(tooLarge), resume: () => {}, cancel: () => {} })
    const call = createCall({ method: 'PUT', headers: headers(), body })
    call.expectsContinue = true
    await send(call)
    await settle()
    assert.deepEqual(ends, [tooLarge])
    assert.equal(endpoint.active, 0)
    close()
  })
}

test('a reply given up at its last bytes, before its call was sent whole, ends the call on its connection once', async () => {
  const reply = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
  const server = net.createServer(socket => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write(reply)
      setTimeout(() => socket.write('2\r\nok\r\n0\r\n\r\n'), 20)
    })
  })
  const { endpoint, ends, send, close } = await setUp(endpoints['a pool'] ?? assert.fail(), server)
  const body = new Body(-1, { start: sink => void sink.write(Buffer.from('more')), resume: () => {}, cancel: () => {} })
  await send(createCall({ method: 'POST', headers: headers(), body }))
  const [answer] = ends
  assert.ok(answer instanceof Reply)
  await new Promise<void>(resolve => {
    const write = () => {
      answer.body.cancel()
      resolve()
      return false
    }
    answer.body.pipe({ write, end: () => {}, fail: () => {} })
  })
  assert.equal(endpoint.active, 0)
  close()
})

const fine: Record<string, [(port: number) => Endpoint, () => net.Server]> = {
  ...Object.fromEntries(
    Object.entries(endpoints).map(([what, open]) => [what, [open, () => sayingServer('HTTP/1.1 204 Fine\r\n\r\n')]]),
  ),
  'an HTTP/2 pool': [
    port => new Http2Pool(addressAt(port), 1, createOptions(), new FakePorts()),
    () => http2.createServer((_, response) => void response.writeHead(204).end()),
  ],
}

for (const [what, [open, createServer]] of Object.entries(fine)) {
  test(`${what}: a body that was used before ends the try, on a new connection and on a kept one`, async () => {
    const { endpoint, ends, send, close } = await setUp(open, createServer())
    const used = () => {
      const body = Body.of('used')
      body.cancel()
      return createCall({ method: 'PUT', headers: headers(), body })
    }
    await send(used())
    await send(createCall({ headers: headers() }))
    await settle()
    await send(used())
    await settle()
    assert.deepEqual(
      ends.map(end => ('code' in end && end.code) || end.status),
      ['internal', 204, 'internal'],
    )
    assert.equal(endpoint.active, 0)
    close()
  })
}
