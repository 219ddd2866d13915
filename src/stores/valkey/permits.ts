// Calls under way at once, counted in a server that several gateways share: the side of one worker.
//
// The worker knows for certain how many of its calls are under way. With every question it states that number, in place of what the
// store knew of it before, and nothing is added up over messages: a question that was lost, or an answer, costs nobody a permit.
// There is one question of a key at a time; calls that come meanwhile are in the next one.

import { createHash } from 'node:crypto'
import type { LimitFallback } from '../../core/limits.ts'
import type { PermitOutcome, PermitStore, PermitStoreOptions } from '../../core/permits.ts'
import type { Clock, Counter, SharedCounter, SharedCounters } from '../../core/ports.ts'
import { type HoldAnswer, holdScript, keyLifeMs, readHold } from './hold-script.ts'
import { goneMs, type StoreLink } from './link.ts'

/** Calls that one question asks for at most. */
const askedMax = 256
/** How soon is asked again whether others gave back, and how seldom at most; milliseconds. */
const recallMs = 2
const recallMsMax = 16
/** Whoever was called back keeps nothing unused for so long, milliseconds. */
const strictMs = 1_000
/** After so long, what was not needed meanwhile is given back; milliseconds. */
const trimMs = 1_000
/** Keys that are told of at once when the store has to be told everything. */
const toldAtOnce = 64

/** A key of which calls are under way in this worker, or wait for leave. */
class Seat {
  readonly key: string
  /** The key of the store. */
  readonly name: string
  isLeased = false
  /** Calls under way, whoever let them in. */
  used = 0
  /** The most since unused permits were last given back. */
  usedMax = 0
  /** Permits that the store has down for this worker. */
  held = 0
  /** The highest limit by which any of them was had: a call with a lower one may not use what is left of them. */
  limit = 0
  /** Whether the store knows that some of them may be unused. */
  isLoose = false
  strictUntilMs = 0
  readonly waiting: Waiter[] = []
  /** Whether the store has to be told of what changed. */
  isStale = false
  /** The question that is under way, and those that follow from it. */
  asking: Promise<void> | null = null

  constructor(key: string, name: string) {
    this.key = key
    this.name = name
  }
}

/** A call that waits for a permit. */
interface Waiter {
  readonly scope: Scope
  readonly key: string
  readonly limit: number
  readonly untilMs: number
  /** How long it waits before it asks again. */
  waitMs: number
  readonly settle: (outcome: PermitOutcome) => void
}

/** A limit, and what stands in for the store. */
interface Scope {
  readonly name: string
  readonly isLeased: boolean
  readonly onFailure: LimitFallback
  readonly fallbacks: Counter
  /** All calls under way in this gateway, for `onFailure: local-share`; null where nobody needs to know. */
  readonly local: ((key: string) => SharedCounter) | null
}

export interface PermitsOptions {
  readonly link: StoreLink
  readonly clock: Clock
  readonly shared: SharedCounters
  onClose(): void
}

/** Owns what one worker holds of all limits that count in one store. */
export class Permits {
  readonly #options: PermitsOptions
  readonly #seats = new Map<string, Seat>()
  readonly #byName = new Map<string, Seat>()
  readonly #forgets: (() => void)[]
  readonly #timers: NodeJS.Timeout[]
  #isRecallable = false

