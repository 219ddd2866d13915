// The policy `concurrency`: bounds how many calls are under way at once, over all worker threads together.

import { Body, type BodySource, type Sink } from '../../core/body.ts'
import type { Abandonable, Call } from '../../core/call.ts'
import type { Failure } from '../../core/failure.ts'
import type { Headers } from '../../core/headers.ts'
import { definePolicy } from '../../core/policy.ts'
import type { SharedCounter } from '../../core/ports.ts'
import { Reply } from '../../core/reply.ts'
import { Choice, Duration, Fields, Shorthand, Type } from '../../core/schema.ts'
import type { Step } from '../../core/step.ts'

export const concurrency = definePolicy({
  name: 'concurrency',
  summary: 'Bounds how many calls are under way at once.',
  options: Shorthand(
    'limit',
    Fields({
      limit: Type.Integer({ minimum: 1, description: 'Calls at once, over all worker threads together.' }),
      by: Choice(['route', 'client'], {
        default: 'route',
        description: 'What is counted: all calls that pass here, or those of each client address.',
      }),
      retryAfter: Duration({
        default: '1s',
        description: 'What Retry-After tells a refused client, in whole seconds.',
      }),
    }),
  ),
  build({ limit, by, retryAfter }, { shared, meter }, place) {
    const hits = meter.counter('turnpike_ceiling_hits', { ceiling: 'concurrency', name: place.route })
    const seconds = String(Math.ceil(retryAfter / 1000))
    const one = by === 'route' ? shared.counter(place.key) : null
    return next =>
      function concurrency(call) {
        const counter = one ?? shared.counter(`${place.key}/${call.clientAddress}`)
        if (counter.tryTake(limit)) return hold(new Permit(call, counter), call, next)
        hits.add(1)
        return Promise.resolve(refuse(seconds))
      }
  },
})

function refuse(seconds: string): Reply {
  const reply = Reply.problem('concurrency-exceeded')
  reply.headers.add('retry-after', seconds)
  return reply
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
  else reply.body = new Body(reply.body.length, new HeldSource(reply.body, permit))
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

/** Passes a body on and gives the permit back at its end, whichever that is. */
class HeldSource implements BodySource, Sink {
  readonly #body: Body
  readonly #permit: Permit
  #sink: Sink | null = null

  constructor(body: Body, permit: Permit) {
    this.#body = body
    this.#permit = permit
  }

  start(sink: Sink): void {
    this.#sink = sink
    this.#body.pipe(this)
  }

  resume(): void {
    this.#body.resume()
  }

  cancel(): void {
    this.#sink = null
    this.#permit.give()
    this.#body.cancel()
  }

  write(chunk: Buffer): boolean {
    return this.#sink?.write(chunk) ?? false
  }

  end(trailers: Headers | null): void {
    this.#permit.give()
    this.#sink?.end(trailers)
  }

  fail(failure: Failure): void {
    this.#permit.give()
    this.#sink?.fail(failure)
  }
}
