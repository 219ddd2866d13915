// Clients that do nothing wrong, in a thread of their own: they call at a steady rate, at a gateway that is attacked and at one that
// is not, and tell how long they waited at each.

import { once } from 'node:events'
import http2, { type ClientHttp2Session } from 'node:http2'
import { setTimeout as pause } from 'node:timers/promises'
import { isMainThread, type MessagePort, parentPort, Worker, workerData } from 'node:worker_threads'
import { Line } from './load.ts'
import type { Program, Turns } from './program.ts'

export interface Waits {
  readonly calls: number
  /** Calls that were not answered with 200. */
  readonly failed: Readonly<Record<string, number>>
  readonly medianMs: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** What the same clients saw at both gateways, at the same time. */
export interface Seen {
  readonly attacked: Waits
  readonly quiet: Waits
  /** How many times as long as it ran the gateway that is attacked took, because others had the processors. */
  readonly stretch: number
}

interface Gateways {
  readonly attacked: Program
  readonly quiet: Program
  readonly path: string
}

interface Places {
  /** Ports of the gateways. */
  readonly attacked: number
  readonly quiet: number
  readonly path: string
}

/** Each gateway gets a call of HTTP/1 and one of HTTP/2 every 20 ms, each tenth on a new connection, whether or not those before were answered. */
const everyMs = 20

/**
 * Machine and processors are shared with the attack, with the tests, and with whatever else runs there; that is why the clients
 * call a second gateway as well. What they wait there is the doing of the machine, what they wait longer is that of the gateway,
 * or of those who take its turns: it has more to do than the other one, so that it loses more by them.
 */
export class Honest {
  readonly #thread: Worker
  readonly #attacked: Program
  #turns: Promise<Turns>

  constructor({ attacked, quiet, path }: Gateways) {
    const places = { attacked: attacked.port, quiet: quiet.port, path }
    this.#thread = new Worker(import.meta.filename, { workerData: places satisfies Places })
    this.#attacked = attacked
    this.#turns = attacked.turns()
  }

  /** What was seen since the last look, when all calls that were begun until now are over. */
  async take(): Promise<Seen> {
    this.#thread.postMessage('take')
    const [seen] = (await once(this.#thread, 'message')) as [Omit<Seen, 'stretch'>]
    const before = await this.#turns
    this.#turns = this.#attacked.turns()
    const { ranMs, stoodMs } = await this.#turns
    return { ...seen, stretch: 1 + (stoodMs - before.stoodMs) / Math.max(1, ranMs - before.ranMs) }
  }

  /** What is seen in so long; what was seen before does not count. */
  async takeFor(ms: number): Promise<Seen> {
    await this.take()
    await pause(ms)
    return this.take()
  }

  async stop(): Promise<void> {
    await this.#thread.terminate()
  }
}

/**
 * How long 99 of 100 calls may wait at most at a gateway that is attacked: half a second of its own time, or ten times what they
 * wait at one that is not.
 */
export function p99MsMax({ quiet, stretch }: Seen): number {
  return Math.max(500 * stretch, 10 * quiet.p99Ms)
}

const ms = (value: number) => value.toFixed(1)
const shownOne = ({ calls, medianMs, p99Ms, maxMs }: Waits) =>
  `${calls} calls, median ${ms(medianMs)}, p99 ${ms(p99Ms)}, max ${ms(maxMs)} ms`

export function shownSeen({ attacked, quiet, stretch }: Seen): string {
  return `${shownOne(attacked)}; not attacked: ${shownOne(quiet)}; stretched ${stretch.toFixed(1)} times`
}

/** Makes one call; rejects with how it failed. */
type Call = (isOnNew: boolean) => Promise<void>

class Caller {
  readonly #calls: readonly (readonly [name: string, call: Call])[]
  readonly #underWay = new Set<Promise<void>>()
  #count = 0
  #waitsMs: number[] = []
  #failed: Record<string, number> = {}

  constructor(port: number, path: string) {
    this.#calls = [
      ['HTTP/1', callerOfHttp1(port, path)],
      ['HTTP/2', callerOfHttp2(port, path)],
    ]
  }

  begin(): void {
    const isOnNew = this.#count++ % 10 === 0
    for (const [name, call] of this.#calls) {
      const done = this.#make(name, call, isOnNew)
      this.#underWay.add(done)
      void done.finally(() => this.#underWay.delete(done))
    }
  }

  async take(): Promise<Waits> {
    await Promise.all(this.#underWay)
    const sorted = this.#waitsMs.toSorted((a, b) => a - b)
    const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? NaN
    const failed = this.#failed
    this.#waitsMs = []
    this.#failed = {}
    return { calls: sorted.length, failed, medianMs: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
  }

  async #make(name: string, call: Call, isOnNew: boolean): Promise<void> {
    const startedMs = performance.now()
    try {
      await call(isOnNew)
    } catch (error) {
      const how = `${name}: ${(error as Error).message}`
      this.#failed[how] = (this.#failed[how] ?? 0) + 1
    }
    this.#waitsMs.push(performance.now() - startedMs)
  }
}

function callerOfHttp1(port: number, path: string): Call {
  const head = `GET ${path} HTTP/1.1\r\nHost: honest.test\r\n\r\n`
  let free: Line | null = null
  return async isOnNew => {
    let line = free
    free = null
    if (isOnNew || line?.isOver === true) line = line?.close() ?? null
    line ??= await Line.open(port)
    try {
      const { status } = await line.call(head)
      if (status !== 200) throw new Error(`status ${status}`)
    } catch (error) {
      line.close()
      throw error
    }
    // One is kept: a second one would wait for so long that the gateway may close it under a call.
    if (free === null) free = line
    else line.close()
  }
}

function callerOfHttp2(port: number, path: string): Call {
  let session: ClientHttp2Session | null = null
  return async isOnNew => {
    if (isOnNew || session === null || session.closed || session.destroyed) {
      session?.close()
      session = http2.connect(`http://127.0.0.1:${port}`)
      // Its streams tell.
      session.on('error', () => {})
    }
    const stream = session.request({ ':path': path })
    stream.setTimeout(10_000, () => stream.destroy(new Error('no reply in time')))
    stream.resume()
    const [headers] = (await once(stream, 'response')) as [{ ':status': number }]
    if (headers[':status'] !== 200) throw new Error(`status ${headers[':status']}`)
    if (!stream.readableEnded) await once(stream, 'end')
  }
}

function start(port: MessagePort, { attacked, quiet, path }: Places): void {
  const callers = [new Caller(attacked, path), new Caller(quiet, path)] as const
  port.on('message', () => {
    void Promise.all([callers[0].take(), callers[1].take()]).then(([at, beside]) => {
      port.postMessage({ attacked: at, quiet: beside } satisfies Omit<Seen, 'stretch'>)
    })
  })
  setInterval(() => {
    for (const caller of callers) caller.begin()
  }, everyMs)
}

if (!isMainThread && parentPort !== null) start(parentPort, workerData as Places)