  constructor(options: PermitsOptions) {
    const { link } = options
    this.#options = options
    this.#forgets = [link.onRenewal(() => this.#tellAgain())]
    this.#timers = [
      setInterval(() => this.#trim(), trimMs).unref(),
      setInterval(() => void this.#tell([...this.#seats.values()]), keyLifeMs / 4).unref(),
    ]
  }

  store({ scope, mode, onFailure }: PermitStoreOptions, fallbacks: Counter): PermitStore {
    const { shared, link } = this.#options
    const isLeased = mode === 'leased'
    const local = onFailure === 'local-share' ? (key: string) => shared.counter(`${scope}/share/${key}`) : null
    if (isLeased && !this.#isRecallable) {
      this.#isRecallable = true
      this.#forgets.push(link.onRecall(name => this.#calledBack(name)))
    }
    const made: Scope = { name: scope, isLeased, onFailure, fallbacks, local }
    return { take: (key, limit) => this.#take(made, key, limit) }
  }

  /** To be called when the last call is over: gives everything back. Resolves when the store has it, or has failed. */
  async settle(): Promise<void> {
    await this.#options.link.leave()
  }

  close(): void {
    for (const forget of this.#forgets) forget()
    for (const timer of this.#timers) clearInterval(timer)
    for (const seat of this.#seats.values()) this.#callIn(seat)
    this.#options.onClose()
  }

  #take(scope: Scope, key: string, limit: number): PermitOutcome | Promise<PermitOutcome> {
    const { link, clock } = this.#options
    const nowMs = clock.now()
    const isForgotten = scope.onFailure === 'closed' && nowMs - link.lossMs < goneMs
    if (!link.isAlive || isForgotten) return this.#fallBack(scope, key, limit)
    const seat = this.#seatOf(scope, key)
    const isAtHand = seat.isLoose && seat.used < seat.held && limit >= seat.limit
    if (isAtHand && link.isHeard) return this.#admit(scope, key, null)
    return new Promise(settle => {
      const untilMs = nowMs + link.timeoutMs
      this.#wait(seat, { scope, key, limit, untilMs, waitMs: recallMs, settle })
    })
  }

  #seatOf({ name: scope, isLeased }: Scope, key: string): Seat {
    const whole = `${scope}\n${key}`
    let seat = this.#seats.get(whole)
    if (seat === undefined) {
      // Hashed, because keys may hold what the store need not know, and may be long.
      const digest = createHash('sha256').update(`permits\n${whole}`).digest('base64url')
      seat = new Seat(whole, this.#options.link.prefix + digest)
      this.#seats.set(whole, seat)
      this.#byName.set(seat.name, seat)
    }
    // Limits of one name may differ in their modes.
    seat.isLeased ||= isLeased
    return seat
  }

  #admit(scope: Scope, key: string, fallback: LimitFallback | null, counted?: SharedCounter): PermitOutcome {
    const seat = this.#seatOf(scope, key)
    seat.used++
    seat.usedMax = Math.max(seat.usedMax, seat.used)
    const counter = counted ?? scope.local?.(key)
    const isCounted = counted !== undefined || counter?.tryTake(Infinity) === true
    return {
      isAllowed: true,
      fallback,
      give: () => {
        if (isCounted) counter?.give()
        seat.used--
        this.#settleSeat(seat)
      },
    }
  }

  #fallBack(scope: Scope, key: string, limit: number): PermitOutcome {
    const { onFailure, fallbacks, local } = scope
    fallbacks.add(1)
    if (onFailure === 'open') return this.#admit(scope, key, onFailure)
    // All that is under way in this gateway counts, also what the store had let in.
    const counter = local?.(key)
    const isFree = counter?.tryTake(Math.floor(limit / this.#options.link.gateways)) === true
    return isFree ? this.#admit(scope, key, onFailure, counter) : refusal(onFailure)
  }

  #wait(seat: Seat, waiter: Waiter): void {
    seat.waiting.push(waiter)
    this.#ask(seat)
  }

  /** Whoever is refused while others may give something back asks again. */
  #waitAgain(waiter: Waiter): void {
    const { scope, key, limit, settle, waitMs } = waiter
    setTimeout(() => {
      if (this.#options.link.isAlive) this.#wait(this.#seatOf(scope, key), waiter)
      else settle(this.#fallBack(scope, key, limit))
    }, waitMs)
    waiter.waitMs = Math.min(2 * waitMs, recallMsMax)
  }

  #ask(seat: Seat): void {
    if (seat.asking === null && this.#options.link.isAlive) seat.asking = this.#askOn(seat)
  }

  /** Asks and tells until nothing is left to be asked or told. */
  async #askOn(seat: Seat): Promise<void> {
    const { link } = this.#options
    do {
      // What comes and ends in one go is one question.
      await Promise.resolve()
      const asked = seat.waiting.splice(0, askedMax)
      const answer = await this.#state(seat, asked).catch(() => null)
      if (answer === null) this.#failed(asked)
      else this.#answered(seat, asked, answer)
    } while (link.isAlive && (seat.isStale || seat.waiting.length > 0))
    seat.asking = null
    this.#failed(seat.waiting.splice(0))
    this.#forget(seat)
  }

  /** Says how many calls are under way, and asks for those that wait. Rejects where the store fails: it may know of that or not. */
  async #state(seat: Seat, asked: readonly Waiter[]): Promise<HoldAnswer> {
    const { link, clock } = this.#options
    const isLoose = seat.isLeased && link.isRecallable && clock.now() >= seat.strictUntilMs
    // Unused ones go to those who wait.
    const isKept = isLoose && asked.length === 0
    seat.isStale = false
    seat.isLoose = isLoose
    seat.held = isKept ? Math.max(seat.used, Math.min(seat.held, seat.usedMax)) : seat.used
    if (seat.held === 0) seat.limit = 0
    const ahead = isLoose ? seat.used + asked.length : 0
    const limits = asked.map(({ limit }) => limit)
    const reply = await link.runAsHolder(holdScript, seat.name, [seat.held, isLoose ? 'l' : 'x', ahead, ...limits])
    return readHold(reply, asked.length)
  }

  #answered(seat: Seat, asked: readonly Waiter[], { held, holders, granted }: HoldAnswer): void {
    const nowMs = this.#options.clock.now()
    seat.held = held
    for (const [index, waiter] of asked.entries()) {
      const { scope, key, limit, untilMs, settle } = waiter
      if (granted[index] === true) {
        seat.limit = Math.max(seat.limit, limit)
        settle(this.#admit(scope, key, null))
      } else if (holders > 0 && nowMs + waiter.waitMs <= untilMs) this.#waitAgain(waiter)
      else settle(refusal(null))
    }
    this.#settleSeat(seat)
  }

  #failed(asked: readonly Waiter[]): void {
    for (const { scope, key, limit, settle } of asked) settle(this.#fallBack(scope, key, limit))
  }

  /** Tells the store where it has too many down, unless it knows that some may be unused. */
  #settleSeat(seat: Seat): void {
    if (seat.used === seat.held || (seat.isLoose && seat.used < seat.held)) this.#forget(seat)
    else {
      seat.isStale = true
      this.#ask(seat)
    }
  }

  #forget(seat: Seat): void {
    if (seat.used + seat.held + seat.waiting.length > 0 || seat.isStale || seat.asking !== null) return
    this.#seats.delete(seat.key)
    this.#byName.delete(seat.name)
  }

