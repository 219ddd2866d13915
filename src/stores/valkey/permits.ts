// Calls under way at once, counted in a server that several gateways share: the side of one worker.
//
// The worker knows for certain how many of its calls are under way. With every question it states that number, in place of what the
// store knew of it before, and nothing is added up over messages: a question that was lost, or an answer, costs nobody a permit.
// There is one question of a key at a time; calls that come meanwhile are in the next one.

import type { LimitFallback } from '../../core/limits.ts'
import type { PermitOutcome, PermitStore, PermitStoreOptions } from '../../core/permits.ts'
import type { Clock, Counter, SharedCounter, SharedCounters } from '../../core/ports.ts'
import { goneMs, type StoreLink } from './link.ts'
import { type PermitAnswer, permitLifeMs, permitScript, readPermits } from './permit-script.ts'
import { nextRecallWaitMs, recallWaitMs } from './recall.ts'
import { type Seat, Seats, type Waiter } from './seats.ts'

/** Calls that one question asks for at most. */
const askedMax = 1_024
/** Whoever was called back keeps nothing unused for so long, milliseconds. */
const strictMs = 1_000
/** How often that is given back which was not used between the last two times, milliseconds. */
const trimMs = 1_000
/** Keys that are told of at once: a store that is asked too much at once would answer too late. */
const toldAtOnce = 64
/** With more keys than that nothing is kept unused, so that no flood of keys fills the memory. */
const looseKeysMax = 16_384

export interface PermitsOptions {
  readonly link: StoreLink
  readonly clock: Clock
  readonly shared: SharedCounters
  /** Counts questions by which a permit was not kept, as there are too many keys. */
  readonly full: Counter
  onClose(): void
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

/** Owns what one worker has of all limits that count in one store. */
export class Permits {
  readonly #options: PermitsOptions
  readonly #seats = new Seats()
  readonly #forgets: (() => void)[] = []
  readonly #endRenewals: () => void
  readonly #timers: NodeJS.Timeout[]
  readonly #nameOf = (key: string): string => this.#options.link.keyOf(`permits\n${key}`)
  #isRecallable = false
  #isTrimming = false
  #isClosed = false

