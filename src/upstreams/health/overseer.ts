// Watches the targets of one upstream for the whole process, in the main thread: has them checked, takes ejected ones back, tells
// of every change.

import type { Counter, Gauge, Ports } from '../../core/ports.ts'
import type { TargetStatus } from '../../core/target-status.ts'
import type { UpstreamBlueprint } from '../../core/upstream-schema.ts'
import { addressOf, type EndpointAddress, placeOf, targetIdOf } from '../endpoint.ts'
import { isOwnFault } from '../own-fault.ts'
import { compareRates, countAnew, takeBack } from './ejection.ts'
import { Cell, type EjectionReason, ejectionReasons, Flag, type TargetTable, tickMs } from './target-memory.ts'

/** Asks one address how it is. */
export interface Check {
  /** Settles within its timeout. */
  run(): Promise<Finding>
  close(): void
}

export interface Finding {
  /** Null where the target is well, else what is wrong, for people. */
  readonly problem: string | null
  /** It is the gateway that could not ask, and nothing was found out of the target. */
  readonly isOwnFault: boolean
}

export interface OverseerOptions {
  /** Of the upstream. */
  readonly name: string
  readonly blueprint: UpstreamBlueprint
  /** What was in force with this table before; null for nothing. */
  readonly before: UpstreamBlueprint | null
  readonly table: TargetTable
  /** Null where the blueprint has no checks. */
  readonly makeCheck: ((address: EndpointAddress) => Check) | null
  readonly ports: Pick<Ports, 'clock' | 'random' | 'log' | 'meter'>
}

/** A first check comes within this time, not at once: all targets of a config begin together. */
const firstCheckMs = 1_000
const detailMax = 200

interface Watched {
  readonly row: number
  readonly generation: number
  readonly address: EndpointAddress
  readonly check: Check | null
  nextMs: number
  isChecking: boolean
  state: 'unknown' | 'healthy' | 'unhealthy'
  /** Checks in a row that ended like the last one. */
  passes: number
  failures: number
  checkedMs: number
  problem: string | null
  wasEjected: boolean
}

/** A check that is due. */
export interface DueCheck {
  readonly dueMs: number
  /** Resolves when it is over. */
  readonly start: () => Promise<void>
}

export class Overseer {
  readonly #options: OverseerOptions
  #blueprint: UpstreamBlueprint
  readonly #watched = new Map<number, Watched>()
  readonly #gauges: Readonly<Record<TargetStatus['state'], Gauge>>
  readonly #ejections: Readonly<Record<EjectionReason, Counter>>
  readonly #checks: Readonly<Record<'passed' | 'failed' | 'unknown', Counter>>
  readonly #full: Counter
  #ratesMs: number
  #isClosed = false

  constructor(options: OverseerOptions) {
    this.#options = options
    this.#blueprint = options.blueprint
    const { name, ports } = options
    const gauge = (state: string) => ports.meter.gauge('turnpike_upstream_targets', { upstream: name, state })
    const ejections = (reason: string) => ports.meter.counter('turnpike_upstream_ejections', { upstream: name, reason })
    const checks = (outcome: string) =>
      ports.meter.counter('turnpike_upstream_health_checks', { upstream: name, outcome })
    this.#gauges = { usable: gauge('usable'), unhealthy: gauge('unhealthy'), ejected: gauge('ejected') }
    this.#ejections = { consecutive: ejections('consecutive'), 'success-rate': ejections('success-rate') }
    this.#checks = { passed: checks('passed'), failed: checks('failed'), unknown: checks('unknown') }
    this.#full = ports.meter.counter('turnpike_ceiling_hits', { ceiling: 'ejections', name })
    this.#ratesMs = ports.clock.now()
    // Whoever looks before the first beat sees the targets, too.
    this.#follow(this.#ratesMs)
    if (options.before !== null) this.#welcome(options.before)
  }

  get blueprint(): UpstreamBlueprint {
    return this.#blueprint
  }

