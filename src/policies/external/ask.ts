// One question to the outside service about a call: what is told of the call, and how many may be asked at once.

import type { Call } from '../../core/call.ts'
import type { Place, PolicyPorts } from '../../core/policy.ts'
import { type Answer, readAnswer } from './answer.ts'

export interface AskOptions {
  readonly http: string
  readonly appendPath: boolean
  readonly send: readonly string[]
  readonly upstreamHeaders: readonly string[]
  readonly replyHeaders: readonly string[]
  readonly timeout: number
}

const bytesMax = 65_536
/** Questions at once, per policy and worker. */
const pendingMax = 1024

/** Null where the service gives no proper answer. Never rejects. `body` is null where the service is not told it. */
export function createAsker(
  options: AskOptions,
  ports: PolicyPorts,
  place: Place,
): (call: Call, body: Buffer | null) => Promise<Answer | null> {
  const busy = ports.meter.counter('turnpike_ceiling_hits', { ceiling: 'external-questions', name: place.route })
  let pending = 0
  return async (call, body) => {
    if (pending >= pendingMax) {
      busy.add(1)
      return null
    }
    pending++
    try {
      const reply = await ports.outside.fetch({
        method: body === null ? 'GET' : 'POST',
        url: addressOf(call, options),
        headers: fieldsOf(call, options.send, body),
        ...(body !== null && { body, isRepeatable: true }),
        timeoutMs: options.timeout,
        bodyBytesMax: bytesMax,
      })
      return readAnswer(reply, options.upstreamHeaders, options.replyHeaders)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      ports.log.warn({ route: place.route, reason }, 'the external access check gave no answer')
      return null
    } finally {
      pending--
    }
  }
}

function addressOf(call: Call, { http, appendPath }: AskOptions): string {
  if (!appendPath) return http
  const text = http.replace(/\/$/, '') + call.received
  // A target that reads differently as a URL would have another path judged than the one that is forwarded.
  if (text.includes('#') || URL.parse(text)?.href !== text)
    throw new Error('the target of the call does not fit into the URL of the service')
  return text
}

function fieldsOf(call: Call, send: readonly string[], body: Buffer | null): Record<string, string> {
  const fields: Record<string, string> = {}
  for (const name of send) {
    const key = name.toLowerCase()
    const values = call.headers.all(key)
    if (values.length > 0) fields[key] = values.join(key === 'cookie' ? '; ' : ', ')
  }
  fields['x-forwarded-method'] = call.method
  fields['x-forwarded-proto'] = call.peer.scheme
  fields['x-forwarded-host'] = call.host
  fields['x-forwarded-uri'] = call.received
  fields['x-forwarded-for'] = call.clientAddress
  const type = body === null ? undefined : call.headers.get('content-type')
  if (type !== undefined) fields['content-type'] = type
  return fields
}
