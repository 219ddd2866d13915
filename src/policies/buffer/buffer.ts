// The policy `buffer`: reads a body whole before it goes on, so that it goes on with a length.

import { Body } from '../../core/body.ts'
import type { Call } from '../../core/call.ts'
import { Failure } from '../../core/failure.ts'
import { holdBody } from '../../core/held-body.ts'
import { definePolicy, OptionsError } from '../../core/policy.ts'
import type { Counter } from '../../core/ports.ts'
import { refuseForNow } from '../../core/refuse-for-now.ts'
import { Reply } from '../../core/reply.ts'
import { Fields, Maybe, Shorthand, Size } from '../../core/schema.ts'
import type { Step } from '../../core/step.ts'
import { transformBody } from '../../core/transform-body.ts'

export const buffer = definePolicy({
  name: 'buffer',
  summary: 'Reads request bodies whole before they go on, so that they go on with a Content-Length.',
  options: Shorthand(
    'max',
    Fields({
      max: Size({ default: '1MB', description: 'The largest request body; a longer one is refused.' }),
      replies: Maybe(
        Size({
          description:
            'Replies of unknown length up to this size are held, too, and get a Content-Length; longer ones, and streams of events, pass as they come. None are where it is not written.',
        }),
      ),
      memory: Size({
        default: '64MB',
        description: 'What is held at once by all workers together; further requests are answered 503.',
      }),
    }),
  ),
  check({ max, replies, memory }) {
    if (memory >= Math.max(max, replies ?? 0)) return
    const hint = 'Raise `memory`, or lower `max` and `replies`.'
    throw new OptionsError('one body alone would be more than the memory for all', ['memory'], hint)
  },
  build({ max, replies, memory }, { meter, workers }, { route }) {
    const hits = meter.counter('turnpike_ceiling_hits', { ceiling: 'buffers', name: route })
    const budget = new Budget(Math.max(max, replies ?? 0, Math.floor(memory / workers)), hits)
    const answer = (call: Call, next: Step) => (call.body.isEmpty ? next(call) : sendWhole(call, next, max, budget))
    return next =>
      async function buffer(call) {
        const reply = await answer(call, next)
        if (replies !== null && isHoldable(call, reply)) await holdReply(reply, replies, budget)
        return reply
      }
  },
})

/** Bytes that are held now, in one worker. */
class Budget {
  readonly #bytesMax: number
  readonly #hits: Counter
  #bytes = 0

  constructor(bytesMax: number, hits: Counter) {
    this.#bytesMax = bytesMax
    this.#hits = hits
  }

  tryTake(bytes: number): boolean {
    if (this.#bytes + bytes > this.#bytesMax) {
      this.#hits.add(1)
      return false
    }
    this.#bytes += bytes
    return true
  }

  give(bytes: number): void {
    this.#bytes -= bytes
  }
}

/** What is held counts until the reply has begun: the upstream has the request by then, or does not want it. */
async function sendWhole(call: Call, next: Step, max: number, budget: Budget): Promise<Reply> {
  const { length } = call.body
  if (length > max) return Reply.problem('body-too-large')
  let held = Math.max(0, length)
  if (!budget.tryTake(held)) return refuseForNow('buffers-full')
  try {
    // A body of unknown length takes what it needs as it comes.
    const counted =
      length >= 0
        ? call.body
        : transformBody(call.body, {
            write(chunk, out) {
              if (budget.tryTake(chunk.length)) {
                held += chunk.length
                return out.pass(chunk)
              }
              out.cut(new Failure('buffers-full'))
              return false
            },
          })
    call.body = Body.of(await counted.bytes(max))
    return await next(call)
  } catch (thrown) {
    const { code } = Failure.from(thrown)
    if (code === 'body-too-large') return Reply.problem(code)
    if (code === 'buffers-full') return refuseForNow('buffers-full')
    throw thrown
  } finally {
    budget.give(held)
  }
}

/** A reply without a length that may end soon. */
function isHoldable({ method }: Call, { body, headers, tunnel }: Reply): boolean {
  if (body.length >= 0 || tunnel !== null || method === 'HEAD') return false
  return headers.get('content-type')?.toLowerCase().startsWith('text/event-stream') !== true
}

/** Where there is no room the reply streams, as without the policy. */
async function holdReply(reply: Reply, max: number, budget: Budget): Promise<void> {
  if (!budget.tryTake(max)) return
  let taken = max
  const give = () => budget.give(taken)
  try {
    const { bytes, body } = await holdBody(reply.body, max)
    // What turned out too long is held until whoever takes the body has it.
    taken = bytes?.length ?? max
    budget.give(max - taken)
    reply.body = taken === 0 ? body : transformBody(body, { over: give })
  } catch (thrown) {
    give()
    throw thrown
  }
}
