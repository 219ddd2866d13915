// Hedging: a call whose reply is late is sent once more, elsewhere, and the first good answer counts (Dean and Barroso, "The
// Tail at Scale", 2013).

import { Body } from '../../core/body.ts'
import type { Abandonable, Call } from '../../core/call.ts'
import { copyBody } from '../../core/copied-body.ts'
import { defineFact, type Fact } from '../../core/facts.ts'
import { Failure } from '../../core/failure.ts'
import type { Counter, Ports } from '../../core/ports.ts'
import { Reply } from '../../core/reply.ts'
import type { Layer, Step } from '../../core/step.ts'
import type { UpstreamBlueprint } from '../../core/upstream-schema.ts'
import type { Budget } from '../budget.ts'
import { isIdempotent } from '../conditions.ts'
import type { Endpoint } from '../endpoint.ts'
import { Latencies } from './latencies.ts'
import { verdictOfReply } from './outcome.ts'
import type { StartTimer } from '../pause.ts'
import { replayBytesMax } from '../replay.ts'
import { type Waiting, Waits } from './waits.ts'

export type HedgeRules = NonNullable<UpstreamBlueprint['hedge']>

export interface HedgeOptions {
  /** Name of the upstream. */
  readonly name: string
  readonly rules: HedgeRules
  /** Sends a late call once more. It is not retried, for the first try is still under way. */
  readonly again: Step
  /** That of retries, which counts first tries elsewhere. */
  readonly budget: Budget
  readonly ports: Pick<Ports, 'clock' | 'meter'>
  readonly startTimer: StartTimer
}

/** What the tries of one late call know of each other. */
export interface Rivals {
  /** Where the first try was sent; a further one goes elsewhere. */
  firstEndpoint: Endpoint | null
}

export const rivals: Fact<Rivals> = defineFact<Rivals>('rivals')

/** What the races of one upstream have in common. */
interface Track extends HedgeOptions {
  readonly next: Step
  readonly waits: Waits
  /** Null where the wait does not follow them. */
  readonly latencies: Latencies | null
  readonly won: Counter
  readonly lost: Counter
  readonly failed: Counter
  readonly exhausted: Counter
}

export function createHedge(options: HedgeOptions): Layer {
  const { name, rules, ports } = options
  const hedges = (outcome: string) => ports.meter.counter('turnpike_upstream_hedges', { upstream: name, outcome })
  const latencies = rules.percentile === null ? null : new Latencies(rules.percentile)
  const counters = {
    ...{ won: hedges('won'), lost: hedges('lost'), failed: hedges('failed') },
    exhausted: ports.meter.counter('turnpike_upstream_retry_budget_exhausted', { upstream: name }),
  }
  return next => {
    const waits = new Waits(() => ports.clock.now(), options.startTimer)
    const track: Track = { ...options, ...counters, next, latencies, waits }
    return function hedge(call) {
      if (!isIdempotent(call.method) || call.upgrade !== '' || call.expectsContinue) return next(call)
      return new Promise((resolve, reject) => new Race(track, call, resolve, reject).start())
    }
  }
}

/** What became of a try. */
type Outcome = Reply | Failure

/**
 * One call and its tries, each with a copy of the call, so that one can be given up without the others. It lives until the reply
 * of the winner ended: giving the call up gives its tries up.
 */
class Race implements Abandonable, Waiting, Rivals {
  dueMs = 0
  before: Waiting | null = null
  after: Waiting | null = null
  firstEndpoint: Endpoint | null = null
  readonly #track: Track
  readonly #call: Call
  readonly #resolve: (reply: Reply) => void
  readonly #reject: (failure: Failure) => void
  readonly #startedMs: number
  #first: Call | null = null
  #second: Call | null = null
  /** Tries without an outcome. */
  #open = 0
  #isOver = false
  /** Of the first try that ended without a good answer. */
  #outcome: Outcome | null = null
  /** The body of the call for another try; null while it is not whole. */
  #body: Buffer | null = null

