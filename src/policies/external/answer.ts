// The decision of the outside service, and what it does to a call.

import { Body } from '../../core/body.ts'
import type { Call } from '../../core/call.ts'
import { Headers } from '../../core/headers.ts'
import { Reply } from '../../core/reply.ts'
import { editFields, editQuery, type FieldEdit, type QueryEdit } from './edits.ts'

/** About one call, or about all calls of one key. */
export type Answer = Pass | Denial

export interface Pass {
  readonly passes: true
  /** Of fields for the upstream. Their names are among those that clients cannot send. */
  readonly fields: readonly FieldEdit[]
  /** Names in lower case of fields that the upstream is not given. */
  readonly removed: readonly string[]
  readonly query: readonly QueryEdit[]
  /** Of the reply that the client is given. */
  readonly replyFields: readonly FieldEdit[]
}

export interface Denial {
  readonly passes: false
  readonly status: number
  readonly body: Buffer
  readonly replyFields: readonly FieldEdit[]
}

/** False where it holds a cookie, which is meant for one caller. */
export function isShareable({ replyFields }: Answer): boolean {
  return !replyFields.some(({ name }) => name.toLowerCase() === 'set-cookie')
}

/** Roughly what it takes to remember it. */
export function sizeOf(answer: Answer): number {
  const { length } = JSON.stringify(answer.passes ? answer : answer.replyFields)
  return length + (answer.passes ? 0 : answer.body.length)
}

/** `drop` takes off what the client sent under the names that only the service may write. */
export function admit(call: Call, answer: Pass, drop: (call: Call) => void): void {
  // What is there is what the client sent: once that is dropped, nothing is.
  const edits = answer.fields.flatMap((edit): FieldEdit[] => {
    if (edit.action !== 'overwrite-if-exists') return [edit]
    return call.headers.has(edit.name.toLowerCase()) ? [{ ...edit, action: 'overwrite' }] : []
  })
  drop(call)
  editFields(call.headers, edits)
  for (const key of answer.removed) call.headers.delete(key)
  call.target = editQuery(call.target, answer.query)
}

export function denialOf(call: Call, answer: Denial): Reply {
  const reason = `external: the service answered ${answer.status}`
  call.refusal = call.refusal === '' ? reason : `${call.refusal}; ${reason}`
  const isBare = [204, 205, 304].includes(answer.status)
  // Whoever takes a chunk of a body owns it: the remembered bytes stay here.
  const body = isBare ? Body.empty : Body.of(Buffer.from(answer.body))
  const reply = new Reply(answer.status, new Headers(), body)
  editFields(reply.headers, answer.replyFields)
  reply.code = 'forbidden'
  return reply
}
