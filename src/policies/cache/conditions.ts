// Preconditions and ranges of a request, judged by a reply that is at hand (RFC 9111 §4.3.2, RFC 9110 §13 and §14).

import type { Headers } from '../../core/headers.ts'
import type { Asked } from './asked.ts'
import { splitList } from './directives.ts'
import { dateIn } from './freshness.ts'
import { parseHttpDate } from '../../core/http-date.ts'

/** Whether the client has this reply already. If-None-Match goes before If-Modified-Since (RFC 9110 §13.1.3). */
export function isNotModified(asked: Asked, headers: Headers, receivedWallMs: number): boolean {
  if (asked.ifNoneMatch !== '') {
    if (asked.ifNoneMatch.trim() === '*') return true
    const tag = headers.get('etag')
    return tag !== undefined && splitList(asked.ifNoneMatch).some(item => opaque(item) === opaque(tag))
  }
  if (asked.ifModifiedSince === '') return false
  const sinceMs = parseHttpDate(asked.ifModifiedSince, receivedWallMs)
  if (sinceMs === null) return false
  // §4.3.2: without Last-Modified by Date, and without that by when it came.
  const changedMs =
    dateIn(headers, 'last-modified', receivedWallMs) ?? dateIn(headers, 'date', receivedWallMs) ?? receivedWallMs
  return changedMs <= sinceMs
}

/** The weak comparison (RFC 9110 §8.8.3.2). */
function opaque(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag
}

/** The first byte and the one after the last; `unsatisfiable` where the body is shorter; null where the whole is to be sent. */
export function rangeIn(
  asked: Asked,
  headers: Headers,
  length: number,
  receivedWallMs: number,
): readonly [number, number] | 'unsatisfiable' | null {
  if (asked.ifRange !== '' && !isUnchanged(asked.ifRange, headers, receivedWallMs)) return null
  // Several ranges at once may be ignored (RFC 9110 §14.2): the whole is an answer to them, too.
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/i.exec(asked.range.trim()) ?? []
  if (first === '' && last === '') return null
  if (first === '') {
    const suffix = Number(last)
    if (suffix === 0) return 'unsatisfiable'
    // §14.1.2: the last bytes of nothing are the whole of it, which no Content-Range can say.
    return length === 0 ? null : [Math.max(0, length - suffix), length]
  }
  if (last !== '' && isLess(last, first)) return null
  if (Number(first) >= length) return 'unsatisfiable'
  return [Number(first), last === '' ? length : Math.min(length, Number(last) + 1)]
}

/** Of whole numbers, which may have any number of digits: a `BigInt` of a whole head of them would take a millisecond to make. */
function isLess(one: string, other: string): boolean {
  const [left, right] = [one.replace(/^0+/, ''), other.replace(/^0+/, '')]
  return left.length === right.length ? left < right : left.length < right.length
}

/** RFC 9110 §13.1.5: by the strong comparison, or by exactly the date where that is a strong validator. */
function isUnchanged(ifRange: string, headers: Headers, receivedWallMs: number): boolean {
  if (ifRange.startsWith('"')) return headers.get('etag') === ifRange
  if (ifRange.startsWith('W/') || headers.get('last-modified') !== ifRange) return false
  // §8.8.2.2: a reply that was made within the same second may have changed in it once more.
  const changedMs = dateIn(headers, 'last-modified', receivedWallMs)
  const madeMs = dateIn(headers, 'date', receivedWallMs)
  return changedMs !== null && madeMs !== null && madeMs - changedMs >= 1000
}
