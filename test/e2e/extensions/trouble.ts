// Policies that break their worker, for tests of what the others make of it.

import { threadId, workerData } from 'node:worker_threads'
import { definePolicy, schema } from '../../../src/index.ts'

const { Type, Fields } = schema

/** A call with the field `x-trouble: throw` throws outside any call; with `die` it ends its thread, with `hoard` it takes all memory. */
const trouble = definePolicy({
  name: 'trouble',
  summary: 'Breaks the worker when a call asks for it.',
  options: Fields({}),
  build: () => next =>
    function trouble(call) {
      const wish = call.headers.get('x-trouble')
      if (wish === 'throw') {
        setImmediate(() => {
          throw new Error('thrown outside any call')
        })
      }
      if (wish === 'reject') void Promise.reject(new Error('rejected outside any call'))
      if (wish === 'die') process.exit(7)
      if (wish === 'hoard')
        for (const hoard: number[][] = []; ; ) hoard.push(Array.from({ length: 100_000 }, Math.random))
      return next(call)
    },
})

/** Cannot be built in the worker whose place in the shared tables is `refuses`. */
const picky = definePolicy({
  name: 'picky',
  summary: 'Is refused by one worker.',
  options: Fields({ refuses: Type.Integer({ description: 'Index of the worker.' }) }),
  build({ refuses }) {
    const { index } = workerData as { index: number }
    if (index === refuses) throw new Error(`worker ${index} will not have it`)
    return next => next
  },
})

/** Says in which thread a call was answered. */
const thread = definePolicy({
  name: 'thread',
  summary: 'Sets `x-thread` on replies.',
  options: Fields({}),
  build: () => next =>
    async function thread(call) {
      const reply = await next(call)
      reply.headers.set('x-thread', String(threadId))
      return reply
    },
})

export const policies = [trouble, picky, thread]
