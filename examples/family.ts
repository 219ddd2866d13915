// Child processes that live and die together.

import { type ChildProcess, spawn } from 'node:child_process'
import process from 'node:process'

export class Family {
  readonly #children = new Map<string, ChildProcess>()
  readonly #root: string
  #isStopping = false

  constructor(root: string) {
    this.#root = root
  }

  get isStopping(): boolean {
    return this.#isStopping
  }

  /** Starts a child on our own Node. When it ends before `stop`, everything ends. */
  spawn(name: string, words: readonly string[]): void {
    if (this.#isStopping) return
    const child = spawn(process.execPath, words, { cwd: this.#root, stdio: ['ignore', 'inherit', 'inherit'] })
    this.#children.set(name, child)
    child.on('exit', (code, signal) => {
      this.#children.delete(name)
      if (this.#isStopping) return
      process.stderr.write(`\nturnpike: ${name} ended (${signal ?? `exit code ${code}`}), so the rest is stopped too\n`)
      this.stop(1)
    })
  }

  /** Ends all children, by force after ten seconds; the process then exits with this code. */
  stop(exitCode: number): void {
    if (this.#isStopping) return
    this.#isStopping = true
    process.exitCode = exitCode
    for (const child of this.#children.values()) child.kill('SIGTERM')
    const force = setTimeout(() => {
      for (const child of this.#children.values()) child.kill('SIGKILL')
    }, 10_000)
    force.unref()
  }
}
