// HalfSipHash-2-4 with 64 bits of output (Aumasson and Bernstein, 2016): a keyed hash that callers cannot steer.

import { codeAt } from './code-at.ts'

/**
 * Hashes the UTF-16 code units of `text`, low byte first, under the 64-bit key (`key0`, `key1`), into the low and the high half
 * of `out`. Built on 32-bit words, which JavaScript computes natively. What `out` has more room for is filled with the words of
 * the text, the last with its length.
 */
export function halfSipHash(text: string, key0: number, key1: number, out: Int32Array): void {
  let v0 = key0
  let v1 = key1 ^ 0xee
  let v2 = 0x6c796765 ^ key0
  let v3 = 0x74656462 ^ key1
  const units = text.length
  const whole = units & ~1
  const room = 2 * out.length - 4
  // The rounds are one loop, so that the compiler keeps the state in registers: words of the text with two rounds each, the
  // last word with the length, then four and four rounds to finish.
  for (let at = 0; at <= whole; at += 2) {
    const isLast = at === whole
    const rest = units > whole ? codeAt(text, whole) : 0
    const word = isLast ? (units << 25) | rest : codeAt(text, at) | (codeAt(text, at + 1) << 16)
    if (at < room) out[2 + (at >> 1)] = word
    v3 ^= word
    for (let rounds = isLast ? 10 : 2; rounds > 0; rounds--) {
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
      if (!isLast) continue
      if (rounds === 9) {
        v0 ^= word
        v2 ^= 0xee
      } else if (rounds === 5) {
        out[0] = v1 ^ v3
        v1 ^= 0xdd
      }
    }
    if (!isLast) v0 ^= word
  }
  out[1] = v1 ^ v3
}
