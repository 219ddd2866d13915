// What the answer of the outside service means: pass, a denial to give to the client, or no proper answer.

import { Body } from '../../core/body.ts'
import type { Call } from '../../core/call.ts'
import { Headers } from '../../core/headers.ts'
import type { OutsideReply } from '../../core/outside.ts'
import { Reply } from '../../core/reply.ts'

type Field = readonly [name: string, value: string]

/** The service's decision about one call, or about all calls of one key. */
export interface Answer {
  readonly passes: boolean
  /** Status of a denial. */
  readonly status: number
  /** For the upstream where it passes, for the client where it does not. */
  readonly fields: readonly Field[]
  readonly body: Buffer
  /** False where it holds a cookie that is meant for one caller. */
  readonly isShareable: boolean
}

const redirects: readonly number[] = [301, 302, 303, 307, 308]

/** @throws Error for what is neither pass nor denial, and for fields that no message may carry. */
export function readAnswer(
  reply: OutsideReply,
  upstreamHeaders: readonly string[],
  replyHeaders: readonly string[],
): Answer {
  const { status, body } = reply
  const passes = status === 200
  if (!passes && !redirects.includes(status) && !(status >= 400 && status <= 499)) {
    throw new Error(`the service answered ${status}`)
  }
  const fields: Field[] = []
  for (const name of passes ? upstreamHeaders : replyHeaders) {
    const key = name.toLowerCase()
    if (!Object.hasOwn(reply.headers, key)) continue
    const text = reply.headers[key] ?? ''
    // Only cookies come on several lines: they cannot be joined by commas.
    for (const value of key === 'set-cookie' ? text.split('\n') : [text]) {
      if (!/^[\t -~\u0080-\u00ff]*$/.test(value)) throw new Error(`the service sent a field \`${key}\` that is none`)
      fields.push([name, value])
    }
  }
  const isShareable = !fields.some(([name]) => name.toLowerCase() === 'set-cookie')
  return { passes, status, fields, body: passes ? Buffer.alloc(0) : body, isShareable }
}

export function denialOf(call: Call, answer: Answer): Reply {
  const reason = `external: the service answered ${answer.status}`
  call.refusal = call.refusal === '' ? reason : `${call.refusal}; ${reason}`
  // Whoever takes a chunk of a body owns it: the remembered bytes stay here.
  const reply = new Reply(answer.status, Headers.of(answer.fields), Body.of(Buffer.from(answer.body)))
  reply.code = 'forbidden'
  return reply
}
