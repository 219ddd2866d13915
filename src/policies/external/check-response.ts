// The answer of a gRPC service, `envoy.service.auth.v3.CheckResponse`, read field by field as published.

import { type FieldEdit, fieldActions, fieldEdit, type QueryEdit } from './edits.ts'
import { readFields, type WireValue } from './wire.ts'

export interface CheckResponse {
  /** Code of google.rpc.Status: 0 lets the call pass. Null where there is no status. */
  readonly code: number | null
  readonly ok: OkResponse | null
  readonly denied: DeniedResponse | null
}

export interface OkResponse {
  readonly headers: readonly FieldEdit[]
  readonly removed: readonly string[]
  readonly replyHeaders: readonly FieldEdit[]
  readonly query: readonly QueryEdit[]
}

export interface DeniedResponse {
  /** 403 where the service says none. */
  readonly status: number
  readonly headers: readonly FieldEdit[]
  readonly body: Buffer
}

/** All edits of one answer together. */
const editsMax = 256

/** @throws Error for bytes that are no such message, and for fields that no HTTP message may carry. */
export function readCheckResponse(bytes: Buffer): CheckResponse {
  let status: Parts = null
  let ok: Parts = null
  let denied: Parts = null
  readFields(bytes, (field, value) => {
    if (typeof value === 'number') return
    // A message that stands twice is one message in two parts; of a `oneof` only the last kind counts.
    if (field === 1) status = withPart(status, value)
    else if (field === 2) [denied, ok] = [withPart(denied, value), null]
    else if (field === 3) [ok, denied] = [withPart(ok, value), null]
  })
  const count = { left: editsMax }
  return {
    code: status === null ? null : numberIn(Buffer.concat(status), 1),
    ok: ok === null ? null : readOk(Buffer.concat(ok), count),
    denied: denied === null ? null : readDenied(Buffer.concat(denied), count),
  }
}

/** Of a message, null where there is none. Joined once at the end: an answer may be all parts of a byte each. */
type Parts = Buffer[] | null

function withPart(parts: Parts, part: Buffer): Parts {
  if (parts === null) return [part]
  parts.push(part)
  return parts
}

interface Count {
  left: number
}

function countDown(count: Count): void {
  if (--count.left < 0) throw new Error(`the service asks for more than ${editsMax} changes`)
}

function readOk(bytes: Buffer, count: Count): OkResponse {
  const headers: FieldEdit[] = []
  const removed: string[] = []
  const replyHeaders: FieldEdit[] = []
  const set: QueryEdit[] = []
  const unset: QueryEdit[] = []
  readFields(bytes, (field, value) => {
    if (typeof value === 'number') return
    if ([2, 5, 6, 7, 8].includes(field)) countDown(count)
    if (field === 2) headers.push(readHeader(value))
    else if (field === 5) removed.push(octets(value))
    else if (field === 6) replyHeaders.push(readHeader(value))
    else if (field === 7) set.push({ name: text(textIn(value, 1)), value: text(textIn(value, 2)) })
    else if (field === 8) unset.push({ name: text(octets(value)), value: null })
  })
  return { headers, removed, replyHeaders, query: [...set, ...unset] }
}

function readDenied(bytes: Buffer, count: Count): DeniedResponse {
  let status = 0
  let body: Buffer = Buffer.alloc(0)
  const headers: FieldEdit[] = []
  readFields(bytes, (field, value) => {
    if (typeof value === 'number') return
    if (field === 1) status = numberIn(value, 1)
    else if (field === 3) body = value
    else if (field === 2) {
      countDown(count)
      headers.push(readHeader(value))
    }
  })
  return { status: status === 0 ? 403 : status, headers, body }
}

/** HeaderValueOption: `append`, which is deprecated, goes before `append_action` where it is there at all. */
function readHeader(bytes: Buffer): FieldEdit {
  const parts: Buffer[] = []
  let append: Parts = null
  let action = 0
  readFields(bytes, (field, value) => {
    if (field === 1 && typeof value !== 'number') parts.push(value)
    else if (field === 2 && typeof value !== 'number') append = withPart(append, value)
    else if (field === 3 && typeof value === 'number') action = value
  })
  const name = fieldActions[append === null ? action : numberIn(Buffer.concat(append), 1) === 0 ? 2 : 0]
  if (name === undefined) throw new Error('the service asks for an unknown append_action')
  const header = Buffer.concat(parts)
  const raw = textIn(header, 3)
  return fieldEdit(textIn(header, 1), raw === '' ? textIn(header, 2) : raw, name)
}

function textIn(message: Buffer, wanted: number): string {
  let found = ''
  readFields(message, (field, value) => {
    if (field === wanted && typeof value !== 'number') found = octets(value)
  })
  return found
}

function numberIn(message: Buffer, wanted: number): number {
  let found = 0
  readFields(message, (field, value) => {
    if (field === wanted && typeof value === 'number') found = value
  })
  return found
}

function octets(value: Exclude<WireValue, number>): string {
  return value.toString('latin1')
}

/** Octets of UTF-8 as Unicode text. */
function text(value: string): string {
  return Buffer.from(value, 'latin1').toString('utf8')
}
