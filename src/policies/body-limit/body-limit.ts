// The policy `body-limit`: refuses request bodies past a size, by their announced length or while they stream.

import type { Call } from '../../core/call.ts'
import { Failure } from '../../core/failure.ts'
import { definePolicy } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import { Fields, Shorthand, Size } from '../../core/schema.ts'
import type { Step } from '../../core/step.ts'
import { transformBody } from '../../core/transform-body.ts'

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
  let size = 0
  call.body = transformBody(call.body, {
    write(chunk, out) {
      size += chunk.length
      if (size <= max) return out.pass(chunk)
      out.cut(new Failure('body-too-large'))
      return false
    },
  })
  try {
    const reply = await next(call)
    if (size <= max) return reply
    reply.body.cancel()
    reply.tunnel?.socket.destroy()
  } catch (thrown) {
    if (size <= max) throw thrown
  }
  return Reply.problem('body-too-large')
}
