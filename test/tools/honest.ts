// A client that does nothing wrong, in a thread of its own, and how long it waits meanwhile.

import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { isMainThread, type MessagePort, parentPort, Worker, workerData } from 'node:worker_threads'
import { Line } from './load.ts'

export interface Waits {
  readonly calls: number
  /** Calls that were not answered with 200. */
  readonly failed: Readonly<Record<string, number>>
  readonly medianMs: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** Calls one at a time, a hundred times a second at most, each tenth time on a new connection. */
export class Honest {
  readonly #thread: Worker

  constructor(port: number, path = '/') {
    this.#thread = new Worker(import.meta.filename, { workerData: { port, path } })
  }

  /** What was seen since the last look. */
  async take(): Promise<Waits> {
    this.#thread.postMessage('take')
    const [waits] = (await once(this.#thread, 'message')) as [Waits]
    return waits
  }

  async stop(): Promise<void> {
    await this.#thread.terminate()
  }
}

const ms = (value: number) => value.toFixed(1)

export function shownWaits({ calls, medianMs, p99Ms, maxMs }: Waits): string {
  return `${calls} calls, median ${ms(medianMs)}, p99 ${ms(p99Ms)}, max ${ms(maxMs)} ms`
}

class Caller {
  readonly #port: number
  #line: Line | null = null
  #waitsMs: number[] = []
  #failed: Record<string, number> = {}

  constructor(port: number) {
    this.#port = port
  }

  take(): Waits {
    const sorted = this.#waitsMs.toSorted((a, b) => a - b)
    const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? NaN
    const failed = this.#failed
    this.#waitsMs = []
    this.#failed = {}
    return { calls: sorted.length, failed, medianMs: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
  }

  async run(path: string): Promise<never> {
    const head = `GET ${path} HTTP/1.1\r\nHost: honest.test\r\n\r\n`
    for (let count = 0; ; count++) {
      if (count % 10 === 0) this.#hangUp()
      const startedMs = performance.now()
      try {
        this.#line ??= await Line.open(this.#port)
        const { status } = await this.#line.call(head)
        if (status !== 200) this.#failedBy(String(status))
      } catch (error) {
        this.#failedBy((error as Error).message)
        this.#hangUp()
      }
      this.#waitsMs.push(performance.now() - startedMs)
      await pause(10)
    }
  }

  #hangUp(): void {
    this.#line?.close()
    this.#line = null
  }

  #failedBy(how: string): void {
    this.#failed[how] = (this.#failed[how] ?? 0) + 1
  }
}

function start(port: MessagePort, { port: gateway, path }: { port: number; path: string }): void {
  const caller = new Caller(gateway)
  port.on('message', () => port.postMessage(caller.take()))
  void caller.run(path)
}

if (!isMainThread && parentPort !== null) start(parentPort, workerData as { port: number; path: string })
