// Calls that change something make what is kept of their path worthless, on every worker (RFC 9111 §4.4).

import type { Call } from '../../core/call.ts'
import type { Marks } from '../../core/marks.ts'
import type { Reply } from '../../core/reply.ts'

/** Where the mark of a path is. Whatever query it was asked with: a change of a list changes all its pages. */
export function placeOf(marks: Marks, host: string, target: string): number {
  const question = target.indexOf('?')
  return marks.placeOf(`${host}${question < 0 ? target : target.slice(0, question)}`)
}

/** Makes the function that sees the replies to calls of unsafe methods. */
export function createInvalidation(marks: Marks): (call: Call, reply: Reply) => Reply {
  return (call, reply) => {
    if (reply.status >= 400 || reply.code !== null) return reply
    marks.bump(placeOf(marks, call.host, call.received))
    for (const key of ['location', 'content-location']) {
      const target = targetHere(call, reply.headers.get(key))
      if (target !== null) marks.bump(placeOf(marks, call.host, target))
    }
    return reply
  }
}

/** The path of a reference that leads to the same host; what is elsewhere is not this service's to change. */
function targetHere(call: Call, reference: string | undefined): string | null {
  if (reference === undefined) return null
  const host = call.headers.get('host') ?? call.host
  const url = URL.parse(reference, `http://${host}${call.received}`)
  return url !== null && url.host === host.toLowerCase().replace(/:80$/, '') ? url.pathname : null
}
