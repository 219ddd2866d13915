import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { Headers } from '../../core/headers.ts'
import { makeCall } from '../../../test/tools/call.ts'
import { readAsked } from './asked.ts'
import { rangeIn } from './conditions.ts'

type Found = ReturnType<typeof rangeIn>

function rangeOf(range: string, length: number): Found {
  return rangeIn(readAsked(makeCall({ headers: { range } }), true), new Headers(), length, 0)
}

const lengths = fc.oneof(fc.constantFrom(0, 1, 2), fc.nat(1_000_000))
/** Also such as no number of JavaScript can tell apart. */
const positions = fc.oneof(
  fc.nat(20).map(BigInt),
  fc.nat(1_000_000).map(BigInt),
  fc.bigInt({ min: 2n ** 53n - 2n, max: 2n ** 53n + 2n }),
  fc.bigInt({ min: 0n, max: 10n ** 40n }),
)
const zeros = fc.constantFrom('', '0', '000')

/** RFC 9110 §14.1.2, said once more, in whole numbers of any size. */
function expected(first: bigint | null, last: bigint | null, length: bigint): Found {
  if (first === null) {
    if (last === null) return null
    if (last === 0n) return 'unsatisfiable'
    return length === 0n ? null : [Number(last > length ? 0n : length - last), Number(length)]
  }
  if (last !== null && last < first) return null
  if (first >= length) return 'unsatisfiable'
  const end = last === null || last >= length ? length : last + 1n
  return [Number(first), Number(end)]
}

test('every range that the grammar allows is the part that RFC 9110 §14.1.2 says', () => {
  const optional = fc.option(positions)
  const cases = fc.tuple(optional, optional, zeros, fc.constantFrom('bytes', 'Bytes', 'BYTES'), lengths)
  fc.assert(
    fc.property(cases, ([first, last, zero, unit, length]) => {
      const text = (position: bigint | null) => (position === null ? '' : `${zero}${position}`)
      assert.deepEqual(rangeOf(`${unit}=${text(first)}-${text(last)}`, length), expected(first, last, BigInt(length)))
    }),
    { numRuns: 2_000 },
  )
})

test('nothing makes it throw, or name bytes that are not there', () => {
  const pieces = fc.constantFrom('bytes', '=', '-', ',', ' ', '0', '7', '99', '+', '.', 'e', 'x', '\t', 'bytes=0-', '٣')
  const texts = fc.oneof(
    fc.string(),
    fc.array(pieces, { maxLength: 8 }).map(list => list.join('')),
  )
  fc.assert(
    fc.property(texts, lengths, (text, length) => {
      const found = rangeOf(text, length)
      if (found === null || found === 'unsatisfiable') return
      const [from, to] = found
      assert.ok(from >= 0 && from < to && to <= length, `${text}: ${from} to ${to} of ${length}`)
      assert.match(text, /^\s*bytes=(\d+-\d*|-\d+)\s*$/i)
    }),
    { numRuns: 5_000 },
  )
})
