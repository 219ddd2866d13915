// The policy `concurrency`: bounds how many calls are under way at once, over all worker threads together.

import type { Abandonable, Call } from '../../core/call.ts'
import { definePolicy } from '../../core/policy.ts'
import type { SharedCounter } from '../../core/ports.ts'
import { principal } from '../../core/principal.ts'
import { refuseForNow } from '../../core/refuse-for-now.ts'
import type { Reply } from '../../core/reply.ts'
import { Duration, Fields, Named, Shorthand, Type } from '../../core/schema.ts'
import type { Step } from '../../core/step.ts'
import { transformBody } from '../../core/transform-body.ts'
import { compileChoice } from '../../limits/choice.ts'
import { compileKey, needsPrincipal } from '../../limits/key.ts'
import { byOption, ipv6PrefixOption, nameOption } from '../../limits/options.ts'

const limits = (description: string) => Named(Type.Integer({ minimum: 0 }), { default: {}, description })

export const concurrency = definePolicy({
  name: 'concurrency',
  summary: 'Bounds how many calls are under way at once.',
  options: Shorthand(
    'limit',
    Fields({
      limit: Type.Integer({ minimum: 1, description: 'Calls at once, over all worker threads together.' }),
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
    }),
  ),
  needsFor: ({ by, groups, plans }) =>
    needsPrincipal(by) || Object.keys({ ...groups, ...plans }).length > 0 ? [principal] : [],
  build({ limit, by, ipv6Prefix, groups, plans, name, retryAfter }, { shared, meter, log }, place) {
    const hits = meter.counter('turnpike_ceiling_hits', { ceiling: 'concurrency', name: place.route })
    const scope = name === '' ? place.key : `concurrency/${name}`
    const one = by.length === 1 && by[0] === 'route' ? shared.counter(scope) : null
    const key = compileKey(by, ipv6Prefix)
    const limitOf = compileChoice({ base: limit, groups, plans, name, parse: parseLimit, log })
    return next =>
      function concurrency(call) {
        const counter = one ?? shared.counter(`${scope}/${key.of(call)}`)
        if (counter.tryTake(limitOf(call) ?? limit)) return hold(new Permit(call, counter), call, next)
        hits.add(1)
        return Promise.resolve(refuseForNow('concurrency-exceeded', retryAfter))
      }
  },
})

/** A consumer's own limit; 0 lets none of its calls in. */
function parseLimit(text: string): number | null {
  return /^\d{1,9}$/.test(text) ? Number(text) : null
}

/** The permit is given back when the last byte of the reply has gone, or when it is sure that none will. */
async function hold(permit: Permit, call: Call, next: Step): Promise<Reply> {
  let reply: Reply
  try {
    reply = await next(call)
  } catch (thrown) {
    permit.give()
    throw thrown
  }
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
  readonly #call: Call
  readonly #counter: SharedCounter
  #isGiven = false

  constructor(call: Call, counter: SharedCounter) {
    this.#call = call
    this.#counter = counter
    call.onAbandon(this)
  }

  give(): void {
    if (this.#isGiven) return
    this.#isGiven = true
    this.#counter.give()
    this.#call.offAbandon(this)
  }

  abandoned(): void {
    this.give()
  }
}
