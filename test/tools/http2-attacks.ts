// Known floods of HTTP/2, and a process that sends them: it is forked, told which to send, and tells how its connections ended.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import process from 'node:process'
import { setTimeout as pause } from 'node:timers/promises'
import { block, frame, getLines, settings } from '../../src/http2/fakes.ts'
import { Flag, FrameType, preface } from '../../src/http2/protocol.ts'

export interface Http2Attack {
  readonly title: string
  /** The ceiling that is to be hit; null where each request is refused for its head. */
  readonly ceiling: string | null
  /** What is sent on each connection at once. */
  readonly bytes: () => Buffer
  /** What is sent again and again behind it. */
  readonly more?: () => Buffer
  /** How long a connection lasts where the gateway is not to end it. */
  readonly connectionMs?: number
  /** Does not read what comes. */
  readonly isDeaf?: boolean
}

/** What is sent, by the place in the list of attacks. */
interface Order {
  readonly attack: number
  readonly port: number
  readonly ms: number
}

export interface AttackOutcome {
  readonly connections: number
  /** Of the GOAWAY at the end of each: how many had which; `none` without one. */
  readonly codes: Readonly<Record<string, number>>
}

const { data, headers, priority, resetStream, ping, windowUpdate, continuation, goAway } = FrameType
/** Connections at once. */
const atOnce = 6
/** How long a connection lasts at most: longer than a reply may stand still that the client does not take. */
const connectionMs = 1_500
/** The same where that is all there is to see: replies have to come first. */
const stallMs = 4_000

const many = (count: number, make: (i: number) => Buffer) =>
  Buffer.concat(Array.from({ length: count }, (_, i) => make(i)))
const ids = (count: number, make: (id: number) => Buffer) => many(count, i => make(2 * i + 1))
const post = (id: number, ...lines: string[]) =>
  frame(headers, Flag.endHeaders, id, block(':method: POST', ...getLines.slice(1), ...lines))
const get = (path: string) => (id: number) =>
  frame(
    headers,
    Flag.endHeaders | Flag.endStream,
    id,
    block(':method: GET', ':scheme: http', `:path: ${path}`, ':authority: a'),
  )
const slow = get('/slow')
const large = get('/large')
const setWindow = (hex: string) => frame(FrameType.settings, 0, 0, `0004${hex}`)
/** A field of 4,000 octets goes to the table by the first block, and each octet of the blocks behind it stands for it once more. */
const bombs = () => {
  const first = block(...getLines)
  const field = Buffer.concat([Buffer.from('4001787fa11e', 'hex'), Buffer.alloc(4_000, 'b')])
  const fuse = frame(headers, Flag.endHeaders | Flag.endStream, 1, Buffer.concat([first, field]))
  const bomb = Buffer.concat([first, Buffer.alloc(15_000, 0xbe)])
  return Buffer.concat([fuse, many(600, i => frame(headers, Flag.endHeaders | Flag.endStream, 2 * i + 3, bomb))])
}

