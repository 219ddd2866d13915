// Percent-decoding of paths such that two paths decode alike only when they mean the same.

import { codeAt } from './code-at.ts'

/**
 * Decodes the percent-encoded octets of a path once, as UTF-8. Null for an invalid escape or an encoded control character.
 *
 * What cannot be decoded without changing the meaning of the path stays encoded, in upper-case hex: `%2F` and `%5C` (they
 * would become separators), `%25` (it would become an escape), and octets that are not valid UTF-8, overlong forms
 * included. A `%` in the result therefore always starts such a kept escape.
 */
export function decodePath(raw: string): string | null {
  let at = raw.indexOf('%')
  if (at < 0) return raw
  let decoded = ''
  let from = 0
  while (at >= 0) {
    decoded += raw.slice(from, at)
    const octet = octetAt(raw, at)
    if (octet < 0x20 || octet === 0x7f) return null
    if (octet < 0x80) {
      decoded += isKept(octet) ? escapeOctet(octet) : String.fromCharCode(octet)
      from = at + 3
    } else {
      const point = multiByteAt(raw, at, octet)
      decoded += point < 0 ? escapeOctet(octet) : String.fromCodePoint(point)
      from = at + (point < 0 ? 3 : point < 0x800 ? 6 : point < 0x10000 ? 9 : 12)
    }
    at = raw.indexOf('%', from)
  }
  return decoded + raw.slice(from)
}

/** The octet of the escape `%XX` at this place, or -1 where none stands. */
function octetAt(text: string, at: number): number {
  if (codeAt(text, at) !== 0x25) return -1
  const high = hexDigit(codeAt(text, at + 1))
  const low = hexDigit(codeAt(text, at + 2))
  return high < 0 || low < 0 ? -1 : high * 16 + low
}

function escapeOctet(octet: number): string {
  return `%${octet < 16 ? '0' : ''}${octet.toString(16).toUpperCase()}`
}

/** Percent-encodes everything but the unreserved characters and `!'()*`, as UTF-8. */
export function encodePercent(text: string): string {
  return encodeURIComponent(text.toWellFormed())
}

function isKept(octet: number): boolean {
  return octet === 0x2f || octet === 0x5c || octet === 0x25
}

/** The code point of the well-formed UTF-8 sequence of escapes that starts here, else -1 (RFC 3629 section 4). */
function multiByteAt(raw: string, at: number, lead: number): number {
  const count =
    lead >= 0xc2 && lead <= 0xdf ? 2 : lead >= 0xe0 && lead <= 0xef ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0
  if (count === 0) return -1
  let point = lead & (0xff >> (count + 1))
  for (let i = 1; i < count; i++) {
    const octet = octetAt(raw, at + 3 * i)
    if (octet < 0x80 || octet > 0xbf) return -1
    point = point * 64 + (octet & 0x3f)
  }
  const isOverlong = (count === 3 && point < 0x800) || (count === 4 && point < 0x10000)
  return isOverlong || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ? -1 : point
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}
