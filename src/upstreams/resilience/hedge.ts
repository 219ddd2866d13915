// Hedging: a call whose reply is late is sent once more, elsewhere, and the first good answer counts (Dean and Barroso, "The
// Tail at Scale", 2013).

import { Body } from '../../core/body.ts'
import type { Abandonable, Call } from '../../core/call.ts'
import { copyBody } from '../../core/copied-body.ts'
import { defineFact, type Fact } from '../../core/facts.ts'
import { Failure } from '../../core/failure.ts'
import type { Counter, Ports } from '../../core/ports.ts'
import { Reply } from '../../core/reply.ts'
import type { Step } from '../../core/step.ts'
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

/** On the second try of a late call: where the first one went. */
export const rival: Fact<Endpoint> = defineFact<Endpoint>('rival')

/** What the races of one upstream have in common. */
interface Track extends HedgeOptions {
  readonly waits: Waits
  /** Null where the wait does not follow them. */
  readonly latencies: Latencies | null
  readonly won: Counter
  readonly lost: Counter
  readonly failed: Counter
  readonly exhausted: Counter
}

export interface Hedge {
  /**
   * To be called before a call is sent, with the time (`Clock.now`). Gives what is to be told how the call ends; null where the call must
   * not be sent twice.
   */
  begin(call: Call, nowMs: number): Race | null
}

export function createHedge(options: HedgeOptions): Hedge {
  const { name, rules, ports } = options
  const hedges = (outcome: string) => ports.meter.counter('turnpike_upstream_hedges', { upstream: name, outcome })
  const latencies = rules.percentile === null ? null : new Latencies(rules.percentile)
  const counters = {
    ...{ won: hedges('won'), lost: hedges('lost'), failed: hedges('failed') },
    exhausted: ports.meter.counter('turnpike_upstream_retry_budget_exhausted', { upstream: name }),
  }
  const waits = new Waits(() => ports.clock.now(), options.startTimer)
  const track: Track = { ...options, ...counters, latencies, waits }
  return {
    begin(call, nowMs) {
      const isOnce = !isIdempotent(call.method) || call.upgrade !== '' || call.expectsContinue
      return isOnce ? null : new Race(track, call, nowMs)
    },
  }
}

/** What became of a try. */
type Outcome = Reply | Failure

/** The second try of a late call. */
interface Second {
  readonly call: Call
  readonly end: Promise<Outcome>
  /** What `end` came to; null before. */
  outcome: Outcome | null
}

/**
 * One call and its tries. The first is the call itself; a second one has a copy, and where it is answered first, the first is given
 * up without the call. Thus nearly all calls, which are answered in time, pay for a wait only.
 */
export class Race implements Abandonable, Waiting {
  dueMs = 0
  before: Waiting | null = null
  after: Waiting | null = null
  readonly #track: Track
  readonly #call: Call
  readonly #startedMs: number
  /** The body of the call for another try; null while it is not whole. */
  #body: Body | null = null
  #isFirstOver = false
  #second: Second | null = null

