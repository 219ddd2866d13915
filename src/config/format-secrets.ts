// Formats of what must not stand in the config itself: secrets, and keys that are kept as digests alone.

import { createHash } from 'node:crypto'
import { fault } from './formats.ts'
import type { FormatInPlace } from './found.ts'
import type { Span } from './problem.ts'

/** Stays a text, and is never printed. A password hash may be written as it is. */
export const secretFormat: FormatInPlace = (text, span) => {
  if (text === '') return fault('secret', 'It is empty: put the secret into the variable or file.')
  if (text.startsWith('$argon2id$') || isFromOutside(span)) return { value: text }
  return { expected: 'a secret must not stand in the config', hint: outsideHint, isSentence: true }
}

/** Becomes the SHA-256 of the key, as hex. */
export const keyDigestFormat: FormatInPlace = (text, span) => {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return { value: text.toLowerCase() }
  if (text.length < 16) {
    return fault(
      'key-digest',
      'A key has at least 16 characters. Write its SHA-256 as hex, or bring it in from outside.',
    )
  }
  if (isFromOutside(span)) return { value: createHash('sha256').update(text).digest('hex') }
  return {
    expected: 'a key must not stand in the config',
    hint: `${outsideHint} Its SHA-256 as hex may stand there.`,
    isSentence: true,
  }
}

const outsideHint = 'Bring it in by `${env:NAME}` or `${file:PATH}`.'

function isFromOutside({ source, start, end }: Span): boolean {
  return /(^|[^$])\$\{(env|file):/.test(source.text.slice(start, end))
}
