// The policy `cache`: keeps replies and answers with them, as a shared cache of RFC 9111.

import { createHash } from 'node:crypto'
import { definePolicy } from '../../core/policy.ts'
import { principal } from '../../core/principal.ts'
import { createCaching, type CachingPorts } from './caching.ts'
import { compileKeys } from './key.ts'
import { check, options } from './options.ts'
import { ReplyStore } from './reply-store.ts'

export const cache = definePolicy({
  name: 'cache',
  summary: 'Keeps replies in memory and answers with them while they are fresh.',
  options,
  check,
  needsFor: ({ key }) => (key.consumer ? [principal] : []),
  isShortcut: true,
  build(given, ports, place) {
    const { purges, meter, replyBytes } = ports
    const store = ports.keep(`replies ${replyBytes}`, () => new ReplyStore(replyBytes, purges, meter))
    // Replies outlive a reload, but not a change of what their key says or leaves out.
    const scope = shortened(JSON.stringify([place.key, given]))
    const caching: CachingPorts = {
      ...{ clock: ports.clock, deadlines: ports.deadlines, marks: ports.marks, log: ports.log, meter },
      ...{ store, keys: compileKeys(scope, place.route === '', given.key), route: place.route },
    }
    return createCaching(given, caching)
  },
})

/** 72 bits tell the uses of one config apart, and those of all that came before it; nothing needs to remember them. */
function shortened(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 12)
}