export const attacks: readonly Http2Attack[] = [
  {
    title: 'CVE-2023-44487 rapid reset',
    ceiling: 'http2-resets',
    bytes: () => ids(1_200, id => Buffer.concat([slow(id), frame(resetStream, 0, id, '00000008')])),
  },
  {
    title: 'CVE-2025-8671 made to reset',
    ceiling: 'http2-resets',
    bytes: () => ids(1_200, id => Buffer.concat([slow(id), frame(windowUpdate, 0, id, '00000000')])),
  },
  {
    title: 'CVE-2025-8671 by more data than was announced',
    ceiling: 'http2-resets',
    bytes: () => ids(1_200, id => Buffer.concat([post(id, 'content-length: 1'), frame(data, 0, id, '7878')])),
  },
  {
    title: 'CVE-2019-9514 malformed requests',
    ceiling: 'http2-resets',
    bytes: () => ids(1_200, id => post(id, 'Upper: x')),
  },
  {
    title: 'CVE-2019-9516 fields without a name',
    ceiling: 'http2-resets',
    bytes: () =>
      ids(1_200, id =>
        frame(headers, Flag.endHeaders, id, Buffer.concat([block(...getLines), Buffer.from('000000', 'hex')])),
      ),
  },
  {
    title: 'CVE-2024-27316 CONTINUATION',
    ceiling: 'http2-continuations',
    bytes: () =>
      Buffer.concat([
        frame(headers, 0, 1, '82'),
        many(5_000, () => frame(continuation, 0, 1, Buffer.alloc(200, 0x84))),
      ]),
  },
  { title: 'HPACK bomb', ceiling: null, bytes: bombs, connectionMs: 300 },
  {
    title: 'CVE-2019-9511 data dribble',
    ceiling: 'http2-window-updates',
    bytes: () => Buffer.concat([setWindow('00000001'), ids(100, large)]),
    more: () => ids(100, id => frame(windowUpdate, 0, id, '00000001')),
  },
  {
    title: 'CVE-2019-9512 PING',
    ceiling: 'http2-pings',
    bytes: () => many(20_000, () => frame(ping, 0, 0, Buffer.alloc(8))),
  },
  { title: 'CVE-2019-9515 SETTINGS', ceiling: 'http2-settings', bytes: () => many(20_000, () => settings) },
  {
    title: 'CVE-2019-9515 SETTINGS that change the windows of many streams',
    ceiling: 'http2-settings',
    bytes: () => Buffer.concat([ids(100, slow), many(10_000, i => setWindow(i % 2 === 0 ? '00000001' : '7fffffff'))]),
  },
  {
    title: 'CVE-2019-9517 replies that nobody reads',
    ceiling: 'http2-stalls',
    connectionMs: stallMs,
    isDeaf: true,
    bytes: () => Buffer.concat([setWindow('7fffffff'), frame(windowUpdate, 0, 0, '7fff0000'), ids(100, large)]),
  },
  {
    title: 'windows that stay shut',
    ceiling: 'http2-stalls',
    connectionMs: stallMs,
    bytes: () => Buffer.concat([setWindow('00000001'), ids(100, large)]),
  },
  {
    title: 'CVE-2019-9518 empty DATA',
    ceiling: 'http2-empty-frames',
    bytes: () => Buffer.concat([post(1), many(20_000, () => frame(data, 0, 1))]),
  },
  {
    title: 'CVE-2019-9513 PRIORITY',
    ceiling: 'http2-empty-frames',
    bytes: () => many(20_000, () => frame(priority, 0, 3, Buffer.alloc(5))),
  },
  {
    title: 'RST_STREAM of one stream again and again',
    ceiling: 'http2-empty-frames',
    bytes: () => Buffer.concat([slow(1), many(20_000, () => frame(resetStream, 0, 1, '00000008'))]),
  },
  { title: 'unknown frames', ceiling: 'http2-empty-frames', bytes: () => many(20_000, () => frame(0xbe, 0, 0)) },
  {
    title: 'WINDOW_UPDATE',
    ceiling: 'http2-window-updates',
    bytes: () => many(20_000, () => frame(windowUpdate, 0, 0, '00000001')),
  },
  {
    title: 'a window opened octet by octet',
    ceiling: 'http2-window-updates',
    bytes: () =>
      Buffer.concat([setWindow('00000000'), large(1), many(20_000, () => frame(windowUpdate, 0, 1, '00000001'))]),
  },
  { title: 'too many streams', ceiling: 'http2-streams', bytes: () => ids(1_200, slow) },
]

/** Owns the process that attacks. */
export class Attacker implements Disposable {
  readonly #child: ChildProcess = fork(import.meta.filename)

  /** Sends one of the attacks for so long, on one connection behind the other. */
  async send(attack: Http2Attack, port: number, ms: number): Promise<AttackOutcome> {
    this.#child.send({ attack: attacks.indexOf(attack), port, ms } satisfies Order)
    const [outcome] = (await once(this.#child, 'message')) as [AttackOutcome]
    return outcome
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL')
  }
}

if (import.meta.main) {
  process.on('message', (order: Order) => void obey(order).then(outcome => process.send?.(outcome)))
  process.on('disconnect', () => process.exit(0))
}

async function obey({ attack, port, ms }: Order): Promise<AttackOutcome> {
  const chosen = attacks[attack]
  if (chosen === undefined) throw new Error(`there is no attack ${attack}`)
  const bytes = Buffer.concat([preface, settings, chosen.bytes()])
  const codes: Record<string, number> = {}
  let connections = 0
  const endMs = performance.now() + ms
  const work = async () => {
    do {
      const code = await attackOnce(port, bytes, chosen)
      connections++
      codes[code] = (codes[code] ?? 0) + 1
    } while (performance.now() < endMs)
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return { connections, codes }
}

/** One connection; resolves with the code of the GOAWAY at its end. */
async function attackOnce(port: number, bytes: Buffer, attack: Http2Attack): Promise<string> {
  const socket = net.connect(port, '127.0.0.1')
  const closed = new Promise<void>(resolve => void socket.once('close', () => resolve()))
  const chunks: Buffer[] = []
  socket.on('error', () => {})
  if (attack.isDeaf !== true) socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.write(bytes)
  const timer = setTimeout(() => socket.destroy(), attack.connectionMs ?? connectionMs)
  const more = attack.more?.()
  while (!socket.destroyed) {
    if (more === undefined) break
    socket.write(more)
    await Promise.race([pause(1), closed])
  }
  await closed
  clearTimeout(timer)
  return codeIn(Buffer.concat(chunks))
}

function codeIn(received: Buffer): string {
  let code = 'none'
  for (let at = 0; at + 9 <= received.length; at += 9 + received.readUIntBE(at, 3)) {
    if (received[at + 3] === goAway && at + 17 <= received.length) code = String(received.readUInt32BE(at + 13))
  }
  return code
}
