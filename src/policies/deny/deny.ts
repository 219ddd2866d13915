// The policy `deny`: turns away callers that stand on lists which change at run time.

import type { Call } from '../../core/call.ts'
import { definePolicy } from '../../core/policy.ts'
import { principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { Choice, Fields, OneOrMany, Type } from '../../core/schema.ts'

const options = Fields({
  by: Choice(['address', 'consumer', 'credential', 'agent'], {
    default: 'address',
    description:
      'What is looked up: the address of the client, the id and the name of the consumer, the id of the credential, or the whole User-Agent.',
  }),
  lists: OneOrMany(Type.String({ minLength: 1 }), {
    default: [],
    description: 'Names of the lists. Where none is written, the list that is named as `by`.',
  }),
})

type Reader = (call: Call) => readonly string[]

const readers: Readonly<Record<'address' | 'consumer' | 'credential' | 'agent', Reader>> = {
  address: call => [call.clientAddress],
  consumer(call) {
    const who = call.facts.get(principal)
    if (who === undefined) return []
    return who.consumer === null ? [who.id] : [who.consumer.id, who.consumer.name]
  },
  credential: call => [call.facts.get(principal)?.credential ?? ''],
  agent: call => call.headers.all('user-agent'),
}

export const deny = definePolicy({
  name: 'deny',
  summary: 'Turns away callers on lists that change at run time.',
  admits: true,
  needsData: true,
  options,
  needsFor: ({ by }) => (by === 'consumer' || by === 'credential' ? [principal] : []),
  build({ by, lists }, { denials }) {
    const names = lists.length === 0 ? [by] : lists
    const read = readers[by]
    return next =>
      function deny(call) {
        for (const value of read(call)) {
          for (const list of names) {
            if (value === '' || !denials.isDenied(list, value)) continue
            call.refusal = `on the list ${list}`
            return Promise.resolve(Reply.problem('denied'))
          }
        }
        return next(call)
      }
  },
})
