// Which targets of upstreams are sick, found out once for the whole process: in the main thread, for all workers.

import type { UpstreamStatus } from '../control/admin-view.ts'
import type { Blueprint } from '../core/blueprint.ts'
import { DeadlineTable } from '../core/deadlines.ts'
import type { Log, Meter, Ports } from '../core/ports.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import { BeatClock } from '../upstreams/health/beat-clock.ts'
import { checksKeyOf, createCheckMaker } from '../upstreams/health/check-maker.ts'
import { Overseer } from '../upstreams/health/overseer.ts'
import { createTargetMemory, type TargetMemory, TargetTable } from '../upstreams/health/target-memory.ts'
import { isWatched } from '../upstreams/upstream.ts'
import { type UpstreamPem, upstreamPem } from '../upstreams/upstream-tls.ts'
import { beatMs, clock } from './clock.ts'
import { createSharedTime } from './shared-time.ts'

/** Checks under way at once, over all upstreams; further ones wait for a beat that has room. */
const checksMax = 64

interface Watched {
  /** Says all that its overseer depends on but what that can adopt. */
  readonly key: string
  readonly memory: TargetMemory
  readonly overseer: Overseer
}

/** Owns the memories of targets and what watches them. */
export class TargetHealth {
  readonly #time = createSharedTime()
  readonly #clock = new BeatClock(clock, beatMs)
  readonly #deadlines = new DeadlineTable()
  readonly #ports: Ports
  #watched = new Map<string, Watched>()
  #nextId = 1
  #checks = 0
  #timer: NodeJS.Timeout | null = null
  readonly #checksHit

  constructor(log: Log, meter: Meter) {
    this.#ports = {
      ...{ clock: this.#clock, deadlines: this.#deadlines, log, meter, random: Math.random },
      // Nothing that is counted over workers is needed here.
      shared: { counter: () => ({ tryTake: () => true, give: () => {}, taken: () => 0 }) },
    }
    this.#checksHit = meter.counter('turnpike_ceiling_hits', { ceiling: 'health-checks', name: 'all' })
  }

  /** The memories that a config needs: those in force by the names of upstreams, new ones for others. Nothing is kept yet. */
  memoriesFor({ upstreams }: Blueprint): Map<string, TargetMemory> {
    const watched = Object.entries(upstreams).filter(([, blueprint]) => isWatched(blueprint))
    return new Map(
      watched.map(([name]) => {
        return [name, this.#watched.get(name)?.memory ?? createTargetMemory(this.#nextId++, this.#time.now())]
      }),
    )
  }

  /** A config came into force with these memories. What watches an upstream goes on, unless its checks are others. */
  adopt(
    { upstreams }: Blueprint,
    files: Readonly<Record<string, string>>,
    memories: ReadonlyMap<string, TargetMemory>,
  ): void {
    const before = this.#watched
    this.#watched = new Map()
    for (const [name, memory] of memories) {
      const blueprint = upstreams[name]
      if (blueprint === undefined) continue
      const pem = upstreamPem(blueprint.tls, files)
      const key = `${memory.id} ${checksKeyOf(blueprint, pem)}`
      const known = before.get(name)
      if (known?.key === key) {
        known.overseer.adopt(blueprint)
        this.#watched.set(name, known)
      } else {
        known?.overseer.close()
        const last = known?.memory.id === memory.id ? known.overseer.blueprint : null
        this.#watched.set(name, { key, memory, overseer: this.#oversee(name, blueprint, last, pem, memory) })
      }
      before.delete(name)
    }
    for (const { overseer } of before.values()) overseer.close()
    this.#run()
  }

  get status(): UpstreamStatus[] {
    return [...this.#watched].map(([name, { overseer }]) => ({ name, targets: overseer.status }))
  }

  /** Brings gauges up to date. */
  report(): void {
    for (const { overseer } of this.#watched.values()) overseer.report()
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    for (const { overseer } of this.#watched.values()) overseer.close()
    this.#watched.clear()
  }

  #oversee(
    name: string,
    blueprint: UpstreamBlueprint,
    before: UpstreamBlueprint | null,
    pem: UpstreamPem,
    memory: TargetMemory,
  ): Overseer {
    const makeCheck = blueprint.health === null ? null : createCheckMaker(name, blueprint, pem, this.#ports)
    const table = new TargetTable(memory, this.#time)
    return new Overseer({ name, blueprint, before, table, makeCheck, ports: this.#ports })
  }

  /** There is a beat as long as something is watched. */
  #run(): void {
    if (this.#watched.size > 0 && this.#timer === null) this.#timer = setInterval(() => this.#beat(), beatMs).unref()
    else if (this.#watched.size === 0 && this.#timer !== null) {
      clearInterval(this.#timer)
      this.#timer = null
    }
  }

  #beat(): void {
    this.#clock.beat()
    const nowMs = this.#clock.now()
    this.#deadlines.beat(nowMs)
    const overseers = [...this.#watched.values()].map(({ overseer }) => overseer)
    for (const overseer of overseers) overseer.beat(nowMs)
    // Those that waited longest first, so that no upstream takes all the room.
    const due = overseers.flatMap(overseer => overseer.due(nowMs)).sort((a, b) => a.dueMs - b.dueMs)
    const room = Math.max(0, checksMax - this.#checks)
    if (due.length > room) this.#checksHit.add(due.length - room)
    for (const { start } of due.slice(0, room)) {
      this.#checks++
      void start().finally(() => this.#checks--)
    }
  }
}
