// Clients that vanish at every stage of a call, in hundreds: counted afterwards, nothing is left of them.
//
// Runs alone.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import net, { type Socket } from 'node:net'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ask } from '../tools/ask.ts'
import { Origin } from '../tools/origin.ts'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'
import type { Held } from './extensions/probe.ts'

const clients = 300
const extension = ['--extension', path.join(import.meta.dirname, 'extensions', 'probe.ts')]
/** What was made for thousands of clients is gone: what stays is what V8 learnt of the code that ran. */
const growthMax = 0.02

let origin: Origin
let program: Program
before(async () => {
  origin = await Origin.start(
    (request, response) => {
      if (request.url === '/drip') response.writeHead(200).write('first')
      request.resume()
    },
    { isStreaming: true },
  )
  origin.server.on('upgrade', (_, socket: Socket) => {
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n')
    socket.resume()
  })
  const config = {
    workers: 2,
    telemetry: { accessLog: '{folder}/access.log' },
    upstreams: { origin: { targets: [origin.url], limits: { connections: 2000 } } },
    routes: [
      { match: { path: '/probe' }, policies: [{ probe: { threads: 3 } }], reply: { body: '' } },
      { match: { path: '/**' }, policies: [{ concurrency: 1000 }], forward: 'origin' },
    ],
  }
  program = await Program.start(config, {}, extension)
})
after(async () => {
  await program[Symbol.asyncDispose]()
  await origin[Symbol.asyncDispose]()
})

interface Stage {
  readonly name: string
  /** What the client sends. */
  readonly sends: string
  /** What it waits for before it goes: bytes of the reply, or that the upstream was asked. */
  readonly awaits: 'nothing' | 'upstream' | RegExp
  /** Status in the access log; null where there was no call yet. */
  readonly status: number | null
  readonly code?: string
}

const head = (start: string, ...fields: string[]) => [start, 'Host: a.test', ...fields, '', ''].join('\r\n')
const upgrade = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
const stages: readonly Stage[] = [
  { name: 'before a byte', sends: '', awaits: 'nothing', status: null },
  { name: 'within the head', sends: 'GET /wait HTTP/1.1\r\nHost: a.te', awaits: 'nothing', status: null },
  { name: 'right behind the head', sends: head('GET /wait HTTP/1.1'), awaits: 'nothing', status: 0 },
  {
    name: 'within the body',
    sends: `${head('POST /sink HTTP/1.1', 'Content-Length: 1000')}some`,
    awaits: 'upstream',
    status: 0,
  },
  {
    name: 'within a chunk',
    sends: `${head('POST /sink HTTP/1.1', 'Transfer-Encoding: chunked')}5\r\nso`,
    awaits: 'upstream',
    status: 0,
  },
  { name: 'waiting for the reply', sends: head('GET /wait HTTP/1.1'), awaits: 'upstream', status: 0 },
  {
    name: 'waiting, with a second call in the pipeline',
    sends: head('GET /wait HTTP/1.1').repeat(2),
    awaits: 'upstream',
    status: 0,
  },
  { name: 'within the reply', sends: head('GET /drip HTTP/1.1'), awaits: /first/, status: 200 },
  {
    name: 'within a tunnel',
    sends: head('GET /tunnel HTTP/1.1', ...upgrade),
    awaits: /^HTTP\/1\.1 101 [^]*\r\n\r\n/,
    status: 101,
  },
]

/** How they go: both ends of the connection are told, or the connection is torn. */
const goes: Readonly<Record<string, (socket: Socket) => void>> = {
  'closing the connection': socket => socket.end(),
  'resetting the connection': socket => socket.resetAndDestroy(),
}

async function vanish(stage: Stage, go: (socket: Socket) => void, count: number): Promise<void> {
  const asked = origin.calls
  const sockets = await Promise.all(Array.from({ length: count }, () => arrive(stage)))
  if (stage.awaits === 'upstream') {
    await until(
      () => origin.calls - asked >= count,
      () => `${count} calls at the upstream; ${origin.calls - asked} came`,
    )
  }
  for (const socket of sockets) go(socket)
  for (const socket of sockets) if (!socket.closed) await once(socket, 'close')
}