  constructor(track: Track, call: Call, resolve: (reply: Reply) => void, reject: (failure: Failure) => void) {
    this.#track = track
    this.#call = call
    this.#resolve = resolve
    this.#reject = reject
    this.#startedMs = track.ports.clock.now()
  }

  start(): void {
    const call = this.#call
    const { rules, latencies, waits, next } = this.#track
    call.upstream = this.#track.name
    const first = this.#copy(this.#firstBody())
    first.inform = call.inform
    this.#first = first
    const waitMs = Math.max(rules.after ?? 0, latencies?.quantileMs ?? 0)
    if (waitMs > 0) waits.add(this, this.#startedMs, waitMs)
    this.#run(first, next)
    // The deadline of the upstream is the call's too, for it is the call that is watched.
    call.deadlineMs = first.deadlineMs
    call.onAbandon(this)
  }

  abandoned(reason: Failure): void {
    this.#track.waits.remove(this)
    this.#first?.abandon(reason)
    this.#second?.abandon(reason)
  }

  /** The reply is late. */
  due(): void {
    const { budget, ports, exhausted, again } = this.#track
    if (this.#isOver || this.#call.abandonReason !== null) return
    const isEmpty = this.#call.body.isEmpty
    if (!isEmpty && this.#body === null) return
    if (!budget.tryRetry(ports.clock.now())) return exhausted.add(1)
    this.#second = this.#copy(isEmpty ? Body.empty : Body.of(this.#body as Buffer))
    this.#run(this.#second, again)
  }

  #firstBody(): Body {
    const { body } = this.#call
    if (body.isEmpty) return body
    return copyBody(body, {
      bytesMax: replayBytesMax,
      begin: () => true,
      done: bytes => {
        this.#body = bytes
      },
    })
  }

  #copy(body: Body): Call {
    const copy = this.#call.copy(this.#call.headers, body)
    copy.facts.set(rivals, this)
    return copy
  }

  #run(one: Call, step: Step): void {
    this.#open++
    step(one).then(
      reply => this.#ended(one, reply),
      (thrown: unknown) => this.#ended(one, Failure.from(thrown)),
    )
  }

  #ended(one: Call, outcome: Outcome): void {
    this.#open--
    if (this.#isOver) {
      if (outcome instanceof Reply) outcome.body.cancel()
      return
    }
    const isFirst = one === this.#first
    const isGood = outcome instanceof Reply && verdictOfReply(outcome) === 'good'
    if (isGood || this.#open === 0) this.#finish(one, outcome, isGood, isFirst)
    else this.#outcome = outcome
  }

  #finish(one: Call, outcome: Outcome, isGood: boolean, isFirst: boolean): void {
    this.#isOver = true
    const { latencies, waits, ports, won, lost, failed } = this.#track
    waits.remove(this)
    const call = this.#call
    // Of a first try that is given up here it is known that it would have taken longer.
    if (isGood && latencies?.isCurious) latencies.add(ports.clock.now() - this.#startedMs)
    if (this.#second !== null) {
      if (call.abandonReason === null) (isGood ? (isFirst ? lost : won) : failed).add(1)
      if (isGood) this.#giveUpOther(one)
    }
    call.upstreamMs += isFirst ? one.upstreamMs : ports.clock.now() - this.#startedMs
    if (isFirst) call.sendingMs += one.sendingMs
    const settled = isGood ? outcome : this.#better(outcome)
    if (settled instanceof Reply) this.#resolve(settled)
    else this.#reject(settled)
  }

  /** Of two outcomes that are not good: an answer of the upstream before a failure. */
  #better(last: Outcome): Outcome {
    const first = this.#outcome
    if (first === null || last instanceof Reply) {
      if (first instanceof Reply) first.body.cancel()
      return last
    }
    return first
  }

  #giveUpOther(winner: Call): void {
    if (this.#outcome instanceof Reply) this.#outcome.body.cancel()
    ;(winner === this.#first ? this.#second : this.#first)?.abandon(overtaken)
  }
}

/** To a try that is given up it is the race that goes away. */
const overtaken = new Failure('client-closed', { detail: 'another try was answered first' })
