import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import type { Socket } from 'node:net'
import { describe, test } from 'node:test'
import type { Deadlines, Timed } from '../core/ports.ts'
import { kindOf, readOpening } from './opening.ts'

describe('what the first bytes are', () => {
  for (const [bytes, kind] of [
    ['GET / HTTP/1.1\r\n', 'http'],
    ['DELETE ', 'http'],
    ['PUT /a', 'http'],
    ['CONNECT one.test:443 HTTP/1.1\r\n', 'http'],
    ['VERSION-CONTROL /a', 'http'],
    ['G', 'incomplete'],
    ['OPTIONS', 'incomplete'],
    ['A'.repeat(24), 'incomplete'],
    ['A'.repeat(25), 'other'],
    [`${'A'.repeat(24)} `, 'http'],
    [`${'A'.repeat(25)} /`, 'other'],
    ['\x16\x03\x01\x02\x00', 'other'],
    ['\x16', 'other'],
    ['\x80\x2e\x01', 'other'],
    ['get / HTTP/1.1\r\n', 'other'],
    [' GET /', 'other'],
    ['\r\nGET /', 'other'],
    ['A /', 'other'],
    ['SSH-2.0-OpenSSH_10.0\r\n', 'other'],
    ['G\x00T /', 'other'],
    ['GET\r\n', 'other'],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'other'],
    ['PRI', 'incomplete'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n', 'other'],
    ['QUIT\r\n', 'other'],
  ] as const) {
    test(`${JSON.stringify(bytes)}: ${kind}`, () => assert.equal(kindOf(Buffer.from(bytes, 'latin1')), kind))
  }
})

class Table implements Deadlines {
  readonly all = new Set<Timed>()
  add(timed: Timed): void {
    this.all.add(timed)
  }
  remove(timed: Timed): void {
    this.all.delete(timed)
  }
}

function opened() {
  const socket = new PassThrough()
  const deadlines = new Table()
  const told: string[] = []
  readOpening(socket as unknown as Socket, {
    ...{ clock: { now: () => 1000, wall: () => 0 }, deadlines, timeoutMs: 300 },
    http: () => told.push('http'),
    other: () => told.push('other'),
    lost: reason => told.push(reason),
  })
  const listeners = () => socket.listenerCount('data') + socket.listenerCount('close')
  const before = new PassThrough()
  const bare = before.listenerCount('data') + before.listenerCount('close')
  return { socket, deadlines, told, left: () => deadlines.all.size + listeners() - bare }
}

const turn = () => new Promise(resolve => setImmediate(resolve))

describe('a connection to a TLS port', () => {
  test('has every byte of its handshake put back', async () => {
    const { socket, told, left } = opened()
    socket.write('\x16\x03\x01rest')
    await turn()
    assert.deepEqual(told, ['other'])
    assert.equal(socket.isPaused(), true)
    assert.equal(String(socket.read()), '\x16\x03\x01rest')
    assert.equal(left(), 0)
  })

  test('has pieces that turn out to be no request put back in their order', async () => {
    const { socket, told, left } = opened()
    for (const piece of ['HE', 'LO', '0']) {
      socket.write(piece)
      await turn()
    }
    assert.deepEqual(told, ['other'])
    assert.equal(String(socket.read()), 'HELO0')
    assert.equal(left(), 0)
  })

  test('is told to speak plain HTTP once its method is over, however slowly it came', async () => {
    const { socket, told, left } = opened()
    for (const piece of 'GET') {
      socket.write(piece)
      await turn()
    }
    assert.deepEqual(told, [])
    socket.write(' /')
    await turn()
    assert.deepEqual(told, ['http'])
    assert.equal(left(), 0)
  })

  test('that says too little in time is closed', async () => {
    const { socket, deadlines, told, left } = opened()
    socket.write('GE')
    await turn()
    const [watch] = deadlines.all
    assert.equal(watch?.dueMs, 1300)
    watch?.due(1301)
    await turn()
    assert.deepEqual([told, socket.destroyed, left()], [['timeout'], true, 0])
  })

  test('that closes before is told once', async () => {
    const { socket, told, left } = opened()
    socket.destroy()
    await turn()
    assert.deepEqual([told, left()], [['closed'], 0])
  })
})
