// Processes of a benchmark: starting them on given cores, what they cost, and their sure end.

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { findTool } from '../scripts/tools.ts'

export function programPath(name: string): string {
  const file = findTool(name)
  if (file === null) throw new Error(`${name} is not installed`)
  return file
}

/** What a program prints on both streams. */
export function printed(program: string, args: readonly string[]): Promise<string> {
  return new Promise(resolve => {
    execFile(findTool(program) ?? program, args, (_error, stdout, stderr) => resolve(stdout + stderr))
  })
}

export interface Cost {
  /** User and system time of the process, its threads and its descendants, in microseconds. */
  readonly cpuMicros: number
  /** Resident memory of the same. */
  readonly rssBytes: number
}

export class Program {
  readonly name: string
  readonly #child: ChildProcess
  #output = ''

  /** `cores` as taskset writes them, such as `0` or `0,1`. */
  constructor(name: string, cores: string, words: readonly string[]) {
    this.name = name
    this.#child = spawn(programPath('taskset'), ['-c', cores, ...words], { stdio: ['pipe', 'pipe', 'pipe'] })
    const keep = (text: unknown): void => {
      this.#output = (this.#output + String(text)).slice(-4000)
    }
    this.#child.stdout?.on('data', keep)
    this.#child.stderr?.on('data', keep)
    this.#child.on('error', keep)
  }

  /** The last of what it printed. */
  get output(): string {
    return this.#output
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined
  }

  /** Waits until it answers; throws with its output when it ends or stays silent. */
  async untilReady(isReady: () => Promise<boolean>): Promise<void> {
    const deadlineMs = Date.now() + 30_000
    while (!(await isReady())) {
      if (!this.isRunning) throw new Error(`${this.name} ended at once and printed:\n${this.#output}`)
      if (Date.now() > deadlineMs) throw new Error(`${this.name} did not answer within 30 s:\n${this.#output}`)
      await delay(50)
    }
  }

  cost(): Cost {
    const pids = this.#child.pid === undefined ? [] : familyOf(this.#child.pid)
    const costs = pids.map(costOf)
    return {
      cpuMicros: costs.reduce((sum, { cpuMicros }) => sum + cpuMicros, 0),
      rssBytes: costs.reduce((sum, { rssBytes }) => sum + rssBytes, 0),
    }
  }

  async stop(): Promise<void> {
    if (!this.isRunning) return
    const exited = once(this.#child, 'exit')
    this.#child.stdin?.end()
    this.#child.kill('SIGTERM')
    const force = setTimeout(() => this.#child.kill('SIGKILL'), 5000)
    await exited
    clearTimeout(force)
  }
}

/** Fields of /proc/PID/stat behind the name, which may itself hold blanks and brackets. Null once it is gone. */
function statOf(pid: number): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return null
  }
}

/** The process and all its descendants. */
function familyOf(root: number): number[] {
  const children = new Map<number, number[]>()
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry)
    const parent = Number.isInteger(pid) ? Number(statOf(pid)?.[1]) : Number.NaN
    if (!Number.isNaN(parent)) children.set(parent, [...(children.get(parent) ?? []), pid])
  }
  const family = [root]
  for (const pid of family) family.push(...(children.get(pid) ?? []))
  return family
}

/** Linux counts processor time in hundredths of a second and memory in pages of 4 KiB, on every machine we know. */
function costOf(pid: number): Cost {
  const stat = statOf(pid)
  if (stat === null) return { cpuMicros: 0, rssBytes: 0 }
  const ticks = Number(stat[11]) + Number(stat[12])
  return { cpuMicros: ticks * 10_000, rssBytes: Number(stat[21]) * 4096 }
}
