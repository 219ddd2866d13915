// A policy that keeps the event loop of its worker busy, for tests of the guard against that.

import { definePolicy, schema } from '../../../src/index.ts'

const { Duration, Fields } = schema

const spin = definePolicy({
  name: 'spin',
  summary: 'Computes for a while before it lets a call pass.',
  options: Fields({ for: Duration({ description: 'How long.' }) }),
  build: given => next =>
    function spin(call) {
      const endMs = performance.now() + given.for
      while (performance.now() < endMs);
      return next(call)
    },
})

export const policies = [spin]
