// What happens when a try fails: whether it is tried again, where, when and how often.

import type { Call } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import { isGrpc } from '../core/grpc.ts'
import { Reply } from '../core/reply.ts'
import type { Step } from '../core/step.ts'
import { type Allowance, type AllowanceOptions, createAllowances } from './allowance.ts'
import { isIdempotent, isStaleAndSafe } from './conditions.ts'
import type { Endpoint, TryListener } from './endpoint.ts'
import { pause, type StartTimer } from './pause.ts'
import { Replay } from './replay.ts'
import type { Guard, Passage } from './resilience/guard.ts'
import type { TryObserver } from './try-observer.ts'

export interface SenderOptions extends AllowanceOptions {
  /** The whole exchange, all tries included; null for no bound of its own. */
  readonly callMs: number | null
  /** Servers say of calls that they have not looked at them (HTTP/2): these can be sent again, whatever their method. */
  readonly tellsUnseen: boolean
  /** Why there is no endpoint for a call. A Reply is cheaper where many calls may come to this. */
  readonly noEndpoint: (call: Call) => Failure | Reply
  /** Told how each try ended; null where nobody wants to know. */
  readonly observe: TryObserver | null
  /** Called before each try with the time (`Clock.now`); null where there is nothing to tell the upstream. */
  readonly tell: ((call: Call, nowMs: number) => void) | null
  /** What lets calls through and is told how they end; null where all go through. */
  readonly guard: Guard | null
  readonly startTimer: StartTimer
}

const none: readonly Endpoint[] = []

/**
 * Makes the step that sends a call to an endpoint and, where that is safe, again.
 *
 * Hot path: a call whose first try succeeds costs one promise and one object more than the try itself.
 */
export function createSender(options: SenderOptions): Step {
  const { pick, noEndpoint, callMs, budget, tellsUnseen, observe, tell, guard, ports } = options
  const isTimed = callMs !== null || tell !== null || guard?.isTimed === true
  const allowanceOf = createAllowances(options)
  const tries: Tries = { observe, allowanceOf, recover: createRecovery(options, allowanceOf) }

  return call => {
    const nowMs = isTimed ? ports.clock.now() : 0
    const passage = guard === null ? null : guard.admit(call, nowMs)
    if (passage instanceof Reply) return Promise.resolve(passage)
    if (callMs !== null) call.deadlineMs = Math.min(call.deadlineMs, nowMs + callMs)
    budget?.countCall(call.startedMs)
    const endpoint = pick(call, none)
    if (endpoint === null) return through(passage, settled(noEndpoint(call)))
    const isRepeatable = tellsUnseen || isIdempotent(call.method)
    const replay = call.body.isEmpty || !isRepeatable ? null : record(call)
    tell?.(call, nowMs)
    return new Promise(resolve => {
      sendTo(endpoint, call, false, new FirstTry(tries, call, endpoint, replay, passage, resolve))
    })
  }
}

/** What the first tries of all calls to one upstream have in common. */
interface Tries extends Pick<SenderOptions, 'observe'> {
  readonly allowanceOf: (call: Call) => Allowance
  readonly recover: Recovery
}

/** Ends the call as its first try ended, or hands over to the recovery; most calls need no other try. */
class FirstTry implements TryListener {
  readonly #tries: Tries
  readonly #call: Call
  readonly #endpoint: Endpoint
  readonly #replay: Replay | null
  readonly #passage: Passage | null
  readonly #resolve: (reply: Reply | Promise<Reply>) => void

  constructor(
    tries: Tries,
    call: Call,
    endpoint: Endpoint,
    replay: Replay | null,
    passage: Passage | null,
    resolve: (reply: Reply | Promise<Reply>) => void,
  ) {
    this.#tries = tries
    this.#call = call
    this.#endpoint = endpoint
    this.#replay = replay
    this.#passage = passage
    this.#resolve = resolve
  }

  /** A reply ends the matter, unless its status may be tried again. */
  answered(reply: Reply): void {
    const { observe, allowanceOf } = this.#tries
    const call = this.#call
    observe?.(call, this.#endpoint, reply)
    const { isAnyReplyRetried, mightFollow } = allowanceOf(call)
    if (isAnyReplyRetried && mightFollow(call, reply)) return this.#recover(reply)
    this.#replay?.settle()
    this.#resolve(this.#passage === null ? reply : this.#passage.answered(reply))
  }

  failed(failure: Failure): void {
    this.#tries.observe?.(this.#call, this.#endpoint, failure)
    this.#recover(failure)
  }

  /** Not at once: the connection may still be reading. */
  #recover(outcome: Reply | Failure): void {
    const { recover } = this.#tries
    const recovered = Promise.resolve().then(() => recover(this.#call, this.#endpoint, this.#replay, outcome))
    this.#resolve(through(this.#passage, recovered))
  }
}

function sendTo(endpoint: Endpoint, call: Call, isFresh: boolean, listener: TryListener): void {
  call.askedTarget = endpoint
  call.tries++
  endpoint.send(call, isFresh, listener)
}

/** What a call ends with whose tries end so. */
function through(passage: Passage | null, outcome: Promise<Reply>): Promise<Reply> {
  if (passage === null) return outcome
  return outcome.then(
    reply => passage.answered(reply),
    (thrown: unknown) => passage.failed(Failure.from(thrown)),
  )
}

function settled(outcome: Reply | Failure): Promise<Reply> {
  return outcome instanceof Reply ? Promise.resolve(outcome) : Promise.reject(outcome)
}

type Recovery = (call: Call, endpoint: Endpoint, replay: Replay | null, outcome: Reply | Failure) => Promise<Reply>

/** Makes the function that takes the outcome of a first try and ends with the last outcome there is. */
function createRecovery(options: SenderOptions, allowanceOf: (call: Call) => Allowance): Recovery {
  const { pick, noEndpoint, observe, tell, ports } = options

  /** One try, with its failure as a value. */
  async function trySend(endpoint: Endpoint, call: Call, isFresh: boolean): Promise<Reply | Failure> {
    tell?.(call, ports.clock.now())
    const outcome = await new Promise<Reply | Failure>(ended => {
      sendTo(endpoint, call, isFresh, { answered: ended, failed: ended })
    })
    observe?.(call, endpoint, outcome)
    return outcome
  }

  return async function recover(call, endpoint, replay, first) {
    const { allow } = allowanceOf(call)
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
      if (outcome instanceof Reply) {
        outcome.body.cancel()
        if (isGrpc(call.headers)) tellAttempts(call)
      }
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

/**
 * Tells a gRPC server how many tries were answered before (gRFC A6): those of the client, as it says itself, and those of the gateway.
 * Tries that no server has seen do not count.
 */
function tellAttempts({ headers }: Call): void {
  const before = headers.get('grpc-previous-rpc-attempts') ?? ''
  headers.set('grpc-previous-rpc-attempts', String((/^\d{1,6}$/.test(before) ? Number(before) : 0) + 1))
}

/** Lets a body be sent more than once. Where nothing could call for that, it is sent as it is: once. */
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
