// Which endpoints of an upstream get calls now: the healthy ones, in the order of their groups, those that came back with part of
// their weight.

import type { Call } from '../../core/call.ts'
import type { SlowStartBlueprint } from '../../core/health-schema.ts'
import type { Counter, Ports, Timed } from '../../core/ports.ts'
import type { UpstreamBlueprint } from '../../core/upstream-schema.ts'
import type { Balancer } from '../balance.ts'
import type { Endpoint } from '../endpoint.ts'
import { Cell, Flag, type TargetTable, tickMs } from './target-memory.ts'

/** What the directory of an upstream says. */
export interface Listing {
  /** A new array whenever an endpoint came, went or changed its weight. */
  readonly endpoints: readonly Endpoint[]
  /** Group of the endpoint with this id. */
  priorityOf(id: string): number
}

export interface RosterOptions {
  readonly listing: Listing
  readonly table: TargetTable
  readonly blueprint: Pick<UpstreamBlueprint, 'health' | 'ejection' | 'slowStart' | 'failover'>
  readonly createBalancer: () => Balancer
  /** From 0 to 1: which group a call goes to where two share the calls. */
  readonly draw: (call: Call) => number
  /** Counts endpoints that nobody watches, as there was no row for them. */
  readonly full: Counter
  readonly ports: Pick<Ports, 'clock' | 'deadlines'>
}

const stampMs = 1_000
/** A ramp has at least so many steps, each of a beat or more. */
const rampSteps = 50
const none: readonly Endpoint[] = []

interface Seat {
  readonly endpoint: Endpoint
  /** -1: nobody watches it. */
  row: number
  generation: number
  /** Its weight without slow start. */
  readonly weight: number
  readonly priority: number
}

/** Targets of one priority. */
interface Group {
  readonly seats: readonly Seat[]
  readonly balancer: Balancer
  usable: readonly Endpoint[]
  /** Share of its weight that is usable, from 0 to 1. */
  health: number
  /** Share of the calls that it gets, from 0 to 1. */
  share: number
}

/** Of one worker. */
export class Roster {
  readonly #options: RosterOptions
  readonly #mask: number
  readonly #entry: Timed
  #list: readonly Endpoint[] = none
  #version = -1
  #seats: readonly Seat[] = []
  #rows = new Map<Endpoint, number>()
  #watchedRows: readonly number[] = []
  #groups: readonly Group[] = []
  /** The only group that gets calls, null where there is another number of them. */
  #only: Group | null = null
  #stampedMs: number
  #isRamping = false

  constructor(options: RosterOptions) {
    this.#options = options
    const { health, ejection } = options.blueprint
    this.#mask = (health === null ? 0 : Flag.unhealthy) | (ejection === null ? 0 : Flag.ejected)
    this.#stampedMs = options.ports.clock.now()
    this.#entry = { dueMs: this.#stampedMs, slot: -1, due: nowMs => this.#beat(nowMs) }
    options.ports.deadlines.add(this.#entry)
    this.#follow()
  }

  /** Hot path: one read of shared memory more than a balancer alone. */
  pick(call: Call, tried: readonly Endpoint[]): Endpoint | null {
    if (this.#options.listing.endpoints !== this.#list || this.#options.table.version !== this.#version) this.#follow()
    const group = this.#only ?? this.#draw(call)
    if (group === null) return null
    const picked = group.balancer.pick(call, group.usable, tried)
    if (tried.length === 0 || picked === null || !tried.includes(picked)) return picked
    return this.#pickUntried(call, tried) ?? picked
  }

  /** There are targets, but none that calls may go to. */
  get isSick(): boolean {
    return this.#seats.some(({ weight }) => weight > 0) && this.#groups.every(({ share }) => share === 0)
  }

  /** When one of its targets may be usable again at the earliest, milliseconds from now. */
  get wellAgainMs(): number {
    const { blueprint, table } = this.#options
    if (blueprint.health !== null) return blueprint.health.interval
    const untilTicks = this.#watchedRows.map(row => table.load(row, Cell.ejectedUntil))
    return (Math.min(...untilTicks) - table.now) * tickMs
  }

  /** Row of an endpoint, undefined where it has none. */
  rowOf = (endpoint: Endpoint): number | undefined => this.#rows.get(endpoint)

  /** Rows of all endpoints with a weight. */
  rows = (): readonly number[] => this.#watchedRows

  close(): void {
    this.#options.ports.deadlines.remove(this.#entry)
  }

  /** By the shares of the groups. */
  #draw(call: Call): Group | null {
    let point = this.#options.draw(call)
    let last: Group | null = null
    for (const group of this.#groups) {
      if (group.share === 0) continue
      if (point < group.share) return group
      point -= group.share
      last = group
    }
    return last
  }

  /** One of any group that was not tried yet: a further try may go to a group that gets no calls otherwise. */
  #pickUntried(call: Call, tried: readonly Endpoint[]): Endpoint | null {
    for (const { usable, balancer } of this.#groups) {
      const picked = balancer.pick(call, usable, tried)
      if (picked !== null && !tried.includes(picked)) return picked
    }
    return null
  }

