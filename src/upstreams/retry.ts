// What happens when a try fails: whether it is tried again, where, when and how often.

import type { Call } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import type { Counter, Ports } from '../core/ports.ts'
import { Reply } from '../core/reply.ts'
import type { Step } from '../core/step.ts'
import type { UpstreamBlueprint } from '../core/upstream-schema.ts'
import type { Budget } from './budget.ts'
import { createConditions, isIdempotent, isStaleAndSafe, type RetryReason } from './conditions.ts'
import type { Endpoint } from './endpoint.ts'
import { pause, type StartTimer } from './pause.ts'
import { Replay } from './replay.ts'
import type { TryObserver } from './try-observer.ts'

const backoffMsMax = 1000

export interface SenderOptions {
  /** Name of the upstream, for metrics. */
  readonly name: string
  /**
   * Null for the default: a call that found no connection is tried once on each other endpoint, without a wait, since
   * no upstream saw it.
   */
  readonly retry: UpstreamBlueprint['retry']
  /** What further tries are taken from, and first ones counted in; null where nothing is. */
  readonly budget: Budget | null
  /** The whole exchange, all tries included; null for no bound of its own. */
  readonly callMs: number | null
  /** The endpoint for a call; one of `tried` only when there is no other. */
  readonly pick: (call: Call, tried: readonly Endpoint[]) => Endpoint | null
  /** Why there is no endpoint for a call. A Reply is cheaper where many calls may come to this. */
  readonly noEndpoint: (call: Call) => Failure | Reply
  /** Told how each try ended; null where nobody wants to know. */
  readonly observe: TryObserver | null
  readonly ports: Pick<Ports, 'clock' | 'random' | 'meter'>
  readonly startTimer: StartTimer
}

const none: readonly Endpoint[] = []

/**
 * Makes the step that sends a call to an endpoint and, where that is safe, again.
 *
 * Hot path: a call whose first try succeeds costs one promise and one closure more than the try itself.
 */
export function createSender(options: SenderOptions): Step {
  const { pick, noEndpoint, callMs, retry, budget, observe, ports } = options
  const recover = createRecovery(options, budget)
  const isAnyStatusRetried = retry !== null && retry.attempts > 0 && retry.on.some(reason => /^\d/.test(reason))
  const isEachReplyWatched = isAnyStatusRetried || observe !== null

  /** A reply ends the matter, unless its status may be tried again. */
  function accept(call: Call, endpoint: Endpoint, replay: Replay | null, reply: Reply): Reply | Promise<Reply> {
    observe?.(call, endpoint, reply)
    if (isAnyStatusRetried && reply.status >= 500) return recover(call, endpoint, replay, reply)
    replay?.settle()
    return reply
  }

  return call => {
    if (callMs !== null) call.deadlineMs = Math.min(call.deadlineMs, ports.clock.now() + callMs)
    budget?.countCall(call.startedMs)
    const endpoint = pick(call, none)
    if (endpoint === null) return settled(noEndpoint(call))
    const replay = call.body.isEmpty || !isIdempotent(call.method) ? null : record(call)
    const isWatched = replay !== null || isEachReplyWatched
    return sendTo(endpoint, call, false).then(
      isWatched ? reply => accept(call, endpoint, replay, reply) : undefined,
      thrown => {
        const failure = Failure.from(thrown)
        observe?.(call, endpoint, failure)
        return recover(call, endpoint, replay, failure)
      },
    )
  }
}

function sendTo(endpoint: Endpoint, call: Call, isFresh: boolean): Promise<Reply> {
  call.askedTarget = endpoint
  call.tries++
  return endpoint.send(call, isFresh)
}

function settled(outcome: Reply | Failure): Promise<Reply> {
  return outcome instanceof Reply ? Promise.resolve(outcome) : Promise.reject(outcome)
}

type Recovery = (call: Call, endpoint: Endpoint, replay: Replay | null, outcome: Reply | Failure) => Promise<Reply>