  constructor(track: Track, call: Call, nowMs: number) {
    const { rules, latencies, waits } = track
    this.#track = track
    this.#call = call
    this.#startedMs = nowMs
    if (!call.body.isEmpty) this.#keepBody(call)
    const waitMs = Math.max(rules.after ?? 0, latencies?.quantileMs ?? 0)
    if (waitMs > 0) waits.add(this, this.#startedMs, waitMs)
  }

  /** The first try was answered. */
  answered(reply: Reply): Reply | Promise<Reply> {
    const { waits, latencies, ports } = this.#track
    this.#isFirstOver = true
    waits.remove(this)
    if (latencies?.isCurious === true && isGood(reply)) latencies.add(ports.clock.now() - this.#startedMs)
    const second = this.#second
    if (second === null) return reply
    const { outcome } = second
    // Not at once: the body may be let go, and the connection may still be reading.
    return Promise.resolve().then(() => this.#settle(reply, second, outcome))
  }

  /** The first try has failed. Null where that is the outcome of the call. */
  failed(failure: Failure): Promise<Reply> | null {
    this.#isFirstOver = true
    this.#track.waits.remove(this)
    const second = this.#second
    return second === null ? null : this.#settle(failure, second, second.outcome)
  }

  /** The reply is late. */
  due(): void {
    const { budget, ports, exhausted, again } = this.#track
    const call = this.#call
    if (this.#isFirstOver || call.abandonReason !== null) return
    const body = call.body.isEmpty ? Body.empty : this.#body
    if (body === null) return
    if (!budget.tryRetry(ports.clock.now())) return exhausted.add(1)
    const copy = call.copy(call.headers, body)
    if (call.askedTarget !== null) copy.facts.set(rival, call.askedTarget as Endpoint)
    const end = again(copy).then(
      reply => this.#secondEnded(second, reply),
      (thrown: unknown) => this.#secondEnded(second, Failure.from(thrown)),
    )
    const second: Second = { call: copy, end, outcome: null }
    this.#second = second
    call.onAbandon(this)
  }

  /** The call was given up, now or while the reply of the second try is read. */
  abandoned(reason: Failure): void {
    this.#second?.call.abandon(reason)
  }

  #keepBody(call: Call): void {
    call.body = copyBody(call.body, {
      bytesMax: replayBytesMax,
      begin: () => true,
      done: copy => {
        this.#body = copy
      },
    })
  }

  #secondEnded(second: Second, outcome: Outcome): Outcome {
    second.outcome = outcome
    // What the first try ends with now makes no difference, but the call waits for it.
    if (!this.#isFirstOver && isGood(outcome)) this.#call.giveUpTries(overtaken)
    return outcome
  }

  /** What the call ends with whose first try ended so; `earlier` is how its second one had ended by then, null where it had not. */
  async #settle(first: Outcome, second: Second, earlier: Outcome | null): Promise<Reply> {
    this.#call.tries += second.call.tries
    if (earlier !== null && isGood(earlier)) return this.#won(first, earlier)
    if (isGood(first)) return this.#lost(first, second)
    if (earlier !== null) return this.#end(earlier, first)
    const outcome = await second.end
    return isGood(outcome) ? this.#won(first, outcome) : this.#end(first, outcome)
  }

  #won(first: Outcome, reply: Reply): Reply {
    const { won, latencies, ports } = this.#track
    const call = this.#call
    const tookMs = ports.clock.now() - this.#startedMs
    letGo(first)
    call.mayTryAgain()
    this.#endsAsSecond()
    call.upstreamMs = Math.max(call.upstreamMs, tookMs)
    // The first try would have taken longer.
    if (latencies?.isCurious === true) latencies.add(tookMs)
    this.#count(won)
    return reply
  }

  #lost(reply: Reply, second: Second): Reply {
    second.call.abandon(overtaken)
    void second.end.then(letGo)
    this.#count(this.#track.lost)
    return reply
  }

  /** Neither is good: an answer of the upstream goes before a failure. */
  #end(earlier: Outcome, later: Outcome): Reply {
    this.#count(this.#track.failed)
    const settled = later instanceof Reply ? later : earlier
    if (settled !== earlier) letGo(earlier)
    if (settled === this.#second?.outcome) this.#endsAsSecond()
    if (settled instanceof Reply) return settled
    throw settled
  }

  /** The call ends as its second try did. The first may still have waited for a connection. */
  #endsAsSecond(): void {
    this.#call.upstream = this.#track.name
    this.#call.askedTarget = this.#second?.call.askedTarget ?? null
  }

  /** Where the client left, nobody waited for either. */
  #count(outcome: Counter): void {
    if (this.#call.abandonReason === null) outcome.add(1)
  }
}

function isGood(outcome: Outcome): outcome is Reply {
  return outcome instanceof Reply && verdictOfReply(outcome) === 'good'
}

function letGo(outcome: Outcome): void {
  if (outcome instanceof Reply) outcome.body.cancel()
}

/** To a try that is given up it is the race that goes away. */
const overtaken = new Failure('client-closed', { detail: 'another try was answered first' })
