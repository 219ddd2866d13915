// Each known flood of HTTP/2 while honest clients call: they do not notice, and the gateway is as before when it is over.

import assert from 'node:assert/strict'
import http2 from 'node:http2'
import net, { type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { block, frame, getLines, settings } from '../../src/http2/fakes.ts'
import { ErrorCode, Flag, FrameType, preface } from '../../src/http2/protocol.ts'
import { echo, Origin } from '../tools/origin.ts'
import { FrameClient } from '../tools/frame-client.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const { data, headers, priority, resetStream, ping, windowUpdate, continuation, goAway } = FrameType
/** Connections of an attacker one after the other; each is cut off, and comes again. */
const attackMs = 1_200

let origin: Origin
let program: Program
before(async () => {
  origin = await Origin.start((request, response, body) => {
    if (request.url === '/large') return response.end(Buffer.alloc(300_000))
    if (request.url === '/huge') return response.end(Buffer.alloc(3_000_000))
    if (request.url === '/slow') return setTimeout(() => response.end('slow'), 200)
    return echo(request, response, body)
  })
  program = await Program.start({
    workers: 1,
    admin: { port: 0 },
    listeners: [
      { name: 'open', port: 0, host: '127.0.0.1', timeouts: { body: '1s' } },
      { name: 'patient', port: 0, host: '127.0.0.1' },
    ],
    upstreams: { origin: { targets: [origin.url] } },
    routes: [{ match: { path: '/**' }, forward: 'origin' }],
  })
})
after(async () => {
  await program[Symbol.asyncDispose]()
  await origin[Symbol.asyncDispose]()
})

const post = (id: number) => frame(headers, Flag.endHeaders, id, block(':method: POST', ...getLines.slice(1)))
const getOf = (path: string, id: number) =>
  frame(
    headers,
    Flag.endHeaders | Flag.endStream,
    id,
    block(':method: GET', ':scheme: http', `:path: ${path}`, ':authority: a'),
  )
const slow = (id: number) => getOf('/slow', id)
/** INITIAL_WINDOW_SIZE, as its octets and as SETTINGS. */
const windowSetting = (octets: number) => `0004${octets.toString(16).padStart(8, '0')}`
const windowOf = (octets: number) => frame(FrameType.settings, 0, 0, windowSetting(octets))
/** SETTINGS that say it two thousand times; the last one counts. */
const flip = (last: number) => {
  const settingsOf = (_: unknown, i: number) => Buffer.from(windowSetting(i % 2 === 0 ? 65_535 : last), 'hex')
  return frame(FrameType.settings, 0, 0, Buffer.concat(Array.from({ length: 2_000 }, settingsOf)))
}
const stalls = { ceiling: 'http2-stalls', name: 'open' }
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
  [
    'a window opened octet by octet',
    'http2-window-updates',
    Buffer.concat([windowOf(0), getOf('/large', 1), many(20_000, () => frame(windowUpdate, 0, 1, '00000001'))]),
  ],
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

  test('windows of one octet: those that stay shut are cut, those that drip move on until they stop', async () => {
    const memory = await program.residentBytes()
    const before = await program.total('turnpike_ceiling_hits_total', stalls)
    const client = await FrameClient.connect(program.port)
    const ids = Array.from({ length: 100 }, (_, i) => 2 * i + 1)
    const dripping = ids.slice(0, 10)
    client.send(windowOf(1), ...ids.map(id => getOf('/huge', id)))
    const drip = setInterval(() => client.send(...dripping.map(id => frame(windowUpdate, 0, id, '00000001'))), 50)
    try {
      await until(
        () => ids.slice(10).every(id => client.seen(id).code === ErrorCode.cancel),
        () => 'the streams with shut windows to be cut',
      )
      // Longer than a reply may stand still.
      await until(
        () => dripping.every(id => client.seen(id).bytes > 30 || client.seen(id).code !== -1),
        () => 'thirty drips',
      )
    } finally {
      clearInterval(drip)
    }
    for (const id of dripping) assert.equal(client.seen(id).code, -1, 'a stream that moved was cut')
    for (const id of ids.slice(10)) assert.equal(client.seen(id).bytes, 1)
    const grown = (await program.residentBytes()) - memory
    assert.ok(grown < 100e6, `${Math.round(grown / 1e6)} MB for 300 MB that nobody takes`)
    assert.deepEqual((await callHonestly(() => true)).wrong, [])
    await until(
      () => dripping.every(id => client.seen(id).code === ErrorCode.cancel),
      () => 'the others to be cut when they stop',
    )
    await program.untilTotal('turnpike_ceiling_hits_total', stalls, before + 100)
    client.socket.destroy()
  })

  test('SETTINGS that open and shut the windows of many streams that wait', async () => {
    const [memory, cpuMs] = [await program.residentBytes(), await program.cpuMs()]
    let isOver = false
    const honest = callHonestly(() => isOver)
    const clients = await Promise.all(Array.from({ length: 2 }, () => FrameClient.connect(program.portOf(1))))
    const ids = Array.from({ length: 100 }, (_, i) => 2 * i + 1)
    for (const client of clients) {
      client.send(windowOf(0), ...ids.map(id => getOf('/large', id)))
      client.send(...Array.from({ length: 90 }, (_, i) => flip(i % 2 === 0 ? 500 : 0)))
      await client.settled()
      for (const id of ids) {
        const { bytes, code } = client.seen(id)
        assert.ok(bytes <= 500 && code === -1, `${bytes} octets though the window was never more than 500; ${code}`)
      }
    }
    const grown = (await program.residentBytes()) - memory
    assert.ok(grown < 64e6, `${Math.round(grown / 1e6)} MB`)
    const spentMs = (await program.cpuMs()) - cpuMs
    assert.ok(spentMs < 3_000, `${spentMs} ms of the processor`)
    // What was taken from the windows is owed to them: each reply comes whole.
    for (const client of clients) {
      client.send(frame(windowUpdate, 0, 0, '7f000000'), windowOf(300_000))
      await until(
        () => ids.every(id => client.seen(id).isEnded),
        () => `whole replies: ${ids.filter(id => !client.seen(id).isEnded).join()} are not`,
      )
      for (const id of ids) assert.equal(client.seen(id).bytes, 300_000)
      client.socket.destroy()
    }
    isOver = true
    assert.deepEqual((await honest).wrong, [])
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
