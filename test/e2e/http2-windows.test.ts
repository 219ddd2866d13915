// Windows of HTTP/2 that drip, stay shut, or open and shut while many streams wait: nothing is held for them, and no octet is lost.
//
// Runs alone: it measures time.

import assert from 'node:assert/strict'
import http2 from 'node:http2'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { block, frame } from '../../src/http2/fakes.ts'
import { ErrorCode, Flag, FrameType } from '../../src/http2/protocol.ts'
import { ChildServer } from '../tools/child-server.ts'
import { echo, Origin } from '../tools/origin.ts'
import { FrameClient } from '../tools/frame-client.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const { headers, windowUpdate } = FrameType

let origin: Origin
/** In a process of its own: it has so much to send that clients here would stand still for long. */
let generous: ChildServer
let program: Program
before(async () => {
  origin = await Origin.start((request, response, body) => {
    if (request.url === '/large') return response.end(Buffer.alloc(300_000))
    return echo(request, response, body)
  })
  generous = await ChildServer.start('(_, response) => response.end(Buffer.alloc(3_000_000))')
  program = await Program.start({
    workers: 1,
    admin: { port: 0 },
    listeners: [
      { name: 'open', port: 0, host: '127.0.0.1', timeouts: { body: '1s' } },
      { name: 'patient', port: 0, host: '127.0.0.1' },
    ],
    upstreams: { origin: { targets: [origin.url] }, generous: { targets: [generous.url] } },
    routes: [
      { match: { path: '/huge' }, forward: 'generous' },
      { match: { path: '/**' }, forward: 'origin' },
    ],
  })
})
after(async () => {
  await program[Symbol.asyncDispose]()
  await generous[Symbol.asyncDispose]()
  await origin[Symbol.asyncDispose]()
})

const getOf = (path: string, id: number) =>
  frame(
    headers,
    Flag.endHeaders | Flag.endStream,
    id,
    block(':method: GET', ':scheme: http', `:path: ${path}`, ':authority: a'),
  )
/** INITIAL_WINDOW_SIZE, as its octets and as SETTINGS. */
const windowSetting = (octets: number) => `0004${octets.toString(16).padStart(8, '0')}`
const windowOf = (octets: number) => frame(FrameType.settings, 0, 0, windowSetting(octets))
/** SETTINGS that say it two thousand times; the last one counts. */
const flip = (last: number) => {
  const settingsOf = (_: unknown, i: number) => Buffer.from(windowSetting(i % 2 === 0 ? 65_535 : last), 'hex')
  return frame(FrameType.settings, 0, 0, Buffer.concat(Array.from({ length: 2_000 }, settingsOf)))
}
const stalls = { ceiling: 'http2-stalls', name: 'open' }

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
