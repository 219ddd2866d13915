// One question to the outside service about a call: how many may be asked at once, and what becomes of failures.

import type { Call } from '../../core/call.ts'
import type { Place, PolicyPorts } from '../../core/policy.ts'
import { sparingWarning } from '../../core/sparing-warning.ts'
import type { Answer } from './answer.ts'

/** Questions at once, per policy and worker. */
const pendingMax = 1024

/** Null where the service gives no proper answer. Never rejects. `body` is null where the service is not told it. */
export function createAsker(
  put: (call: Call, body: Buffer | null) => Promise<Answer>,
  ports: PolicyPorts,
  place: Place,
): (call: Call, body: Buffer | null) => Promise<Answer | null> {
  const busy = ports.meter.counter('turnpike_ceiling_hits', { ceiling: 'external-questions', name: place.route })
  const warn = sparingWarning(ports, 'the external access check gave no answer')
  let pending = 0
  return async (call, body) => {
    if (pending >= pendingMax) {
      busy.add(1)
      return null
    }
    pending++
    try {
      return await put(call, body)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      warn({ route: place.route, reason })
      return null
    } finally {
      pending--
    }
  }
}