  constructor(options: PermitsOptions) {
    this.#options = options
    this.#endRenewals = options.link.presence.onRenewal(() => this.#tellAgain())
    this.#timers = [
      setInterval(() => void this.#trim(), trimMs).unref(),
      setInterval(() => void this.#tellAll(), permitLifeMs / 4).unref(),
    ]
  }

  store({ scope: name, mode, onFailure }: PermitStoreOptions, fallbacks: Counter): PermitStore {
    const { shared, link } = this.#options
    const isLeased = mode === 'leased'
    const local =
      onFailure === 'local-share' ? (key: string) => shared.counter(`${link.name}/${name}/share/${key}`) : null
    if (isLeased && !this.#isRecallable) {
      this.#isRecallable = true
      this.#forgets.push(link.onRecall(key => this.#calledBack(key)))
    }
    const scope: Scope = { name, isLeased, onFailure, fallbacks, local }
    return { take: (key, limit) => (limit < 1 ? refusal(null) : this.#take(scope, key, limit)) }
  }

  /** To be called when the last call is over: gives everything back. Resolves when the store has it, or has failed. */
  async settle(): Promise<void> {
    await this.#options.link.leave()
  }

  close(): void {
    this.#isClosed = true
    for (const forget of this.#forgets) forget()
    for (const timer of this.#timers) clearInterval(timer)
    void this.#tellAll()
    this.#options.onClose()
  }

  #take(scope: Scope, key: string, limit: number): PermitOutcome | Promise<PermitOutcome> {
    const { link, clock } = this.#options
    if (!link.isAlive || this.#isForgotten(scope)) return this.#fallBack(scope, key, limit)
    const seat = this.#seatOf(scope, key)
    const isAtHand = scope.isLeased && seat.isLoose && seat.used < seat.held && limit >= seat.limit
    if (isAtHand && link.isHeard) return this.#admit(scope, key, null)
    return new Promise(settle => {
      const waiter: Waiter = {
        limit,
        untilMs: clock.now() + link.timeoutMs,
        mayAsk: () => !this.#isForgotten(scope),
        waitMs: recallWaitMs,
        admit: () => settle(this.#admit(scope, key, null)),
        refuse: () => settle(refusal(null)),
        fallBack: () => settle(this.#fallBack(scope, key, limit)),
        again: () => this.#wait(this.#seatOf(scope, key), waiter),
      }
      this.#wait(seat, waiter)
    })
  }

  /** After a loss of data nobody knows what is under way, until all have told. */
  #isForgotten({ onFailure }: Scope): boolean {
    return onFailure === 'closed' && this.#options.clock.now() - this.#options.link.lossMs < goneMs
  }

  #seatOf({ name, isLeased }: Scope, key: string): Seat {
    // As the store has it: texts that are no Unicode look alike there.
    const seat = this.#seats.of(`${name}\n${key}`.toWellFormed(), this.#nameOf)
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
    // All that is under way in this gateway counts, also what the store had let in.
    const counter = local?.(key)
    const isFree = onFailure === 'open' || counter?.tryTake(Math.floor(limit / this.#options.link.gateways)) === true
    if (!isFree) return refusal(onFailure)
    this.#seatOf(scope, key).limit = Infinity
    return this.#admit(scope, key, onFailure, counter)
  }

  #wait(seat: Seat, waiter: Waiter): void {
    seat.waiting.push(waiter)
    this.#ask(seat)
    if (!seat.isAsking) this.#fail(seat)
  }

  #ask(seat: Seat): void {
    if (seat.isAsking || !this.#options.link.isAlive) return
    seat.isAsking = true
    void this.#askOn(seat)
  }

  /** Asks and tells until nothing is left to be asked or told, or the store fails. */
  async #askOn(seat: Seat): Promise<void> {
    const { link } = this.#options
    do {
      // What comes and ends in one go is one question.
      await Promise.resolve()
      const asked = this.#askable(seat.waiting.splice(0, askedMax))
      const listeners = seat.listeners.splice(0)
      const answer = await this.#state(seat, asked).catch(() => null)
      if (answer !== null) this.#answered(seat, asked, answer)
      else {
        // The store may know of it or not: it is told when it is well again.
        seat.isStale ||= !link.isAlive
        for (const { fallBack } of asked) fallBack()
      }
      for (const listener of listeners) listener(answer !== null)
    } while (link.isAlive && (seat.isStale || seat.waiting.length > 0))
    seat.isAsking = false
    this.#fail(seat)
    this.#seats.tidy(seat)
  }

  /** Those that are in time, and whose store has lost nothing while they waited. */
  #askable(waiting: readonly Waiter[]): Waiter[] {
    const nowMs = this.#options.clock.now()
    return waiting.filter(({ untilMs, mayAsk, fallBack }) => {
      const isAskable = nowMs <= untilMs && mayAsk()
      if (!isAskable) fallBack()
      return isAskable
    })
  }

  /** Says how many calls are under way, and asks for those that wait. */
  async #state(seat: Seat, asked: readonly Waiter[]): Promise<PermitAnswer> {
    const { link } = this.#options
    const isLoose = this.#mayBeLoose(seat) && (asked.length > 0 || seat.limit < Infinity)
    seat.isStale = false
    seat.isLoose = isLoose
    // Nobody is told when others get some by a higher one.
    if (!isLoose) seat.limit = Infinity
    // Unused ones go to those who wait.
    const kept = isLoose && asked.length === 0 ? Math.min(seat.held, usedLately(seat)) : 0
    seat.held = Math.max(seat.used, kept)
    const ahead = isLoose ? seat.used + asked.length : 0
    const limit = seat.limit === Infinity ? 0 : seat.limit
    const values = [seat.held, isLoose ? 'l' : 'x', ahead, limit, ...asked.map(waiter => waiter.limit)]
    return readPermits(await link.run(permitScript, seat.name, [link.presence.name, ...values]), asked.length)
  }

  #mayBeLoose({ isLeased, strictUntilMs }: Seat): boolean {
    const { link, clock, full } = this.#options
    if (this.#isClosed || !isLeased || !link.isRecallable || clock.now() < strictUntilMs) return false
    if (this.#seats.size <= looseKeysMax) return true
    full.add(1)
    return false
  }

  #answered(seat: Seat, asked: readonly Waiter[], { held, others, granted }: PermitAnswer): void {
    const nowMs = this.#options.clock.now()
    const limits = asked.filter((_, index) => granted[index]).map(({ limit }) => limit)
    seat.held = held
    // What is out, here and elsewhere, is within the highest limit by which some was had just now.
    if (limits.length > 0 && seat.isLoose) seat.limit = Math.max(...limits)
    seat.isLoose &&= seat.limit < Infinity
    for (const [index, waiter] of asked.entries()) {
      if (granted[index] === true) waiter.admit()
      else if (others === 0 || nowMs + waiter.waitMs > waiter.untilMs) waiter.refuse()
      else {
        setTimeout(waiter.again, waiter.waitMs)
        waiter.waitMs = nextRecallWaitMs(waiter.waitMs)
      }
    }
    this.#settleSeat(seat)
  }

  /** Nobody is asked any more: whoever waits goes by its `onFailure`. */
  #fail(seat: Seat): void {
    for (const { fallBack } of seat.waiting.splice(0)) fallBack()
    for (const listener of seat.listeners.splice(0)) listener(false)
  }

  /** Tells the store where it has another number down, unless it knows that some may be unused. */
  #settleSeat(seat: Seat): void {
    if (seat.used === seat.held || (seat.isLoose && seat.used < seat.held)) this.#seats.tidy(seat)
    else {
      seat.isStale = true
      this.#ask(seat)
    }
  }

  /** Others lack permits of this key: what is unused is given back, and nothing is kept unused for a while. */
  #calledBack(name: string): void {
    const seat = this.#seats.named(name)
    if (seat === undefined) return
    seat.strictUntilMs = this.#options.clock.now() + strictMs
    void this.#tellOf(seat)
  }

