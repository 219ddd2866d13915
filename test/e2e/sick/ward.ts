// Victims and steady load for the tests of sick targets.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import path from 'node:path'
import process from 'node:process'
import type { UpstreamStatus } from '../../../src/control/admin-view.ts'
import { Line } from '../../tools/load.ts'
import type { Program } from '../../tools/program.ts'
import { until } from '../../tools/until.ts'
import type { Asked, Sickness } from './victim.ts'

/** Open files of a victim, its sockets among them. */
const descriptorsMax = 256

/** A server process that can be made sick. */
export class Victim implements AsyncDisposable {
  readonly name: string
  readonly port: number
  #child: ChildProcess
  readonly #leeches = new Set<Socket>()
  #leeching: NodeJS.Timeout | null = null

  private constructor(name: string, port: number, child: ChildProcess) {
    this.name = name
    this.port = port
    this.#child = child
  }

  static async start(name: string): Promise<Victim> {
    const child = spawnVictim(name, 0)
    const [{ port }] = (await once(child, 'message')) as [{ port: number }]
    return new Victim(name, port, child)
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async be(sickness: Sickness): Promise<void> {
    this.#child.send({ be: sickness })
    for (;;) {
      const [message] = (await once(this.#child, 'message')) as [{ is?: Sickness }]
      if (message.is === sickness) return
    }
  }

  async asked(): Promise<Asked> {
    this.#child.send({ count: true })
    for (;;) {
      const [message] = (await once(this.#child, 'message')) as [{ asked?: Asked }]
      if (message.asked !== undefined) return message.asked
    }
  }

  /** How often it was asked for this path since it was started. */
  async count(path: string): Promise<number> {
    return (await this.asked()).byPath[path] ?? 0
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  async kill(): Promise<void> {
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }

  /** Takes all the descriptors that it has, and those that it gets back, by connections that say nothing. */
  async exhaust(): Promise<void> {
    this.#leech()
    this.#leeching = setInterval(() => this.#leech(), 20)
    await Promise.all([...this.#leeches].map(socket => once(socket, 'connect').catch(() => {})))
  }

  relieve(): void {
    if (this.#leeching !== null) clearInterval(this.#leeching)
    this.#leeching = null
    for (const socket of this.#leeches) socket.destroy()
    this.#leeches.clear()
  }

  /** What it cannot hold it closes, and would then have a descriptor for the next call that ends. */
  #leech(): void {
    while (this.#leeches.size < descriptorsMax) {
      const socket = net.connect(this.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.on('close', () => this.#leeches.delete(socket))
      this.#leeches.add(socket)
    }
  }

  /** Starts it again on its port, well. */
  async revive(): Promise<void> {
    this.#child = spawnVictim(this.name, this.port)
    await once(this.#child, 'message')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.relieve()
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.kill()
  }
}

/** By a shell, as only that can bound its descriptors. */
function spawnVictim(name: string, port: number): ChildProcess {
  const file = path.join(import.meta.dirname, 'victim.ts')
  const command = `ulimit -n ${descriptorsMax}; exec "$0" "$@"`
  return spawn('sh', ['-c', command, process.execPath, file, name, String(port)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
}

/** What became of the calls begun in some time. */
export interface Counts {
  calls: number
  readonly failed: Record<string, number>
  /** Milliseconds of each call, in the order in which they ended. */
  readonly tookMs: number[]
}

export interface StreamOptions {
  readonly port: number
  readonly path: string
  readonly method?: string
  readonly clients?: number
  readonly pauseMs?: number
}

/** Clients that call one after the other until stopped, and count by when a call began. */
export class Stream implements AsyncDisposable {
  counts: Counts = newCounts()
  readonly #options: Required<StreamOptions>
  readonly #clients: Promise<void>[]
  #isOver = false

  constructor(options: StreamOptions) {
    this.#options = { method: 'GET', clients: 4, pauseMs: 2, ...options }
    this.#clients = Array.from({ length: this.#options.clients }, () => this.#run())
  }

  /** What was counted since; counts anew. */
  take(): Counts {
    const { counts } = this
    this.counts = newCounts()
    return counts
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#clients)
  }

  async #run(): Promise<void> {
    const { port, path, method, pauseMs } = this.#options
    const head = `${method} ${path} HTTP/1.1\r\nhost: ward.test\r\n${method === 'POST' ? 'content-length: 0\r\n' : ''}\r\n`
    let line = await Line.open(port)
    while (!this.#isOver) {
      const { counts } = this
      const beganMs = performance.now()
      let outcome = ''
      try {
        if (line.isOver) line = await Line.open(port)
        const { status } = await line.call(head)
        if (status !== 200) outcome = `status ${status}`
      } catch (error) {
        outcome = (error as Error).message
        line.close()
        line = await Line.open(port)
      }
      counts.calls++
      counts.tookMs.push(performance.now() - beganMs)
      if (outcome !== '') counts.failed[outcome] = (counts.failed[outcome] ?? 0) + 1
      await new Promise(resolve => setTimeout(resolve, pauseMs))
    }
    line.close()
  }
}

function newCounts(): Counts {
  return { calls: 0, failed: {}, tookMs: [] }
}

/** What became of all calls since the last look, when so many more have ended. */
export async function followed(stream: Stream, calls: number): Promise<Counts> {
  const wanted = stream.counts.calls + calls
  await until(
    () => stream.counts.calls >= wanted,
    () => `${calls} calls`,
  )
  return stream.take()
}

export function failuresOf({ failed }: Counts): number {
  return Object.values(failed).reduce((sum, count) => sum + count, 0)
}

export function percentile({ tookMs }: Counts, share: number): number {
  const sorted = tookMs.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}

/** States of the targets of an upstream by their ports. */
export async function statesOf(program: Program, upstream: string): Promise<Record<string, string>> {
  const all = (await (await program.admin('/upstreams')).json()) as UpstreamStatus[]
  const targets = all.find(({ name }) => name === upstream)?.targets ?? []
  return Object.fromEntries(targets.map(({ target, state }) => [new URL(target).port, state]))
}

/** Waits until a victim is, or is not, usable in an upstream; returns how long that took, milliseconds. */
export async function untilUsable(
  program: Program,
  upstream: string,
  { port, name }: Victim,
  isUsable: boolean,
): Promise<number> {
  const fromMs = performance.now()
  const wanted = isUsable ? 'usable' : 'sick'
  await until(
    async () => ((await statesOf(program, upstream))[port] === 'usable') === isUsable,
    () => `${name} to be ${wanted} in ${upstream}`,
  )
  return performance.now() - fromMs
}
