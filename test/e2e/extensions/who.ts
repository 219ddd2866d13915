// A policy that answers who a key belongs to, for tests of the store behind it.

import type { Call } from '../../../src/core/call.ts'
import { principal } from '../../../src/core/principal.ts'
import { definePolicy, Reply, schema } from '../../../src/index.ts'

/** Takes the key from `x-key`: 200 with the consumer's name, 401 for none, 403 for an address on the list `address`. */
const policy = definePolicy({
  name: 'who',
  summary: 'Says who calls.',
  options: schema.Fields({}),
  gives: [principal],
  build(_options, { identities, denials }) {
    async function who(call: Call): Promise<Reply> {
      if (denials.isDenied('address', call.peer.address)) return Reply.problem('forbidden')
      const identity = await identities.key(call.headers.get('x-key') ?? '')
      if (identity === null) return Reply.problem('unauthenticated')
      identities.used(identity)
      const reply = Reply.empty(200)
      reply.headers.add('x-consumer', identity.consumer.name)
      reply.headers.add('x-limits', JSON.stringify(identity.consumer.limits))
      return reply
    }
    return () => who
  },
})

export const policies = [policy]
