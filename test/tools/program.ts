// The gateway as users run it: a process of its own, with its config in a file, watched from outside.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { type Exposition, readExposition } from '../../src/telemetry/exposition-reader.ts'
import { until } from './until.ts'

const root = path.join(import.meta.dirname, '..', '..')
const startMsMax = 60_000

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command line to its end. */
export async function runTurnpike(args: readonly string[], cwd: string = root): Promise<Ended> {
  const child = spawn(process.execPath, [path.join(root, 'src/main.ts'), ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = gather(child)
  const timer = setTimeout(() => child.kill('SIGKILL'), startMsMax)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(timer)
  return { code, ...output }
}

export interface Turns {
  readonly ranMs: number
  readonly stoodMs: number
}

/** The labels that a sample must have; it may have more. */
export type Wanted = Readonly<Record<string, string>>

/** Owns the process and the folder of its config. */
export class Program implements AsyncDisposable {
  readonly folder: string
  readonly configFile: string
  readonly #child: ChildProcess
  readonly #output: Output
  /** Resolves when the process has ended and all that it wrote was read. */
  readonly #closed: Promise<unknown>
  #ports: readonly number[] = []
  #adminPort = 0

  private constructor(folder: string, configFile: string, more: readonly string[], within: readonly string[]) {
    this.folder = folder
    this.configFile = configFile
    const args = [path.join(root, 'src/main.ts'), 'run', configFile, '--log-format', 'json', ...more]
    const [command = '', ...rest] = [...within, process.execPath, ...args]
    this.#child = spawn(command, rest, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#output = gather(this.#child)
    this.#closed = once(this.#child, 'close')
  }

  /**
   * Starts a gateway with this config and resolves when it serves. Where the config says nothing of them, it has one listener
   * on a free loopback port, an admin port and one worker. `files` are put beside the config, `args` behind `run CONFIG`.
   * `{folder}` in a text of the config stands for the folder of all this. `within` is a command that becomes the gateway, such
   * as `prlimit --nofile=200`.
   */
  static async start(
    config: object,
    files: Readonly<Record<string, string>> = {},
    args: readonly string[] = [],
    within: readonly string[] = [],
  ): Promise<Program> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'turnpike-'))
    for (const [name, text] of Object.entries(files)) await writeFile(path.join(folder, name), text)
    const configFile = path.join(folder, 'turnpike.json')
    await writeFile(configFile, render(config).replaceAll('{folder}', folder))
    return Program.open(folder, configFile, args, within)
  }

  /** Starts a gateway with a config that lies somewhere in `folder`, which is removed at the end. */
  static async open(
    folder: string,
    config: string,
    args: readonly string[] = [],
    within: readonly string[] = [],
  ): Promise<Program> {
    const program = new Program(folder, config, args, within)
    try {
      await program.#ready()
    } catch (error) {
      await program.stop()
      throw error
    }
    return program
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Port of the first listener. */
  get port(): number {
    return this.portOf(0)
  }

  get adminPort(): number {
    return this.#adminPort
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Whole lines of it. */
  get stdout(): string {
    return this.#output.stdout
  }

  /** The program's own log: whole lines of it. */
  get stderr(): string {
    return this.#output.stderr
  }

  /** Port of a listener by its place in the config. */
  portOf(index: number): number {
    return this.#ports[index] ?? 0
  }

  file(name: string): string {
    return path.join(this.folder, name)
  }

  /** Writes another config; the gateway notices by itself. */
  async rewrite(config: object): Promise<void> {
    await writeFile(this.configFile, render(config))
  }

  /** Puts another config in place whole: a reload that is under way never reads half of it. */
  async replace(config: object): Promise<void> {
    await writeFile(`${this.configFile}.new`, render(config))
    await rename(`${this.configFile}.new`, this.configFile)
  }

  admin(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.#adminPort}${path}`, init)
  }

  async metrics(accept = 'text/plain'): Promise<Exposition> {
    return readExposition(await (await this.admin('/metrics', { headers: { accept } })).text())
  }

  /** Sum of all samples of this name with these labels, over all threads; 0 without any. */
  async total(name: string, labels: Wanted = {}): Promise<number> {
    return sumOf(await this.metrics(), name, labels)
  }

  /** Waits until a metric has this value: what threads report comes up to a second late. */
  async untilTotal(name: string, labels: Wanted, wanted: number, withinMs?: number): Promise<void> {
    let seen = NaN
    await until(
      async () => {
        seen = await this.total(name, labels)
        return seen === wanted
      },
      () => `${name} ${JSON.stringify(labels)} to be ${wanted}; it is ${seen}`,
      withinMs,
    )
  }

  /** Waits until workers that were replaced are gone: Linux resets what waits at a port of theirs when it closes. */
  async untilDrained(): Promise<void> {
    await this.untilTotal('turnpike_workers', { state: 'draining' }, 0)
  }

  /** Waits until the log says this: a line may come later than what it tells of. */
  async untilSaid(what: RegExp): Promise<void> {
    await until(
      () => what.test(this.stderr),
      () => `the log to say ${what}; it says ${this.stderr}`,
    )
  }

  /** Waits until there is no call and no connection of a client, and none to an upstream but idle ones. */
  async untilQuiet(): Promise<void> {
    let quietSinceMs = performance.now()
    let busy: string[] = []
    await until(
      async () => {
        const metrics = await this.metrics()
        const counts = quietAtZero.map(([name, labels]) => ({ name, count: sumOf(metrics, name, labels) }))
        busy = counts.filter(({ count }) => count !== 0).map(({ name, count }) => `${name} ${count}`)
        const nowMs = performance.now()
        if (busy.length > 0) quietSinceMs = nowMs
        // Longer than the second that threads may take to report.
        return nowMs - quietSinceMs > 1_100
      },
      () => `the gateway to be quiet: ${busy.join(', ')}`,
    )
  }

  /** Resident memory of the process now. */
  async residentBytes(): Promise<number> {
    const pages = (await readFile(`/proc/${this.pid}/statm`, 'latin1')).split(' ')[1]
    return Number(pages) * 4096
  }

  /** File descriptors that the process has open. */
  async descriptors(): Promise<number> {
    return (await readdir(`/proc/${this.pid}/fd`)).length
  }

  /** Processor time that the process has used so far, all threads together. */
  async cpuMs(): Promise<number> {
    const stat = await readFile(`/proc/${this.pid}/stat`, 'latin1')
    const [user = 0, system = 0] = stat.slice(stat.lastIndexOf(')')).split(' ').slice(12, 14).map(Number)
    // In ticks of 10 ms.
    return (user + system) * 10
  }

  /** How long all of its threads ran so far, and how long they stood in line for a processor meanwhile; 0 where nothing tells. */
  async turns(): Promise<Turns> {
    const folder = `/proc/${this.pid}/task`
    const turns = { ranMs: 0, stoodMs: 0 }
    for (const thread of await readdir(folder).catch(() => [])) {
      const text = await readFile(path.join(folder, thread, 'schedstat'), 'latin1').catch(() => '0 0')
      const [ran = 0, stood = 0] = text.split(' ').map(Number)
      turns.ranMs += ran / 1e6
      turns.stoodMs += stood / 1e6
    }
    return turns
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  /** Whether the process has ended. */
  get isOver(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** Resolves with the exit code when the process has ended and all that it wrote was read; null where a signal ended it. */
  async exited(): Promise<number | null> {
    await this.#closed
    return this.#child.exitCode
  }

  /** Stops it by SIGTERM; resolves with the exit code. */
  async stop(): Promise<number | null> {
    if (!this.isOver) {
      this.#child.kill('SIGTERM')
      const timer = setTimeout(() => this.#child.kill('SIGKILL'), startMsMax)
      await this.#closed
      clearTimeout(timer)
    }
    await rm(this.folder, { recursive: true, force: true })
    return this.#child.exitCode
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #ready(): Promise<void> {
    const line = () => this.#output.stderr.split('\n').find(text => text.includes('"turnpike is ready"'))
    await until(
      () => line() !== undefined || this.isOver,
      () => `the gateway to start; it printed ${this.stderr}`,
      startMsMax,
    )
    if (this.isOver) await this.#closed
    const text = line()
    if (text === undefined) throw new Error(`the gateway ended: ${this.stderr}`)
    const ready = JSON.parse(text) as { listeners: string[]; admin: string | null }
    this.#ports = ready.listeners.map(url => Number(/:(\d+)(?: |$)/.exec(url)?.[1]))
    this.#adminPort = Number(/:(\d+)$/.exec(ready.admin ?? '')?.[1] ?? 0)
  }
}

const quietAtZero: readonly (readonly [name: string, labels: Wanted])[] = [
  ['http_server_active_requests', {}],
  ['turnpike_downstream_connections', {}],
  ['turnpike_upstream_connections', { state: 'active' }],
  ['turnpike_upstream_pending', {}],
]

export function sumOf({ samples }: Exposition, name: string, labels: Wanted = {}): number {
  const wanted = Object.entries(labels)
  return samples
    .filter(sample => sample.name === name && wanted.every(([key, value]) => sample.labels[key] === value))
    .reduce((sum, { value }) => sum + value, 0)
}

/** The text of a config, with what `Program.start` adds. */
export function render(config: object): string {
  const defaults = { listeners: [{ port: 0, host: '127.0.0.1' }], admin: { port: 0 }, workers: 1, drain: '1s' }
  return JSON.stringify({ ...defaults, ...config }, null, 2)
}

interface Output {
  readonly stdout: string
  readonly stderr: string
}

/** Keeps what a process writes, line by line: the last line may be on its way still. */
function gather(child: ChildProcess): Output {
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    let rest = ''
    child[name]?.setEncoding('utf8')
    child[name]?.on('data', (text: string) => {
      const end = text.lastIndexOf('\n') + 1
      if (end > 0) output[name] += rest + text.slice(0, end)
      rest = end > 0 ? text.slice(end) : rest + text
    })
    child[name]?.on('end', () => (output[name] += rest))
  }
  return output
}
