// A Valkey or Redis server of its own for a test, from the binary on the PATH.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

const binary = ['valkey-server', 'redis-server'].find(isThere) ?? null

/** Why tests with a server are skipped; false where there is one. */
export const noServer: string | false =
  binary === null ? 'neither valkey-server nor redis-server is on the PATH: apt-get install redis-server' : false

/** Owns the process and its folder. */
export class RedisServer implements AsyncDisposable {
  readonly port: number
  readonly folder: string
  #args: readonly string[]
  #child: ChildProcess | null = null

  private constructor(port: number, folder: string, args: readonly string[]) {
    this.port = port
    this.folder = folder
    this.#args = args
  }

  /** `{folder}` in an argument stands for the folder of the server, in which `files` are written first. */
  static async start(args: readonly string[] = [], files: Readonly<Record<string, string>> = {}): Promise<RedisServer> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'turnpike-redis-'))
    for (const [name, text] of Object.entries(files)) {
      await writeFile(path.join(folder, name), text.replaceAll('{folder}', folder))
    }
    const server = new RedisServer(await freePort(), folder, args)
    await server.restart()
    return server
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Starts it again: empty, where its arguments do not make it keep its data. */
  async restart(args: readonly string[] = this.#args): Promise<void> {
    if (binary === null) throw new Error('there is no server on the PATH')
    this.#args = args
    const given = args.map(text => text.replaceAll('{folder}', this.folder))
    const own = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.folder]
    const config = given[0]?.startsWith('-') === false ? given.splice(0, 1) : []
    const all = [...config, ...own, ...(config.length === 0 ? ['--save', '', '--appendonly', 'no'] : []), ...given]
    this.#child = spawn(binary, all, { stdio: 'ignore' })
    await until(
      async () => /^(\+PONG|-(LOADING|NOAUTH|MASTERDOWN))/.test(await this.command('PING').catch(() => '')),
      () => 'the server of counts to start',
    )
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  async kill(): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const over = once(child, 'exit')
    child.kill('SIGKILL')
    await over
  }

  /** Sends one command; resolves with the first bytes of the reply. */
  command(...words: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(this.port, '127.0.0.1', () => socket.write(`${words.join(' ')}\r\n`))
      socket.setTimeout(1_000, () => socket.destroy(new Error('no reply')))
      socket.once('error', reject)
      socket.once('data', (chunk: Buffer) => {
        socket.destroy()
        resolve(chunk.toString('latin1'))
      })
    })
  }

  /** Sends one command and rejects where the answer is an error. */
  async must(...words: readonly string[]): Promise<string> {
    const reply = await this.command(...words)
    if (reply.startsWith('-')) throw new Error(`${words.join(' ')}: ${reply}`)
    return reply
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    await rm(this.folder, { recursive: true, force: true })
  }
}

function isThere(name: string): boolean {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
