// The fields of a reply become a ReplyHead (RFC 9113 §8.3.2).

import { readSpecialField } from '../http/fields.ts'
import { Kind } from '../http/names.ts'
import { malformedReply, ReplyHead } from '../http/reply.ts'
import { isConnectionField } from './connection-fields.ts'
import { type FieldName, PseudoKind } from './field-names.ts'
import type { HpackDecoder } from './hpack-decoder.ts'

/** Reads what the decoder holds. Throws `upstream-malformed-reply`. */
export function readReplyHead(fields: HpackDecoder, fieldsMax: number): ReplyHead {
  if (fields.isTooLarge || fields.count > fieldsMax) throw malformedReply('reply head too large')
  const { names, values, count } = fields
  const head = new ReplyHead()
  const list = head.headers.list
  for (let i = 0; i < count; i++) {
    const name = names[i] as FieldName
    const value = values[i] as string
    if (name.kind === Kind.plain) list.push(name.name, name.key, value)
    else if (name.kind === PseudoKind.status) {
      if (head.status !== 0 || list.length > 0) throw malformedReply(':status not once and first')
      if (!/^[1-5][0-9]{2}$/.test(value)) throw malformedReply('malformed status')
      head.status = Number(value)
    } else if (name.kind >= PseudoKind.method) {
      throw malformedReply(name.kind === PseudoKind.malformed ? name.key : `${name.name} in a reply`)
    } else if (isConnectionField(name.key)) throw malformedReply(`${name.key} in HTTP/2`)
    else {
      const problem = readSpecialField(name.kind, name.name, value, head)
      if (problem !== null) throw malformedReply(problem)
    }
  }
  if (head.status === 0) throw malformedReply('no :status')
  // RFC 9113 §8.6: HTTP/2 has no 101.
  if (head.status === 101) throw malformedReply('101 in HTTP/2')
  return head
}
