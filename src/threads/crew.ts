// One worker thread from the outside.

import { Worker } from 'node:worker_threads'
import type { Log } from '../core/ports.ts'
import type { Purge } from '../core/purges.ts'
import { writeRemoteLine } from '../telemetry/log.ts'
import { applyPageNews, type MetricPage } from '../telemetry/page.ts'
import type { GivenTables, WantedTables } from '../stores/limit-tables.ts'
import type { Berth, Edition, FromWorker, ToWorker, WorkerStart } from './messages.ts'

export interface CrewPorts {
  readonly log: Log
  /** The main thread's copy of the worker's metrics. */
  readonly page: MetricPage
  onUsed(times: ReadonlyMap<string, number>): void
  onSick(crew: Crew, reason: string): void
  /** The thread is gone; expected after a drain. */
  onExit(crew: Crew, isExpected: boolean): void
}

/** A thread that does not answer in this time is taken as broken. */
const answerMsMax = 30_000
/** Beyond the time to drain: writing logs, ending the thread. */
const exitMsMax = 5_000

interface Awaited {
  readonly resolve: (message: FromWorker) => void
  readonly reject: (error: Error) => void
}

/** Owns the thread. */
export class Crew {
  readonly id: number
  readonly index: number
  /** Which share of per-worker ceilings it has. */
  ordinal = 0
  state: 'starting' | 'serving' | 'draining' = 'starting'
  version = 0
  readonly startedMs: number = Date.now()
  readonly started: Promise<unknown>
  readonly #thread: Worker
  readonly #ports: CrewPorts
  readonly #awaited = new Map<FromWorker['kind'], Awaited>()
  #exited: Promise<void>
  #cut = 0
  #drained: Promise<number> | null = null

  constructor(id: number, start: WorkerStart, ports: CrewPorts) {
    this.id = id
    this.index = start.index
    this.#ports = ports
    this.#thread = new Worker(new URL('./worker-thread.ts', import.meta.url), {
      workerData: start,
      name: `turnpike-${id}`,
      // A third of it is filled between two collections. Each of these costs about the same, for nearly nothing is left alive: a third
      // as many as with 12 is 2 of 24 µs of a call with four policies (bench/NOTES.md).
      resourceLimits: { maxYoungGenerationSizeMb: 48 },
    })
    this.started = this.#answer('started')
    this.#thread.on('message', (message: FromWorker) => this.#received(message))
    this.#thread.on('error', error => ports.log.error({ err: error, worker: id }, 'a worker thread failed'))
    this.#exited = new Promise(resolve => {
      this.#thread.on('exit', () => {
        for (const { reject } of this.#awaited.values()) reject(new Error('the worker thread ended'))
        ports.onExit(this, this.state === 'draining')
        resolve()
      })
    })
  }

  send(message: ToWorker): void {
    this.#thread.postMessage(message)
  }

  /** Rejects with the reason where the worker cannot build it. */
  async prepare(edition: Edition, berth: Berth): Promise<WantedTables> {
    this.ordinal = berth.ordinal
    this.send({ kind: 'prepare', edition, ...berth })
    return (await this.#answer('prepared')).limits
  }

  async commit(version: number, limits: GivenTables): Promise<void> {
    this.send({ kind: 'commit', version, limits })
    await this.#answer('committed')
    this.version = version
    if (this.state === 'starting') this.state = 'serving'
  }

  /** Resolves when the worker answers by these. */
  async answerChallenges(answers: ReadonlyMap<string, string>): Promise<void> {
    this.send({ kind: 'challenges', answers })
    await this.#answer('challenges-known')
  }

  /** Resolves when the worker has let go of what it prepared. */
  async abort(): Promise<void> {
    this.send({ kind: 'abort' })
    await this.#answer('aborted')
  }

  /** Resolves with the number of connections cut, when the thread is gone. */
  drain(drainMs: number): Promise<number> {
    this.#drained ??= this.#drain(drainMs)
    return this.#drained
  }

  /** A worker that is gone, or was starting and has nothing yet, took nothing out. */
  async purge(purge: Purge): Promise<number> {
    const counted = this.#answer('purged').then(({ count }) => count)
    this.send({ kind: 'purge', purge })
    return counted.catch(() => 0)
  }

  async terminate(): Promise<void> {
    await this.#thread.terminate()
  }

  /** Ends a worker that never came to serve. */
  async discard(): Promise<void> {
    this.state = 'draining'
    await this.terminate()
  }

  async #drain(drainMs: number): Promise<number> {
    this.state = 'draining'
    this.send({ kind: 'drain', drainMs })
    const timer = setTimeout(() => void this.#thread.terminate(), drainMs + exitMsMax)
    await this.#exited
    clearTimeout(timer)
    return this.#cut
  }

  #received(message: FromWorker): void {
    switch (message.kind) {
      case 'metrics':
        return applyPageNews(this.#ports.page, message.news)
      case 'used':
        return this.#ports.onUsed(message.times)
      case 'log':
        return writeRemoteLine(this.#ports.log, message.line, this.id)
      case 'sick':
        return this.#ports.onSick(this, message.reason)
      case 'drained':
        this.#cut = message.cut
        return
      case 'refused': {
        const awaited = this.#awaited.get('prepared')
        return awaited?.reject(new Error(message.reason))
      }
      default:
        this.#awaited.get(message.kind)?.resolve(message)
    }
  }

  #answer<K extends FromWorker['kind']>(kind: K): Promise<Extract<FromWorker, { kind: K }>> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => done(() => reject(new Error(`a worker did not say "${kind}" in time`))),
        answerMsMax,
      )
      const done = (settle: () => void) => {
        clearTimeout(timer)
        this.#awaited.delete(kind)
        settle()
      }
      this.#awaited.set(kind, {
        // It was filed under its kind.
        resolve: message => done(() => resolve(message as Extract<FromWorker, { kind: K }>)),
        reject: error => done(() => reject(error)),
      })
    })
  }
}