  async #trim(): Promise<void> {
    const seats = this.#seats.all()
    for (const seat of seats) {
      seat.usedMaxBefore = seat.usedMax
      seat.usedMax = seat.used
    }
    if (this.#isTrimming) return
    this.#isTrimming = true
    await this.#tell(seats.filter(seat => seat.isLoose && seat.held > usedLately(seat)))
    this.#isTrimming = false
  }

  /** The store may know nothing, or something that is not so. */
  #tellAgain(): Promise<boolean> {
    for (const seat of this.#seats.all()) {
      seat.held = seat.used
      seat.isLoose = false
      seat.limit = Infinity
    }
    return this.#tellAll()
  }

  /** What was closed and could not tell its last is asked again when the store is well. */
  async #tellAll(): Promise<boolean> {
    const isTold = await this.#tell(this.#seats.all())
    if (isTold && this.#isClosed) this.#endRenewals()
    return isTold
  }

  /** Resolves with whether all was told. */
  async #tell(seats: readonly Seat[]): Promise<boolean> {
    for (let from = 0; from < seats.length; from += toldAtOnce) {
      const told = await Promise.all(seats.slice(from, from + toldAtOnce).map(seat => this.#tellOf(seat)))
      if (told.includes(false)) return false
    }
    return true
  }

  /** Resolves with whether a statement that began after this came through. */
  #tellOf(seat: Seat): Promise<boolean> {
    if (!this.#seats.has(seat)) return Promise.resolve(true)
    if (!this.#options.link.isAlive) return Promise.resolve(false)
    seat.isStale = true
    return new Promise(resolve => {
      seat.listeners.push(resolve)
      this.#ask(seat)
    })
  }
}

function usedLately({ used, usedMax, usedMaxBefore }: Seat): number {
  return Math.max(used, usedMax, usedMaxBefore)
}

function refusal(fallback: LimitFallback | null): PermitOutcome {
  return { isAllowed: false, fallback, give() {} }
}