  /** Others lack permits of this key. */
  #calledBack(name: string): void {
    const seat = this.#byName.get(name)
    if (seat !== undefined) this.#callIn(seat)
  }

  /** Gives back what is unused, and keeps nothing unused for a while. */
  #callIn(seat: Seat): void {
    seat.strictUntilMs = this.#options.clock.now() + strictMs
    seat.isStale = true
    this.#ask(seat)
  }

  #trim(): void {
    for (const seat of this.#seats.values()) {
      if (seat.isLoose && seat.held > Math.max(seat.used, seat.usedMax)) {
        seat.isStale = true
        this.#ask(seat)
      }
      seat.usedMax = seat.used
    }
  }

  /** The store may know nothing, or something that is not so. */
  #tellAgain(): Promise<void> {
    for (const seat of this.#seats.values()) {
      seat.held = seat.used
      seat.isLoose = false
    }
    return this.#tell([...this.#seats.values()])
  }

  /** A store that is asked too much at once would answer too late. */
  async #tell(seats: readonly Seat[]): Promise<void> {
    for (let from = 0; from < seats.length && this.#options.link.isAlive; from += toldAtOnce) {
      const some = seats.slice(from, from + toldAtOnce)
      for (const seat of some) {
        seat.isStale = true
        this.#ask(seat)
      }
      for (const { asking } of some) await asking
    }
  }
}

function refusal(fallback: LimitFallback | null): PermitOutcome {
  return { isAllowed: false, fallback, give() {} }
}