  /** Takes over what changed in the directory or in the table. */
  #follow(): void {
    const { listing, table } = this.#options
    this.#version = table.version
    if (listing.endpoints !== this.#list) this.#seat(listing.endpoints)
    this.#weigh()
    for (const group of this.#groups) this.#judge(group)
    this.#share()
  }

  #seat(endpoints: readonly Endpoint[]): void {
    const { listing, table, createBalancer } = this.#options
    const known = new Map(this.#seats.map(seat => [seat.endpoint, seat]))
    this.#list = endpoints
    this.#seats = endpoints.map(endpoint => {
      const { row, generation } = known.get(endpoint) ?? this.#claim(endpoint)
      return { endpoint, row, generation, weight: endpoint.weight, priority: listing.priorityOf(endpoint.id) }
    })
    const priorities = [...new Set(this.#seats.map(({ priority }) => priority))].sort((a, b) => a - b)
    this.#groups = priorities.map(priority => ({
      seats: this.#seats.filter(seat => seat.priority === priority),
      ...{ balancer: createBalancer(), usable: none, health: 0, share: 0 },
    }))
    this.#index()
    // What was claimed changed the version.
    this.#version = table.version
  }

  #claim({ id }: Endpoint): Pick<Seat, 'row' | 'generation'> {
    const { table, full } = this.#options
    const row = table.claim(id)
    if (row === -1) full.add(1)
    return { row, generation: row === -1 ? 0 : table.load(row, Cell.generation) }
  }

  #index(): void {
    const watched = this.#seats.filter(({ row }) => row !== -1)
    this.#rows = new Map(watched.map(({ endpoint, row }) => [endpoint, row]))
    this.#watchedRows = watched.filter(({ weight }) => weight > 0).map(({ row }) => row)
  }

  #isUsable({ row }: Seat): boolean {
    return row === -1 || (this.#options.table.load(row, Cell.flags) & this.#mask) === 0
  }

  #judge(group: Group): void {
    const usable = group.seats.filter(seat => seat.weight > 0 && this.#isUsable(seat))
    const whole = weightOf(group.seats)
    group.usable = usable.map(({ endpoint }) => endpoint)
    group.health = whole === 0 ? 0 : weightOf(usable) / whole
  }

  /** Gives each group its share of the calls: the first ones as much as they can take, the next ones the rest. */
  #share(): void {
    const { spillBelow, panic } = this.#options.blueprint.failover
    const best = this.#groups.reduce((most, { health }) => Math.max(most, health), 0)
    // Where a share of 0% is panic, there is none.
    const inPanic = best < panic ? this.#groups.find(({ health }) => health === best) : undefined
    let rest = 1
    for (const group of this.#groups) {
      const able = spillBelow === 0 ? Number(group.health > 0) : Math.min(1, group.health / spillBelow)
      group.share = inPanic === undefined ? rest * able : Number(group === inPanic)
      rest -= group.share
    }
    if (inPanic !== undefined) inPanic.usable = inPanic.seats.map(({ endpoint }) => endpoint)
    // No group is well enough for what is left: they share it as they share the rest.
    const taken = this.#groups.reduce((sum, { share }) => sum + share, 0)
    if (taken > 0) for (const group of this.#groups) group.share /= taken
    const used = this.#groups.filter(({ share }) => share > 0)
    this.#only = used.length === 1 ? (used[0] ?? null) : null
  }

  #beat(nowMs: number): void {
    if (nowMs - this.#stampedMs >= stampMs) this.#stamp(nowMs)
    const wasRamping = this.#isRamping
    this.#entry.dueMs = nowMs + stampMs
    this.#weigh()
    // Another array makes balancers look at the weights again.
    if (wasRamping) for (const group of this.#groups) group.usable = [...group.usable]
  }

  #stamp(nowMs: number): void {
    const { table } = this.#options
    this.#stampedMs = nowMs
    let isMoved = false
    for (const seat of this.#seats) {
      if (seat.row === -1) continue
      // A worker that stood still for long may have lost its row to another endpoint.
      if (table.load(seat.row, Cell.generation) === seat.generation) table.stamp(seat.row)
      else {
        Object.assign(seat, this.#claim(seat.endpoint))
        isMoved = true
      }
    }
    if (isMoved) this.#index()
  }

  /** Gives endpoints the weight that they have by now, and comes back soon where one has not yet its whole weight. */
  #weigh(): void {
    const { blueprint, table, ports } = this.#options
    const { slowStart } = blueprint
    if (slowStart === null) return
    this.#isRamping = false
    for (const { endpoint, row, weight } of this.#seats) {
      const part = row === -1 ? 1 : rampPart(slowStart, (table.now - table.load(row, Cell.since)) * tickMs)
      if (part < 1 && weight > 0) this.#isRamping = true
      endpoint.weight = weight * part
    }
    if (!this.#isRamping) return
    const stepMs = Math.min(stampMs, slowStart.window / rampSteps)
    this.#entry.dueMs = Math.min(this.#entry.dueMs, ports.clock.now() + stepMs)
  }
}

/** Which part of its weight a target has that came so long ago. */
export function rampPart({ window, minimum, aggression }: SlowStartBlueprint, sinceMs: number): number {
  if (sinceMs >= window) return 1
  // Without any weight it would not be drawn, even where it is the only one.
  return Math.max(minimum, 0.01, Math.max(0, sinceMs / window) ** (1 / aggression))
}

function weightOf(seats: readonly Seat[]): number {
  return seats.reduce((sum, { weight }) => sum + weight, 0)
}
