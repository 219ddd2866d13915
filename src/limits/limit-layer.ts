// The layer of every policy that counts calls: takes before the call, corrects and tells after it.

import type { Call } from '../core/call.ts'
import { Failure } from '../core/failure.ts'
import type { FailureCode } from '../core/codes.ts'
import type { Headers } from '../core/headers.ts'
import type { LimitOutcome, LimitStore } from '../core/limits.ts'
import type { Counter } from '../core/ports.ts'
import { refuseForNow } from '../core/refuse-for-now.ts'
import type { Reply } from '../core/reply.ts'
import type { Static } from '../core/schema.ts'
import type { Layer, Step } from '../core/step.ts'
import { type FieldStyle, type NamedRules, waitOf, writeFallback, writeFields } from './fields.ts'
import type { costOption } from './options.ts'

export interface LimitLayerOptions {
  readonly store: LimitStore
  readonly keyOf: (call: Call) => string
  /** The rules for a call; null for none. */
  readonly rulesOf: (call: Call) => NamedRules | null
  readonly cost: Static<typeof costOption>
  readonly count: 'all' | 'only-2xx'
  readonly headers: FieldStyle
  readonly code: FailureCode
  readonly hits: Counter
}

/** A call and what was taken for it. */
interface Taken {
  readonly key: string
  readonly named: NamedRules
  readonly cost: number
  readonly outcome: LimitOutcome
}

export function limitLayer(options: LimitLayerOptions): Layer {
  const { store, keyOf, rulesOf, headers: style, count, code, hits } = options
  const costOf = compileCost(options.cost)
  const chargeOf = compileCharge(options.cost)
  const isSettled = style === 'none' && count === 'all' && chargeOf === null

  const refuse = (named: NamedRules, outcome: LimitOutcome): Promise<Reply> => {
    hits.add(1)
    const reply = refuseForNow(code, waitOf(outcome))
    writeFields(reply.headers, named, outcome, style)
    writeFallback(reply.headers, outcome.fallback)
    return Promise.resolve(reply)
  }

  const settle = ({ key, named, cost, outcome }: Taken, status: number, headers: Headers | null): void => {
    // An upgraded connection (101) was had as asked for.
    const isGivenBack = count === 'only-2xx' && (status < 200 || status > 299) && status !== 101
    const charge = isGivenBack ? 0 : chargeOf === null ? cost : chargeOf(headers)
    if (charge !== cost) store.correct(key, named.rules, charge - cost, outcome.atMs)
  }

  const pass = async (taken: Taken, call: Call, next: Step): Promise<Reply> => {
    let reply: Reply
    try {
      reply = await next(call)
    } catch (thrown) {
      // A client that goes early has had the work done: it pays.
      const isClients = thrown instanceof Failure && thrown.source === 'client'
      settle(taken, isClients ? 200 : 500, null)
      throw thrown
    }
    settle(taken, reply.status, reply.headers)
    writeFields(reply.headers, taken.named, taken.outcome, style)
    writeFallback(reply.headers, taken.outcome.fallback)
    return reply
  }

  const proceed = (taken: Taken, call: Call, next: Step): Promise<Reply> => {
    if (!taken.outcome.isAllowed) return refuse(taken.named, taken.outcome)
    return isSettled && taken.outcome.fallback === null ? next(call) : pass(taken, call, next)
  }

  return next =>
    function limit(call) {
      const named = rulesOf(call)
      if (named === null) return next(call)
      const key = keyOf(call)
      const cost = costOf(call)
      const outcome = store.take(key, named.rules, cost)
      return outcome instanceof Promise
        ? outcome.then(settled => proceed({ key, named, cost, outcome: settled }, call, next))
        : proceed({ key, named, cost, outcome }, call, next)
    }
}

/** What is taken before the call: where the reply says the cost, one. */
function compileCost(cost: Static<typeof costOption>): (call: Call) => number {
  if (typeof cost === 'number') return () => cost
  if ('reply' in cost) return () => 1
  const key = cost.header.toLowerCase()
  return ({ headers }) => boundedNumber(headers.get(key), 1, cost.max)
}

/** What a call is found to have cost by its reply; null where that is known before. */
function compileCharge(cost: Static<typeof costOption>): ((headers: Headers | null) => number) | null {
  if (typeof cost === 'number' || 'header' in cost) return null
  const key = cost.reply.toLowerCase()
  return headers => boundedNumber(headers?.get(key), 0, cost.max)
}

function boundedNumber(text: string | undefined, min: number, max: number): number {
  if (text === undefined || !/^ *\d+ *$/.test(text)) return 1
  return Math.min(max, Math.max(min, Number(text)))
}
