// The worker threads as the main thread sees them: started, brought from config to config as one, replaced, drained.

import { randomBytes } from 'node:crypto'
import type { Readiness, WorkerStatus } from '../control/admin-view.ts'
import type { Blueprint } from '../core/blueprint.ts'
import type { Log } from '../core/ports.ts'
import { listenerKey } from '../edge/listener-settings.ts'
import { createTicketMemory, rotateTicketKeys } from '../edge/ticket-keys.ts'
import { tallyFields } from '../limits/tally.ts'
import { createMarkMemory } from '../core/marks.ts'
import type { Purge } from '../core/purges.ts'
import { type CounterMemory, createCounterMemory, releaseWorker } from '../stores/counter-memory.ts'
import { type GivenTables, LimitMemories } from '../stores/limit-tables.ts'
import { clearGauges, createPage, type MetricPage } from '../telemetry/page.ts'
import { Crew, type CrewPorts } from './crew.ts'
import type { Berth, Edition } from './messages.ts'
import { version } from './version.ts'

export interface FleetOptions {
  readonly log: Log
  readonly extensions: readonly string[]
  /** Threads where the config names no number. */
  readonly cores: number
  /** Takes the times at which workers saw credentials used. */
  onUsed(times: ReadonlyMap<string, number>): void
  /** Told when a worker was replaced, and why. */
  onReplaced?(reason: ReplacementReason): void
}

/** `thrown`: by code that nothing caught. `died`: without a word. `asked`: by the admin API. */
export type ReplacementReason = 'thrown' | 'died' | 'asked'

/** Why the workers would not take a config; the config in force goes on. */
export class EditionRefused extends Error {
  constructor(reason: string) {
    super(reason)
    this.name = 'EditionRefused'
  }
}

/** Of dead workers in a row, before starting new ones slows down. */
const quickRestarts = 3
const restartMsMax = 5_000
/** Places in the shared tables beyond one per worker: a replacement and its predecessor live side by side. */
const sparePlaces = 66

/** Owns the worker threads. Changes run one after the other. */
export class Fleet {
  readonly pages: MetricPage[] = []
  readonly #options: FleetOptions
  readonly #counters: CounterMemory
  /** Bytes that each worker has in use, written by each at its place. */
  readonly #memoryUse: Float64Array
  readonly #limits: LimitMemories
  /** As it was when the process started: the files may be others by now. */
  readonly #program = version()
  readonly #marks = createMarkMemory()
  readonly #tickets = createTicketMemory()
  #rotation: { readonly everyMs: number; readonly timer: NodeJS.Timeout } | null = null
  readonly #crew = new Set<Crew>()
  #challenges: ReadonlyMap<string, string> = new Map()
  #challengesTold: Promise<void> = Promise.resolve()
  #edition: Edition | null = null
  #queue: Promise<unknown> = Promise.resolve()
  /** One purge at a time; none waits for a reload. */
  #purging: Promise<unknown> = Promise.resolve()
  #isDraining = false
  #deathsInARow = 0
  #nextId = 1

