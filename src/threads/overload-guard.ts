// Watches memory, heap and event loop of a worker on its beat, and has calls refused before the process suffers.

import { type Overload, ranked } from '../core/overload.ts'
import type { OverloadBlueprint } from '../core/overload-schema.ts'
import type { Counter, Gauge, Log, Meter } from '../core/ports.ts'
import { refuseForNow } from '../core/refuse-for-now.ts'
import type { Reply } from '../core/reply.ts'
import { type Bounds, Ladder } from './ladder.ts'
import { MemoryInUse } from './memory-in-use.ts'
import type { OwnResources } from './own-resources.ts'

export interface OverloadPorts {
  readonly meter: Meter
  readonly log: Log
  readonly resources: OwnResources
  /** How often `beat` is called when nothing is late. */
  readonly beatMs: number
}

/** So many beats are looked at, and of their delays the second largest counts. */
const beatsLooked = 5
/** A worker that is short of memory collects garbage this often at most, and for no larger part of its time. */
const collectMs = 2_000
const collectPart = 1 / 20
/** Growth of memory by less than this part of all is not looked at. */
const stepPart = 1 / 100
/** What is kept from clients where the config does not say: this part, but at most so many. Never more than half. */
const reservePart = 1 / 8
const reserveMax = 1024

type Reason = 'memory' | 'heap' | 'delay'

/** One for each worker. */
export class OverloadGuard implements Overload {
  level = 0
  /** Descriptors from this number on are not for connections of clients. */
  clientDescriptors = Infinity
  readonly #ports: OverloadPorts
  readonly #watches: Readonly<Record<Reason, Watch>>
  #settings: OverloadBlueprint | null = null
  #retryAfterMs = 0
  readonly #memory = new MemoryInUse()
  #memoryMax = Infinity
  #lastMs = NaN
  #mayCollectMs = -Infinity
  /** Of the last beats, the oldest first. */
  readonly #lateMs: number[] = Array.from({ length: beatsLooked }, () => 0)

  constructor(ports: OverloadPorts) {
    this.#ports = ports
    const watch = (reason: Reason) => new Watch(reason, ports)
    this.#watches = { memory: watch('memory'), heap: watch('heap'), delay: watch('delay') }
  }

  /** Takes over the settings of the config in force. */
  adopt(settings: OverloadBlueprint): void {
    const { descriptors, memoryBytes } = this.#ports.resources
    this.#settings = settings
    this.#retryAfterMs = settings.retryAfter
    if (descriptors !== null) {
      const reserve = settings.descriptors.reserve ?? Math.min(reserveMax, Math.ceil(descriptors * reservePart))
      this.clientDescriptors = descriptors - Math.min(reserve, Math.ceil(descriptors / 2))
    }
    const { memory, delay } = settings
    this.#memoryMax = memory.limit ?? memoryBytes
    this.#watches.memory.adopt(memory.enabled ? boundsOf(memory, this.#memoryMax) : null)
    this.#watches.heap.adopt(memory.enabled ? boundsOf(memory, this.#ports.resources.heap().limitBytes) : null)
    this.#watches.delay.adopt(delay === null ? null : boundsOf(delay, 1))
    this.#ports.meter.gauge('turnpike_overload_memory_limit_bytes', {}).set(memory.enabled ? this.#memoryMax : Infinity)
  }

  /** To be called on every beat of the worker. */
  beat(nowMs: number): void {
    const { resources, beatMs } = this.#ports
    this.#lateMs.push(Math.max(0, nowMs - this.#lastMs - beatMs) || 0)
    this.#lateMs.shift()
    this.#lastMs = nowMs
    if (this.#settings === null) return
    const { memory, heap, delay } = this.#watches
    const isShort = memory.isPassed(resources.residentBytes()) || heap.isPassed(resources.heap().usedBytes)
    if (isShort) this.#collect(nowMs)
    const inUse = this.#memory.read(resources.residentBytes(), resources.trackedBytes(), this.#memoryMax * stepPart)
    memory.read(inUse, nowMs)
    heap.read(resources.heap().usedBytes, nowMs)
    // One late beat is a long collection or a big config, and over when it is seen. The smallest, as in CoDel (RFC 8289), would not
    // do: between two crowds of calls there is often a turn with one call, and whoever is in a crowd waits all the same.
    delay.read(this.#lateMs.toSorted((a, b) => b - a)[1] ?? 0, nowMs)
    this.level = Math.max(memory.level, heap.level, delay.level)
  }

  /** What is merely not collected yet is no reason to refuse a call; and with few calls V8 sees no reason to collect. */
  #collect(nowMs: number): void {
    if (nowMs < this.#mayCollectMs) return
    const tookMs = this.#ports.resources.collect()
    this.#mayCollectMs = nowMs + Math.max(collectMs, tookMs / collectPart)
  }

  refuse(rank: number): Reply {
    for (const watch of Object.values(this.#watches)) {
      if (watch.level <= rank) continue
      watch.refused[rank]?.add(1)
      break
    }
    return refuseForNow('gateway-overloaded', this.#retryAfterMs)
  }
}

function boundsOf(shares: Readonly<Record<'low' | 'normal' | 'high' | 'resume', number>>, of: number): Bounds {
  return { at: ranked.map(priority => shares[priority] * of), resume: shares.resume }
}

/** One reading of a worker with its bounds. */
class Watch {
  readonly refused: readonly Counter[]
  readonly #reason: Reason
  readonly #log: Log
  readonly #pressure: Gauge
  readonly #levelGauge: Gauge
  readonly #ladder = new Ladder()
  #bounds: Bounds | null = null

  constructor(reason: Reason, { meter, log }: OverloadPorts) {
    this.#reason = reason
    this.#log = log
    this.#pressure = meter.gauge('turnpike_overload_pressure_ratio', { reason })
    this.#levelGauge = meter.gauge('turnpike_overload_level', { reason })
    this.refused = ranked.map(priority => meter.counter('turnpike_overload_refusals', { reason, priority }))
  }

  get level(): number {
    return this.#ladder.level
  }

  /** Null: nothing is refused for it. */
  adopt(bounds: Bounds | null): void {
    this.#bounds = bounds
    if (bounds !== null) return
    this.#ladder.level = 0
    this.#levelGauge.set(0)
    this.#pressure.set(0)
  }

  /** Whether the first bound is passed by this value, or still counts as passed. */
  isPassed(value: number): boolean {
    return this.#bounds !== null && (this.#ladder.level > 0 || value >= (this.#bounds.at[0] ?? Infinity))
  }

  read(value: number, nowMs: number): void {
    if (this.#bounds === null) return
    const bound = this.#bounds.at[1] ?? Infinity
    this.#pressure.set(value / bound)
    if (!this.#ladder.read(value, this.#bounds, nowMs)) return
    const { level } = this.#ladder
    this.#levelGauge.set(level)
    const fields = { reason: this.#reason, level, value: Math.round(value), bound: Math.round(bound) }
    const refused = ranked.slice(0, level)
    if (level === 0) this.#log.info(fields, 'the overload is over: all calls are taken again')
    else this.#log.warn({ ...fields, refused }, 'overload: calls of these priorities are refused')
  }
}