  /** The upstream has changed, but not what its checks depend on: those go on, and so does the interval of comparisons. */
  adopt(blueprint: UpstreamBlueprint): void {
    const before = this.#blueprint
    const nowMs = this.#options.ports.clock.now()
    this.#blueprint = blueprint
    this.#follow(nowMs)
    this.#welcome(before)
    if (before.ejection !== null || blueprint.ejection === null) return
    // What was counted by an ejection of before says nothing about now.
    this.#ratesMs = nowMs
    for (const row of this.#watched.keys()) countAnew(this.#options.table, row)
  }

  /** To be called on each beat of the main thread. */
  beat(nowMs: number): void {
    this.#follow(nowMs)
    const { ejection } = this.#blueprint
    if (ejection === null) return
    if (nowMs - this.#ratesMs >= ejection.interval) {
      this.#ratesMs = nowMs
      compareRates(this.#options.table, this.#rowsWithCalls(), this.#watched.keys(), ejection, this.#full)
    }
    for (const watched of this.#watched.values()) this.#mindEjection(watched)
  }

  /** Checks to be started. */
  due(nowMs: number): DueCheck[] {
    return [...this.#watched.values()].flatMap(watched => {
      if (watched.check === null || watched.isChecking || watched.nextMs > nowMs) return []
      return { dueMs: watched.nextMs, start: () => this.#run(watched) }
    })
  }

  get status(): TargetStatus[] {
    return [...this.#watched.values()].map(watched => this.#statusOf(watched))
  }

  /** Brings the gauges up to date. */
  report(): void {
    const counts = { usable: 0, unhealthy: 0, ejected: 0 }
    for (const watched of this.#watched.values()) counts[this.#stateOf(watched)]++
    for (const state of ['usable', 'unhealthy', 'ejected'] as const) this.#gauges[state].set(counts[state])
  }

  close(): void {
    this.#isClosed = true
    for (const { check } of this.#watched.values()) check?.close()
    this.#watched.clear()
    this.report()
  }

  /** Takes up endpoints that workers opened, lets go of those that none has any more. */
  #follow(nowMs: number): void {
    const { table } = this.#options
    const rows = new Set(table.rows())
    for (const [row, watched] of this.#watched) {
      if (rows.has(row) && table.load(row, Cell.generation) === watched.generation) continue
      watched.check?.close()
      this.#watched.delete(row)
    }
    for (const row of rows) if (!this.#watched.has(row)) this.#take(row, nowMs)
  }

  #take(row: number, nowMs: number): void {
    const { table, makeCheck, ports } = this.#options
    const owner = table.owner(row)
    const address = owner === null ? null : addressOf(owner.id)
    if (owner === null || address === null) return
    const { health } = this.#blueprint
    const flags = table.load(row, Cell.flags)
    this.#watched.set(row, {
      ...{ row, generation: owner.generation, address },
      check: makeCheck?.(address) ?? null,
      nextMs: nowMs + ports.random() * Math.min(firstCheckMs, health?.interval ?? 0),
      ...{ isChecking: false, passes: 0, failures: 0, checkedMs: 0, problem: null },
      // From before a reload that changed the upstream.
      state: health !== null && (flags & Flag.unhealthy) !== 0 ? 'unhealthy' : 'unknown',
      wasEjected: (flags & Flag.ejected) !== 0,
    })
  }

  /** Rows of those that may get calls: the others are no part of the share that may be ejected. */
  #rowsWithCalls(): number[] {
    return this.#rowsOf(idsOf(this.#blueprint.targets.filter(({ weight }) => weight > 0)))
  }

  #rowsOf(ids: ReadonlySet<string>): number[] {
    return [...this.#watched.values()].flatMap(({ row, address }) => (ids.has(targetIdOf(address)) ? [row] : []))
  }

  /** Targets that the config before did not have come only now, though calls on an older one may have kept their rows. */
  #welcome(before: UpstreamBlueprint): void {
    const { table } = this.#options
    const rows = this.#rowsOf(idsOf(this.#blueprint.targets).difference(idsOf(before.targets)))
    for (const row of rows) table.store(row, Cell.since, table.now)
    if (rows.length > 0) table.publish()
  }

  #mindEjection(watched: Watched): void {
    const { table } = this.#options
    const { row } = watched
    const isEjected = (table.load(row, Cell.flags) & Flag.ejected) !== 0
    if (isEjected && !watched.wasEjected) {
      const reason = this.#reasonOf(row)
      const endsInMs = this.#endsInMs(row)
      this.#ejections[reason].add(1)
      this.#tell('warn', watched, `is ejected for ${(endsInMs / 1000).toFixed(1)} s`, { reason, endsInMs })
    }
    watched.wasEjected = isEjected
    if (isEjected && this.#endsInMs(row) <= 0) this.#takeBack(watched)
  }

  #takeBack(watched: Watched): void {
    if (!takeBack(this.#options.table, watched.row)) return
    watched.wasEjected = false
    this.#tell('info', watched, 'is taken back after its ejection', {})
  }

  async #run(watched: Watched): Promise<void> {
    const { ports } = this.#options
    const { health } = this.#blueprint
    if (watched.check === null || health === null) return
    const startedMs = ports.clock.now()
    watched.isChecking = true
    const { problem, isOwnFault } = await watched.check.run().catch(findingOf)
    watched.isChecking = false
    // A little early rather than late: from one to the next it is never longer than the interval.
    watched.nextMs = startedMs + health.interval * (0.9 + 0.1 * ports.random())
    if (this.#isClosed || this.#watched.get(watched.row) !== watched) return
    watched.checkedMs = ports.clock.wall()
    watched.problem = problem?.slice(0, detailMax) ?? null
    if (isOwnFault) this.#checks.unknown.add(1)
    else if (problem === null) this.#passed(watched, health.healthy)
    else this.#failed(watched, health.unhealthy)
  }

  #passed(watched: Watched, healthy: number): void {
    const { table } = this.#options
    this.#checks.passed.add(1)
    watched.failures = 0
    watched.passes++
    if (watched.state === 'unknown') watched.state = 'healthy'
    // Where no target is usable there is nothing to lose.
    if (watched.state !== 'unhealthy' || (watched.passes < healthy && this.#isAnyUsable())) return
    watched.state = 'healthy'
    table.store(watched.row, Cell.since, table.now)
    table.lower(watched.row, Flag.unhealthy)
    table.publish()
    this.#tell('info', watched, 'is healthy again', {})
    // What calls found was what the checks found, and it is over.
    this.#takeBack(watched)
  }

  #failed(watched: Watched, unhealthy: number): void {
    this.#checks.failed.add(1)
    watched.passes = 0
    watched.failures++
    if (watched.state === 'unhealthy' || watched.failures < unhealthy) return
    watched.state = 'unhealthy'
    this.#options.table.raise(watched.row, Flag.unhealthy)
    this.#options.table.publish()
    const { problem } = watched
    this.#tell('warn', watched, `is unhealthy: ${problem}`, { problem })
  }

  #isAnyUsable(): boolean {
    return [...this.#watched.values()].some(watched => this.#stateOf(watched) === 'usable')
  }

  #stateOf({ row }: Watched): TargetStatus['state'] {
    const flags = this.#options.table.load(row, Cell.flags)
    if (this.#blueprint.health !== null && (flags & Flag.unhealthy) !== 0) return 'unhealthy'
    return this.#blueprint.ejection !== null && (flags & Flag.ejected) !== 0 ? 'ejected' : 'usable'
  }

  #statusOf(watched: Watched): TargetStatus {
    const { row, address, check, state, checkedMs, problem } = watched
    const at = checkedMs === 0 ? null : new Date(checkedMs).toISOString()
    const isEjected = (this.#options.table.load(row, Cell.flags) & Flag.ejected) !== 0
    return {
      target: targetIdOf(address),
      address: address.address,
      state: this.#stateOf(watched),
      check: check === null ? null : { state, at, problem },
      ejection: isEjected ? { reason: this.#reasonOf(row), endsInMs: Math.max(0, this.#endsInMs(row)) } : null,
    }
  }

  #reasonOf(row: number): EjectionReason {
    return ejectionReasons[this.#options.table.load(row, Cell.reason)] ?? 'consecutive'
  }

  #endsInMs(row: number): number {
    const { table } = this.#options
    return (table.load(row, Cell.ejectedUntil) - table.now) * tickMs
  }

  #tell(level: 'info' | 'warn', { address }: Watched, what: string, fields: object): void {
    const { name, ports } = this.#options
    const target = targetIdOf(address)
    const where = target.includes(address.address) ? target : `${target} (${address.address})`
    ports.log[level](
      { upstream: name, target, address: address.address, ...fields },
      `upstream ${name}: ${where} ${what}`,
    )
  }
}

function idsOf(targets: UpstreamBlueprint['targets']): Set<string> {
  return new Set(targets.map(({ url }) => targetIdOf(placeOf(url))))
}

/** What a check that broke says. */
export function findingOf(thrown: unknown): Finding {
  const problem = thrown instanceof Error ? thrown.message : String(thrown)
  return { problem, isOwnFault: isOwnFault(thrown) }
}
