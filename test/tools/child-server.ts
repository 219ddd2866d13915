// A server in a process of its own, so that a test can stop it, let it go on, or kill it.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import process from 'node:process'

/** Owns the process until it is disposed. */
export class ChildServer implements AsyncDisposable {
  readonly port: number
  readonly url: string
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
    this.url = `http://127.0.0.1:${port}`
  }

  /** `handler` is the source of a function `(request, response)`; `port` is that of one that died before. */
  static async start(handler = '(_, response) => response.end("up")', port = 0): Promise<ChildServer> {
    const listen = `.listen({ port: ${port}, host: '127.0.0.1', backlog: 1024 }, function () { console.log(this.address().port) })`
    const script = `require('node:http').createServer({ keepAliveTimeout: 0 }, ${handler})${listen}`
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    return new ChildServer(child, Number(String(line)))
  }

  signal(name: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    this.#child.kill(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'exit')
    // Also ends a process that is stopped.
    this.#child.kill('SIGKILL')
    await exited
  }
}

/** Handles four calls at once, 20 ms each; the others stand in a line that does not know when nobody waits any more. */
export const drowning = `(() => {
  let busy = 0
  const line = []
  const next = () => {
    while (busy < 4 && line.length > 0) {
      const response = line.shift()
      busy++
      setTimeout(() => { busy--; response.end('done'); next() }, 20)
    }
  }
  return (_, response) => { line.push(response); next() }
})()`
