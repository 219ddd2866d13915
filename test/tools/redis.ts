// A Valkey or Redis server of its own for a test, from the binary on the PATH.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { until } from './until.ts'

const binary = ['valkey-server', 'redis-server'].find(isThere) ?? null

/** Why tests with a server are skipped; false where there is one. */
export const noServer: string | false =
  binary === null ? 'neither valkey-server nor redis-server is on the PATH: apt-get install redis-server' : false

/** Owns the process. */
export class RedisServer implements AsyncDisposable {
  readonly port: number
  #child: ChildProcess | null = null

  private constructor(port: number) {
    this.port = port
  }

  static async start(): Promise<RedisServer> {
    const server = new RedisServer(await freePort())
    await server.restart()
    return server
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Starts it, empty. */
  async restart(args: readonly string[] = []): Promise<void> {
    if (binary === null) throw new Error('there is no server on the PATH')
    const own = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', '/']
    this.#child = spawn(binary, [...own, ...args], { stdio: 'ignore' })
    await until(
      async () => (await this.command('PING').catch(() => '')).startsWith('+PONG'),
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}

export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  return address !== null && typeof address === 'object' ? address.port : 0
}

function isThere(name: string): boolean {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
