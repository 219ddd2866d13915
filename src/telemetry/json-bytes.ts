// Writes pieces of JSON as bytes, without making a text of them first.
//
// Hot path: a line of the access log that is joined as text leaves thirty pieces behind for the collector, which was a seventh of
// all that a call allocates. Each function writes at a place and returns the place behind; what does not fit into `bytes` is
// lost, but counted all the same, so that the caller sees that it was too much.

import { codeAt } from '../core/code-at.ts'

const quoteUnit = 0x22
const wordBytes = 4
const smallMax = 2 ** 31
const notAscii = /[\x7f-\uffff]/g

/** ASCII as it stands. */
export function putText(bytes: Uint8Array, at: number, text: string): number {
  const { length } = text
  for (let index = 0; index < length; index++) bytes[at + index] = codeAt(text, index)
  return at + length
}

/** ASCII that is written often, also as words of four bytes, the last filled up with zeros. */
export interface Piece {
  readonly text: string
  readonly words: Int32Array
}

export function pieceOf(text: string): Piece {
  const padded = Buffer.alloc(Math.ceil(text.length / wordBytes) * wordBytes)
  padded.write(text, 'latin1')
  return {
    text,
    words: Int32Array.from({ length: padded.length / wordBytes }, (_, at) => padded.readInt32LE(at * wordBytes)),
  }
}

/**
 * A piece as it stands: by words, because a call has two dozen and they are most of its line. Up to three bytes behind it are
 * written over. `view` is one of the same bytes.
 */
export function putPiece(bytes: Uint8Array, view: DataView, at: number, { text, words }: Piece): number {
  const count = words.length
  if (at + count * wordBytes > bytes.length) return putText(bytes, at, text)
  for (let index = 0; index < count; index++) view.setInt32(at + index * wordBytes, words[index] as number, true)
  return at + text.length
}

/** A JSON string of ASCII only: header fields hold bytes of any encoding, and a line must stay readable to every tool. */
export function putQuoted(bytes: Uint8Array, at: number, text: string): number {
  const { length } = text
  bytes[at] = quoteUnit
  for (let index = 0; index < length; index++) {
    const unit = codeAt(text, index)
    if (unit < 0x20 || unit > 0x7e || unit === quoteUnit || unit === 0x5c) return putText(bytes, at, escaped(text))
    bytes[at + 1 + index] = unit
  }
  bytes[at + 1 + length] = quoteUnit
  return at + length + 2
}

/** A whole number from 0 on. */
export function putWhole(bytes: Uint8Array, at: number, value: number): number {
  if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) return putText(bytes, at, String(value))
  if (value < smallMax) return putDigits(bytes, at, value, digitsOf(value))
  const end = putWhole(bytes, at, Math.floor(value / 1e9))
  return putDigits(bytes, end, value % 1e9, 9)
}

/** A number from 0 on, rounded to three decimals. */
export function putThousandths(bytes: Uint8Array, at: number, value: number): number {
  const thousandths = Math.round(value * 1000)
  if (!(thousandths < smallMax)) return putText(bytes, at, String(thousandths / 1000))
  const small = thousandths | 0
  const whole = (small / 1000) | 0
  const end = putWhole(bytes, at, whole)
  let rest = small - whole * 1000
  if (rest === 0) return end
  let digits = 3
  for (; rest % 10 === 0; rest = (rest / 10) | 0) digits--
  bytes[end] = 0x2e
  return putDigits(bytes, end + 1, rest, digits)
}

/** So many decimal digits of a whole number below 2^31, with zeros before it. Integers, because dividing others is ten times as dear. */
export function putDigits(bytes: Uint8Array, at: number, value: number, digits: number): number {
  let rest = value | 0
  for (let index = at + digits - 1; index >= at; index--) {
    const tenth = (rest / 10) | 0
    bytes[index] = 0x30 + rest - tenth * 10
    rest = tenth
  }
  return at + digits
}

function digitsOf(value: number): number {
  let digits = 1
  for (let rest = (value / 10) | 0; rest > 0; rest = (rest / 10) | 0) digits++
  return digits
}

function escaped(text: string): string {
  return JSON.stringify(text).replace(notAscii, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
