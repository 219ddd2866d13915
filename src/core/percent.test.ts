import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { decodePath } from './percent.ts'

const cases: readonly (readonly [raw: string, decoded: string | null])[] = [
  ['/a', '/a'],
  ['/%61', '/a'],
  ['/%20', '/ '],
  ['/%3B%3f%23', '/;?#'],
  ['/%2f%2F', '/%2F%2F'],
  ['/%5c', '/%5C'],
  ['/%25', '/%25'],
  ['/%252e', '/%252e'],
  ['/%C3%A9', '/é'],
  ['/%e2%82%ac', '/€'],
  ['/%F0%9F%98%80', '/😀'],
  // Overlong forms of `/`, `.` and NUL, a surrogate, a lone continuation, a cut sequence, past U+10FFFF.
  ['/%c0%af', '/%C0%AF'],
  ['/%c0%ae%c0%ae', '/%C0%AE%C0%AE'],
  ['/%e0%80%af', '/%E0%80%AF'],
  ['/%f0%80%80%af', '/%F0%80%80%AF'],
  ['/%c0%80', '/%C0%80'],
  ['/%ed%a0%80', '/%ED%A0%80'],
  ['/%80', '/%80'],
  ['/%e2%82', '/%E2%82'],
  ['/%e2%82a', '/%E2%82a'],
  ['/%f4%90%80%80', '/%F4%90%80%80'],
  ['/%ff', '/%FF'],
  ['/%', null],
  ['/%4', null],
  ['/%4g', null],
  ['/%%41', null],
  ['/%00', null],
  ['/%0a', null],
  ['/%1F', null],
  ['/%7f', null],
]

test('decodes once, and keeps what would change the meaning', () => {
  for (const [raw, decoded] of cases) assert.equal(decodePath(raw), decoded, raw)
})

test('decodes what encodeURIComponent wrote, apart from the kept octets', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), text => {
      const decoded = decodePath(encodeURIComponent(text))
      if (/\p{Cc}/u.test(text.replace(/[\u0080-\u009f]/g, ''))) assert.equal(decoded, null)
      else assert.equal(decoded, text.replace(/[%/\\]/g, encodeURIComponent))
    }),
  )
})

function octetsOf(text: string): string {
  return text.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

test('two paths decode alike only when they are the same octets', () => {
  const piece = fc.constantFrom('%25', '%2F', '%FF', '2', 'F', 'a', '%61', '%46', '%C3', '%A9', '%c3%a9')
  const raw = fc.array(piece, { maxLength: 5 }).map(pieces => pieces.join(''))
  fc.assert(
    fc.property(raw, raw, (a, b) => {
      assert.equal(decodePath(a) === decodePath(b), octetsOf(a) === octetsOf(b), `${a} and ${b}`)
    }),
    { numRuns: 2000 },
  )
})
