// The policy `cache`: keeps replies and answers with them, as a shared cache of RFC 9111.

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
    const scope = store.scopeOf(JSON.stringify([place.key, given]))
    const caching: CachingPorts = {
      ...{ clock: ports.clock, deadlines: ports.deadlines, marks: ports.marks, log: ports.log, meter },
      ...{ store, keys: compileKeys(scope, place.route === '', given.key), route: place.route },
    }
    return createCaching(given, caching)
  },
})
