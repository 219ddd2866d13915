// Hedging: a call whose reply is late is sent once more, elsewhere, and the first good answer counts (Dean and Barroso, "The
// Tail at Scale", 2013).

import { Body } from '../core/body.ts'
import type { Abandonable, Call } from '../core/call.ts'
import { copyBody } from '../core/copied-body.ts'
import { defineFact, type Fact } from '../core/facts.ts'
import type { UpstreamBlueprint } from '../core/blueprint.ts'
import { Failure } from '../core/failure.ts'
import type { Counter, Ports } from '../core/ports.ts'
import { Reply } from '../core/reply.ts'
import type { Layer, Step } from '../core/step.ts'
import type { Budget } from './budget.ts'
import { isIdempotent } from './conditions.ts'
import type { Endpoint } from './endpoint.ts'
import { Latencies } from './latencies.ts'
import { verdictOfReply } from './outcome.ts'
import type { StartTimer } from './pause.ts'
import { replayBytesMax } from './replay.ts'

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

/** Endpoints that the tries of one late call were sent to: a further one goes to another. */
export const askedEndpoints: Fact<Endpoint[]> = defineFact<Endpoint[]>('askedEndpoints')

/** What the races of one upstream have in common. */
interface Track extends HedgeOptions {
  readonly next: Step
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
    const track: Track = { ...options, ...counters, next, latencies }
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
class Race implements Abandonable {
  readonly #track: Track
  readonly #call: Call
  readonly #resolve: (reply: Reply) => void
  readonly #reject: (failure: Failure) => void
  readonly #startedMs: number
  readonly #asked: Endpoint[] = []
  readonly #tries: Call[] = []
  /** Tries without an outcome. */
  #open = 0
  #isOver = false
  /** Of the first try that ended without a good answer. */
  #outcome: Outcome | null = null
  /** The body of the call for another try; null while it is not whole. */
  #body: Buffer | null = null
  #stopTimer: (() => void) | null = null

  constructor(track: Track, call: Call, resolve: (reply: Reply) => void, reject: (failure: Failure) => void) {
    this.#track = track
    this.#call = call
    this.#resolve = resolve
    this.#reject = reject
    this.#startedMs = track.ports.clock.now()
  }

  start(): void {
    const call = this.#call
    const { rules, latencies, startTimer, next } = this.#track
    call.upstream = this.#track.name
    const first = this.#copy(this.#firstBody())
    first.inform = call.inform
    const waitMs = Math.max(rules.after ?? 0, latencies?.quantileMs ?? 0)
    if (waitMs > 0) this.#stopTimer = startTimer(Math.ceil(waitMs), () => this.#late())
    this.#run(first, next)
    // The deadline of the upstream is the call's too, for it is the call that is watched.
    call.deadlineMs = first.deadlineMs
    call.onAbandon(this)
  }

  abandoned(reason: Failure): void {
    this.#stopTimer?.()
    this.#stopTimer = null
    for (const one of this.#tries) one.abandon(reason)
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
    copy.facts.set(askedEndpoints, this.#asked)
    return copy
  }

  #late(): void {
    this.#stopTimer = null
    const { budget, ports, exhausted, again } = this.#track
    if (this.#isOver || this.#call.abandonReason !== null) return
    const isEmpty = this.#call.body.isEmpty
    if (!isEmpty && this.#body === null) return
    if (!budget.tryRetry(ports.clock.now())) return exhausted.add(1)
    this.#run(this.#copy(isEmpty ? Body.empty : Body.of(this.#body as Buffer)), again)
  }

  #run(one: Call, step: Step): void {
    this.#tries.push(one)
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
    const isFirst = one === this.#tries[0]
    const isGood = outcome instanceof Reply && verdictOfReply(outcome) === 'good'
    if (isGood || this.#open === 0) this.#finish(one, outcome, isGood, isFirst)
    else this.#outcome = outcome
  }

  #finish(one: Call, outcome: Outcome, isGood: boolean, isFirst: boolean): void {
    this.#isOver = true
    this.#stopTimer?.()
    this.#stopTimer = null
    const { latencies, ports, won, lost, failed } = this.#track
    const call = this.#call
    const tookMs = ports.clock.now() - this.#startedMs
    // Of a first try that is given up here it is known that it would have taken longer.
    if (isGood) latencies?.add(tookMs)
    if (this.#tries.length > 1 && call.abandonReason === null) (isGood ? (isFirst ? lost : won) : failed).add(1)
    call.upstreamMs += isFirst ? one.upstreamMs : tookMs
    if (isGood) this.#giveUpOthers(one)
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

  #giveUpOthers(winner: Call): void {
    if (this.#outcome instanceof Reply) this.#outcome.body.cancel()
    for (const other of this.#tries) if (other !== winner) other.abandon(overtaken)
  }
}

/** To a try that is given up it is the race that goes away. */
const overtaken = new Failure('client-closed', { detail: 'another try was answered first' })
