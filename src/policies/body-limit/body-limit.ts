// The policy `body-limit`: refuses request bodies past a size, by their announced length or while they stream.

import { Body, type BodySource, type Sink } from '../../core/body.ts'
import type { Call } from '../../core/call.ts'
import { Failure } from '../../core/failure.ts'
import type { Headers } from '../../core/headers.ts'
import { definePolicy } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import { Fields, Shorthand, Size } from '../../core/schema.ts'
import type { Step } from '../../core/step.ts'

export const bodyLimit = definePolicy({
  name: 'body-limit',
  summary: 'Refuses request bodies past a size.',
  options: Shorthand('max', Fields({ max: Size({ description: 'The largest body that passes.', examples: ['1MB'] }) })),
  build({ max }) {
    return next =>
      function bodyLimit(call) {
        const { length } = call.body
        if (length > max) return Promise.resolve(Reply.problem('body-too-large'))
        return length >= 0 ? next(call) : countBody(call, next, max)
      }
  },
})

/** For a body whose length nobody announced. */
async function countBody(call: Call, next: Step, max: number): Promise<Reply> {
  const counted = new CountedSource(call.body, max)
  call.body = new Body(-1, counted)
  try {
    const reply = await next(call)
    if (!counted.isExceeded) return reply
    reply.body.cancel()
    reply.tunnel?.socket.destroy()
  } catch (thrown) {
    if (!counted.isExceeded) throw thrown
  }
  return Reply.problem('body-too-large')
}

/** Passes a body on up to a size, and then cuts it short. */
class CountedSource implements BodySource, Sink {
  isExceeded = false
  readonly #body: Body
  readonly #max: number
  #size = 0
  #sink: Sink | null = null

  constructor(body: Body, max: number) {
    this.#body = body
    this.#max = max
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
    this.#body.cancel()
  }

  write(chunk: Buffer): boolean {
    const sink = this.#sink
    if (sink === null) return false
    this.#size += chunk.length
    if (this.#size <= this.#max) return sink.write(chunk)
    this.isExceeded = true
    this.cancel()
    sink.fail(new Failure('body-too-large'))
    return false
  }

  end(trailers: Headers | null): void {
    this.#sink?.end(trailers)
  }

  fail(failure: Failure): void {
    this.#sink?.fail(failure)
  }
}
