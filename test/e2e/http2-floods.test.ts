// Each known flood of HTTP/2 while honest clients call: they do not notice, and the gateway is as before when it is over.

import assert from 'node:assert/strict'
import http2 from 'node:http2'
import net, { type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { block, frame, getLines, settings } from '../../src/http2/fakes.ts'
import { ErrorCode, Flag, FrameType, preface } from '../../src/http2/protocol.ts'
import { echo, Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'

const { data, headers, priority, resetStream, ping, windowUpdate, continuation, goAway } = FrameType
/** Connections of an attacker one after the other; each is cut off, and comes again. */
const attackMs = 1_200

let origin: Origin
let program: Program
before(async () => {
  origin = await Origin.start((request, response, body) => {
    if (request.url === '/large') return response.end(Buffer.alloc(300_000))
    if (request.url === '/slow') return setTimeout(() => response.end('slow'), 200)
    return echo(request, response, body)
  })
  program = await Program.start({
    workers: 1,
    admin: { port: 0 },
    listeners: [{ name: 'open', port: 0, host: '127.0.0.1', timeouts: { body: '1s' } }],
    upstreams: { origin: { targets: [origin.url] } },
    routes: [{ match: { path: '/**' }, forward: 'origin' }],
  })
})
after(async () => {
  await program[Symbol.asyncDispose]()
  await origin[Symbol.asyncDispose]()
})

const post = (id: number) => frame(headers, Flag.endHeaders, id, block(':method: POST', ...getLines.slice(1)))
const large = (id: number) =>
  frame(
    headers,
    Flag.endHeaders | Flag.endStream,
    id,
    block(':method: GET', ':scheme: http', ':path: /large', ':authority: a'),
  )
const slow = (id: number) =>
  frame(
    headers,
    Flag.endHeaders | Flag.endStream,
    id,
    block(':method: GET', ':scheme: http', ':path: /slow', ':authority: a'),
  )
const many = (count: number, make: (i: number) => Buffer) =>
  Buffer.concat(Array.from({ length: count }, (_, i) => make(i)))

/** Name, the ceiling that is to be hit, and what is sent on each connection. */
const floods: [string, string, Buffer][] = [
  [
    'CVE-2023-44487 rapid reset',
    'http2-resets',
    many(1_200, i => Buffer.concat([slow(2 * i + 1), frame(resetStream, 0, 2 * i + 1, '00000008')])),
  ],
  [
    'CVE-2025-8671 made to reset',
    'http2-resets',
    many(1_200, i => Buffer.concat([slow(2 * i + 1), frame(windowUpdate, 0, 2 * i + 1, '00000000')])),
  ],
  [
    'CVE-2024-27316 CONTINUATION',
    'http2-continuations',
    Buffer.concat([frame(headers, 0, 1, '82'), many(5_000, () => frame(continuation, 0, 1, Buffer.alloc(200, 0x84)))]),
  ],
  ['CVE-2019-9512 PING', 'http2-pings', many(20_000, () => frame(ping, 0, 0, Buffer.alloc(8)))],
  ['CVE-2019-9515 SETTINGS', 'http2-settings', many(20_000, () => settings)],
  ['CVE-2019-9518 empty DATA', 'http2-empty-frames', Buffer.concat([post(1), many(20_000, () => frame(data, 0, 1))])],
  ['CVE-2019-9513 PRIORITY', 'http2-empty-frames', many(20_000, () => frame(priority, 0, 3, Buffer.alloc(5)))],
  ['WINDOW_UPDATE', 'http2-window-updates', many(20_000, () => frame(windowUpdate, 0, 0, '00000001'))],
  ['too many streams', 'http2-streams', many(1_200, i => slow(2 * i + 1))],
]

/** Sends a flood, reads what comes, and resolves with the code of the GOAWAY when the connection is gone; -1 without one. */
async function attack(bytes: Buffer): Promise<number> {
  const socket = net.connect(program.port, '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.write(Buffer.concat([preface, settings, bytes]))
  await gone(socket)
  const received = Buffer.concat(chunks)
  let code = -1
  for (let at = 0; at + 9 <= received.length; at += 9 + received.readUIntBE(at, 3)) {
    if (received[at + 3] === goAway && at + 17 <= received.length) code = received.readUInt32BE(at + 13)
  }
  return code
}

function gone(socket: Socket): Promise<void> {
  const timer = setTimeout(() => socket.destroy(), 4_000)
  return new Promise(resolve =>
    socket.once('close', () => {
      clearTimeout(timer)
      resolve()
    }),
  )
}

/** Calls one after the other until `isOver`; resolves with how many were right, and what went wrong. */
async function callHonestly(isOver: () => boolean): Promise<{ right: number; wrong: string[] }> {
  const session = http2.connect(program.url)
  const wrong: string[] = []
  let right = 0
  session.on('error', error => wrong.push(String(error)))
  while (!isOver() || right === 0) {
    const stream = session.request({ ':path': `/honest/${right}` })
    try {
      const echoed = JSON.parse(await text(stream)) as { url: string }
      if (echoed.url === `/honest/${right}`) right++
      else wrong.push(echoed.url)
    } catch (error) {
      wrong.push(String(error))
      break
    }
  }
  session.destroy()
  return { right, wrong }
}

describe('floods', () => {
  for (const [title, ceiling, bytes] of floods) {
    test(title, async () => {
      const labels = { ceiling, name: 'open' }
      const before = await program.total('turnpike_ceiling_hits_total', labels)
      let isOver = false
      const honest = Promise.all([callHonestly(() => isOver), callHonestly(() => isOver)])
      const endMs = performance.now() + attackMs
      const codes: number[] = []
      const attacker = async () => {
        do codes.push(await attack(bytes))
        while (performance.now() < endMs)
      }
      await Promise.all([attacker(), attacker(), attacker()])
      isOver = true
      for (const { right, wrong } of await honest) {
        assert.deepEqual(wrong, [])
        assert.ok(right > 0)
      }
      const hits = (await program.total('turnpike_ceiling_hits_total', labels)) - before
      assert.ok(hits >= 1, `${hits} hits`)
      assert.ok(codes.includes(ErrorCode.enhanceYourCalm), `GOAWAY with ${[...new Set(codes)].join(', ')}`)
    })
  }

  test('windows of one octet, opened by drips, and windows that stay shut', async () => {
    const tiny = frame(FrameType.settings, 0, 0, '000400000001')
    const socket = net.connect(program.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.resume()
    socket.write(Buffer.concat([preface, tiny, many(100, i => large(2 * i + 1))]))
    const honest = await callHonestly(() => true)
    assert.deepEqual(honest.wrong, [])
    await program.untilTotal('turnpike_ceiling_hits_total', { ceiling: 'http2-stalls', name: 'open' }, 100)
    socket.destroy()
  })
})

test('afterwards everything is as it was before', async () => {
  await program.untilQuiet()
  const first = await program.residentBytes()
  for (let i = 0; i < 5; i++) for (const [, , bytes] of floods.slice(0, 4)) await attack(bytes)
  await program.untilQuiet()
  const grown = (await program.residentBytes()) - first
  assert.ok(grown < 64e6, `${Math.round(grown / 1e6)} MB more than before`)
})
