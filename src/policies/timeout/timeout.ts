// The policy `timeout`: brings the deadline of a call forward.

import { definePolicy } from '../../core/policy.ts'
import { Duration, Fields, Shorthand } from '../../core/schema.ts'

export const timeout = definePolicy({
  name: 'timeout',
  summary: 'Gives a call up that takes too long.',
  options: Shorthand(
    'after',
    Fields({
      after: Duration({
        minimum: 1,
        description: 'From when the call reaches this policy until its reply was sent whole.',
        examples: ['10s'],
      }),
    }),
  ),
  build({ after }, { clock }) {
    return next =>
      function timeout(call) {
        const dueMs = clock.now() + after
        if (dueMs < call.deadlineMs) call.deadlineMs = dueMs
        return next(call)
      }
  },
})