  constructor(options: FleetOptions) {
    this.#options = options
    const workers = options.cores + sparePlaces
    this.#counters = createCounterMemory({ workers, seed: randomSeed() })
    this.#memoryUse = new Float64Array(new SharedArrayBuffer(workers * 8))
    this.#limits = new LimitMemories({ workers, fields: tallyFields, seed: randomSeed() })
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Whether every worker serves by the config in force. */
  get readiness(): Readiness {
    const serving = [...this.#crew].filter(({ state }) => state === 'serving').length
    const expected = this.#edition === null ? 0 : this.#sizeOf(this.#edition.blueprint)
    const counts = { workersServing: serving, workersExpected: expected }
    if (this.#isDraining)
      return { isReady: false, state: 'draining', reason: 'the gateway is shutting down', ...counts }
    if (this.#edition === null)
      return { isReady: false, state: 'starting', reason: 'no config is in force yet', ...counts }
    if (serving < expected) {
      return { isReady: false, state: 'starting', reason: `${serving} of ${expected} workers serve`, ...counts }
    }
    return { isReady: true, state: 'serving', reason: '', ...counts }
  }

  get status(): WorkerStatus[] {
    return [...this.#crew].map(({ id, state, version, startedMs }) => {
      return { id, state, configVersion: version, startedAt: new Date(startedMs).toISOString() }
    })
  }

  /** Puts a config in force on every worker, or on none: rejects with `EditionRefused` and nothing changed. */
  apply(edition: Edition): Promise<void> {
    return this.#enqueue(() => this.#apply(edition))
  }

  /** Puts a new worker in the place of one; it starts to serve before the other stops. False for an unknown id. */
  async replace(id: number, reason: ReplacementReason, detail = ''): Promise<boolean> {
    const crew = [...this.#crew].find(member => member.id === id && member.state === 'serving')
    if (crew === undefined) return false
    await this.#enqueue(() => this.#replace(crew, reason, detail))
    return true
  }

  /** Takes replies out of the caches of all workers; resolves with how many there were, when the last one has done it. */
  purge(purge: Purge): Promise<number> {
    const done = this.#purging.then(async () => {
      const counts = await Promise.all([...this.#crew].map(crew => crew.purge(purge)))
      return counts.reduce((sum, count) => sum + count, 0)
    })
    this.#purging = done.catch(() => {})
    return done
  }

  /** Resolves when every worker proves names by these; workers that start later do from their start. */
  answerChallenges(answers: ReadonlyMap<string, string>): Promise<void> {
    this.#challenges = answers
    const told = this.#challengesTold.then(async () => {
      // One that ends meanwhile is asked nothing any more.
      await Promise.allSettled([...this.#crew].map(crew => crew.answerChallenges(answers)))
    })
    this.#challengesTold = told
    return told
  }

  /** Opens access logs anew after rotation. */
  reopenLogs(): void {
    for (const crew of this.#crew) crew.send({ kind: 'reopen-log' })
  }

  /** Ends one worker at once, as a crash would. For tests of what survives it. */
  kill(id: number): void {
    for (const crew of this.#crew) if (crew.id === id) void crew.terminate()
  }

  /** Stops accepting, finishes calls for so long, ends the threads. Resolves with the number of connections cut. */
  async drain(drainMs: number): Promise<number> {
    this.#isDraining = true
    clearInterval(this.#rotation?.timer)
    const cuts = await Promise.all([...this.#crew].map(crew => crew.drain(drainMs)))
    return cuts.reduce((sum, cut) => sum + cut, 0)
  }

  async #apply(edition: Edition): Promise<void> {
    const size = this.#sizeOf(edition.blueprint)
    const serving = [...this.#crew].filter(({ state }) => state === 'serving').sort((a, b) => a.ordinal - b.ordinal)
    const staying = serving.slice(0, size)
    const joining: Crew[] = []
    let limits: GivenTables
    try {
      while (staying.length + joining.length < size) joining.push(await this.#start(edition))
      const all = [...staying, ...joining]
      const wanted = await settleAll(all.map((crew, ordinal) => crew.prepare(edition, this.#berth(ordinal, size))))
      limits = this.#limits.for(wanted)
    } catch (error) {
      // Whoever is told that the config was refused finds its ports closed again.
      await Promise.allSettled([...staying.map(crew => crew.abort()), ...joining.map(crew => crew.discard())])
      throw error instanceof EditionRefused ? error : new EditionRefused((error as Error).message)
    }
    this.#edition = edition
    this.#limits.keep(limits)
    this.#rotateTickets(edition.blueprint.tlsSessions.rotate)
    // One that dies now is replaced by one that has this edition.
    await Promise.allSettled([...staying, ...joining].map(crew => crew.commit(edition.version, limits)))
    for (const crew of serving.slice(size)) void crew.drain(edition.blueprint.drainMs)
  }

  #rotateTickets(everyMs: number): void {
    if (this.#rotation?.everyMs === everyMs) return
    clearInterval(this.#rotation?.timer)
    this.#rotation = { everyMs, timer: setInterval(() => rotateTicketKeys(this.#tickets), everyMs).unref() }
  }

  async #replace(old: Crew, reason: ReplacementReason, detail: string): Promise<void> {
    const edition = this.#edition
    if (edition === null || this.#isDraining || old.state !== 'serving') return
    this.#options.log.warn({ worker: old.id, reason, ...(detail !== '' && { detail }) }, 'replacing a worker')
    await this.#join(edition, old.ordinal)
    this.#options.onReplaced?.(reason)
    void old.drain(edition.blueprint.drainMs)
  }

  /** A new worker on the config in force. */
  async #join(edition: Edition, ordinal: number): Promise<void> {
    const crew = await this.#start(edition)
    try {
      const wanted = await crew.prepare(edition, this.#berth(ordinal, this.#sizeOf(edition.blueprint)))
      if (this.#isDraining) throw new Error('the gateway is shutting down')
      await crew.commit(edition.version, this.#limits.for([wanted]))
    } catch (error) {
      await crew.discard()
      throw error
    }
  }

  #berth(ordinal: number, workers: number): Berth {
    return { ordinal, workers, open: (this.#edition?.blueprint.listeners ?? []).map(listenerKey) }
  }

  async #start({ blueprint }: Edition): Promise<Crew> {
    if (this.#isDraining) throw new Error('the gateway is shutting down')
    const index = this.#freePlace()
    const page = (this.pages[index] ??= createPage(String(index)))
    const ports: CrewPorts = {
      log: this.#options.log,
      page,
      onUsed: times => this.#options.onUsed(times),
      onSick: (crew, detail) => {
        this.replace(crew.id, 'thrown', detail).catch((error: unknown) => {
          this.#options.log.error({ err: error, worker: crew.id }, 'a worker could not be replaced and goes on')
        })
      },
      onExit: (crew, isExpected) => this.#exited(crew, isExpected),
    }
    const crew = new Crew(
      this.#nextId++,
      {
        program: this.#program,
        index,
        counters: this.#counters,
        memoryUse: this.#memoryUse,
        page,
        tickets: this.#tickets,
        challenges: this.#challenges,
        extensions: this.#options.extensions,
        data: blueprint.data,
        memory: blueprint.memory,
        marks: this.#marks,
      },
      ports,
    )
    this.#crew.add(crew)
    try {
      await crew.started
    } catch (error) {
      await crew.discard()
      throw error
    }
    return crew
  }

  /** What the dead one held is given back; another takes its place. */
  #exited(crew: Crew, isExpected: boolean): void {
    this.#crew.delete(crew)
    releaseWorker(this.#counters, crew.index)
    this.#memoryUse[crew.index] = 0
    this.#limits.release(crew.index)
    const page = this.pages[crew.index]
    if (page !== undefined) clearGauges(page)
    if (isExpected || this.#isDraining) return
    this.#options.log.error({ worker: crew.id }, 'a worker died; starting another')
    void this.#enqueue(() => this.#refill(crew.ordinal))
  }

  async #refill(ordinal: number): Promise<void> {
    const edition = this.#edition
    if (edition === null || this.#isDraining) return
    const serving = [...this.#crew].filter(({ state }) => state === 'serving').length
    if (serving >= this.#sizeOf(edition.blueprint)) return
    this.#deathsInARow++
    if (this.#deathsInARow > quickRestarts) {
      const waitMs = Math.min(restartMsMax, 100 * 2 ** (this.#deathsInARow - quickRestarts))
      await new Promise(resolve => setTimeout(resolve, waitMs))
    }
    try {
      await this.#join(edition, ordinal)
      this.#options.onReplaced?.('died')
      setTimeout(() => (this.#deathsInARow = 0), restartMsMax * 2).unref()
    } catch (error) {
      this.#options.log.error({ err: error }, 'a worker could not be started')
      void this.#enqueue(() => this.#refill(ordinal))
    }
  }

  #freePlace(): number {
    const taken = new Set([...this.#crew].map(crew => crew.index))
    let place = 0
    while (taken.has(place)) place++
    if (place >= this.#counters.workers) throw new Error('too many worker threads')
    return place
  }

  #sizeOf(blueprint: Blueprint): number {
    // Without SO_REUSEPORT only one thread can have a port.
    if (process.platform !== 'linux') return 1
    return blueprint.workers === 0 ? this.#options.cores : Math.min(blueprint.workers, this.#options.cores + 64)
  }

  #enqueue<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(change)
    this.#queue = done.catch(() => {})
    return done
  }
}

function randomSeed(): readonly [number, number] {
  return [randomBytes(4).readInt32LE(), randomBytes(4).readInt32LE()]
}

/** Waits for all before it rejects with the first failure, so that nothing is under way when it is handled. */
async function settleAll<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const outcomes = await Promise.allSettled(promises)
  return outcomes.map(outcome => {
    if (outcome.status === 'rejected') throw outcome.reason
    return outcome.value
  })
}
