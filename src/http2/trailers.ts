// The fields behind a body (RFC 9113 §8.1).

import { Headers } from '../core/headers.ts'
import { dropFromTrailers } from '../http/chunked.ts'
import { Kind } from '../http/names.ts'
import { isConnectionField } from './connection-fields.ts'
import { type FieldName, PseudoKind } from './field-names.ts'
import type { HpackDecoder } from './hpack-decoder.ts'

/** Reads what the decoder holds: the trailers, null where nothing of them may be kept, or what is wrong. */
export function readTrailers(fields: HpackDecoder, fieldsMax: number): Headers | null | string {
  if (fields.isTooLarge || fields.count > fieldsMax) return 'trailers too large'
  const trailers = new Headers()
  for (let i = 0; i < fields.count; i++) {
    const name = fields.names[i] as FieldName
    if (name.kind >= PseudoKind.method) {
      return name.kind === PseudoKind.malformed ? `trailers: ${name.key}` : 'a pseudo-header field in trailers'
    }
    if (isConnectionField(name.key)) return `trailers: ${name.key} in HTTP/2`
    if (name.kind === Kind.contentLength || name.kind === Kind.disguised) return 'framing field in trailers'
    if (name.kind === Kind.plain) trailers.list.push(name.name, name.key, fields.values[i] as string)
  }
  dropFromTrailers(trailers)
  return trailers.size === 0 ? null : trailers
}