/** Makes the function that takes the outcome of a first try and ends with the last outcome there is. */
function createRecovery(options: SenderOptions, budget: Budget | null): Recovery {
  const { pick, noEndpoint, retry, observe } = options
  const allow = retry === null ? createFailover(options) : createRetries(options, retry, budget)

  /** One try, with its failure as a value. */
  async function trySend(endpoint: Endpoint, call: Call, isFresh: boolean): Promise<Reply | Failure> {
    const outcome = await sendTo(endpoint, call, isFresh).catch((thrown: unknown) => Failure.from(thrown))
    observe?.(call, endpoint, outcome)
    return outcome
  }

  return async function recover(call, endpoint, replay, first) {
    const tried = [endpoint]
    let last: Endpoint | null = endpoint
    let outcome = first
    while (last !== null) {
      if (isStaleAndSafe(call, outcome) && canSendAgain(call, replay)) {
        rewind(call, replay)
        outcome = await trySend(last, call, true)
      }
      const waitMs = canSendAgain(call, replay) ? allow(call, outcome, tried) : null
      if (waitMs === null) break
      if (outcome instanceof Reply) outcome.body.cancel()
      rewind(call, replay)
      if (waitMs > 0) await pause(call, waitMs, options.startTimer)
      last = call.stopReason === null ? pick(call, tried) : null
      if (last === null) {
        outcome = call.stopReason ?? noEndpoint(call)
        if (replay !== null) call.body.cancel()
      } else {
        tried.push(last)
        outcome = await trySend(last, call, false)
      }
    }
    replay?.settle()
    if (outcome instanceof Reply) return outcome
    throw outcome
  }
}

/** Says how long to wait before a further try, in milliseconds; null for no further try. */
type Allowance = (call: Call, outcome: Reply | Failure, tried: readonly Endpoint[]) => number | null

function createFailover(options: SenderOptions): Allowance {
  const reasonOf = createConditions(['connect-failure'])
  const counters = createCounters(options, ['connect-failure'])
  return (call, outcome, tried) => {
    const reason = reasonOf(call, outcome)
    if (reason === null || options.ports.clock.now() >= call.deadlineMs) return null
    const next = options.pick(call, tried)
    if (next === null || tried.includes(next)) return null
    counters.get(reason)?.add(1)
    return 0
  }
}

function createRetries(
  options: SenderOptions,
  retry: NonNullable<UpstreamBlueprint['retry']>,
  budget: Budget | null,
): Allowance {
  const { clock, random, meter } = options.ports
  const reasonOf = createConditions(retry.on)
  const counters = createCounters(options, retry.on)
  const exhausted = meter.counter('turnpike_upstream_retry_budget_exhausted', { upstream: options.name })
  return (call, outcome, tried) => {
    const reason = reasonOf(call, outcome)
    if (reason === null || tried.length > retry.attempts) return null
    const now = clock.now()
    // Full jitter: anywhere from nothing to the doubled pause, so that calls which failed together part.
    const waitMs = random() * Math.min(backoffMsMax, retry.backoff * 2 ** (tried.length - 1))
    if (now + waitMs >= call.deadlineMs) return null
    if (budget !== null && !budget.tryRetry(now)) {
      exhausted.add(1)
      return null
    }
    counters.get(reason)?.add(1)
    return waitMs
  }
}

function createCounters(options: SenderOptions, reasons: readonly RetryReason[]): ReadonlyMap<RetryReason, Counter> {
  const { name, ports } = options
  return new Map(
    reasons.map(reason => [reason, ports.meter.counter('turnpike_upstream_retries', { upstream: name, reason })]),
  )
}

/** Lets a body be sent more than once. A body of another method is sent as it is: once. */
function record(call: Call): Replay {
  const replay = new Replay(call.body)
  call.body = replay.body()
  return replay
}

/** It may be sent, and every byte of its body can still be sent. */
function canSendAgain(call: Call, replay: Replay | null): boolean {
  if (call.stopReason !== null) return false
  return replay === null ? call.body.isEmpty || !call.body.isUsed : replay.isReplayable
}

function rewind(call: Call, replay: Replay | null): void {
  if (replay !== null) call.body = replay.body()
}
