// That sockets of a server read into a buffer of ours rests on private members of Node: a new Node must show that it still holds.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { test } from 'node:test'
import { lendReads } from '../../src/edge/lent-reads.ts'

async function acceptOne(): Promise<{ client: Socket; accepted: Socket; close: () => void }> {
  const server = net.createServer({ allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [accepted] = (await once(server, 'connection')) as [Socket]
  return {
    client,
    accepted,
    close: () => {
      client.destroy()
      accepted.destroy()
      server.close()
    },
  }
}

test('this Node lends reads of accepted sockets', async () => {
  const { client, accepted, close } = await acceptOne()
  const buffer = Buffer.alloc(64)
  const texts: string[] = []
  const isLent = lendReads(accepted, buffer, bytes => {
    assert.equal(bytes.buffer, buffer.buffer)
    texts.push(bytes.toString('latin1'))
    return true
  })
  accepted.resume()
  client.end('GET / HTTP/1.1\r\n')
  await once(accepted, 'end')
  close()
  assert.equal(isLent, true)
  assert.deepEqual(texts, ['GET / HTTP/1.1\r\n'])
})

test('reading stops and goes on with pause and resume', async () => {
  const { client, accepted, close } = await acceptOne()
  let bytes = 0
  const isLent = lendReads(accepted, Buffer.alloc(1024), read => {
    bytes += read.length
    accepted.pause()
    setImmediate(() => accepted.resume())
    return true
  })
  accepted.resume()
  client.end(Buffer.alloc(100_000))
  await once(accepted, 'end')
  close()
  assert.equal(isLent, true)
  assert.equal(bytes, 100_000)
})
