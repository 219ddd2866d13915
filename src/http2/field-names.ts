// Field names as HTTP/2 has them: in lower case, with the pseudo-header fields among them (RFC 9113 §8.2, §8.3).

import { createLexicon } from '../http/lexicon.ts'
import { knownNames, nameOf } from '../http/names.ts'
import { tokenOctets } from '../http/octets.ts'

/** A name with what is to be done with its field: a `Kind` of http/names.ts, or one of those below. */
export interface FieldName {
  readonly name: string
  /** In lower case; here the same as `name`. */
  readonly key: string
  readonly kind: number
}

/** The kinds that only HTTP/2 has. */
export const PseudoKind = {
  method: 20,
  scheme: 21,
  authority: 22,
  path: 23,
  status: 24,
  protocol: 25,
  /** A name or value that no message may have; what was wrong stands in `key`. */
  malformed: 26,
} as const

const pseudoNames: ReadonlyMap<string, FieldName> = new Map(
  (['method', 'scheme', 'authority', 'path', 'status', 'protocol'] as const).map(word => [
    `:${word}`,
    { name: `:${word}`, key: `:${word}`, kind: PseudoKind[word] },
  ]),
)

const pseudoLexicon = createLexicon(pseudoNames)

/** Stands for a name that makes its message malformed, wherever a table repeats it; its octets count as they came. */
export function malformed(name: string, problem: string): FieldName {
  return { name, key: problem, kind: PseudoKind.malformed }
}

/** The name that stands in `bytes` from `start` to `end`. */
export function fieldName(bytes: Buffer, start: number, end: number): FieldName {
  const known = knownNames.find(bytes, start, end)
  if (known !== null && known.name === known.key) return known
  const pseudo = bytes[start] === colon ? pseudoLexicon.find(bytes, start, end) : null
  if (pseudo !== null) return pseudo
  const text = bytes.toString('latin1', start, end)
  if (text === '') return malformed(text, 'empty field name')
  for (let i = start; i < end; i++) {
    const octet = bytes[i] as number
    if (tokenOctets[octet] === 0 || (octet >= 65 && octet <= 90)) return malformed(text, 'malformed field name')
  }
  return nameOf(text)
}

/** The same for a name in the program. */
export function fieldNameOf(text: string): FieldName {
  return fieldName(Buffer.from(text, 'latin1'), 0, text.length)
}

const colon = 58
