// What a route sees of an upstream.

import type { Call } from './call.ts'
import type { Reply } from './reply.ts'

export interface Upstream {
  readonly name: string
  /** Forwards the call as it stands (target, headers, body). Its retries, deadlines and balancing are its own. */
  send(call: Call): Promise<Reply>
}
