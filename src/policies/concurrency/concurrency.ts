// The policy `concurrency`: bounds how many calls are under way at once, over all worker threads together, and over all gateways
// that share a store.

import type { Abandonable, Call } from '../../core/call.ts'
import type { PermitOutcome, PermitStore } from '../../core/permits.ts'
import { definePolicy, OptionsError } from '../../core/policy.ts'
import type { SharedCounters } from '../../core/ports.ts'
import { principal } from '../../core/principal.ts'
import { refuseForNow } from '../../core/refuse-for-now.ts'
import type { Reply } from '../../core/reply.ts'
import { Choice, Duration, Fields, Named, Shorthand, Type } from '../../core/schema.ts'
import type { Step } from '../../core/step.ts'
import { transformBody } from '../../core/transform-body.ts'
import { compileChoice } from '../../limits/choice.ts'
import { writeFallback } from '../../limits/fields.ts'
import { compileKey, needsPrincipal } from '../../limits/key.ts'
import { byOption, ipv6PrefixOption, nameOption, storeOptions } from '../../limits/options.ts'

const limits = (description: string) => Named(Type.Integer({ minimum: 0 }), { default: {}, description })

export const concurrency = definePolicy({
  name: 'concurrency',
  summary: 'Bounds how many calls are under way at once.',
  options: Shorthand(
    'limit',
    Fields({
      limit: Type.Integer({
        minimum: 1,
        description: 'Calls at once, over all worker threads together, and with a `store` over all gateways.',
      }),
      by: {
        ...byOption,
        default: 'route',
        description:
          'Whose calls are counted together: those alike in all of these. `route` alone: all that pass here; `client` is the address; `{ header: NAME }` and `{ claim: NAME }` are empty where they are missing.',
      },
      ipv6Prefix: ipv6PrefixOption,
      groups: limits('Other limits for consumers of these groups, the first that fits: `{ partners: 50 }`.'),
      plans: limits('Other limits for consumers with these plans; they go before `groups`.'),
      name: nameOption,
      retryAfter: Duration({
        default: '1s',
        description: 'What Retry-After tells a refused client, in whole seconds from 1 on.',
      }),
      store: storeOptions.store,
      mode: Choice(['exact', 'leased'], {
        default: 'exact',
        description:
          '`exact` asks the store on each call, `leased` keeps permits that come free for the next calls. For a `store`.',
      }),
      onFailure: storeOptions.onFailure,
    }),
  ),
  needsFor: ({ by, groups, plans }) =>
    needsPrincipal(by) || Object.keys({ ...groups, ...plans }).length > 0 ? [principal] : [],
  counts: ({ store }) => ({ store, isDurable: false }),
  check({ store, mode }) {
    if (mode !== 'leased' || store !== null) return
    throw new OptionsError('`mode: leased` needs a `store`', ['mode'], 'Leave it out: the own memory is always exact.')
  },
  build(options, ports, place) {
    const { limit, by, ipv6Prefix, groups, plans, name, retryAfter, store, mode, onFailure } = options
    const { shared, meter, log } = ports
    const hits = meter.counter('turnpike_ceiling_hits', { ceiling: 'concurrency', name: place.route })
    const scope = name === '' ? place.key : `concurrency/${name}`
    const label = name === '' ? place.key : name
    const key = compileKey(by, ipv6Prefix)
    // By `route` alone, a policy around every route counts those of all routes together.
    const keyOf = by.length === 1 && by[0] === 'route' ? () => '' : key.of
    const limitOf = compileChoice({ base: limit, groups, plans, name, parse: parseLimit, log })
    const permits =
      store === null
        ? localPermits(scope, shared)
        : ports.permits({ scope: `${scope}/${key.make}`, store, mode, onFailure, name: label })

    const proceed = (outcome: PermitOutcome, call: Call, next: Step): Promise<Reply> => {
      if (outcome.isAllowed) return hold(new Permit(call, outcome), call, next)
      hits.add(1)
      const reply = refuseForNow('concurrency-exceeded', retryAfter)
      writeFallback(reply.headers, outcome.fallback)
      return Promise.resolve(reply)
    }
    return next =>
      function concurrency(call) {
        const outcome = permits.take(keyOf(call), limitOf(call) ?? limit)
        return outcome instanceof Promise
          ? outcome.then(settled => proceed(settled, call, next))
          : proceed(outcome, call, next)
      }
  },
})

/** Counts in the memory that the threads of this gateway share. */
function localPermits(scope: string, shared: SharedCounters): PermitStore {
  const common = shared.counter(scope)
  return {
    take(key, limit) {
      const counter = key === '' ? common : shared.counter(`${scope}/${key}`)
      return { isAllowed: counter.tryTake(limit), fallback: null, give: () => counter.give() }
    },
  }
}

/** A consumer's own limit; 0 lets none of its calls in. */
function parseLimit(text: string): number | null {
  return /^\d{1,9}$/.test(text) ? Number(text) : null
}

/** The permit is given back when the last byte of the reply has gone, or when it is sure that none will. */
async function hold(permit: Permit, call: Call, next: Step): Promise<Reply> {
  let reply: Reply
  try {
    // The client may have left while the store was asked.
    if (call.abandonReason !== null) throw call.abandonReason
    reply = await next(call)
  } catch (thrown) {
    permit.give()
    throw thrown
  }
  writeFallback(reply.headers, permit.outcome.fallback)
  if (reply.tunnel !== null) {
    const { socket } = reply.tunnel
    if (socket.closed) permit.give()
    else socket.once('close', () => permit.give())
  } else if (reply.body.isEmpty) permit.give()
  else reply.body = transformBody(reply.body, { over: () => permit.give() })
  return reply
}

/** One of the calls at once. */
class Permit implements Abandonable {
  readonly outcome: PermitOutcome
  readonly #call: Call
  #isGiven = false

  constructor(call: Call, outcome: PermitOutcome) {
    this.outcome = outcome
    this.#call = call
    call.onAbandon(this)
  }

  give(): void {
    if (this.#isGiven) return
    this.#isGiven = true
    this.outcome.give()
    this.#call.offAbandon(this)
  }

  abandoned(): void {
    this.give()
  }
}