/** One client at the point where it goes. */
async function arrive({ sends, awaits }: Stage): Promise<Socket> {
  const socket = net.connect({ port: program.port, host: '127.0.0.1' })
  socket.on('error', () => {})
  await once(socket, 'connect')
  if (sends !== '') await new Promise(resolve => socket.write(sends, resolve))
  socket.resume()
  if (!(awaits instanceof RegExp)) return socket
  let text = ''
  await new Promise<void>((resolve, reject) => {
    socket.on('close', () => reject(new Error(`closed behind ${text}`)))
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (awaits.test(text)) resolve()
    })
  })
  return socket
}

const total = (counts: Record<string, number>) => Object.values(counts).reduce((sum, n) => sum + n, 0)

const finished = 'http_server_request_duration_seconds_count'

describe(`${clients} clients vanish`, { timeout: 300_000 }, () => {
  for (const stage of stages) {
    for (const [how, go] of Object.entries(goes)) {
      // What was sent just before a reset may never arrive.
      if (stage.status === 0 && stage.awaits === 'nothing' && how.startsWith('resetting')) continue
      test(`${stage.name}, ${how}`, async () => {
        const isGivenUp = stage.status !== null && stage.status !== 101
        const before = await program.total(finished)
        const closedBefore = await program.total(finished, { error_type: 'client-closed' })
        await vanish(stage, go, clients)
        await program.untilTotal(finished, {}, before + (stage.status === null ? 0 : clients))
        const closed = (await program.total(finished, { error_type: 'client-closed' })) - closedBefore
        assert.equal(closed, isGivenUp ? clients : 0)
      })
    }
  }

  test('each is in the access log once, with the status that it saw', async () => {
    const expected = new Map<string, number>()
    for (const { status, awaits } of stages) {
      if (status === null) continue
      const key = `${status} ${status === 101 ? '' : 'client-closed'}`
      expected.set(key, (expected.get(key) ?? 0) + clients * (status === 0 && awaits === 'nothing' ? 1 : 2))
    }
    const wanted = Object.fromEntries(expected)
    await until(
      async () => total(await countLines()) >= total(wanted),
      () => `${total(wanted)} lines`,
    )
    assert.deepEqual(await countLines(), wanted)
  })

  test('nothing is left: no call, no connection, no place under a limit', async () => {
    await program.untilQuiet()
    await until(
      () => origin.open === 0,
      () => `${origin.open} connections at the upstream to close`,
    )
    await program.untilTotal('turnpike_upstream_connections', {}, 0)
    assert.equal(await program.total('turnpike_worker_replacements_total'), 0)
    // All thousand places of `concurrency` are free again.
    const sockets = await Promise.all(Array.from({ length: 1000 }, () => arrive({ ...(stages[5] as Stage) })))
    const asked = origin.calls
    await until(
      () => origin.open === 1000,
      () => `1000 calls at once; ${origin.open} are there`,
    )
    assert.ok(origin.calls >= asked)
    for (const socket of sockets) socket.destroy()
    await until(
      () => origin.open === 0,
      () => `${origin.open} connections at the upstream to close`,
    )
  })

  test('nothing is held for thousands more', async t => {
    const before = await heldBytes()
    for (let round = 0; round < 3; round++) {
      for (const stage of stages) await vanish(stage, socket => socket.destroy(), clients)
    }
    await until(
      () => origin.open === 0,
      () => `${origin.open} connections at the upstream to close`,
    )
    await program.untilQuiet()
    const after = await heldBytes()
    t.diagnostic(`${before} bytes before, ${after} after`)
    assert.ok(after / before - 1 < growthMax, `${before} bytes before, ${after} after`)
  })
})

/** By objects and buffers of all threads, once nothing is left to collect. */
async function heldBytes(): Promise<number> {
  const held = JSON.parse((await ask(program.port, { path: '/probe' })).text) as Held[]
  return held.reduce((sum, { objects, external }) => sum + objects + external, 0)
}

/** Lines of the access log by status and code. */
async function countLines(): Promise<Record<string, number>> {
  // The last line may be on its way still.
  const lines = (await readFile(program.file('access.log'), 'utf8')).split('\n').slice(0, -1)
  const seen = new Map<string, number>()
  for (const line of lines) {
    const { status, code = '' } = JSON.parse(line) as { status: number; code?: string }
    const key = `${status} ${code}`
    seen.set(key, (seen.get(key) ?? 0) + 1)
  }
  return Object.fromEntries(seen)
}
