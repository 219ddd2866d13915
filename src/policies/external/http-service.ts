// A service that is asked over HTTP: what it is told of a call, and what its status and fields mean.

import { isOwnField } from '../../core/field-name.ts'
import type { Call } from '../../core/call.ts'
import type { Outside, OutsideReply, OutsideRequest } from '../../core/outside.ts'
import type { Answer } from './answer.ts'
import { type FieldEdit, fieldEdit } from './edits.ts'
import { toldFields } from './told-fields.ts'

export interface HttpOptions {
  readonly url: string
  readonly appendPath: boolean
  readonly send: readonly string[]
  readonly upstreamHeaders: readonly string[]
  readonly replyHeaders: readonly string[]
  readonly replyHeadersOnPass: readonly string[]
  readonly timeout: number
}

/** Rejects where the service gives no proper answer. `body` is null where the service is not told it. */
export function httpService(
  options: HttpOptions,
  outside: Outside,
  bytesMax: number,
): (call: Call, body: Buffer | null) => Promise<Answer> {
  const prefix = options.appendPath ? new URL(options.url).pathname.replace(/\/$/, '') : ''
  return async (call, body) => {
    const reply = await outside.fetch({
      ...(options.appendPath ? asCall(call, prefix) : { method: body === null ? 'GET' : 'POST' }),
      url: options.url,
      headers: {
        ...fieldsOf(call, options.send, body),
        ...(options.appendPath && { host: call.headers.get('host') ?? call.host }),
      },
      // A question changes nothing, whatever the method says.
      isRepeatable: true,
      ...(body !== null && { body }),
      timeoutMs: options.timeout,
      bodyBytesMax: bytesMax,
    })
    return readAnswer(reply, options)
  }
}

/** As Envoy asks: by the method of the call, its target behind the path of the service. The target goes byte for byte. */
function asCall(call: Call, prefix: string): Pick<OutsideRequest, 'method' | 'target'> {
  return { method: call.method, target: prefix + call.received }
}

function fieldsOf(call: Call, send: readonly string[], body: Buffer | null): Record<string, string> {
  const fields = Object.fromEntries(toldFields(call, send, body !== null))
  fields['x-forwarded-method'] = call.method
  fields['x-forwarded-proto'] = call.peer.scheme
  fields['x-forwarded-host'] = call.host
  fields['x-forwarded-uri'] = call.received
  fields['x-forwarded-for'] = call.clientAddress
  const type = body === null ? undefined : call.headers.get('content-type')
  if (type !== undefined) fields['content-type'] = type
  return fields
}

const redirects: readonly number[] = [301, 302, 303, 307, 308]

/** @throws Error for what is neither pass nor denial, and for fields that no message may carry. */
function readAnswer(reply: OutsideReply, options: HttpOptions): Answer {
  const { status, body } = reply
  if (status === 200) {
    return {
      passes: true,
      fields: pick(reply, options.upstreamHeaders),
      removed: removedBy(reply.headers['x-envoy-auth-headers-to-remove']?.split(',') ?? []),
      query: [],
      replyFields: pick(reply, options.replyHeadersOnPass),
    }
  }
  if (!redirects.includes(status) && !(status >= 400 && status <= 499)) {
    throw new Error(`the service answered ${status}`)
  }
  return { passes: false, status, body, replyFields: pick(reply, options.replyHeaders) }
}

function pick({ headers }: OutsideReply, names: readonly string[]): FieldEdit[] {
  return names.flatMap(name => {
    const key = name.toLowerCase()
    const text = Object.hasOwn(headers, key) ? headers[key] : undefined
    if (text === undefined) return []
    // Only cookies come on several lines: they cannot be joined by commas.
    return (key === 'set-cookie' ? text.split('\n') : [text]).map(value => fieldEdit(name, value))
  })
}

/** Names that a service wants taken off the call, in lower case: without Host, no call could be sent. */
export function removedBy(names: readonly string[]): string[] {
  return names
    .map(name => name.trim().toLowerCase())
    .filter(key => key !== '' && key !== 'host' && !key.startsWith(':') && !isOwnField(key))
}
