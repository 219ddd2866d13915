// Which stored reply fits a request, by the fields that its Vary names (RFC 9111 §4.1).

import type { Headers } from '../../core/headers.ts'
import { splitList } from './directives.ts'

/** Names and values, one behind the other; empty for a reply that fits every request. */
export type Selection = readonly string[]

/** Null for `*`, which no other request ever fits. */
export function selectionOf(vary: readonly string[], request: Headers): Selection | null {
  if (vary.length === 0) return []
  const names = new Set(vary.flatMap(splitList).map(name => name.toLowerCase()))
  names.delete('')
  if (names.has('*')) return null
  return [...names].sort().flatMap(name => [name, normalValue(name, request)])
}

export function isSelected(selection: Selection, request: Headers): boolean {
  for (let i = 0; i < selection.length; i += 2) {
    if (normalValue(selection[i] as string, request) !== selection[i + 1]) return false
  }
  return true
}

/** Lists whose items are the same in any case. */
const plainLists: ReadonlySet<string> = new Set(['accept-encoding', 'accept-language', 'accept-charset'])

/** Differences of form alone are none: white space, how a list is spread over lines, case where it says nothing, the order of codings. */
function normalValue(name: string, request: Headers): string {
  const values = request.all(name)
  if (values.length === 0) return ''
  const items = values.flatMap(splitList)
  if (!plainLists.has(name)) return `=${items.join(',')}`
  const plain = items.map(item => item.toLowerCase().replaceAll(/\s+/g, ''))
  return `=${(name === 'accept-encoding' ? plain.sort() : plain).join(',')}`
}
